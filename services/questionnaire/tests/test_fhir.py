"""Every form and every response renders to FHIR R4 that fhir.resources accepts, and says the same."""

from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B.questionnaire import Questionnaire
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

from services.questionnaire.domain.fhir import to_fhir_questionnaire, to_fhir_response
from services.questionnaire.domain.forms import Form, Item, Scalar, walk
from services.questionnaire.domain.responses import Response
from services.questionnaire.store import load_library

from .conftest import BORN, TODAY, healthy
from .test_responses import CHILD, draft, submit

FORMS = load_library().forms


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def flat(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for item in items for found in (item, *flat(item.get("item", [])))]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.id} {form.version}")
def test_every_form_is_a_questionnaire(form: Form) -> None:
    rendered = to_fhir_questionnaire(form)
    Questionnaire.model_validate(rendered)
    items = flat(rendered["item"])
    assert [item["linkId"] for item in items] == [item.link_id for item in walk(form.items)]
    assert {item["linkId"] for item in items if item.get("required")} == {
        item.link_id for item in form.questions() if item.required
    }
    for condition in (one for item in items for one in item.get("enableWhen", ())):
        assert sum(name.startswith("answer") for name in condition) == 1


def _some_answer(item: Item) -> Scalar:
    if item.options:
        return item.options[-1].code
    values: dict[str, Scalar] = {
        "boolean": True,
        "string": "あ",
        "integer": int(item.min or 0),
        "decimal": float(item.min or 0),
        "date": (TODAY - timedelta(days=1)).isoformat(),
    }
    return values[item.kind]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.id} {form.version}")
def test_a_response_with_every_kind_of_answer_is_a_questionnaire_response(form: Form) -> None:
    response = Response("child-1", form.id, form.version, "ja", draft().begun_on, "mother-1", family="rota")
    answers = {item.link_id: _some_answer(item) for item in form.questions()}
    answers = {link_id: value for link_id, value in answers.items() if link_id not in response.filled(form, CHILD)}
    response.answers = answers
    everything = response.all_answers(form, CHILD)
    rendered = to_fhir_response(form, "r-1", response, everything)
    QuestionnaireResponse.model_validate(rendered)
    answered = {item["linkId"] for item in flat(rendered["item"]) if "answer" in item}
    assert answered == {item.link_id for item in form.enabled(everything)}


def test_a_submitted_yoshinhyo_keeps_its_words_values_and_groups(yoshinhyo: Form) -> None:
    response = draft()
    submit(response, yoshinhyo)
    rendered = to_fhir_response(yoshinhyo, "r-1", response, {})
    QuestionnaireResponse.model_validate(rendered)
    assert rendered["questionnaire"] == "https://hagukumi.example/fhir/Questionnaire/yoshinhyo-infant|2026.1"
    assert rendered["status"] == "completed"
    assert [item["linkId"] for item in rendered["item"]] == ["header", "questions", "hepb", "guardian"]
    by_id = {item["linkId"]: item for item in flat(rendered["item"])}
    assert by_id["temperature"] == {
        "linkId": "temperature",
        "text": "診察前の体温",
        "answer": [{"valueQuantity": _quantity(36.6, "Cel")}],
    }
    assert by_id["birth_date"]["answer"] == [{"valueDate": BORN.isoformat()}]
    assert by_id["guardian_consent"]["answer"][0]["valueCoding"]["display"] == "同意します"
    assert by_id["q2_birth_weight"]["answer"] == [{"valueQuantity": _quantity(3012, "g")}]


@pytest.mark.parametrize(
    ("status", "wanted"),
    [("draft", "in-progress"), ("submitted", "completed"), ("decided", "completed"), ("withdrawn", "entered-in-error")],
)
def test_status_in_fhir(yoshinhyo: Form, status: Any, wanted: str) -> None:
    response = draft()
    response.status = status
    assert to_fhir_response(yoshinhyo, "r-1", response, healthy())["status"] == wanted
