"""The forecast of a series (CDSi 4.6 chapter 7)."""

from typing import Any

from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.forecast import Forecast, forecast
from services.schedule.domain.forecast_dates import Dates
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Observed
from services.schedule.domain.rules import (
    Antigen,
    Condition,
    ConditionKind,
    Conflict,
    Contraindication,
    Season,
    TargetDose,
)
from services.schedule.domain.statuses import SeriesStatus
from services.schedule.tests.cdsi.invented import BORN, age, day, interval, series, skip_if, target, walk

INFANT = age(
    minimum="6 weeks", earliest_recommended="2 months", latest_recommended="3 months + 4 weeks", maximum="5 years"
)
SECOND = target(
    2,
    ages=(age(minimum="10 weeks", earliest_recommended="4 months"),),
    intervals=(interval(minimum="4 weeks", earliest_recommended="8 weeks", latest_recommended="13 weeks"),),
)


def made(*targets: TargetDose, given: tuple[str, ...] = (), on: str = "2020-03-01", **more: Any) -> Forecast:
    antigen_rules = more.pop("antigen", {})
    along = walk(series(*targets), *given, on=on, **more)
    evaluate_series(along)
    return forecast(along, Antigen("redness", (along.series,), **antigen_rules))


def dates(*days: str | None) -> Dates:
    return Dates(*(None if text is None else day(text) for text in days))


def test_a_first_dose_is_dated_by_age() -> None:
    found = made(target(ages=(INFANT,)), on="2020-01-10")
    assert found.status is SeriesStatus.NOT_COMPLETE
    assert found.number == 1
    assert found.dates == dates("2020-02-21", "2020-03-10", "2020-05-07", "2025-01-09")


def test_what_is_late_is_recommended_and_past_due_on_its_earliest_day() -> None:
    late = target(2, ages=(INFANT,), intervals=(interval(minimum="1 year"),))
    found = made(target(1), late, given=("red 2021-01-01",), on="2021-01-01")
    assert found.dates == dates("2022-01-01", "2022-01-01", "2022-01-01", "2025-01-09")


def test_a_recommended_age_leads_over_a_recommended_interval() -> None:
    found = made(target(1), SECOND, given=("red 2020-03-10",))
    assert found.dates.recommended == day("2020-05-10")
    without_age = target(2, intervals=SECOND.intervals)
    found = made(target(1), without_age, given=("red 2020-03-10",))
    assert found.dates == dates("2020-04-07", "2020-05-05", "2020-06-08", None)


def test_of_several_intervals_the_latest_day_counts() -> None:
    short = interval(minimum="4 weeks", earliest_recommended="5 weeks", latest_recommended="6 weeks")
    long = interval(from_target=1, minimum="8 weeks", earliest_recommended="9 weeks", latest_recommended="10 weeks")
    for both in ((short, long), (long, short)):
        found = made(target(1), target(2, intervals=both), given=("red 2020-03-01",))
        assert found.dates == dates("2020-04-26", "2020-05-03", "2020-05-09", None)


def test_what_no_rule_dates_stays_absent() -> None:
    found = made(target())
    assert found.status is SeriesStatus.NOT_COMPLETE
    assert found.dates == dates(None, None, None, None)


def test_the_earliest_day_waits_for_conflicts_and_for_inadvertent_doses() -> None:
    live = Conflict(ref="live", begin=Offset(0, 1), minimum_end=Offset(0, 24), end=Offset(0, 28))
    found = made(target(), given=("blue 2020-06-01",), conflicts={"red": {"blue": live}})
    assert found.dates.earliest == day("2020-06-29")
    found = made(target(inadvertent=frozenset({"pink"})), given=("pink 2020-06-01",))
    assert found.dates.earliest == day("2020-06-01")


def test_the_earliest_day_is_never_before_the_last_dose() -> None:
    found = made(target(ages=(age(absolute_minimum="1 year", minimum="6 weeks"),)), given=("red 2020-06-01",))
    assert found.dates.earliest == day("2020-06-01")


def test_intervals_and_ages_in_force_on_the_day_of_assessment_count() -> None:
    old = interval(minimum="4 weeks", cessation="2020-12-31")
    new = interval(minimum="6 months", effective="2021-01-01")
    second = target(2, intervals=(old, new))
    assert made(target(1), second, given=("red 2020-06-01",), on="2020-12-31").dates.earliest == day("2020-06-29")
    assert made(target(1), second, given=("red 2020-06-01",), on="2021-01-01").dates.earliest == day("2020-12-01")


def test_a_finished_series_is_complete_and_a_skipped_one_is_not_recommended() -> None:
    assert made(target(), given=("red 2020-02-01",)).status is SeriesStatus.COMPLETE
    grown = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(1, 0)))
    assert made(target(skips_forecasting=grown)).status is SeriesStatus.NOT_RECOMMENDED
    assert (
        made(target(1), target(2, skips_forecasting=grown), given=("red 2020-02-01",)).status is SeriesStatus.COMPLETE
    )


def test_a_skip_for_evaluation_does_not_hold_here() -> None:
    grown = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(1, 0)))
    assert made(target(skips_evaluating=grown)).status is SeriesStatus.NOT_COMPLETE


def test_a_dose_that_would_be_skipped_on_its_earliest_day_gives_way_to_the_next() -> None:
    at_one = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(12, 0)))
    second = target(2, intervals=(interval(minimum="4 weeks"),), skips_forecasting=at_one)
    third = target(3, intervals=(interval(minimum="8 weeks"),))
    early = made(target(1), second, third, given=("red 2020-06-01",), on="2020-06-01")
    assert early.position == 1
    late = made(target(1), second, third, given=("red 2020-12-20",), on="2020-12-20")
    assert late.position == 2
    assert late.dates.earliest == day("2021-02-14")
    assert late.number == 2


def test_too_old_today_or_before_the_dose_could_be_given_is_aged_out() -> None:
    assert made(target(ages=(INFANT,)), on="2025-01-09").status is SeriesStatus.NOT_COMPLETE
    assert made(target(ages=(INFANT,)), on="2025-01-10").status is SeriesStatus.AGED_OUT
    second = target(2, ages=(age(maximum="8 months"),), intervals=(interval(minimum="4 weeks"),))
    found = made(target(1), second, given=("red 2020-08-20",), on="2020-08-20")
    assert found.status is SeriesStatus.AGED_OUT
    assert found.dates == dates(None, None, None, None)
    second = target(2, ages=(age(maximum="8 months"),), intervals=(interval(minimum="1 month"),))
    assert made(target(1), second, given=("red 2020-08-10",), on="2020-08-10").status is SeriesStatus.AGED_OUT
    assert made(target(1), second, given=("red 2020-08-09",), on="2020-08-10").status is SeriesStatus.NOT_COMPLETE


def test_a_season_begins_ends_and_starts_the_count_again() -> None:
    season = Season(day("2020-07-01"), day("2021-06-30"))
    yearly = target(season=season, recurring=True, intervals=(interval(minimum="4 weeks"),))
    before = made(yearly, given=("red 2020-03-01",), on="2020-03-01")
    assert before.dates.earliest == day("2020-07-01")
    assert before.number == 1
    assert made(yearly, given=("red 2020-03-01", "red 2020-09-01"), on="2020-09-01").number == 2
    assert made(yearly, given=("red 2020-07-01",), on="2020-09-01").number == 2
    assert made(yearly, on="2021-06-30").status is SeriesStatus.NOT_COMPLETE
    assert made(yearly, on="2021-07-01").status is SeriesStatus.NOT_RECOMMENDED
    without_start = target(season=Season(None, day("2021-06-30")))
    assert made(without_start, on="2020-09-01").dates.earliest is None


def test_immune_and_contraindicated_ask_for_nothing_but_complete_stays_complete() -> None:
    immune = {"immune_by": frozenset({"020"})}
    forbidden = {"contraindications": (Contraindication("080"),)}
    seen = (Observed("020"), Observed("080"))
    assert made(target(), observations=seen, antigen=immune).status is SeriesStatus.IMMUNE
    assert made(target(), observations=seen, antigen=forbidden).status is SeriesStatus.CONTRAINDICATED
    assert made(target(), observations=seen, antigen=forbidden | immune).status is SeriesStatus.IMMUNE
    done = made(target(), given=("red 2020-02-01",), observations=seen, antigen=forbidden | immune)
    assert done.status is SeriesStatus.COMPLETE


def test_a_forecast_has_priority_when_each_of_its_intervals_overrides() -> None:
    overriding = interval(minimum="5 years", overrides=True)
    assert made(target(1), target(2, intervals=(overriding,)), given=("red 2020-02-01",)).is_priority
    mixed = (overriding, interval(minimum="1 year"))
    assert not made(target(1), target(2, intervals=mixed), given=("red 2020-02-01",)).is_priority
    assert not made(target(), on="2020-02-01").is_priority
    in_march = interval(minimum="1 year", overrides=True, effective="2020-03-01", cessation="2020-03-31")
    for on, priority in (("2020-02-29", False), ("2020-03-01", True), ("2020-03-31", True), ("2020-04-01", False)):
        found = made(target(1), target(2, intervals=(in_march,)), given=("red 2020-02-01",), on=on)
        assert found.is_priority is priority


def test_age_counts_from_birth_on_the_last_day_of_a_month() -> None:
    found = made(target(ages=(age(minimum="1 month"),)), birth=day("2020-01-31"), on="2020-02-01")
    assert found.dates.earliest == day("2020-03-01")
    assert day("2020-01-10") == BORN
