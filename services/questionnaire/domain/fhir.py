"""Forms and responses as FHIR R4 JSON: Questionnaire and QuestionnaireResponse (wire 4.0.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.questionnaire.domain.forms import Condition, Form, Item, Scalar, Text, walk
from services.questionnaire.domain.responses import Response
from shared.events.questionnaire import Answer

BASE = "https://hagukumi.example/fhir"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
UNIT = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
MIN_VALUE = "http://hl7.org/fhir/StructureDefinition/minValue"
MAX_VALUE = "http://hl7.org/fhir/StructureDefinition/maxValue"
DECIMALS = "http://hl7.org/fhir/StructureDefinition/maxDecimalPlaces"
SCORE = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
UCUM = "http://unitsofmeasure.org"

_STATUS = {"draft": "in-progress", "submitted": "completed", "decided": "completed", "withdrawn": "entered-in-error"}


def canonical(form_id: str, version: str) -> str:
    """The canonical URL of a form's version."""
    return f"{BASE}/Questionnaire/{form_id}|{version}"


def to_fhir_questionnaire(form: Form) -> dict[str, Any]:
    """The form as a Questionnaire; English and easy Japanese stand beside the Japanese as translations."""
    return {
        "resourceType": "Questionnaire",
        "id": form.id,
        "url": f"{BASE}/Questionnaire/{form.id}",
        "version": form.version,
        "name": "".join(part.capitalize() for part in form.id.replace("_", "-").split("-")),
        **_words("title", form.title),
        "status": "active",
        "language": "ja",
        "subjectType": ["Patient"],
        "date": form.effective_from.isoformat(),
        "publisher": "Hagukumi",
        "purpose": form.source,
        "effectivePeriod": {
            "start": form.effective_from.isoformat(),
            **({"end": form.effective_to.isoformat()} if form.effective_to is not None else {}),
        },
        "item": [_item(form, item) for item in form.items],
    }


def _words(name: str, text: Text) -> dict[str, Any]:
    """The Japanese words, and the others as FHIR's translation extensions of them."""
    others = [("en", text.en), ("ja-x-easy", text.easy)]
    translations = [
        {
            "url": TRANSLATION,
            "extension": [{"url": "lang", "valueCode": code}, {"url": "content", "valueString": words}],
        }
        for code, words in others
        if words is not None
    ]
    return {name: text.ja, f"_{name}": {"extension": translations}}


def _item(form: Form, item: Item) -> dict[str, Any]:
    found: dict[str, Any] = {"linkId": item.link_id, **_words("text", item.text), "type": _kind(item)}
    if item.number is not None:
        found["prefix"] = item.number
    extensions: list[dict[str, Any]] = []
    if item.unit is not None:
        extensions.append({"url": UNIT, "valueCoding": {"system": UCUM, "code": item.unit}})
    for url, bound in ((MIN_VALUE, item.min), (MAX_VALUE, item.max)):
        if bound is not None:
            extensions.append({"url": url, **_typed("value", item.kind, bound)})
    if item.decimals:
        extensions.append({"url": DECIMALS, "valueInteger": item.decimals})
    if extensions:
        found["extension"] = extensions
    if item.required:
        found["required"] = True
    if item.filled_from is not None:
        found["readOnly"] = True
    if item.max_length is not None:
        found["maxLength"] = item.max_length
    if item.enable_when:
        found["enableWhen"] = [_condition(form, condition) for condition in item.enable_when]
        if len(item.enable_when) > 1:
            found["enableBehavior"] = "any" if item.enable_any else "all"
    if item.options:
        found["answerOption"] = [
            {
                "valueCoding": {"system": _codes(form, item), "code": option.code, **_words("display", option.text)},
                **({"extension": [{"url": SCORE, "valueDecimal": option.score}]} if option.score is not None else {}),
            }
            for option in item.options
        ]
    if item.items:
        found["item"] = [_item(form, inner) for inner in item.items]
    return found


def _kind(item: Item) -> str:
    """FHIR's type of an item: a number with a unit is a quantity."""
    return "quantity" if item.unit is not None else item.kind


def _codes(form: Form, item: Item) -> str:
    """The code system of a question's options: ours, one for each question of each form."""
    return f"{BASE}/CodeSystem/{form.id}-{item.link_id}"


def _condition(form: Form, condition: Condition) -> dict[str, Any]:
    found: dict[str, Any] = {"question": condition.question, "operator": condition.operator}
    if condition.operator == "exists":
        return {**found, "answerBoolean": condition.value}
    asked = form.question(condition.question)
    kind = asked.kind if asked is not None else "string"
    if asked is not None and asked.unit is not None:
        return {**found, "answerQuantity": _quantity(asked.unit, condition.value)}
    if asked is not None and kind == "choice":
        return {**found, "answerCoding": {"system": _codes(form, asked), "code": condition.value}}
    return {**found, **_typed("answer", kind, condition.value)}


def _typed(prefix: str, kind: str, value: Scalar) -> dict[str, Any]:
    return {f"{prefix}{kind.capitalize()}": value}


def to_fhir_response(form: Form, response_id: str, response: Response, answers: Mapping[str, Scalar]) -> dict[str, Any]:
    """A response as a QuestionnaireResponse; once submitted, with the answers and words that were kept, else with these answers."""
    submission = response.submission
    if submission is not None:
        kept: Sequence[Answer] = submission.answers
    else:
        kept = [
            Answer(link_id=item.link_id, text=item.text.ja, value=answers[item.link_id])
            for item in form.enabled(answers)
            if item.link_id in answers
        ]
    found: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "id": response_id,
        "questionnaire": canonical(form.id, form.version),
        "status": _STATUS[response.status],
        "subject": {"reference": f"Patient/{response.child}"},
        "authored": (submission.at if submission is not None else response.begun_on).isoformat(),
    }
    items = _answered(form, form.items, {answer.link_id: answer for answer in kept})
    if items:
        found["item"] = items
    return found


def _answered(form: Form, items: Sequence[Item], answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """The answered items in their groups; a group with nothing answered is left out."""
    found: list[dict[str, Any]] = []
    for item in items:
        if item.kind == "group":
            if any(inner.link_id in answers for inner in walk(item.items)):
                found.append(
                    {"linkId": item.link_id, "text": item.text.ja, "item": _answered(form, item.items, answers)}
                )
        elif item.link_id in answers:
            answer = answers[item.link_id]
            found.append({"linkId": item.link_id, "text": answer.text, "answer": [_value(form, item, answer)]})
    return found


def _value(form: Form, item: Item, answer: Answer) -> dict[str, Any]:
    if item.kind == "choice":
        words = next((option.text.ja for option in item.options if option.code == answer.value), None)
        display = answer.display or words
        coding = {"system": _codes(form, item), "code": answer.value}
        return {"valueCoding": {**coding, "display": display} if display else coding}
    if item.unit is not None:
        return {"valueQuantity": _quantity(item.unit, answer.value)}
    return _typed("value", item.kind, answer.value)


def _quantity(unit: str, value: Scalar) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}
