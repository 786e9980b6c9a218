"""The dates of a forecast (CDSi 4.6 §7.4 FORECASTDTCAN-1 and §7.5, Table 7-13)."""

from collections.abc import Iterator
from typing import NamedTuple

from services.schedule.domain.evaluate_age import age_in_force
from services.schedule.domain.evaluate_conflict import conflict_end
from services.schedule.domain.evaluate_interval import reference_day
from services.schedule.domain.rules import Interval, TargetDose
from services.schedule.domain.series_walk import Walk


class Dates(NamedTuple):
    """When a target dose is due. What no rule dates is None and stays None (§7.5: no assumption is made)."""

    earliest: int | None
    recommended: int | None
    past_due: int | None
    latest: int | None


def candidate_earliest(target: TargetDose, walk: Walk) -> int | None:
    """The latest of everything that must be waited for (FORECASTDTCAN-1); None when nothing dates the dose."""
    chart = walk.chart
    age = age_in_force(target, chart.assessment)
    days = [walk.last_day, walk.last_inadvertent_day, conflict_end(target, walk)]
    if age is not None and age.minimum is not None:
        days.append(age.minimum.date_ordinal(chart.birth))
    if target.season is not None:
        days.append(target.season.start)
    for interval, reference in _intervals(target, walk):
        if interval.minimum is not None:
            days.append(interval.minimum.date_ordinal(reference))
    return max((day for day in days if day is not None), default=None)


def maximum_age_day(target: TargetDose, walk: Walk) -> int | None:
    """The day from which the patient is too old for the target (CALCDTAGE-1)."""
    age = age_in_force(target, walk.chart.assessment)
    if age is None or age.maximum is None:
        return None
    return age.maximum.date_ordinal(walk.chart.birth)


def forecast_dates(target: TargetDose, walk: Walk, earliest: int | None) -> Dates:
    """FORECASTDT-1 to -6: a recommended age leads, a recommended interval only speaks where no age does."""
    age = age_in_force(target, walk.chart.assessment)
    birth = walk.chart.birth
    recommended = past_due = latest = None
    if age is not None:
        if age.earliest_recommended is not None:
            recommended = age.earliest_recommended.date_ordinal(birth)
        if age.latest_recommended is not None:
            past_due = age.latest_recommended.date_ordinal(birth) - 1
        if age.maximum is not None:
            latest = age.maximum.date_ordinal(birth) - 1
    if recommended is None:
        recommended = max(
            (
                interval.earliest_recommended.date_ordinal(reference)
                for interval, reference in _intervals(target, walk)
                if interval.earliest_recommended is not None
            ),
            default=None,
        )
    if past_due is None:
        too_late = max(
            (
                interval.latest_recommended.date_ordinal(reference)
                for interval, reference in _intervals(target, walk)
                if interval.latest_recommended is not None
            ),
            default=None,
        )
        past_due = too_late - 1 if too_late is not None else None
    return Dates(
        earliest,
        earliest if recommended is None else _later(earliest, recommended),
        None if past_due is None else _later(earliest, past_due),
        latest,
    )


def _later(earliest: int | None, day: int) -> int:
    return day if earliest is None or day > earliest else earliest


def _intervals(target: TargetDose, walk: Walk) -> Iterator[tuple[Interval, int]]:
    """The preferable intervals in force on the day of assessment, with the day that each counts from."""
    chart = walk.chart
    for interval in target.intervals:
        if interval.effective <= chart.assessment <= interval.cessation:
            reference = reference_day(interval, walk, len(chart.doses))
            if reference is not None:
                yield interval, reference
