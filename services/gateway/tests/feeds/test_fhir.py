"""The record and the plan as FHIR R4, accepted by fhir.resources."""

from datetime import timedelta
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from services.gateway.domain import fhir_plan, fhir_record, fhir_server
from services.gateway.tests.feeds.family import CHILD, TODAY, Told, dose
from shared.events import records as r
from shared.vaccines import CVX, HOT13, OWN

HOT = "1822012010101"


def accepted(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, once fhir.resources has taken it."""
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


def as_fhir(given: r.Dose, **options: Any) -> dict[str, Any]:
    """A dose of the child view as Immunization."""
    told = Told()
    told.registers()
    told.receives(given)
    return accepted(fhir_record.immunization(CHILD, told.state["doses"][given.id], **options))


def test_hot_comes_first_and_cvx_beside_it() -> None:
    found = as_fhir(dose(vaccine=r.VaccineCode(system=HOT13, code=HOT), product="ゴービック"))
    assert [(one["system"], one["code"]) for one in found["vaccineCode"]["coding"]] == [
        (HOT13, HOT),
        (CVX, "170"),
        (OWN, "penta"),
    ]
    assert found["vaccineCode"]["text"] == "ゴービック"


@pytest.mark.parametrize(
    ("provenance", "primary", "origin"),
    [("clinic", True, None), ("municipality", False, "jurisdiction"), ("guardian", False, "recall")],
)
def test_only_the_clinics_own_entry_is_a_primary_source(
    provenance: r.Provenance, primary: bool, origin: str | None
) -> None:
    found = as_fhir(dose(provenance=provenance, organisation=None))
    assert found["primarySource"] is primary
    assert (found["reportOrigin"]["coding"][0]["code"] if origin else found.get("reportOrigin")) == origin


def test_what_was_on_the_vial_is_told() -> None:
    found = as_fhir(dose(expires_on=TODAY + timedelta(days=9), site="74L", dose_ml=0.5, performer="若葉 太郎"))
    assert found["lotNumber"] == "GB0001"
    assert found["expirationDate"] == "2026-12-02"
    assert found["site"]["coding"][0] == {
        "system": "http://jami.jp/CodeSystem/MedicationBodySiteExternal",
        "code": "74L",
    }
    assert found["doseQuantity"] == {"value": 0.5, "unit": "mL", "system": "http://unitsofmeasure.org", "code": "mL"}
    assert {one["function"]["coding"][0]["code"] for one in found["performer"]} == {"AP"}
    assert found["performer"][1]["actor"]["identifier"]["value"] == "wakaba"


def test_the_number_of_a_dose_is_told_only_if_known() -> None:
    assert "protocolApplied" not in as_fhir(dose())
    found = as_fhir(dose(), series="penta", dose_number=2)
    assert found["protocolApplied"] == [{"series": "penta", "doseNumberPositiveInt": 2}]


def test_growth_is_one_observation_for_each_value() -> None:
    told = Told()
    told.registers()
    told.happens(
        r.GrowthMeasured(
            measurement_id="m1", measured_on=TODAY, weight_kg=5.2, length_cm=57.1, by=r.Actor(subject="n", role="staff")
        )
    )
    found = [accepted(one) for one in fhir_record.growth_observations(CHILD, told.state["growth"]["m1"])]
    assert [(one["code"]["coding"][0]["code"], one["valueQuantity"]["code"]) for one in found] == [
        ("29463-7", "kg"),
        ("8302-2", "cm"),
    ]
    by = r.Actor(subject="n", role="staff")
    told.happens(
        r.GrowthCorrected(measurement_id="m1", measured_on=TODAY, weight_kg=5.4, reason="misread", by=by),
    )
    (right,) = [accepted(one) for one in fhir_record.growth_observations(CHILD, told.state["growth"]["m1"])]
    assert (found[0]["status"], right["status"], right["valueQuantity"]["value"]) == ("final", "corrected", 5.4)
    told.happens(r.GrowthRetracted(measurement_id="m1", reason="another child's", by=by))
    assert told.state["growth"] == {}


def plan(**changes: Any) -> dict[str, Any]:
    """A plan with one item."""
    item = {
        "series": "hepb",
        "dose_number": 1,
        "status": "due",
        "earliest": "2026-09-22",
        "recommended": "2026-11-22",
        "overdue_from": "2027-02-22",
        "latest": "2027-09-21",
        "vaccines": ["hepb"],
        "why": {
            "rule": "hepb-1",
            "sentence": "生後2か月から",
            "sentence_en": "From 2 months",
            "source": "予防接種法施行令",
        },
        **changes,
    }
    return {"rule_set": "jp-2026.1", "as_of": "2026-11-23", "items": [item], "doses": []}


def test_the_plan_says_when_and_why() -> None:
    found = accepted(fhir_plan.recommendation(CHILD, plan(), version=3))
    item = found["recommendation"][0]
    assert [coding["code"] for coding in item["vaccineCode"][0]["coding"]] == ["08", "hepb"]
    assert {one["code"]["coding"][0]["code"]: one["value"] for one in item["dateCriterion"]} == {
        "30981-5": "2026-09-22",
        "30980-7": "2026-11-22",
        "59778-1": "2027-02-22",
        "59777-3": "2027-09-21",
    }
    assert item["forecastStatus"]["coding"][0]["code"] == "due"
    assert item["forecastReason"][0]["text"] == "生後2か月から"


@pytest.mark.parametrize(
    "changes", [{"series": "checkup_18m"}, {"status": "needs_person"}, {"status": "window_closed"}]
)
def test_what_fhir_cannot_say_is_left_out(changes: dict[str, str]) -> None:
    assert fhir_plan.recommendation(CHILD, plan(**changes), version=3)["recommendation"] == []


def test_a_search_answers_a_bundle_with_its_pages() -> None:
    found = accepted(
        fhir_server.searchset(
            [as_fhir(dose("d1")), as_fhir(dose("d2"))],
            base="http://127.0.0.1:8000/fhir/R4",
            total=5,
            query={"patient": CHILD, "_count": "2"},
            next_cursor="abc",
        )
    )
    assert (found["type"], found["total"], len(found["entry"])) == ("searchset", 5, 2)
    links = {link["relation"]: link["url"] for link in found["link"]}
    assert links["self"].startswith("http://127.0.0.1:8000/fhir/R4/Immunization?patient=")
    assert "_cursor=abc" in links["next"]
    assert found["entry"][0]["fullUrl"] == "http://127.0.0.1:8000/fhir/R4/Immunization/d1"


def test_an_empty_search_is_a_bundle_without_entries() -> None:
    found = accepted(
        fhir_server.searchset([], base="http://x/fhir/R4", total=0, query={"patient": CHILD}, kind="Immunization")
    )
    assert "entry" not in found


def test_an_error_is_an_operation_outcome_without_the_input() -> None:
    found = accepted(
        fhir_server.outcome(
            422,
            {
                "title": "入力に誤りがあります。",
                "errors": [{"pointer": "/query/patient", "code": "missing", "detail": "必須項目です。"}],
            },
        )
    )
    assert found["issue"][0]["code"] == "invalid"
    assert found["issue"][0]["expression"] == ["query.patient"]
    assert accepted(fhir_server.outcome(404, {"title": "見つかりません。"}))["issue"][0]["code"] == "not-found"


def test_the_capability_statement_names_what_there_is() -> None:
    found = accepted(fhir_server.capabilities(date="2026-11-23", base="http://127.0.0.1:8000/fhir/R4"))
    assert found["fhirVersion"] == "4.0.1"
    assert {one["type"] for one in found["rest"][0]["resource"]} == {
        "Patient",
        "Immunization",
        "ImmunizationRecommendation",
        "Observation",
    }
