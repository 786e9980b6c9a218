"""Points for series that compete for one series group (CDSi 4.6 §8.3 to §8.7)."""

from collections.abc import Callable, Sequence

from services.schedule.domain.evaluate_age import age_in_force
from services.schedule.domain.patient_series import PatientSeries
from services.schedule.domain.statuses import SeriesStatus


def best_scored(scorable: Sequence[PatientSeries]) -> PatientSeries:
    """The series with the highest score; of equal ones the preferred (Tables 8-5 and 8-13)."""
    complete = [each for each in scorable if each.status is SeriesStatus.COMPLETE]
    if len(complete) >= 2:
        return _highest(complete, _most_valid(complete, 1))
    in_process = [each for each in scorable if each.in_process]
    if len(in_process) >= 2 and not complete:
        return _highest(in_process, score_in_process(in_process))
    if all(not each.valid_doses for each in scorable):
        return _highest(scorable, score_not_begun(scorable))
    # The specification is silent on series that are neither complete nor in process although doses were valid.
    return _highest(scorable, [each.valid_doses for each in scorable])


def finish_day(each: PatientSeries) -> int | None:
    """SELECTB-12: the earliest day of the forecast plus the longest minimum interval that remains after it."""
    earliest = each.forecast.dates.earliest
    if earliest is None:
        return None
    assessment = each.walk.chart.assessment
    return max(
        (
            interval.minimum.date_ordinal(earliest)
            for target in each.remaining[1:]
            for interval in target.intervals
            if interval.minimum is not None and interval.effective <= assessment <= interval.cessation
        ),
        default=earliest,
    )


def is_completable(each: PatientSeries) -> bool:
    """SELECTB-3: it can be finished before the patient is too old for its last target."""
    finish = finish_day(each)
    if finish is None:
        return False
    age = age_in_force(each.series.doses[-1], each.walk.chart.assessment)
    if age is None or age.maximum is None:
        return True
    return finish < age.maximum.date_ordinal(each.walk.chart.birth)


def score_in_process(pool: Sequence[PatientSeries]) -> list[int]:
    """The points of each series that is in process (Table 8-9)."""
    return _sum(
        _yes_or_no(pool, lambda each: each.series.product_path and each.all_valid, 2),
        _yes_or_no(pool, is_completable, 3),
        _most_valid(pool, 2),
        _lowest(pool, lambda each: len(each.remaining), 2),
        _lowest(pool, lambda each: finish_day(each) if is_completable(each) else None, 1),
    )


def score_not_begun(pool: Sequence[PatientSeries]) -> list[int]:
    """The points of each series without valid doses (Table 8-11)."""
    return _sum(
        _lowest(pool, lambda each: each.forecast.dates.earliest, 1),
        _yes_or_no(pool, is_completable, 1),
        _yes_or_no(pool, lambda each: each.series.product_path, -1),
    )


def _highest(pool: Sequence[PatientSeries], scores: Sequence[int]) -> PatientSeries:
    top = max(scores)
    return min(
        (each for each, score in zip(pool, scores, strict=True) if score == top),
        key=lambda each: each.series.preference,
    )


def _sum(*points: list[int]) -> list[int]:
    return [sum(each) for each in zip(*points, strict=True)]


def _yes_or_no(pool: Sequence[PatientSeries], holds: Callable[[PatientSeries], bool], points: int) -> list[int]:
    return [points if holds(each) else -points for each in pool]


def _most_valid(pool: Sequence[PatientSeries], points: int) -> list[int]:
    return _lowest(pool, lambda each: -each.valid_doses, points)


def _lowest(pool: Sequence[PatientSeries], measure: Callable[[PatientSeries], int | None], points: int) -> list[int]:
    """Points for the one with the lowest measure, none where several share it, a loss for the others."""
    measured = [measure(each) for each in pool]
    lowest = min((value for value in measured if value is not None), default=None)
    if lowest is None:
        return [-points] * len(pool)
    sole = measured.count(lowest) == 1
    return [(points if sole else 0) if value == lowest else -points for value in measured]
