"""Forms are data: valid, consistent, never edited once published; branching leads to the right questions."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.questionnaire.domain.forms import Condition, Form, FormBroken, read_form
from services.questionnaire.store import FORMS, Library, load_library

from .conftest import TODAY, healthy

PUBLISHED = Path(__file__).with_name("published_forms.json")


def test_a_published_version_is_never_edited(library: Library) -> None:
    """A response shows the form as it was asked: a change of wording is a new version in a new file."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    now = {f"{form_id} {version}": digest for (form_id, version), digest in library.digests.items()}
    assert {name: now.get(name) for name in published} == published
    assert now.keys() == published.keys(), "publish a new version by adding its digest"


def test_the_yoshinhyo_has_the_fourteen_national_items_the_temperature_and_the_consent(yoshinhyo: Form) -> None:
    numbers = {item.number for item in yoshinhyo.questions() if item.number is not None}
    assert numbers == {str(number) for number in range(1, 15)}
    assert yoshinhyo.temperature == "temperature"
    assert yoshinhyo.consent is not None
    assert yoshinhyo.confidence == "medium"
    assert {"name", "name_kana", "sex", "birth_date", "address", "phone", "guardian_name", "dose_number"} <= {
        item.link_id for item in yoshinhyo.questions()
    }


def test_every_yes_that_matters_raises_a_flag(yoshinhyo: Form) -> None:
    watched = {condition.question for flag in yoshinhyo.flags for condition in flag.when}
    numbered = {item.link_id for item in yoshinhyo.questions() if item.number is not None and item.kind == "boolean"}
    assert numbered - watched == {"q8_seizure_with_fever"}


@pytest.mark.parametrize(
    ("vaccine", "opened"),
    [
        ("rota", {"rota_first_dose_in_time", "rota_intussusception", "rota_bowel_anomaly"}),
        ("hepb", {"hepb_mother_to_child"}),
        ("bcg", {"bcg_tuberculosis_contact", "bcg_keloid", "q13_transfusion"}),
        ("mr", {"q13_transfusion"}),
        ("je", {"je_period", "je_adem"}),
        ("hpv", {"hpv_fainted", "hpv_pregnant"}),
        ("penta", set()),
    ],
)
def test_each_vaccine_opens_its_own_part(yoshinhyo: Form, vaccine: str, opened: set[str]) -> None:
    base = {item.link_id for item in yoshinhyo.enabled({"vaccine": "penta", "dose_number": 1})}
    found = {item.link_id for item in yoshinhyo.enabled({"vaccine": vaccine, "dose_number": 1})}
    assert found - base == opened
    assert base <= found


def test_a_yes_opens_its_detail_and_a_later_dose_asks_for_the_one_before(yoshinhyo: Form) -> None:
    def asked(**answers: Any) -> set[str]:
        return {item.link_id for item in yoshinhyo.enabled({"vaccine": "rota", **answers})}

    assert "q3_symptoms" not in asked(q3_unwell_today=False)
    assert "q3_symptoms" in asked(q3_unwell_today=True)
    assert "rota_previous_product" not in asked(dose_number=1)
    assert {"rota_previous_product", "rota_previous_on"} <= asked(dose_number=2)


def test_an_answer_to_a_question_that_is_not_asked_opens_nothing(library: Library) -> None:
    form = read_form(
        _form(
            {"link_id": "ill", "type": "boolean", "text": _TEXT},
            {"link_id": "fever", "type": "boolean", "text": _TEXT, "enable_when": [_when("ill", "=", value=True)]},
            {"link_id": "days", "type": "boolean", "text": _TEXT, "enable_when": [_when("fever", "=", value=True)]},
        )
    )
    assert [item.link_id for item in form.enabled({"ill": False, "fever": True})] == ["ill"]
    assert [item.link_id for item in form.enabled({"ill": True, "fever": True})] == ["ill", "fever", "days"]


@pytest.mark.parametrize(
    ("condition", "answers", "holds"),
    [
        (Condition("a", "=", value=True), {"a": True}, True),
        (Condition("a", "=", value=True), {"a": 1}, False),
        (Condition("a", "=", 1), {"a": True}, False),
        (Condition("a", "=", value=True), {}, False),
        (Condition("a", "!=", "x"), {"a": "y"}, True),
        (Condition("a", "!=", "x"), {}, True),
        (Condition("a", "exists", value=True), {"a": False}, True),
        (Condition("a", "exists", value=False), {}, True),
        (Condition("a", "exists", value=False), {"a": 0}, False),
        (Condition("a", ">=", 37.5), {"a": 37.5}, True),
        (Condition("a", ">", 37.5), {"a": 37.5}, False),
        (Condition("a", "<", 2), {"a": 1}, True),
        (Condition("a", "<=", 2), {"a": 3}, False),
        (Condition("a", ">", 2), {"a": "3"}, False),
    ],
)
def test_conditions_compare_like_with_like(condition: Condition, answers: dict[str, Any], holds: bool) -> None:
    assert condition.holds(answers) is holds


_TEXT = {"ja": "問", "en": "Question"}


def _when(question: str, operator: str, value: Any) -> dict[str, Any]:
    return {"question": question, "operator": operator, "value": value}


def _form(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "toy",
        "version": "2026.1",
        "kind": "survey",
        "title": _TEXT,
        "effective_from": "2026-04-01",
        "source": "invented",
        "confidence": "high",
        "items": list(items),
        **more,
    }


_ASK = {"link_id": "a", "type": "boolean", "text": _TEXT}
_CHOICE = {
    "link_id": "c",
    "type": "choice",
    "text": _TEXT,
    "required": True,
    "options": [{"code": "x", "text": _TEXT}, {"code": "y", "text": _TEXT}],
}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (_form(_ASK, _ASK), "stands twice"),
        (_form({**_ASK, "enable_when": [_when("b", "=", value=True)]}), "look back"),
        (_form({**_ASK, "enable_when": [_when("a", "=", value=True)]}), "look back"),
        (_form(_ASK, {**_CHOICE, "enable_when": [_when("a", "=", "yes")]}), "cannot be compared"),
        (_form(_CHOICE, {**_ASK, "enable_when": [_when("c", "=", "z")]}), "cannot be compared"),
        (_form({**_CHOICE, "options": [{"code": "x", "text": _TEXT}] * 2}), "option twice"),
        (_form({"link_id": "n", "type": "integer", "text": _TEXT, "min": 5, "max": 1}), "no possible value"),
        (_form(_ASK, flags=[{"code": "f", "text": _TEXT, "when": [_when("b", "=", value=True)]}]), "look back"),
        (_form(_CHOICE, consent={"item": "c", "agree": "x", "refuse": "z"}), "consent"),
        (_form({**_CHOICE, "carry_over": True}, consent={"item": "c", "agree": "x", "refuse": "y"}), "anew"),
        (_form(_ASK, temperature="a"), "temperature"),
    ],
)
def test_a_form_that_contradicts_itself_is_refused(broken: dict[str, Any], why: str) -> None:
    with pytest.raises(FormBroken, match=why):
        read_form(broken)


@pytest.mark.parametrize(
    "change",
    [
        {"items": []},
        {"kind": "quiz"},
        {"items": [{**_ASK, "type": "file"}]},
        {"items": [{**_ASK, "colour": "red"}]},
        {"items": [{"link_id": "with.dot", "type": "boolean", "text": _TEXT}]},
        {"items": [{"link_id": "n", "type": "decimal", "text": _TEXT}]},
        {"items": [{"link_id": "s", "type": "string", "text": _TEXT}]},
        {"items": [{"link_id": "b", "type": "boolean", "text": {"ja": "問"}}]},
    ],
)
def test_a_form_that_breaks_the_schema_stops_the_start(tmp_path: Path, change: dict[str, Any]) -> None:
    for name in ("form.schema.json", "families.yaml"):
        (tmp_path / name).write_text((FORMS / name).read_text(encoding="utf-8"), encoding="utf-8")
    file = tmp_path / "toy.2026.1.yaml"
    file.write_text(yaml.safe_dump(_form(_ASK)), encoding="utf-8")
    load_library(tmp_path)
    file.write_text(yaml.safe_dump(_form(_ASK, **change)), encoding="utf-8")
    with pytest.raises(FormBroken, match="toy"):
        load_library(tmp_path)


def test_a_response_begins_with_the_newest_version_in_force(tmp_path: Path) -> None:
    for name in ("form.schema.json", "families.yaml"):
        (tmp_path / name).write_text((FORMS / name).read_text(encoding="utf-8"), encoding="utf-8")
    for version, since in (("2026.1", "2026-04-01"), ("2026.2", "2026-10-01"), ("2027.1", "2027-04-01")):
        form = _form(_ASK, version=version, effective_from=since)
        (tmp_path / f"toy.{version}.yaml").write_text(yaml.safe_dump(form), encoding="utf-8")
    library = load_library(tmp_path)
    assert [form.version for form in library.current(TODAY)] == ["2026.2"]
    earlier = library.find("toy", "2026.1", TODAY)
    assert earlier is not None
    assert earlier.version == "2026.1"
    assert library.find("toy", "2025.1", TODAY) is None


def test_licensed_wording_is_not_offered_before_the_municipality_supplies_it(tmp_path: Path) -> None:
    for name in ("form.schema.json", "families.yaml"):
        (tmp_path / name).write_text((FORMS / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "toy.2026.1.yaml").write_text(yaml.safe_dump(_form(_ASK, wording="municipality")), encoding="utf-8")
    assert load_library(tmp_path).current(TODAY) == []


def test_healthy_answers_are_complete(yoshinhyo: Form) -> None:
    """The answers that the other tests build on fit the form."""
    assert healthy().keys() <= {item.link_id for item in yoshinhyo.questions()}
