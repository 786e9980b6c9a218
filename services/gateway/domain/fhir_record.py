"""A child's record as FHIR R4: Patient, Immunization (JP Core), Observation. Only what a clinic may see leaves this file."""

from typing import Any

from services.gateway.domain.fhir_codes import (
    JP_IMMUNIZATION,
    JP_PATIENT,
    LOINC,
    SID_CHILD,
    SID_DOSE,
    FhirJson,
    body_site,
    coding,
    concept,
    given_by,
    organisation,
    quantity,
    reference,
    vaccine_code,
    without_empty,
)

State = dict[str, Any]

_GENDER = {"F": "female", "M": "male", "U": "unknown"}
_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_PERFORMER = "http://terminology.hl7.org/CodeSystem/v2-0443"
_ORIGIN = "http://terminology.hl7.org/CodeSystem/immunization-origin"
_REPORTED = {"municipality": ("jurisdiction", "Jurisdiction"), "guardian": ("recall", "Parent/Guardian/Patient Recall")}
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_GROWTH = (
    ("weight_kg", "29463-7", "Body weight", "kg"),
    ("length_cm", "8302-2", "Body height", "cm"),
    ("head_cm", "9843-4", "Head Occipital-frontal circumference", "cm"),
    ("chest_cm", "8280-0", "Chest circumference at nipple line", "cm"),
)


def patient(child: str, facts: State, *, version: int, died_on: str | None = None) -> FhirJson:
    """The child as JP Core Patient: name as written and as read, sex, birth date. No guardian, address or town."""
    name = facts["name"]
    return without_empty(
        {
            "resourceType": "Patient",
            "id": child,
            "meta": {"versionId": str(version), "profile": [JP_PATIENT]},
            "identifier": [{"system": SID_CHILD, "value": child}],
            "active": died_on is None,
            "name": [
                _name(name["family"], name["given"], "IDE"),
                _name(name["family_kana"], name["given_kana"], "SYL"),
            ],
            "gender": _GENDER[facts["sex"]],
            "birthDate": facts["birth_date"],
            "deceasedDateTime": died_on,
        }
    )


def _name(family: str, given: str, representation: str) -> FhirJson:
    return {
        "extension": [{"url": _REPRESENTATION, "valueCode": representation}],
        "use": "official",
        "text": f"{family} {given}",
        "family": family,
        "given": [given],
    }


def immunization(
    child: str,
    dose: State,
    *,
    entered_in_error: bool = False,
    series: str | None = None,
    dose_number: int | None = None,
) -> FhirJson:
    """One dose as JP Core Immunization. `dose` is the child view's; a dose that another entry superseded is in error too.

    `primarySource` is true only for what the clinic that gave it recorded. Volumes in mL, dates civil (Asia/Tokyo).
    """
    superseded = dose.get("superseded_by")
    provenance = dose["provenance"]
    reported = _REPORTED.get(provenance)
    protocol = without_empty({"series": series, "doseNumberPositiveInt": dose_number})
    return without_empty(
        {
            "resourceType": "Immunization",
            "id": dose["id"],
            "meta": {"versionId": str(dose["revision"]), "profile": [JP_IMMUNIZATION]},
            "identifier": [{"system": SID_DOSE, "value": dose["id"]}],
            "status": "entered-in-error" if entered_in_error or superseded else "completed",
            "vaccineCode": vaccine_code(
                dose["code"],
                cvx=dose.get("cvx"),
                recorded=dose.get("vaccine"),
                product=dose.get("product"),
                hot=dose.get("hot"),
            ),
            "patient": reference("Patient", child),
            "occurrenceDateTime": dose["given_on"],
            "recorded": dose["recorded_at"],
            "primarySource": provenance == "clinic",
            "reportOrigin": concept([coding(_ORIGIN, *reported)]) if reported is not None else None,
            "lotNumber": dose.get("lot"),
            "expirationDate": dose.get("expires_on"),
            "site": body_site(dose["site"]) if dose.get("site") else None,
            "route": given_by(dose["route"]) if dose.get("route") else None,
            "doseQuantity": quantity(dose["dose_ml"], "mL") if dose.get("dose_ml") is not None else None,
            "performer": _performers(dose),
            "note": [{"text": f"Superseded by Immunization/{superseded}"}] if superseded else None,
            # FHIR wants a dose number in each protocol entry; without one there is none.
            "protocolApplied": [protocol] if dose_number is not None else None,
        }
    )


def _performers(dose: State) -> list[FhirJson]:
    function = concept([coding(_PERFORMER, "AP", "Administering Provider")])
    found = []
    if dose.get("performer"):
        found.append({"function": function, "actor": {"display": dose["performer"]}})
    if dose.get("organisation") and dose["provenance"] == "clinic":
        found.append({"function": function, "actor": organisation(dose["organisation"])})
    return found


def growth_observations(child: str, measurement: State) -> list[FhirJson]:
    """One measurement as an Observation for each value; weight in kg, lengths in cm."""
    return [
        {
            "resourceType": "Observation",
            "id": f"{measurement['id']}-{code}",
            "meta": {"versionId": str(measurement["revision"])},
            # Only a correction says why.
            "status": "corrected" if "reason" in measurement else "final",
            "category": [concept([coding(_CATEGORY, "vital-signs", "Vital Signs")])],
            "code": concept([coding(LOINC, code, display)]),
            "subject": reference("Patient", child),
            "effectiveDateTime": measurement["measured_on"],
            "valueQuantity": quantity(measurement[field], unit),
        }
        for field, code, display, unit in _GROWTH
        if measurement.get(field) is not None
    ]
