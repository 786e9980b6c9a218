"""Conflicts between vaccines (CDSi 4.6 §6.7)."""

import pytest

from services.schedule.domain.evaluate_conflict import conflict_end
from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.offsets import Offset
from services.schedule.domain.rules import Conflict
from services.schedule.domain.statuses import Code, DoseStatus
from services.schedule.tests.cdsi.invented import age, day, series, target, walk

LIVE = Conflict(ref="live", begin=Offset(0, 1), minimum_end=Offset(0, 24), end=Offset(0, 28))
CONFLICTS = {"red": {"blue": LIVE, "red": LIVE}}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("2020-06-01", DoseStatus.VALID),
        ("2020-06-02", DoseStatus.NOT_VALID),
        ("2020-06-24", DoseStatus.NOT_VALID),
        ("2020-06-25", DoseStatus.VALID),
    ],
)
def test_after_a_dose_of_another_antigen_the_shorter_end_holds(given: str, status: DoseStatus) -> None:
    made = walk(series(target()), "blue 2020-06-01", f"red {given}", conflicts=CONFLICTS)
    evaluate_series(made)
    assert made.statuses[1] is status


def test_after_a_dose_that_is_not_valid_here_the_longer_end_holds() -> None:
    grown = target(ages=(age(absolute_minimum="5 months"),))
    given = ("red 2020-06-01", "red 2020-06-26", "red 2020-06-29")
    made = walk(series(grown), *given, conflicts=CONFLICTS)
    evaluate_series(made)
    assert [made.statuses[place] for place in (0, 1)] == [DoseStatus.NOT_VALID, DoseStatus.NOT_VALID]
    assert made.reasons[1][0].code is Code.CONFLICT
    assert made.reasons[1][0].day == day("2020-06-29")


def test_a_vaccine_without_conflicts_has_none() -> None:
    made = walk(series(target(vaccines="pink")), "blue 2020-06-01", "pink 2020-06-02", conflicts=CONFLICTS)
    evaluate_series(made)
    assert made.statuses[1] is DoseStatus.VALID


def test_a_forecast_waits_for_the_longer_end_of_every_preferred_vaccine() -> None:
    next_dose = target(vaccines="pink red")
    made = walk(series(next_dose), "blue 2020-06-01", "blue 2020-05-01", conflicts=CONFLICTS)
    assert conflict_end(next_dose, made) == day("2020-06-29")
    assert conflict_end(target(vaccines="pink"), made) is None
    assert conflict_end(next_dose, walk(series(next_dose), "blue 2020-06-01")) is None
