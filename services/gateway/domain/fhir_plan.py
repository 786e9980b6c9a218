"""The plan as FHIR R4 ImmunizationRecommendation; what is due, from when, until when, and why."""

from typing import Any

from services.gateway.domain.fhir_codes import (
    LOINC,
    SERIES,
    FhirJson,
    coding,
    concept,
    reference,
    vaccine_code,
    without_empty,
)
from shared.vaccines import vaccines

State = dict[str, Any]

_STATUS = "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status"
_FORECAST = {
    "due": ("due", "Due"),
    "upcoming": ("due", "Due"),
    "overdue": ("overdue", "Overdue"),
    "done": ("complete", "Complete"),
    "contraindicated": ("contraindicated", "Contraindicated"),
}
_DATES = (
    ("earliest", "30981-5", "Earliest date to give"),
    ("recommended", "30980-7", "Date vaccine due"),
    ("overdue_from", "59778-1", "Date when overdue for immunization"),
    ("latest", "59777-3", "Latest date to give immunization"),
)


def recommendation(child: str, plan: State, *, version: int) -> FhirJson:
    """The plan as of its day; checkups are left out, and so is what this system does not recommend.

    `plan` is PlanChanged's data. A series that only a person can decide on, or whose window has closed, has no status in
    FHIR's value set and is left out too: the plan itself says more.
    """
    return {
        "resourceType": "ImmunizationRecommendation",
        "id": child,
        "meta": {"versionId": str(version)},
        "patient": reference("Patient", child),
        "date": plan["as_of"],
        "recommendation": [
            _item(item)
            for item in plan["items"]
            if item["status"] in _FORECAST and not item["series"].startswith("checkup_")
        ],
    }


def _item(item: State) -> FhirJson:
    why = item["why"]
    return without_empty(
        {
            "vaccineCode": _vaccines(item),
            "targetDisease": concept([coding(SERIES, item["series"])]),
            "forecastStatus": concept([coding(_STATUS, *_FORECAST[item["status"]])]),
            "forecastReason": [{"text": why["sentence"]}],
            "dateCriterion": [
                {"code": concept([coding(LOINC, code, display)]), "value": item[name]}
                for name, code, display in _DATES
                if item.get(name)
            ],
            "description": why.get("source"),
            "series": item["series"],
            "doseNumberPositiveInt": item["dose_number"] if item["dose_number"] > 0 else None,
        }
    )


def _vaccines(item: State) -> list[FhirJson]:
    """Any one of these vaccines; plan items name them by Hagukumi's code."""
    table = vaccines().by_code
    return [
        vaccine_code(code, cvx=None, recorded=None, product=None) for code in item.get("vaccines", ()) if code in table
    ]
