"""Age of a dose (CDSi 4.6 §6.4)."""

import pytest

from services.schedule.domain.evaluate_age import age_in_force, evaluate_age
from services.schedule.domain.statuses import Code
from services.schedule.tests.cdsi.invented import BORN, age, day, target

SIX_WEEKS = target(ages=(age(absolute_minimum="6 weeks - 4 days", minimum="6 weeks", maximum="8 months"),))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("2020-02-16", Code.TOO_YOUNG),
        ("2020-02-17", None),
        ("2020-09-09", None),
        ("2020-09-10", Code.TOO_OLD),
    ],
)
def test_the_window_begins_at_the_absolute_minimum_and_ends_before_the_maximum(given: str, code: Code | None) -> None:
    reason = evaluate_age(SIX_WEEKS, BORN, day(given))
    assert (reason.code if reason else None) == code


def test_the_reason_says_the_first_and_the_last_day() -> None:
    too_young = evaluate_age(SIX_WEEKS, BORN, day("2020-02-01"))
    too_old = evaluate_age(SIX_WEEKS, BORN, day("2021-02-01"))
    assert too_young is not None
    assert too_young.day == day("2020-02-17")
    assert too_old is not None
    assert too_old.day == day("2020-09-09")


def test_a_target_without_ages_takes_any() -> None:
    assert evaluate_age(target(), BORN, BORN) is None


def test_rows_with_effective_dates_are_alternatives_and_both_ends_are_inside() -> None:
    before = age(absolute_minimum="1 year", cessation="2022-06-30")
    since = age(absolute_minimum="2 years", effective="2022-07-01")
    both = target(ages=(before, since))
    assert age_in_force(both, day("2022-06-30")) is before
    assert age_in_force(both, day("2022-07-01")) is since
    assert age_in_force(target(ages=(since,)), day("2022-06-30")) is None
