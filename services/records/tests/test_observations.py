"""Checkups, growth and conditions: who may say what, and within which bounds."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from services.records.domain import checkups, conditions, death, doses, growth
from services.records.domain.growth_report import in_order
from services.records.tests.families import BORN, CLINIC, MOTHER, NOON, NURSE, OTHER_CLINIC, TODAY, family
from services.records.tests.test_children import places
from shared.events.records import CheckupFinding, CheckupRecorded
from shared.problems import Conflict, Forbidden, Invalid, NotFound

DAY = BORN + timedelta(days=100)


def test_a_checkup_is_recorded_by_who_examined_the_child() -> None:
    child = family()
    wish = checkups.CheckupWish(kind="checkup_3m", done_on=DAY)
    (event,) = checkups.record_checkup(child.record, wish, CLINIC, checkup_id="k", today=TODAY)
    assert (event.kind, event.done_on, event.organisation) == ("checkup_3m", DAY, "clinic-1")  # type: ignore[attr-defined]
    with pytest.raises(Forbidden):
        checkups.record_checkup(child.record, wish, MOTHER, checkup_id="k", today=TODAY)


@pytest.mark.parametrize(
    ("kind", "done_on", "pointer", "code"),
    [
        ("checkup_99m", DAY, "/kind", "checkup-unknown"),
        ("checkup_3m", BORN - timedelta(days=1), "/done_on", "before-birth"),
        ("checkup_3m", TODAY + timedelta(days=1), "/done_on", "in-the-future"),
    ],
)
def test_an_impossible_checkup_is_refused(kind: str, done_on: date, pointer: str, code: str) -> None:
    wish = checkups.CheckupWish(kind=kind, done_on=done_on)
    with pytest.raises(Invalid) as refused:
        checkups.record_checkup(family().record, wish, NURSE, checkup_id="k", today=TODAY)
    assert places(refused.value) == {pointer: code}


def test_a_checkup_is_not_recorded_twice() -> None:
    child = family()
    wish = checkups.CheckupWish(kind="checkup_3m", done_on=DAY)
    child.happens(checkups.record_checkup(child.record, wish, CLINIC, checkup_id="k", today=TODAY))
    with pytest.raises(Invalid) as refused:
        checkups.record_checkup(child.record, wish, NURSE, checkup_id="l", today=TODAY)
    assert places(refused.value) == {"/done_on": "already-recorded"}


def test_a_checkup_says_what_was_found_and_is_put_right_and_withdrawn_by_its_author() -> None:
    child = family()
    child.trusts(OTHER_CLINIC)
    found = checkups.CheckupWish(
        kind="checkup_3m",
        done_on=DAY,
        result="examine",
        findings=(CheckupFinding(code="hip", text="開排制限"),),
        follow_up="整形外科",
        weight_kg=6.2,
    )
    child.happens(checkups.record_checkup(child.record, found, CLINIC, checkup_id="k", today=TODAY))
    assert [one.weight_kg for one in in_order(child.record)] == [6.2]
    better = checkups.CheckupWish(kind="checkup_3m", done_on=DAY, result="normal", weight_kg=6.3)
    with pytest.raises(Forbidden):
        checkups.correct_checkup(child.record, "k", better, "x", OTHER_CLINIC, today=TODAY)
    assert checkups.correct_checkup(child.record, "k", found, "x", CLINIC, today=TODAY) == []
    child.happens(checkups.correct_checkup(child.record, "k", better, "seen again", NURSE, today=TODAY))
    now = child.record.checkups["k"]
    assert (type(now), now.result, now.findings, now.provenance, now.organisation) == (
        CheckupRecorded,
        "normal",
        (),
        "clinic",
        "clinic-1",
    )
    with pytest.raises(Forbidden):
        checkups.retract_checkup(child.record, "k", "x", OTHER_CLINIC, today=TODAY)
    child.happens(checkups.retract_checkup(child.record, "k", "another child", CLINIC, today=TODAY))
    assert (in_order(child.record), list(child.record.retracted_checkups)) == ([], ["k"])
    with pytest.raises(Conflict):
        checkups.correct_checkup(child.record, "k", better, "x", CLINIC, today=TODAY)
    with pytest.raises(NotFound):
        checkups.retract_checkup(child.record, "none", "x", CLINIC, today=TODAY)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"findings": (CheckupFinding(code="aura"),)}, "/findings/0/code", "finding-unknown"),
        ({"result": "normal", "follow_up": "再診"}, "/follow_up", "nothing-to-follow"),
        ({"weight_kg": 6200.0}, "/weight_kg", "out-of-range"),
    ],
)
def test_what_a_checkup_cannot_say(changes: dict[str, Any], pointer: str, code: str) -> None:
    wish = checkups.CheckupWish(kind="checkup_3m", done_on=DAY, **changes)
    with pytest.raises(Invalid) as refused:
        checkups.record_checkup(family().record, wish, NURSE, checkup_id="k", today=TODAY)
    assert places(refused.value) == {pointer: code}


def test_nothing_is_recorded_for_a_day_after_the_death() -> None:
    child = family()
    child.happens(death.tell(child.record, DAY, NURSE, TODAY))
    later = DAY + timedelta(days=1)
    told: list[tuple[str, Callable[[date], object]]] = [
        (
            "/done_on",
            lambda day: checkups.record_checkup(
                child.record, checkups.CheckupWish(kind="checkup_3m", done_on=day), CLINIC, checkup_id="k", today=TODAY
            ),
        ),
        (
            "/measured_on",
            lambda day: growth.measure(
                child.record, growth.GrowthWish(measured_on=day, weight_kg=6.0), CLINIC, measurement_id="m", today=TODAY
            ),
        ),
        (
            "/given_on",
            lambda day: doses.record_dose(
                child.record, doses.DoseWish(given_on=day, cvx="08"), CLINIC, dose_id="d", today=TODAY, now=NOON
            ),
        ),
    ]
    for pointer, tell in told:
        assert tell(DAY)
        with pytest.raises(Invalid) as refused:
            tell(later)
        assert places(refused.value) == {pointer: "after-death"}


@pytest.mark.parametrize(
    ("values", "pointer", "code"),
    [
        ({}, "", "nothing-measured"),
        ({"weight_kg": 5200.0}, "/weight_kg", "out-of-range"),
        ({"length_cm": 5.0}, "/length_cm", "out-of-range"),
        ({"head_cm": 400.0}, "/head_cm", "out-of-range"),
    ],
)
def test_a_slip_of_the_pen_is_no_measurement(values: dict[str, float], pointer: str, code: str) -> None:
    wish = growth.GrowthWish(measured_on=DAY, **values)
    with pytest.raises(Invalid) as refused:
        growth.measure(family().record, wish, MOTHER, measurement_id="m", today=TODAY)
    assert places(refused.value) == {pointer: code}


def test_a_guardian_measures_at_home() -> None:
    wish = growth.GrowthWish(measured_on=DAY, weight_kg=6.1)
    event = growth.measure(family().record, wish, MOTHER, measurement_id="m", today=TODAY)
    assert event.weight_kg == 6.1


@pytest.mark.parametrize(
    ("code", "by", "may"),
    [
        ("varicella_disease", MOTHER, True),
        ("intussusception", MOTHER, False),
        ("intussusception", CLINIC, True),
        ("long_illness_ended", CLINIC, False),
        ("long_illness_ended", NURSE, True),
        ("doctor_allows_20_days", NURSE, False),
        ("doctor_allows_20_days", CLINIC, True),
    ],
)
def test_what_widens_a_free_window_is_certified_by_who_may(code: str, by: Any, may: bool) -> None:
    wish = conditions.ConditionWish(code=code)
    if may:
        assert conditions.record_condition(family().record, wish, by, condition_id="c", today=TODAY)
        return
    with pytest.raises(Invalid) as refused:
        conditions.record_condition(family().record, wish, by, condition_id="c", today=TODAY)
    assert places(refused.value) == {"/code": "not-yours-to-certify"}


def test_a_condition_that_no_rule_can_judge_is_refused() -> None:
    wish = conditions.ConditionWish(code="bad_luck")
    with pytest.raises(Invalid) as refused:
        conditions.record_condition(family().record, wish, CLINIC, condition_id="c", today=TODAY)
    assert places(refused.value) == {"/code": "condition-unknown"}


def test_a_condition_is_withdrawn_by_its_author_once() -> None:
    child = family()
    child.trusts(OTHER_CLINIC)
    wish = conditions.ConditionWish(code="scid", since=BORN)
    child.happens(conditions.record_condition(child.record, wish, CLINIC, condition_id="c", today=TODAY))
    for not_the_author in (OTHER_CLINIC, MOTHER):
        with pytest.raises(Forbidden):
            conditions.retract_condition(child.record, "c", "x", not_the_author, today=TODAY)
    child.happens(conditions.retract_condition(child.record, "c", "slip", CLINIC, today=TODAY))
    with pytest.raises(Conflict):
        conditions.retract_condition(child.record, "c", "slip", CLINIC, today=TODAY)


def test_a_condition_that_began_before_birth_is_possible_but_none_of_tomorrow() -> None:
    early = conditions.ConditionWish(code="scid", since=BORN - timedelta(days=30))
    assert conditions.record_condition(family().record, early, CLINIC, condition_id="c", today=TODAY)
    late = conditions.ConditionWish(code="scid", since=TODAY + timedelta(days=1))
    with pytest.raises(Invalid) as refused:
        conditions.record_condition(family().record, late, CLINIC, condition_id="c", today=TODAY)
    assert places(refused.value) == {"/since": "in-the-future"}
