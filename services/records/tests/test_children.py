"""A child's record is opened once the facts hold, and its own facts are put right by those who may."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.records.domain import children
from services.records.tests.families import (
    BORN,
    CLINIC,
    MOTHER,
    NURSE,
    OPERATOR,
    OTHER_NURSE,
    OTHER_TOWN,
    REGISTER,
    STRANGER,
    TODAY,
    TOWN,
    Child,
    facts,
    family,
)
from shared.events.records import ChildCorrected, ChildRegistered, GuardianAdded
from shared.problems import Forbidden, Invalid, NotFound


def places(error: Invalid) -> dict[str, str]:
    """What was refused: pointer and code."""
    return {one.pointer: one.code for one in error.errors}


def test_the_register_opens_a_record_without_guardians() -> None:
    child = Child(REGISTER)
    assert [type(event) for event in child.events] == [ChildRegistered]
    assert child.record.guardians == {}
    assert child.record.confirmed_by_register


def test_a_guardian_who_opens_a_record_is_bound_to_it() -> None:
    registered, added = Child(MOTHER).events
    assert isinstance(registered, ChildRegistered)
    assert isinstance(added, GuardianAdded)
    assert (registered.guardians, added.guardian, added.proven_by) == (("mother-1",), "mother-1", "registration")


@pytest.mark.parametrize("caller", [CLINIC, OPERATOR])
def test_clinics_and_operators_open_no_records(caller: Any) -> None:
    with pytest.raises(Forbidden):
        children.register(facts(), caller, TODAY)


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"birth_date": TODAY + timedelta(days=1)}, "/birth_date", "in-the-future"),
        ({"birth_date": date(1899, 12, 31)}, "/birth_date", "too-long-ago"),
        ({"municipality": "139911"}, "/municipality", "municipality-code"),
        ({"gestation_days": 139}, "/gestation_days", "out-of-range"),
        ({"gestation_days": 321}, "/gestation_days", "out-of-range"),
        ({"birth_weight_g": 199}, "/birth_weight_g", "out-of-range"),
        ({"family_kana": "若葉"}, "/name/family_kana", "kana"),
        ({"given_kana": "Hikari"}, "/name/given_kana", "kana"),
    ],
)
def test_impossible_facts_are_refused_at_their_place(change: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        children.register(facts(**change), MOTHER, TODAY)
    assert places(refused.value)[pointer] == code


def test_every_broken_rule_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        children.register(facts(birth_date=TODAY + timedelta(days=1), gestation_days=1, family_kana="?"), NURSE, TODAY)
    assert set(places(refused.value)) == {"/birth_date", "/gestation_days", "/name/family_kana"}


def test_a_birth_today_and_the_edges_of_gestation_are_possible() -> None:
    for days in (140, 320):
        assert children.register(facts(birth_date=TODAY, gestation_days=days), MOTHER, TODAY)


@pytest.mark.parametrize("written", ["わかば", "ﾜｶﾊﾞ", "ワカバ", " ワカバ "])
def test_readings_are_kept_in_full_width_katakana(written: str) -> None:
    assert Child(MOTHER, family_kana=written).record.facts.name.family_kana == "ワカバ"


def test_names_keep_the_characters_that_people_write_themselves_with() -> None:
    child = Child(MOTHER, family="\ufa19田", given="ひかり")
    assert child.record.facts.name.family == "\ufa19田"


@pytest.mark.parametrize("caller", [NURSE, REGISTER])
def test_a_municipality_registers_its_own_residents_only(caller: Any) -> None:
    with pytest.raises(Invalid) as refused:
        children.register(facts(municipality=OTHER_TOWN), caller, TODAY)
    assert places(refused.value) == {"/municipality": "municipality-foreign"}


# Corrections ------------------------------------------------------------------------------------------------------


def test_a_correction_carries_all_facts_and_the_reason() -> None:
    child = family()
    (event,) = child.happens(children.correct(child.record, facts(given="あかり"), "misspelt", NURSE, TODAY))
    assert isinstance(event, ChildCorrected)
    assert (event.child.name.given, event.reason, event.by.role) == ("あかり", "misspelt", "staff")


def test_the_same_facts_again_are_no_correction() -> None:
    child = family()
    assert children.correct(child.record, facts(), "nothing", NURSE, TODAY) == []


def test_what_the_register_confirmed_a_guardian_cannot_change() -> None:
    child = family()
    with pytest.raises(Invalid) as refused:
        children.correct(child.record, facts(birth_date=BORN - timedelta(days=1), sex="M"), "wrong", MOTHER, TODAY)
    assert places(refused.value) == {"/birth_date": "confirmed-by-register", "/sex": "confirmed-by-register"}
    assert children.correct(child.record, facts(given="あかり"), "misspelt", MOTHER, TODAY)


def test_a_guardian_corrects_what_no_register_has_confirmed() -> None:
    child = Child(MOTHER)
    assert children.correct(child.record, facts(birth_date=BORN - timedelta(days=1)), "slip", MOTHER, TODAY)


def test_a_birth_date_after_a_dose_is_refused() -> None:
    child = family()
    child.gets("08", BORN + timedelta(days=62))
    with pytest.raises(Invalid) as refused:
        children.correct(child.record, facts(birth_date=BORN + timedelta(days=63)), "slip", NURSE, TODAY)
    assert places(refused.value) == {"/birth_date": "entries-before-birth"}


def test_the_residence_is_changed_by_a_move_only() -> None:
    child = family()
    with pytest.raises(Invalid) as refused:
        children.correct(child.record, facts(municipality=OTHER_TOWN), "moved", NURSE, TODAY)
    assert places(refused.value) == {"/municipality": "moves-are-moves"}
    assert child.record.facts.municipality == TOWN


@pytest.mark.parametrize("caller", [STRANGER, OTHER_NURSE])
def test_another_familys_child_is_not_found(caller: Any) -> None:
    with pytest.raises(NotFound):
        children.correct(family().record, facts(given="あかり"), "x", caller, TODAY)
