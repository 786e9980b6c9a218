"""Joins the best series of the antigens of a vaccine group into one forecast (CDSi 4.6 chapter 9)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.schedule.domain.forecast import NO_DATES
from services.schedule.domain.forecast_dates import Dates
from services.schedule.domain.patient import Chart
from services.schedule.domain.patient_series import PatientSeries
from services.schedule.domain.rules import VaccineGroup
from services.schedule.domain.statuses import SeriesStatus

# Table 9-4 asks in this order; what is left is Complete, since each member is then complete or immune.
_ANY_OF = (
    SeriesStatus.CONTRAINDICATED,
    SeriesStatus.AGED_OUT,
    SeriesStatus.NOT_RECOMMENDED,
    SeriesStatus.NOT_COMPLETE,
)
# One antigen may have several best series (for children, and again from a higher age): the order in which one speaks.
_SPEAKS_FIRST = (
    SeriesStatus.NOT_COMPLETE,
    SeriesStatus.COMPLETE,
    SeriesStatus.IMMUNE,
    SeriesStatus.CONTRAINDICATED,
    SeriesStatus.NOT_RECOMMENDED,
    SeriesStatus.AGED_OUT,
)


@dataclass(frozen=True, slots=True)
class GroupForecast:
    """The forecast of a vaccine group, made from best series of one kind (`members`)."""

    status: SeriesStatus
    number: int | None
    dates: Dates
    members: tuple[PatientSeries, ...]


def group_forecast(group: VaccineGroup, best: Sequence[PatientSeries], chart: Chart) -> GroupForecast | None:
    """The forecast of the group from best series of one kind; None without any."""
    if not best:
        return None
    several = len(group.antigens) > 1
    members = list(best) if several else _who_speaks(best, chart)
    status = _joint_status(members) if several else members[0].status
    due = [each for each in members if each.status is SeriesStatus.NOT_COMPLETE]
    if status is not SeriesStatus.NOT_COMPLETE or not due:
        return GroupForecast(status, None, NO_DATES, tuple(best))
    earliest = (
        _earliest_of_several(group, due, chart) if several else _first(each.forecast.dates.earliest for each in due)
    )
    return GroupForecast(status, _number(group, due), _joint_dates(due, earliest), tuple(best))


def _who_speaks(best: Sequence[PatientSeries], chart: Chart) -> list[PatientSeries]:
    """Of several best series of one antigen, those that speak for it (the specification knows of one only).

    A series that begins at a higher age is silent until that age.
    """
    begun = [each for each in best if not _starts_later(each, chart)] or list(best)
    first = min(_SPEAKS_FIRST.index(each.status) for each in begun)
    return [each for each in begun if each.status is _SPEAKS_FIRST[first]]


def _starts_later(each: PatientSeries, chart: Chart) -> bool:
    start = each.series.min_age_to_start
    if each.status is not SeriesStatus.NOT_COMPLETE or start is None:
        return False
    return start.date_ordinal(chart.birth) > chart.assessment


def _joint_status(members: Sequence[PatientSeries]) -> SeriesStatus:
    """Table 9-4."""
    found = {each.status for each in members}
    for status in _ANY_OF:
        if status in found:
            return status
    return SeriesStatus.IMMUNE if found == {SeriesStatus.IMMUNE} else SeriesStatus.COMPLETE


def _earliest_of_several(group: VaccineGroup, due: Sequence[PatientSeries], chart: Chart) -> int | None:
    """MULTIANTVG-1: a priority forecast leads, otherwise the group waits for its last antigen."""
    earliest = [each.forecast.dates.earliest for each in due]
    if any(each.forecast.is_priority for each in due):
        return _last((_first(earliest), _last_given(group, chart)))
    return _last(earliest)


def _last_given(group: VaccineGroup, chart: Chart) -> int | None:
    places = [chart.of_antigen[antigen][-1] for antigen in group.antigens if antigen in chart.of_antigen]
    return chart.doses[max(places)].day if places else None


def _joint_dates(due: Sequence[PatientSeries], earliest: int | None) -> Dates:
    """FORECASTVG-2 to -4: the earliest of the members' days, and never before the group's earliest day."""
    recommended = _first(each.forecast.dates.recommended for each in due)
    past_due = _first(each.forecast.dates.past_due for each in due)
    return Dates(
        earliest,
        _last((earliest, recommended)),
        None if past_due is None else _last((earliest, past_due)),
        _first(each.forecast.dates.latest for each in due),
    )


def _number(group: VaccineGroup, due: Sequence[PatientSeries]) -> int | None:
    """FORECASTDN-2."""
    numbers = [each.forecast.number for each in due]
    return _first(numbers) if group.full else _last(numbers)


def _first(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _last(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
