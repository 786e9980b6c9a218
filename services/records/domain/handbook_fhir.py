"""The handbook as a FHIR R4 document (Bundle of type document): Composition first, then what its sections name."""

import uuid
from collections.abc import Container, Iterable, Mapping
from typing import Any

from shared.vaccines import CVX, OWN, hot_system, vaccines
from shared.value_sets import spoken_of, value_set

Json = dict[str, Any]
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
BASE = "https://hagukumi.example/fhir"
CONDITION = f"{BASE}/CodeSystem/condition"
JP_PATIENT = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Patient"
JP_IMMUNIZATION = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Immunization"
_KANA = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GENDER = {"F": "female", "M": "male", "U": "unknown"}
_MEASURED = {
    "weight_kg": ("29463-7", "Body weight", "kg"),
    "length_cm": ("8302-2", "Body height", "cm"),
    "head_cm": ("9843-4", "Head Occipital-frontal circumference", "cm"),
    "chest_cm": ("8280-0", "Chest Circumference at nipple line", "cm"),
}
_SPACE = uuid.UUID("0c1b7a0e-5f0a-5c53-9b53-8c6d3a1f6b11")


def document(handbook: Mapping[str, Any]) -> Json:
    """The Bundle; the same handbook always gives the same one."""
    child = handbook["child"]
    patient = _urn(child["id"], "patient")
    town = _urn(child["municipality"], "organisation")
    sections: list[tuple[str, str, str, list[tuple[str, Json]]]] = [
        (
            "11369-6",
            "Immunization",
            "予防接種",
            [_immunization(one, patient, handbook["reactions"]) for one in handbook["doses"]],
        ),
        ("48765-2", "Allergies and adverse reactions", "アレルギー・副反応", _allergic(handbook, patient)),
        ("8716-3", "Vital signs", "身体計測", [pair for one in handbook["growth"] for pair in _growth(one, patient)]),
        ("11348-0", "History of past illness", "既往歴", [_condition(one, patient) for one in handbook["conditions"]]),
        (
            "11334-8",
            "History of Growth and development",
            "発達",
            [_milestone(one, patient) for one in handbook["milestones"]],
        ),
        ("47519-4", "History of Procedures", "健康診査", [_checkup(one, patient) for one in handbook["checkups"]]),
    ]
    composition: Json = {
        "resourceType": "Composition",
        "status": "final",
        "type": _concept(LOINC, "60591-5", "Patient summary Document"),
        "subject": {"reference": patient},
        "date": handbook["issued_at"],
        "author": [{"reference": town}],
        "custodian": {"reference": town},
        "title": "母子健康手帳",
        "section": [
            {
                "title": title,
                "code": _concept(LOINC, code, display),
                **(
                    {"entry": [{"reference": url} for url, _ in found]}
                    if found
                    else {
                        "emptyReason": _concept(
                            "http://terminology.hl7.org/CodeSystem/list-empty-reason", "nilknown", "Nil Known"
                        )
                    }
                ),
            }
            for code, display, title, found in sections
        ],
    }
    entries: list[tuple[str, Json]] = [
        (_urn(child["id"], "composition", handbook["issued_at"]), composition),
        (patient, _patient(child, town)),
        (
            town,
            {
                "resourceType": "Organization",
                "identifier": [{"system": f"{BASE}/sid/organisation", "value": child["municipality"]}],
                "name": child["municipality_name"],
            },
        ),
        *(pair for *_, found in sections for pair in found),
    ]
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": f"{BASE}/sid/handbook", "value": _urn(child["id"], "document", handbook["issued_at"])},
        "timestamp": handbook["issued_at"],
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }


def _patient(child: Mapping[str, Any], town: str) -> Json:
    name = child["name"]
    found: Json = {
        "resourceType": "Patient",
        "meta": {"profile": [JP_PATIENT]},
        "identifier": [{"system": f"{BASE}/sid/child", "value": child["id"]}],
        "name": [
            _name(name["family"], name["given"], "IDE"),
            _name(name["family_kana"], name["given_kana"], "SYL"),
        ],
        "gender": _GENDER[child["sex"]],
        "birthDate": child["birth_date"],
        "managingOrganization": {"reference": town},
    }
    if "died_on" in child:
        found["deceasedDateTime"] = child["died_on"]
    return found


def _name(family: str, given: str, how: str) -> Json:
    return {
        "extension": [{"url": _KANA, "valueCode": how}],
        "use": "official",
        "text": f"{family} {given}",
        "family": family,
        "given": [given],
    }


def _immunization(dose: Mapping[str, Any], patient: str, reactions: Iterable[Mapping[str, Any]]) -> tuple[str, Json]:
    known = vaccines().by_code.get(dose["code"])
    recorded = dose.get("vaccine")
    codings = [{"system": recorded["system"], "code": recorded["code"]}] if recorded else []
    # JP Core wants MEDIS' code first; the CVX code stands beside it.
    codings = [*([{"system": hot_system(dose["hot"]), "code": dose["hot"]}] if "hot" in dose else []), *codings]
    if known is not None:
        codings += [
            {"system": CVX, "code": known.cvx, "display": known.en},
            {"system": OWN, "code": known.code, "display": known.ja},
        ]
    unique = {(one["system"], one["code"]): one for one in codings}
    found: Json = {
        "resourceType": "Immunization",
        "meta": {"profile": [JP_IMMUNIZATION]},
        "identifier": [{"system": f"{BASE}/sid/dose", "value": dose["id"]}],
        "status": "completed",
        "vaccineCode": {"coding": list(unique.values()), "text": dose.get("product") or dose["vaccine_name"]},
        "patient": {"reference": patient},
        "occurrenceDateTime": dose["given_on"],
        "recorded": dose["recorded_at"],
        "primarySource": dose["provenance"] != "guardian",
    }
    if "lot" in dose:
        found["lotNumber"] = dose["lot"]
    if "expires_on" in dose:
        found["expirationDate"] = dose["expires_on"]
    if "site" in dose:
        found["site"] = _choice("site", dose["site"])
    if "route" in dose:
        found["route"] = _choice("route", dose["route"])
    if "dose_ml" in dose:
        found["doseQuantity"] = _quantity(dose["dose_ml"], "mL")
    seen = [one for one in reactions if one["dose_id"] == dose["id"]]
    if seen:
        found["reaction"] = [{"date": one["began_at"], "reported": one["provenance"] == "guardian"} for one in seen]
    if "organisation_name" in dose:
        found["performer"] = [{"actor": {"display": dose["organisation_name"]}}]
    return _urn(dose["id"], "dose"), found


def _growth(measured: Mapping[str, Any], patient: str) -> Iterable[tuple[str, Json]]:
    for name, (code, display, unit) in _MEASURED.items():
        if name in measured:
            yield (
                _urn(measured["measurement_id"], name),
                {
                    "resourceType": "Observation",
                    "status": "final",
                    "category": [
                        _concept(
                            "http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs"
                        )
                    ],
                    "code": _concept(LOINC, code, display),
                    "subject": {"reference": patient},
                    "effectiveDateTime": measured["measured_on"],
                    "valueQuantity": _quantity(measured[name], unit),
                },
            )


def _condition(condition: Mapping[str, Any], patient: str) -> tuple[str, Json]:
    found: Json = {
        "resourceType": "Condition",
        "code": {**_concept(CONDITION, condition["code"], condition["name"]), "text": condition["name"]},
        "subject": {"reference": patient},
    }
    if "since" in condition:
        found["onsetDateTime"] = condition["since"]
    return _urn(condition["condition_id"], "condition"), found


def _allergic(handbook: Mapping[str, Any], patient: str) -> list[tuple[str, Json]]:
    doses = {dose["id"] for dose in handbook["doses"]}
    return [
        *(_allergy(one, patient) for one in handbook["allergies"]),
        *(_reaction(one, patient, doses) for one in handbook["reactions"]),
    ]


def _allergy(allergy: Mapping[str, Any], patient: str) -> tuple[str, Json]:
    kinds = "http://terminology.hl7.org/CodeSystem/allergyintolerance"
    told = "unconfirmed" if allergy["provenance"] == "guardian" else "confirmed"
    known = value_set("allergen")[allergy["substance"]]
    found: Json = {
        "resourceType": "AllergyIntolerance",
        "identifier": [{"system": f"{BASE}/sid/allergy", "value": allergy["allergy_id"]}],
        "clinicalStatus": _concept(f"{kinds}-clinical", "active", "Active"),
        "verificationStatus": _concept(f"{kinds}-verification", told, told.capitalize()),
        "type": "allergy",
        "category": [(known.more or {})["category"]],
        "criticality": {"unknown": "unable-to-assess"}.get(allergy["criticality"], allergy["criticality"]),
        "code": _choice("allergen", allergy["substance"]),
        "patient": {"reference": patient},
    }
    if "since" in allergy:
        found["onsetDateTime"] = allergy["since"]
    if "text" in allergy:
        found["note"] = [{"text": allergy["text"]}]
    return _urn(allergy["allergy_id"], "allergy"), found


def _reaction(reaction: Mapping[str, Any], patient: str, doses: Container[str]) -> tuple[str, Json]:
    degree = ("serious", "Serious") if reaction["serious"] else ("non-serious", "Non-serious")
    found: Json = {
        "resourceType": "AdverseEvent",
        "identifier": {"system": f"{BASE}/sid/reaction", "value": reaction["reaction_id"]},
        "actuality": "actual",
        "event": {
            **_choice("reaction", reaction["symptom"]),
            "text": "：".join(filter(None, (reaction["symptom_name"], reaction.get("text")))),
        },
        "subject": {"reference": patient},
        "date": reaction["began_at"],
        "seriousness": _concept("http://terminology.hl7.org/CodeSystem/adverse-event-seriousness", *degree),
        "outcome": _choice("reaction_outcome", reaction["outcome"]),
    }
    if reaction["dose_id"] in doses:
        found["suspectEntity"] = [{"instance": {"reference": _urn(reaction["dose_id"], "dose")}}]
    return _urn(reaction["reaction_id"], "reaction"), found


def _milestone(milestone: Mapping[str, Any], patient: str) -> tuple[str, Json]:
    return _urn(milestone["milestone_id"], "milestone"), {
        "resourceType": "Observation",
        "status": "final",
        "code": _choice("milestone", milestone["milestone"]),
        "subject": {"reference": patient},
        "effectiveDateTime": milestone["reached_on"],
        "valueBoolean": True,
        "note": [{"text": milestone["age"] + ("頃" if milestone["about"] else "")}],
    }


def _checkup(checkup: Mapping[str, Any], patient: str) -> tuple[str, Json]:
    found: Json = {
        "resourceType": "Procedure",
        "status": "completed",
        "code": {**_concept(f"{BASE}/CodeSystem/checkup", checkup["kind"], checkup["name"]), "text": checkup["name"]},
        "subject": {"reference": patient},
        "performedDateTime": checkup["done_on"],
    }
    if "organisation_name" in checkup:
        found["performer"] = [{"actor": {"display": checkup["organisation_name"]}}]
    if "result" in checkup:
        found["outcome"] = _choice("checkup_result", checkup["result"])
    if "follow_up" in checkup:
        found["followUp"] = [{"text": checkup["follow_up"]}]
    if checkup["findings"]:
        found["note"] = [
            {"text": f"{one['name']}: {one['text']}" if "text" in one else one["name"]} for one in checkup["findings"]
        ]
    return _urn(checkup["checkup_id"], "checkup"), found


def _choice(name: str, said: str) -> Json:
    """A choice of a value set with its public codes, or its own where there is none; other words as they are."""
    known = spoken_of(name, said)
    if known is None:
        return {"text": said}
    codings = known.codings or ((f"{BASE}/CodeSystem/{name.replace('_', '-')}", known.code),)
    return {"coding": [{"system": system, "code": code} for system, code in codings], "text": known.ja}


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _quantity(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def _urn(*parts: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_SPACE, chr(31).join(parts))}"
