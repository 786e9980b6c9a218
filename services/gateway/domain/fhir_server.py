"""What a FHIR server says besides resources: OperationOutcome, CapabilityStatement, search results in pages."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from services.gateway.domain.fhir_codes import JP_IMMUNIZATION, JP_PATIENT, FhirJson, without_empty

CONTENT_TYPE = "application/fhir+json"
_ISSUES = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    412: "conflict",
    415: "not-supported",
    422: "invalid",
    429: "throttled",
    503: "transient",
}
_SERVED: tuple[tuple[str, str | None, tuple[str, ...], tuple[tuple[str, str], ...]], ...] = (
    ("Patient", JP_PATIENT, ("read", "search-type"), ()),
    ("Immunization", JP_IMMUNIZATION, ("read", "search-type"), (("patient", "reference"), ("status", "token"))),
    ("ImmunizationRecommendation", None, ("search-type",), (("patient", "reference"),)),
    ("Observation", None, ("search-type",), (("patient", "reference"),)),
)


def outcome(status: int, problem: dict[str, Any]) -> FhirJson:
    """A problem as OperationOutcome: one issue for each broken rule, never the input itself."""
    code = _ISSUES.get(status, "exception" if status >= 500 else "processing")
    severity = "fatal" if status >= 500 and status != 503 else "error"
    issues = [
        {
            "severity": severity,
            "code": code,
            "details": {"text": one["detail"], "coding": [{"code": one["code"]}]},
            "expression": [one["pointer"].strip("/").replace("/", ".")] if one["pointer"].strip("/") else None,
        }
        for one in problem.get("errors", [])
    ] or [{"severity": severity, "code": code, "details": {"text": problem.get("title", "")}}]
    return {"resourceType": "OperationOutcome", "issue": [without_empty(issue) for issue in issues]}


def capabilities(*, date: str, base: str) -> FhirJson:
    """What this server can do (CapabilityStatement)."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Hagukumi"},
        "implementation": {"description": "Hagukumi", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "SMART-on-FHIR",
                                }
                            ]
                        }
                    ],
                    "description": "Bearer tokens; a clinic reads what a family's consent lets it read.",
                },
                "resource": [
                    without_empty(
                        {
                            "type": kind,
                            "supportedProfile": [profile] if profile is not None else None,
                            "interaction": [{"code": code} for code in interactions],
                            "searchParam": [{"name": name, "type": type_} for name, type_ in parameters],
                        }
                    )
                    for kind, profile, interactions, parameters in _SERVED
                ],
            }
        ],
    }


def searchset(
    resources: Sequence[FhirJson],
    *,
    base: str,
    total: int | None,
    query: dict[str, str],
    kind: str | None = None,
    next_cursor: str | None = None,
) -> FhirJson:
    """One page of a search; `kind` names the type searched for when the page may be empty, `total` is left out if unknown."""
    path = f"{base}/{kind or resources[0]['resourceType']}"
    links = [{"relation": "self", "url": f"{path}?{urlencode(query)}"}]
    if next_cursor is not None:
        links.append({"relation": "next", "url": f"{path}?{urlencode({**query, '_cursor': next_cursor})}"})
    return without_empty(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "link": links,
            "entry": [
                {
                    "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
                    "resource": resource,
                    "search": {"mode": "match"},
                }
                for resource in resources
            ],
        }
    )
