"""A submitted questionnaire, the doctor's decision on it, and the end of a consent, as FHIR R4."""

from typing import Any

from services.gateway.domain.fhir_codes import (
    BASE,
    DECISION,
    LOINC,
    SID_RESPONSE,
    UCUM,
    FhirJson,
    coding,
    concept,
    organisation,
    reference,
    without_empty,
)

State = dict[str, Any]

_DECISIONS = {
    "go_ahead": "接種可能",
    "postpone": "今日は見合わせる",
    "never": "接種しない",
}
_TYPED = {
    "boolean": "valueBoolean",
    "integer": "valueInteger",
    "decimal": "valueDecimal",
    "date": "valueDate",
    "string": "valueString",
}
_CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"


def questionnaire_response(
    child: str, response: str, filed: State, answers: list[State] | None, *, withdrawn: bool = False
) -> FhirJson:
    """A 予診票 (pre-vaccination questionnaire) as it was asked and answered; a withdrawn one carries no answers."""
    status = "entered-in-error" if withdrawn else "amended" if filed.get("again") else "completed"
    return without_empty(
        {
            "resourceType": "QuestionnaireResponse",
            "id": response,
            "meta": {"versionId": str(filed["revision"])},
            "identifier": {"system": SID_RESPONSE, "value": response},
            "questionnaire": f"{BASE}/Questionnaire/{filed['form']}|{filed['form_version']}",
            "status": status,
            "subject": reference("Patient", child),
            "authored": filed["submitted_at"],
            "item": [_item(filed["form"], answer) for answer in answers or []],
        }
    )


def _item(form: str, answer: State) -> FhirJson:
    value = answer.get("value")
    return without_empty(
        {
            "linkId": answer["link_id"],
            "text": answer["text"],
            "answer": [_value(form, answer, one) for one in (value if isinstance(value, list) else [value])]
            if value is not None
            else None,
        }
    )


def _value(form: str, answer: State, value: Any) -> FhirJson:
    kind = answer.get("type") or _guess(value)
    if kind == "choice":
        system = f"{BASE}/CodeSystem/{form}-{answer['link_id']}"
        return {"valueCoding": coding(system, str(value), answer.get("display"))}
    if kind in {"integer", "decimal"} and answer.get("unit"):
        unit = answer["unit"]
        return {"valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit}}
    return {_TYPED.get(kind, "valueString"): value if kind in _TYPED else str(value)}


def _guess(value: Any) -> str:
    """The type of an answer whose form did not say it; a bool is an int to Python, so it is asked first."""
    for cls, kind in ((bool, "boolean"), (int, "integer"), (float, "decimal")):
        if isinstance(value, cls):
            return kind
    return "string"


def triage_decision(child: str, response: str, decision: State) -> FhirJson:
    """The doctor's decision (接種の可否) as an Observation derived from the questionnaire."""
    code = decision["decision"]
    temperature = decision.get("temperature_c")
    return without_empty(
        {
            "resourceType": "Observation",
            "id": f"{response}-decision",
            "meta": {"versionId": str(decision["revision"])},
            "status": "final",
            "code": concept([coding(DECISION, "vaccination-decision", "予防接種の可否の判断")]),
            "subject": reference("Patient", child),
            "effectiveDateTime": decision["decided_at"],
            "performer": [organisation(decision["organisation"])],
            "valueCodeableConcept": concept([coding(DECISION, code, _DECISIONS.get(code))]),
            "derivedFrom": [reference("QuestionnaireResponse", response)],
            "component": [
                {
                    "code": concept([coding(DECISION, "explained", "保護者への説明")]),
                    "valueBoolean": decision["explained"],
                },
                *(
                    [
                        {
                            "code": concept([coding(LOINC, "8310-5", "Body temperature")]),
                            "valueQuantity": {"value": temperature, "unit": "Cel", "system": UCUM, "code": "Cel"},
                        }
                    ]
                    if temperature is not None
                    else []
                ),
            ],
        }
    )


def consent_ended(child: str, clinic: str, *, at: str) -> FhirJson:
    """The end marker of a feed: the family's consent to this clinic is no longer in force (protocol D5)."""
    return {
        "resourceType": "Consent",
        "id": f"{child}-consent",
        "status": "inactive",
        "scope": concept([coding(_CONSENT_SCOPE, "patient-privacy", "Privacy Consent")]),
        "category": [concept([coding(LOINC, "59284-0", "Consent Document")])],
        "patient": reference("Patient", child),
        "dateTime": at,
        "organization": [organisation(clinic)],
    }
