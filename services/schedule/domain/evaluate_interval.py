"""Was the dose given long enough after what came before? (CDSi 4.6 §6.5, §6.6, Tables 6-18 to 6-22)"""

from services.schedule.domain.patient import Chart
from services.schedule.domain.rules import Interval, TargetDose
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import Code, Reason


def reference_day(interval: Interval, walk: Walk, before: int) -> int | None:
    """The day that an interval counts from, None where there is none: then the interval says nothing.

    Looks at doses whose place in the chart is before `before`. CALCDTINT-1: the previous dose of the series counts
    whether it was valid or not, unless extraneous, sub-standard or inadvertent. CALCDTINT-8: the most recent of named
    vaccines is sought in the whole history, since it may belong to another antigen.
    """
    if interval.from_previous:
        return walk.previous_day
    if interval.from_target is not None:
        return walk.satisfied_day(interval.from_target)
    if interval.from_observation is not None:
        return _observed_day(interval.from_observation, walk.chart, before)
    doses = walk.chart.doses
    for place in range(before - 1, -1, -1):
        if doses[place].vaccine in interval.from_most_recent and place not in walk.inadvertent:
            return doses[place].day
    return None


def _observed_day(code: str, chart: Chart, before: int) -> int | None:
    """CALCDTINT-9: the most recent such observation, as of the dose's own day or, in a forecast, of the assessment.

    A dose that came before the first one is measured from the first, so that it is too soon whether or not that day
    has come yet: what is said of a dose never depends on today.
    """
    if before == len(chart.doses):
        return chart.last_noted(code, chart.assessment)
    day = chart.last_noted(code, chart.doses[before].day)
    return day if day is not None else next(iter(chart.noted.get(code, ())), None)


def evaluate_interval(target: TargetDose, walk: Walk, place: int) -> tuple[Reason, ...]:
    """The preferable intervals that the dose fails, unless the allowable ones, all together, rescue it."""
    failed: tuple[Reason, ...] = ()
    for interval in target.intervals:
        first = _first_day(interval, walk, place)
        if first is not None and walk.chart.doses[place].day < first:
            failed = (*failed, Reason(Code.TOO_SOON, interval.ref, first))
    return () if failed and _is_rescued(target, walk, place) else failed


def _is_rescued(target: TargetDose, walk: Walk, place: int) -> bool:
    """§6.6: without an allowable interval that is in force and counts from something, nothing is rescued."""
    found = [_first_day(interval, walk, place) for interval in target.allowable_intervals]
    days = [day for day in found if day is not None]
    return bool(days) and walk.chart.doses[place].day >= max(days)


def _first_day(interval: Interval, walk: Walk, place: int) -> int | None:
    """The first day on which the dose would have been valid; None where the interval says nothing of it."""
    given = walk.chart.doses[place].day
    if interval.absolute_minimum is None or not interval.effective <= given <= interval.cessation:
        return None
    if interval.asked_of is not None and walk.chart.doses[place].vaccine not in interval.asked_of:
        return None
    reference = reference_day(interval, walk, place)
    return None if reference is None else interval.absolute_minimum.date_ordinal(reference)
