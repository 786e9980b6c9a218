"""What a clinic is told of a child: the whole when consent begins, each change in order, an end marker, nothing more."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations

import pytest
from fhir.resources.R4B import get_fhir_model_class

from services.gateway.domain import clinic_feed
from services.gateway.tests.feeds.family import CHILD, DOCTOR, GUARDIAN, TODAY, Told, decided, dose, facts, submitted
from shared.events import questionnaire as q
from shared.events import records as r


@pytest.fixture
def told() -> Told:
    """A registered child without consents."""
    found = Told()
    found.registers()
    return found


def test_a_clinic_whose_consent_begins_gets_patient_and_every_dose(told: Told) -> None:
    told.receives(dose("d2", given_on=TODAY))
    told.receives(dose("d1", given_on=TODAY - timedelta(days=30)))
    assert told.records == {}
    told.consents()
    assert told.story() == ["PatientShared", "ImmunizationRecorded", "ImmunizationRecorded"]
    assert [item.resource["id"] for item in told.records["wakaba"]] == [CHILD, "d1", "d2"]


def test_another_clinic_gets_nothing(told: Told) -> None:
    told.consents("wakaba")
    told.receives(dose())
    told.answers(submitted("wakaba"))
    assert set(told.records) == {"wakaba"}


def test_a_correction_is_a_new_version_and_a_retraction_is_entered_in_error(told: Told) -> None:
    told.consents()
    told.receives(dose())
    told.happens(r.DoseCorrected(dose=dose(lot="GB0002"), reason="読み違い", by=DOCTOR))
    first, second = (item.resource for item in told.records["wakaba"][1:])
    assert (first["lotNumber"], second["lotNumber"]) == ("GB0001", "GB0002")
    assert int(second["meta"]["versionId"]) > int(first["meta"]["versionId"])
    told.happens(r.DoseRetracted(dose_id="d1", reason="別の子の記録", by=DOCTOR))
    assert told.story() == ["PatientShared", "ImmunizationRecorded", "ImmunizationCorrected", "ImmunizationRetracted"]
    assert told.last()["status"] == "entered-in-error"


def test_a_guardians_entry_that_the_clinics_superseded_is_taken_back(told: Told) -> None:
    told.consents()
    told.receives(dose("g1", provenance="guardian", organisation=None))
    assert told.last()["primarySource"] is False
    told.happens(
        r.DoseCorrected(dose=dose("g1", provenance="guardian", superseded_by="d1"), reason="superseded", by=DOCTOR),
        r.DoseRecorded(dose=dose("d1"), by=DOCTOR),
    )
    assert [(item.resource["id"], item.resource["status"]) for item in told.records["wakaba"][-2:]] == [
        ("g1", "entered-in-error"),
        ("d1", "completed"),
    ]


def test_d5_withdrawal_ends_the_feed_with_a_marker_and_nothing_follows(told: Told) -> None:
    told.consents()
    told.withdraws()
    assert told.story() == ["PatientShared", "ConsentEnded"]
    assert told.last() == {**told.last(), "resourceType": "Consent", "status": "inactive"}
    told.receives(dose())
    told.answers(submitted())
    told.withdraws()
    assert told.story() == ["PatientShared", "ConsentEnded"]


def test_consent_given_again_brings_the_whole_again_and_takes_back_what_was_retracted_meanwhile(told: Told) -> None:
    told.receives(dose("d1", given_on=TODAY - timedelta(days=60)))
    told.receives(dose("d2"))
    told.consents()
    told.withdraws()
    told.happens(r.DoseRetracted(dose_id="d1", reason="別の子の記録", by=DOCTOR))
    told.receives(dose("d3"))
    told.happens(r.DoseRetracted(dose_id="d3", reason="別の子の記録", by=DOCTOR))
    before = len(told.story())
    told.consents()
    again = [(item.happened, item.resource["id"]) for item in told.records["wakaba"][before:]]
    assert again == [
        ("PatientShared", CHILD),
        ("ImmunizationRetracted", "d1"),
        ("ImmunizationRecorded", "d2"),
    ], "d3 was never told, so it is not taken back"


def test_the_last_day_of_a_consent_is_part_of_it(told: Told) -> None:
    told.consents(until=TODAY)
    told.receives(dose("d1"))
    told.today = TODAY + timedelta(days=1)
    told.tells()
    told.receives(dose("d2"))
    assert told.story() == ["PatientShared", "ImmunizationRecorded", "ConsentEnded"]


def test_the_same_consent_with_another_day_repeats_nothing(told: Told) -> None:
    told.consents()
    told.consents(until=TODAY + timedelta(days=30))
    assert told.story() == ["PatientShared"]


def test_a_consent_to_a_clinic_without_a_topic_opens_no_feed(told: Told) -> None:
    told.consents("nowhere")
    told.state["feeds"] = {}
    told.state["consents"]["nowhere"]["feed"] = False
    told.records.clear()
    told.receives(dose())
    assert told.records == {}


def test_what_a_family_corrects_reaches_the_clinic_and_a_move_does_not(told: Told) -> None:
    told.consents()
    told.happens(
        r.ChildMoved(from_municipality="139912", to_municipality="139921", effective_on=TODAY, by=GUARDIAN),
        r.GuardianAdded(guardian="father-1", proven_by="code"),
    )
    assert told.story() == ["PatientShared"]
    told.happens(r.ChildCorrected(child=facts(sex="U"), reason="訂正", by=GUARDIAN))
    assert told.last()["gender"] == "unknown"


def test_nothing_of_guardians_and_address_leaves(told: Told) -> None:
    told.consents()
    told.receives(dose())
    told.answers(submitted())
    text = json.dumps([item.resource for item in told.records["wakaba"]], ensure_ascii=False)
    for canary in ("mother-1", "みどり台", "139912"):
        assert canary not in text


def test_a_questionnaire_reaches_the_clinic_that_it_names_and_the_decision_follows(told: Told) -> None:
    told.consents("wakaba")
    told.consents("aozora")
    told.answers(submitted("wakaba"))
    told.answers(decided())
    assert told.story("wakaba") == ["PatientShared", "QuestionnaireSubmitted", "TriageDecided"]
    assert told.story("aozora") == ["PatientShared"]
    assert told.last()["valueCodeableConcept"]["coding"][0]["code"] == "go_ahead"
    assert "answers" not in told.state or told.state["answers"] == {}, "the answers stay with questionnaire"


def test_a_questionnaire_before_the_consent_waits_for_it(told: Told) -> None:
    told.answers(submitted())
    assert told.records == {}
    told.consents()
    assert told.story() == ["PatientShared", "QuestionnaireSubmitted"]


def test_a_withdrawn_questionnaire_is_taken_back_without_its_answers(told: Told) -> None:
    told.consents()
    told.answers(submitted())
    told.answers(q.ResponseWithdrawn(child=CHILD, reason="changed my mind", clinic="wakaba"))
    assert told.story()[-1] == "QuestionnaireWithdrawn"
    assert told.last()["status"] == "entered-in-error"
    assert "item" not in told.last()


def test_a_questionnaire_withdrawn_before_the_consent_is_never_told(told: Told) -> None:
    told.answers(submitted())
    told.answers(q.ResponseWithdrawn(child=CHILD, reason="changed my mind", clinic="wakaba"))
    assert told.state["answers"] == {}, "what was taken back is kept nowhere"
    told.consents()
    assert told.story() == ["PatientShared"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_r5_either_order_of_record_consent_and_questionnaire_ends_the_same(order: tuple[int, ...]) -> None:
    told = Told()
    steps: list[Callable[[], None]] = [
        lambda: told.receives(dose()),
        told.consents,
        lambda: told.answers(submitted()),
    ]
    told.registers()
    for step in order:
        steps[step]()
    assert {item.happened for item in told.records["wakaba"]} == {
        "PatientShared",
        "ImmunizationRecorded",
        "QuestionnaireSubmitted",
    }
    assert len(told.records["wakaba"]) == 3


def test_a_questionnaire_may_arrive_before_the_record_itself() -> None:
    told = Told()
    told.answers(submitted())
    told.registers()
    told.consents()
    assert told.story() == ["PatientShared", "QuestionnaireSubmitted"]


def test_fhir_resources_accepts_everything_that_leaves(told: Told) -> None:
    told.receives(
        dose(
            "d0",
            vaccine=r.VaccineCode(system="http://medis.or.jp/CodeSystem/master-HOT13", code="1822012010101"),
            product="ゴービック",
            expires_on=TODAY + timedelta(days=200),
            site="74L",
            dose_ml=0.5,
            performer="若葉 太郎",
        )
    )
    told.consents()
    told.receives(dose("d1", provenance="municipality", organisation="139912", site="左上腕"))
    told.happens(r.DoseRetracted(dose_id="d1", reason="別の子の記録", by=DOCTOR))
    told.answers(submitted())
    told.answers(decided("postpone"))
    told.answers(submitted())
    told.answers(q.ResponseWithdrawn(child=CHILD, reason="changed my mind", clinic="wakaba"))
    told.happens(r.ChildDied(died_on=TODAY, by=GUARDIAN))
    told.withdraws()
    records = told.records["wakaba"]
    assert len(records) >= 9
    for item in records:
        get_fhir_model_class(item.resource["resourceType"]).model_validate(item.resource)


def test_a_withdrawal_waits_for_nothing_but_its_own_end() -> None:
    assert {f"jp.hagukumi.clinic.{happened}.v1" for happened in clinic_feed.TYPES} - clinic_feed.UNHURRIED == {
        "jp.hagukumi.clinic.ConsentEnded.v1"
    }
