"""Doses: what may be recorded, whose word counts, and that nothing is ever silently replaced."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.records.domain import doses
from services.records.tests.families import (
    BORN,
    CLINIC,
    FATHER,
    MOTHER,
    NOON,
    NURSE,
    OTHER_CLINIC,
    STRANGER,
    TODAY,
    Child,
    family,
)
from services.records.tests.test_children import places
from shared.events.records import DoseCorrected, DoseRecorded, DoseRetracted, VaccineCode
from shared.problems import Conflict, Forbidden, Invalid, NotFound
from shared.vaccines import CVX, OWN

DAY = BORN + timedelta(days=62)


def wish(**changes: Any) -> doses.DoseWish:
    if "vaccine" not in changes:
        changes.setdefault("cvx", "08")
    return doses.DoseWish(**{"given_on": DAY, **changes})


def record(child: Child, asked: doses.DoseWish, by: Any = CLINIC, dose_id: str = "d") -> Any:
    return doses.record_dose(child.record, asked, by, dose_id=dose_id, today=TODAY, now=NOON)


@pytest.mark.parametrize(("by", "provenance"), [(CLINIC, "clinic"), (NURSE, "municipality"), (MOTHER, "guardian")])
def test_whose_word_a_dose_is_follows_from_the_role(by: Any, provenance: str) -> None:
    dose = family().gets("08", DAY, by)
    assert (dose.provenance, dose.organisation) == (provenance, by.acts_for)


@pytest.mark.parametrize(
    ("said", "hot"),
    [
        ({"cvx": "216", "hot": "123456789"}, "123456789"),
        ({"cvx": "216", "hot": "1234567890123"}, "1234567890123"),
        ({"cvx": "216", "product": "プレベナー20"}, None),
    ],
)
def test_where_how_and_which_product_is_kept_with_the_dose(said: dict[str, Any], hot: str | None) -> None:
    (event,) = record(family(), wish(site="LA", route="subcutaneous", dose_ml=0.5, **said))
    dose = event.dose
    assert (dose.site, dose.route, dose.dose_ml, dose.hot, dose.cvx) == ("LA", "subcutaneous", 0.5, hot, "216")


@pytest.mark.parametrize(
    ("said", "pointer", "code"),
    [
        ({"hot": "12"}, "/hot", "hot-unknown"),
        ({"site": "LX"}, "/site", "site-unknown"),
        ({"route": "by_eye"}, "/route", "route-unknown"),
    ],
)
def test_a_site_or_a_route_that_is_not_on_the_list_is_refused(said: dict[str, str], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        record(family(), wish(**said))
    assert places(refused.value) == {pointer: code}


@pytest.mark.parametrize(
    "coding",
    [
        {"cvx": "08"},
        {"cvx": "8"},
        {"vaccine": VaccineCode(system=CVX, code="45")},
        {"vaccine": VaccineCode(system=OWN, code="hepb")},
    ],
)
def test_a_vaccine_is_known_by_cvx_or_by_our_own_code(coding: dict[str, Any]) -> None:
    (event,) = record(family(), wish(**coding))
    assert (event.dose.code, event.dose.cvx) == ("hepb", "08")


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"given_on": BORN - timedelta(days=1)}, "/given_on", "before-birth"),
        ({"given_on": TODAY + timedelta(days=1)}, "/given_on", "in-the-future"),
        ({"cvx": "999"}, "/cvx", "vaccine-unknown"),
        ({"vaccine": VaccineCode(system=OWN, code="elixir")}, "/vaccine/code", "vaccine-unknown"),
        ({"vaccine": VaccineCode(system="urn:mine", code="1")}, "/vaccine/system", "system-unknown"),
        ({"cvx": None}, "/vaccine", "vaccine-missing"),
        ({"cvx": "08", "vaccine": VaccineCode(system=OWN, code="hepb")}, "/vaccine", "vaccine-missing"),
        ({"cvx": "305"}, "/cvx", "vaccine-of-pregnancy"),
        ({"product": "ロタテック"}, "/product", "product-of-other-vaccine"),
        ({"lot": "ロット1"}, "/lot", "lot-characters"),
        ({"dose_ml": 0.0}, "/dose_ml", "out-of-range"),
        ({"dose_ml": 50.0}, "/dose_ml", "out-of-range"),
        ({"expires_on": date(1926, 1, 1)}, "/expires_on", "out-of-range"),
    ],
)
def test_an_impossible_dose_is_refused_at_its_place(change: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        record(family(), wish(**change))
    assert places(refused.value)[pointer] == code


def test_a_dose_on_the_day_of_birth_and_today_are_possible() -> None:
    for day in (BORN, TODAY):
        assert record(family(), wish(given_on=day))


@pytest.mark.parametrize("written", ["ab1234", "ＡＢ１２３４", " AB 1234 "])
def test_lots_are_kept_as_recalls_compare_them(written: str) -> None:
    (event,) = record(family(), wish(lot=written))
    assert event.dose.lot == "AB1234"


def test_an_expired_lot_is_recorded_as_it_was_given() -> None:
    (event,) = record(family(), wish(lot="A1", expires_on=DAY - timedelta(days=10)))
    assert event.dose.expires_on == DAY - timedelta(days=10)


def test_a_clinic_without_consent_finds_no_child() -> None:
    with pytest.raises(NotFound):
        record(family(), wish(), OTHER_CLINIC)


def test_a_consent_ends_after_its_last_day() -> None:
    child = Child()
    child.trusts(CLINIC, until=TODAY)
    assert record(child, wish())
    child.trusts(CLINIC, until=TODAY - timedelta(days=1))
    with pytest.raises(NotFound):
        record(child, wish())


# Precedence -------------------------------------------------------------------------------------------------------


def test_a_clinics_dose_takes_the_place_of_a_guardians_and_says_so_first() -> None:
    child = family()
    mine = child.gets("216", DAY, MOTHER)
    stepped_back, recorded = child.happens(record(child, wish(cvx="216"), CLINIC, "clinic-dose"))
    assert isinstance(stepped_back, DoseCorrected)
    assert isinstance(recorded, DoseRecorded)
    assert (stepped_back.dose.id, stepped_back.dose.superseded_by) == (mine.id, "clinic-dose")
    assert stepped_back.reason == "superseded-by-clinic"
    assert recorded.dose.superseded_by is None
    assert set(child.record.doses) == {mine.id, "clinic-dose"}


def test_a_guardian_who_mistakes_the_valency_means_the_same_dose() -> None:
    child = family()
    mine = child.gets("133", DAY, MOTHER)
    given = child.gets("216", DAY, CLINIC)
    assert child.record.doses[mine.id].superseded_by == given.id


@pytest.mark.parametrize(("cvx", "days"), [("216", 1), ("08", 0)])
def test_another_day_or_another_vaccine_is_another_dose(cvx: str, days: int) -> None:
    child = family()
    mine = child.gets("216", DAY, MOTHER)
    child.gets(cvx, DAY + timedelta(days=days), CLINIC)
    assert child.record.doses[mine.id].superseded_by is None


def test_a_guardians_later_entry_of_a_clinics_dose_is_kept_and_steps_back_at_once() -> None:
    child = family()
    given = child.gets("216", DAY, CLINIC)
    assert child.gets("216", DAY, MOTHER).superseded_by == given.id


@pytest.mark.parametrize("by", [MOTHER, CLINIC, NURSE])
def test_the_same_dose_entered_twice_is_refused(by: Any) -> None:
    child = family()
    child.gets("216", DAY, by)
    with pytest.raises(Invalid) as refused:
        record(child, wish(cvx="215"), by)
    assert places(refused.value) == {"/given_on": "already-recorded"}


def test_when_the_clinics_dose_is_withdrawn_the_next_word_counts_again() -> None:
    child = family()
    mine = child.gets("216", DAY, MOTHER)
    town = child.gets("216", DAY, NURSE)
    given = child.gets("216", DAY, CLINIC)
    assert {child.record.doses[one.id].superseded_by for one in (mine, town)} == {given.id}
    told = child.happens(doses.retract_dose(child.record, given.id, "wrong child", CLINIC, today=TODAY))
    assert isinstance(told[0], DoseRetracted)
    assert child.record.doses[town.id].superseded_by is None
    assert child.record.doses[mine.id].superseded_by == town.id
    assert given.id in child.record.retracted_doses


def test_when_the_clinics_dose_moves_to_another_day_both_count() -> None:
    child = family()
    mine = child.gets("216", DAY, MOTHER)
    given = child.gets("216", DAY, CLINIC)
    later = wish(cvx="216", given_on=DAY + timedelta(days=3))
    told = child.happens(doses.correct_dose(child.record, given.id, later, "slip", CLINIC, today=TODAY))
    assert [type(event) for event in told] == [DoseCorrected, DoseCorrected]
    assert child.record.doses[mine.id].superseded_by is None
    assert child.record.doses[given.id].given_on == DAY + timedelta(days=3)


def test_never_do_two_words_stand_for_one_dose_between_two_facts() -> None:
    """Readers apply fact by fact: at no point may they see one dose twice."""
    child = family()
    child.gets("216", DAY, MOTHER)
    child.gets("216", DAY + timedelta(days=40), MOTHER)
    given = child.gets("216", DAY, CLINIC)
    later = wish(cvx="216", given_on=DAY + timedelta(days=40))
    child.happens(doses.correct_dose(child.record, given.id, later, "slip", CLINIC, today=TODAY))
    child.happens(doses.retract_dose(child.record, given.id, "slip", CLINIC, today=TODAY))
    seen: dict[str, Any] = {}
    for event in child.events:
        if isinstance(event, DoseRecorded | DoseCorrected):
            seen[event.dose.id] = event.dose
        if isinstance(event, DoseRetracted):
            seen.pop(event.dose_id)
        standing = [(dose.given_on, dose.code) for dose in seen.values() if dose.superseded_by is None]
        assert len(standing) == len(set(standing)), event


# Whose to change --------------------------------------------------------------------------------------------------


def test_a_clinic_corrects_its_own_dose_and_the_authorship_stays() -> None:
    child = family()
    given = child.gets("216", DAY, CLINIC, lot="A1")
    (event,) = child.happens(
        doses.correct_dose(child.record, given.id, wish(cvx="216", lot="A2"), "slip", NURSE, today=TODAY)
    )
    assert isinstance(event, DoseCorrected)
    assert (event.dose.lot, event.dose.provenance, event.dose.organisation) == ("A2", "clinic", "clinic-1")
    assert event.by.role == "staff"


def test_the_same_dose_again_is_no_correction() -> None:
    child = family()
    given = child.gets("216", DAY, CLINIC)
    assert doses.correct_dose(child.record, given.id, wish(cvx="216"), "none", CLINIC, today=TODAY) == []


def test_another_clinic_with_consent_may_read_but_not_change() -> None:
    child = family()
    child.trusts(OTHER_CLINIC)
    given = child.gets("216", DAY, CLINIC)
    with pytest.raises(Forbidden):
        doses.retract_dose(child.record, given.id, "x", OTHER_CLINIC, today=TODAY)


def test_guardians_change_each_others_entries_but_no_clinics() -> None:
    child = family()
    child.record.guardians["father-1"] = "code"
    mine = child.gets("216", DAY, MOTHER)
    given = child.gets("08", DAY, CLINIC)
    assert doses.retract_dose(child.record, mine.id, "slip", FATHER, today=TODAY)
    with pytest.raises(Forbidden):
        doses.retract_dose(child.record, given.id, "x", MOTHER, today=TODAY)


def test_a_strangers_attempt_looks_like_no_dose_at_all() -> None:
    child = family()
    given = child.gets("216", DAY, CLINIC)
    for dose_id in (given.id, "no-such-dose"):
        with pytest.raises(NotFound):
            doses.retract_dose(child.record, dose_id, "x", STRANGER, today=TODAY)


def test_a_withdrawn_dose_is_withdrawn_once() -> None:
    child = family()
    given = child.gets("216", DAY, CLINIC)
    child.happens(doses.retract_dose(child.record, given.id, "slip", CLINIC, today=TODAY))
    with pytest.raises(Conflict):
        doses.retract_dose(child.record, given.id, "slip", CLINIC, today=TODAY)
    assert child.gets("216", DAY, CLINIC).superseded_by is None
