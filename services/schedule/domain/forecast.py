"""What a series asks for next, and its status (CDSi 4.6 chapter 7)."""

from dataclasses import dataclass
from typing import Final

from services.schedule.domain.conditional_skip import can_skip
from services.schedule.domain.contraindications import is_contraindicated
from services.schedule.domain.forecast_dates import Dates, candidate_earliest, forecast_dates, maximum_age_day
from services.schedule.domain.immunity import is_immune
from services.schedule.domain.rules import Antigen, TargetDose
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import SeriesStatus

NO_DATES: Final = Dates(None, None, None, None)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of one series. Only a series that is not complete has a number and dates.

    `position` is the target that is forecast: the targets before it are satisfied or skipped.
    """

    status: SeriesStatus
    position: int
    number: int | None = None
    dates: Dates = NO_DATES
    is_priority: bool = False


def forecast(walk: Walk, antigen: Antigen) -> Forecast:
    """Skip, ask for immunity and contraindications, then the need, the dates, and whether they will still hold.

    The order is that of Table 7-10, left to right, around §7.1 and §7.6.
    """
    chart = walk.chart
    assessment = chart.assessment
    targets = walk.series.doses
    position = walk.position
    while True:
        position = _next_needed(walk, position)
        if position == len(targets):
            return Forecast(SeriesStatus.COMPLETE if walk.satisfied else SeriesStatus.NOT_RECOMMENDED, position)
        target = targets[position]
        if is_immune(antigen, chart):
            return Forecast(SeriesStatus.IMMUNE, position)
        if is_contraindicated(antigen, target, chart):
            return Forecast(SeriesStatus.CONTRAINDICATED, position)
        earliest = candidate_earliest(target, walk)
        if target.season is not None and assessment > target.season.end:
            return Forecast(SeriesStatus.NOT_RECOMMENDED, position)
        too_old = maximum_age_day(target, walk)
        if too_old is not None and (assessment >= too_old or (earliest is not None and earliest >= too_old)):
            return Forecast(SeriesStatus.AGED_OUT, position)
        if earliest is None or not _skipped(walk, target, earliest):
            break
        # §7.6: on its earliest day the dose would no longer be needed, so the next one is forecast instead.
        position += 1
    return Forecast(
        SeriesStatus.NOT_COMPLETE,
        position,
        len(counted_places(walk)) + 1,
        forecast_dates(target, walk, earliest),
        _is_priority(target, assessment),
    )


def _next_needed(walk: Walk, position: int) -> int:
    """§7.1: the first target that is not skipped on the day of assessment."""
    targets = walk.series.doses
    while position < len(targets) and _skipped(walk, targets[position], walk.chart.assessment):
        position += 1
    return position


def _skipped(walk: Walk, target: TargetDose, reference: int) -> bool:
    skips = target.skips_forecasting
    chart = walk.chart
    return bool(skips) and can_skip(skips, walk, reference, chart.assessment, len(chart.doses))


def counted_places(walk: Walk) -> list[int]:
    """The doses that the forecast's number counts (FORECASTDN-1): each satisfied a target, in its season if it has one."""
    return [
        place
        for target, place in walk.satisfied
        if target.season is None or target.season.start is None or walk.chart.doses[place].day >= target.season.start
    ]


def _is_priority(target: TargetDose, assessment: int) -> bool:
    """FORECASTPRIORITY-1: the target has preferable intervals, and each of them overrides."""
    in_force = [interval for interval in target.intervals if interval.effective <= assessment <= interval.cessation]
    return bool(in_force) and all(interval.overrides for interval in in_force)
