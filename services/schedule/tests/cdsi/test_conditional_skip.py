"""Conditional skips (CDSi 4.6 §6.2)."""

import pytest

from services.schedule.domain.conditional_skip import can_skip
from services.schedule.domain.offsets import Offset
from services.schedule.domain.rules import Condition, ConditionKind, CountLogic, Skip, SkipSet
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import DoseStatus
from services.schedule.tests.cdsi.invented import day, series, skip_if, target, walk

FROM_SEVEN = Condition(ConditionKind.AGE, begin_age=Offset(84, 0))
UNTIL_TEN = Condition(ConditionKind.AGE, end_age=Offset(120, 0))


def met(skips: tuple[Skip, ...], made: Walk, on: str, before: int | None = None) -> bool:
    return can_skip(skips, made, day(on), day(on), len(made.chart.doses) if before is None else before)


def test_an_age_condition_is_a_half_open_window() -> None:
    made = walk(series(target()))
    window = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(84, 0), end_age=Offset(120, 0)))
    assert [met(window, made, on) for on in ("2027-01-09", "2027-01-10", "2030-01-09", "2030-01-10")] == [
        False,
        True,
        True,
        False,
    ]


def test_an_interval_condition_counts_from_the_dose_before() -> None:
    since = skip_if(Condition(ConditionKind.INTERVAL, interval=Offset(5, 0)))
    made = walk(series(target()), "red 2020-03-01", "red 2020-06-01")
    assert met(since, made, "2020-08-01", before=1)
    assert not met(since, made, "2020-08-01")
    assert met(since, made, "2020-11-01")
    assert not met(since, walk(series(target())), "2020-11-01")
    assert not met(since, made, "2020-11-01", before=0)


def test_a_completed_series_is_asked_by_its_group() -> None:
    made = walk(series(target()))
    complete = skip_if(Condition(ConditionKind.COMPLETED_SERIES, series_groups=frozenset({"1", "2"})))
    assert not met(complete, made, "2021-01-01")
    made.complete_groups = {0: frozenset({"2"})}
    assert met(complete, made, "2021-01-01")


@pytest.mark.parametrize(
    ("logic", "count", "expected"),
    [
        (CountLogic.GREATER_THAN, 1, True),
        (CountLogic.GREATER_THAN, 2, False),
        (CountLogic.EQUAL, 2, True),
        (CountLogic.EQUAL, 1, False),
        (CountLogic.LESS_THAN, 3, True),
        (CountLogic.LESS_THAN, 2, False),
    ],
)
def test_counts_are_compared_as_the_rule_says(logic: CountLogic, count: int, expected: bool) -> None:
    made = walk(series(target()), "red 2020-03-01", "red 2020-06-01")
    condition = Condition(ConditionKind.VACCINE_COUNT, count=count, logic=logic)
    assert met(skip_if(condition), made, "2021-01-01") is expected


def counts(made: Walk, expected: int, before: int | None = None, **window: object) -> bool:
    condition = Condition(ConditionKind.VACCINE_COUNT, count=expected, logic=CountLogic.EQUAL, **window)  # type: ignore[arg-type]
    return met(skip_if(condition), made, "2029-01-01", before)


def test_a_count_looks_at_its_vaccines_its_windows_and_only_at_what_came_before() -> None:
    made = walk(series(target()), "red 2020-03-01", "blue 2020-04-01", "red 2020-06-01")
    assert counts(made, 2)
    assert counts(made, 1, before=2)
    assert counts(made, 1, vaccines=frozenset({"blue"}))
    assert counts(made, 3, vaccines=frozenset({"blue", "red"}))
    assert counts(made, 1, begin_age=Offset(3, 0))
    assert counts(made, 1, end_age=Offset(3, 0))
    assert counts(made, 1, start_day=day("2020-06-01"))
    assert counts(made, 1, end_day=day("2020-06-01"))


def test_only_valid_counts_what_is_valid_in_this_series() -> None:
    made = walk(series(target()), "red 2020-03-01", "blue 2020-04-01", "red 2020-06-01")
    made.statuses = {0: DoseStatus.VALID, 2: DoseStatus.VALID}
    assert counts(made, 2, only_valid=True)
    made.statuses = {0: DoseStatus.NOT_VALID, 2: DoseStatus.NOT_VALID}
    assert counts(made, 0, only_valid=True)
    assert counts(made, 2)
    assert counts(made, 0, only_valid=True, vaccines=frozenset({"blue"}))


def test_sets_join_conditions_and_skips_join_sets() -> None:
    made = walk(series(target()))
    at_five, at_eight, at_eleven = "2025-02-01", "2028-02-01", "2031-02-01"
    all_of = skip_if(FROM_SEVEN, UNTIL_TEN)
    any_of = skip_if(FROM_SEVEN, UNTIL_TEN, needs_all=False)
    assert [met(all_of, made, on) for on in (at_five, at_eight, at_eleven)] == [False, True, False]
    assert [met(any_of, made, on) for on in (at_five, at_eight, at_eleven)] == [True, True, True]
    two_sets = (SkipSet((FROM_SEVEN,), needs_all=True), SkipSet((UNTIL_TEN,), needs_all=True))
    assert [met((Skip(two_sets, needs_all=True),), made, on) for on in (at_five, at_eight, at_eleven)] == [
        False,
        True,
        False,
    ]
    assert [met((Skip(two_sets, needs_all=False),), made, on) for on in (at_five, at_eight)] == [True, True]


def test_of_several_skips_any_suffices() -> None:
    made = walk(series(target()))
    assert met(skip_if(FROM_SEVEN) + skip_if(UNTIL_TEN), made, "2025-02-01")


def test_a_set_out_of_effect_does_not_count() -> None:
    made = walk(series(target()))
    ended = Skip((SkipSet((FROM_SEVEN,), needs_all=True, cessation=day("2028-01-01")),), needs_all=False)
    assert met((ended,), made, "2028-01-01")
    assert not met((ended,), made, "2028-01-02")
    begun = Skip((SkipSet((FROM_SEVEN,), needs_all=True, effective=day("2028-01-01")),), needs_all=True)
    assert met((begun,), made, "2028-01-01")
    assert not met((begun,), made, "2027-12-31")


def test_sets_that_must_all_be_met_are_those_in_effect() -> None:
    made = walk(series(target()))
    always = SkipSet((FROM_SEVEN,), needs_all=True)
    for_a_time = SkipSet((Condition(ConditionKind.INTERVAL),), needs_all=True, cessation=day("2028-01-01"))
    both = (Skip((always, for_a_time), needs_all=True),)
    assert not met(both, made, "2028-01-01")
    assert met(both, made, "2028-01-02")


def test_a_skip_without_sets_or_a_set_without_conditions_is_never_met() -> None:
    made = walk(series(target()))
    assert not met((Skip((), needs_all=True),), made, "2028-01-01")
    assert not met((Skip((), needs_all=False),), made, "2028-01-01")
    assert not met(skip_if(), made, "2028-01-01")
    assert not met(skip_if(needs_all=False), made, "2028-01-01")
