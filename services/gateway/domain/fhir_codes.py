"""Code systems, profiles and small parts of FHIR R4 (wire 4.0.1) that several resources share."""

import re
from collections.abc import Iterable
from typing import Any

from shared.vaccines import CVX, HOT9, HOT13, OWN, hot_system, vaccines
from shared.value_sets import spoken_of, value_set

FhirJson = dict[str, Any]

BASE = "https://hagukumi.example/fhir"
SID_CHILD = f"{BASE}/sid/child"
SID_DOSE = f"{BASE}/sid/dose"
SID_RESPONSE = f"{BASE}/sid/response"
SID_ORGANISATION = f"{BASE}/sid/organisation"
SERIES = f"{BASE}/CodeSystem/series"
DECISION = f"{BASE}/CodeSystem/vaccination-decision"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
YJ = "http://capstandard.jp/iyaku.info/CodeSystem/YJ-code"
BODY_SITE = "http://jami.jp/CodeSystem/MedicationBodySiteExternal"
JP_PATIENT = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Patient"
JP_IMMUNIZATION = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Immunization"

_SHORT = {"HOT13": HOT13, "HOT9": HOT9, "YJ": YJ, "CVX": CVX}
_FIRST = (HOT13, HOT9, YJ)
_SITE_CODE = re.compile(r"[0-9A-Z]{3}")


def coding(system: str, code: str, display: str | None = None) -> FhirJson:
    """One Coding."""
    found = {"system": system, "code": code}
    return {**found, "display": display} if display else found


def concept(codings: Iterable[FhirJson], text: str | None = None) -> FhirJson:
    """A CodeableConcept."""
    found: FhirJson = {"coding": list(codings)}
    return {**found, "text": text} if text else found


def quantity(value: float, unit: str) -> FhirJson:
    """A Quantity in a UCUM unit."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def reference(kind: str, identifier: str) -> FhirJson:
    """A literal reference to a resource of this server."""
    return {"reference": f"{kind}/{identifier}"}


def organisation(identifier: str) -> FhirJson:
    """A logical reference to a clinic or municipality."""
    return {"type": "Organization", "identifier": {"system": SID_ORGANISATION, "value": identifier}}


def without_empty(resource: FhirJson) -> FhirJson:
    """FHIR has no null and no empty list."""
    return {name: value for name, value in resource.items() if value is not None and value not in ([], {}, "")}


def vaccine_code(
    code: str, *, cvx: str | None, recorded: FhirJson | None, product: str | None, hot: str | None = None
) -> FhirJson:
    """The vaccine as JP Core wants it: HOT (or YJ) first where it is known, then CVX, then Hagukumi's own code.

    `recorded` is the coding that its recorder gave, {system, code}.
    """
    known = vaccines().by_code.get(code)
    codings: dict[tuple[str, str], FhirJson] = {}
    if recorded is not None:
        system = _SHORT.get(recorded["system"], recorded["system"])
        if system in _FIRST:
            codings[system, recorded["code"]] = coding(system, recorded["code"], product)
    for one in known.products if known is not None else ():
        if product is not None and one.name == product:
            for system, value in ((HOT13, one.hot13), (HOT9, one.hot9)):
                if value:
                    codings.setdefault((system, value), coding(system, value, product))
    if hot is not None and not codings:
        codings[hot_system(hot), hot] = coding(hot_system(hot), hot, product)
    bridge = cvx or (known.cvx if known is not None else None)
    if bridge:
        codings[CVX, bridge] = coding(CVX, bridge, known.en if known is not None else None)
    if code:
        codings[OWN, code] = coding(OWN, code, known.ja if known is not None else None)
    return concept(codings.values(), product or (known.ja if known is not None else None))


def given_by(route: str) -> FhirJson:
    """The way that a vaccine was given."""
    known = value_set("route")[route]
    found = {"coding": [coding(system, code) for system, code in known.codings], "text": known.ja}
    return without_empty(found)


def body_site(site: str) -> FhirJson:
    """A site of the body by its public codes; JAMI's code (74L 左上腕) also where the list does not have it; or the words."""
    known = spoken_of("site", site)
    if known is not None:
        return concept((coding(system, code) for system, code in known.codings), known.ja)
    return concept([coding(BODY_SITE, site)]) if _SITE_CODE.fullmatch(site) else {"text": site}
