"""Intervals of a dose (CDSi 4.6 §6.5, §6.6)."""

from typing import Any

from services.schedule.domain.evaluate_interval import evaluate_interval, reference_day
from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.patient import Observed
from services.schedule.domain.rules import Interval
from services.schedule.domain.statuses import Code, DoseStatus
from services.schedule.tests.cdsi.invented import age, day, interval, series, target, walk

FOUR_WEEKS = interval(absolute_minimum="4 weeks - 4 days", minimum="4 weeks")


def statuses_of(*given: str, second: tuple[Interval, ...] = (FOUR_WEEKS,), **first: Any) -> list[DoseStatus]:
    made = walk(series(target(1, **first), target(2, intervals=second), target(3)), *given)
    evaluate_series(made)
    return list(made.statuses.values())


def test_the_absolute_minimum_already_holds_the_grace() -> None:
    assert statuses_of("red 2020-03-01", "red 2020-03-24") == [DoseStatus.VALID, DoseStatus.NOT_VALID]
    assert statuses_of("red 2020-03-01", "red 2020-03-25") == [DoseStatus.VALID, DoseStatus.VALID]


def test_the_previous_dose_counts_even_when_it_was_not_valid() -> None:
    assert statuses_of("red 2020-03-01", "red 2020-03-10", "red 2020-03-26") == [
        DoseStatus.VALID,
        DoseStatus.NOT_VALID,
        DoseStatus.NOT_VALID,
    ]


def test_an_extraneous_previous_dose_does_not_count() -> None:
    made = walk(
        series(target(1, vaccines="red pink"), target(2, intervals=(FOUR_WEEKS,), ages=(age(maximum="5 months"),))),
        "red 2020-03-01",
        "red 2020-06-11",
        "red 2020-06-20",
    )
    evaluate_series(made)
    assert list(made.statuses.values()) == [DoseStatus.VALID, DoseStatus.EXTRANEOUS, DoseStatus.EXTRANEOUS]
    assert made.previous_day == day("2020-03-01")
    assert [reason.code for reason in made.reasons[2]] == [Code.TOO_OLD]


def test_an_inadvertent_dose_does_not_count() -> None:
    assert statuses_of(
        "purple 2020-03-01", "red 2020-03-05", "red 2020-04-05", vaccines="red", inadvertent=frozenset({"purple"})
    ) == [DoseStatus.NOT_VALID, DoseStatus.VALID, DoseStatus.VALID]


def test_without_anything_to_count_from_an_interval_says_nothing() -> None:
    made = walk(
        series(target(intervals=(FOUR_WEEKS, interval(from_target=7, absolute_minimum="9 years")))), "red 2020-03-01"
    )
    assert evaluate_interval(made.series.doses[0], made, 0) == ()


def test_from_a_target_counts_from_the_dose_that_satisfied_it() -> None:
    made = walk(
        series(target(1), target(2), target(3, intervals=(interval(from_target=1, absolute_minimum="16 weeks"),))),
        "red 2020-03-01",
        "red 2020-05-01",
        "red 2020-06-20",
        "red 2020-06-21",
    )
    evaluate_series(made)
    assert made.statuses[2] is DoseStatus.NOT_VALID
    assert made.statuses[3] is DoseStatus.VALID
    assert made.reasons[2][0].day == day("2020-06-21")


def test_from_the_most_recent_looks_at_the_whole_history() -> None:
    since_blue = interval(from_most_recent=frozenset({"blue"}), absolute_minimum="8 weeks")
    made = walk(series(target(intervals=(since_blue,))), "blue 2020-02-01", "blue 2020-03-01", "red 2020-03-20")
    assert reference_day(since_blue, made, 2) == day("2020-03-01")
    evaluate_series(made)
    assert made.statuses == {2: DoseStatus.NOT_VALID}


def test_the_most_recent_is_found_wherever_it_stands_and_an_inadvertent_one_is_passed_over() -> None:
    since_blue = interval(from_most_recent=frozenset({"blue", "purple"}), absolute_minimum="8 weeks")
    one = series(target(1, inadvertent=frozenset({"purple"})), target(2, intervals=(since_blue,)))
    made = walk(one, "blue 2020-02-01", "red 2020-03-01", "pink 2020-03-02", "red 2020-09-01")
    assert reference_day(since_blue, made, 3) == reference_day(since_blue, made, 2) == day("2020-02-01")
    made = walk(one, "blue 2020-02-01", "purple 2020-08-30", "red 2020-08-31", "red 2020-09-01")
    evaluate_series(made)
    assert list(made.statuses.values()) == [DoseStatus.NOT_VALID, DoseStatus.VALID, DoseStatus.VALID]


def test_from_an_observation_counts_from_the_latest_of_its_days() -> None:
    since = interval(from_observation="777", absolute_minimum="27 weeks")
    seen = (Observed("777", day("2020-02-01")), Observed("777", day("2020-04-01")), Observed("777"))
    made = walk(series(target(intervals=(since,))), "red 2020-09-01", observations=seen)
    assert reference_day(since, made, 1) == day("2020-04-01")


def test_a_dose_counts_from_the_observation_before_it_and_else_from_the_first_after_it() -> None:
    since = interval(from_observation="777", absolute_minimum="27 weeks")
    seen = (Observed("777", day("2020-02-01")), Observed("777", day("2022-02-01")))
    given = ("red 2020-01-20", "red 2020-09-01", "red 2022-03-01", "red 2022-09-01")
    for on in ("2020-01-20", "2021-01-01", "2030-01-01"):
        made = walk(series(target(intervals=(since,), recurring=True)), *given, observations=seen, on=on)
        evaluate_series(made)
        assert list(made.statuses.values()) == [
            DoseStatus.NOT_VALID,
            DoseStatus.VALID,
            DoseStatus.NOT_VALID,
            DoseStatus.VALID,
        ]
        assert [reasons[0].day for reasons in made.reasons.values()] == [day("2020-08-08"), day("2022-08-09")]


def test_an_observation_of_tomorrow_is_not_known_today() -> None:
    since = interval(from_observation="777", absolute_minimum="27 weeks")
    made = walk(series(target(intervals=(since,))), on="2020-03-31", observations=(Observed("777", day("2020-04-01")),))
    assert reference_day(since, made, 0) is None
    assert "777" not in made.chart.active


def test_all_intervals_must_hold_and_each_failure_is_kept() -> None:
    made = walk(
        series(target(1), target(2, intervals=(FOUR_WEEKS, interval(from_target=1, absolute_minimum="8 weeks")))),
        "red 2020-03-01",
        "red 2020-03-02",
    )
    evaluate_series(made)
    assert [reason.code for reason in made.reasons[1]] == [Code.TOO_SOON, Code.TOO_SOON]


def test_allowable_intervals_rescue_together_or_not_at_all() -> None:
    short = interval(absolute_minimum="1 week")
    long = interval(from_target=1, absolute_minimum="3 weeks")
    given = ("red 2020-03-01", "red 2020-03-10")
    for allowable, status in (((short,), DoseStatus.VALID), ((short, long), DoseStatus.NOT_VALID)):
        made = walk(series(target(1), target(2, intervals=(FOUR_WEEKS,), allowable_intervals=allowable)), *given)
        evaluate_series(made)
        assert made.statuses[1] is status


def test_an_allowable_interval_out_of_force_or_from_nothing_rescues_nobody() -> None:
    over = interval(absolute_minimum="1 week", cessation="2020-03-09")
    from_nothing = interval(from_target=7, absolute_minimum="1 day")
    short = interval(absolute_minimum="1 week")
    given = ("red 2020-03-01", "red 2020-03-10")
    for allowable, status in (
        ((over,), DoseStatus.NOT_VALID),
        ((from_nothing,), DoseStatus.NOT_VALID),
        ((over, from_nothing, short), DoseStatus.VALID),
    ):
        made = walk(series(target(1), target(2, intervals=(FOUR_WEEKS,), allowable_intervals=allowable)), *given)
        evaluate_series(made)
        assert made.statuses[1] is status


def test_an_interval_out_of_force_on_the_day_given_says_nothing() -> None:
    later = interval(absolute_minimum="1 year", effective="2020-04-01")
    assert statuses_of("red 2020-03-01", "red 2020-03-31", second=(later,))[1] is DoseStatus.VALID
    assert statuses_of("red 2020-03-01", "red 2020-04-01", second=(later,))[1] is DoseStatus.NOT_VALID
    ended = interval(absolute_minimum="1 year", cessation="2020-04-01")
    assert statuses_of("red 2020-03-01", "red 2020-04-01", second=(ended,))[1] is DoseStatus.NOT_VALID
    assert statuses_of("red 2020-03-01", "red 2020-04-02", second=(ended,))[1] is DoseStatus.VALID
