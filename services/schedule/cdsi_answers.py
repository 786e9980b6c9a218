"""Runs the engine for a CDC case and says in the cases' words what it finds.

Nothing here looks at what a case expects. What cases ask beyond the specification (which of two forecasts, whose
judgement of a dose) is decided here; docs/cdsi.md says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from services.schedule.cdsi_cases import Case
from services.schedule.domain.engine import Assessment, assess, is_risk
from services.schedule.domain.forecast import counted_places
from services.schedule.domain.patient_series import PatientSeries
from services.schedule.domain.rules import Rules, VaccineGroup
from services.schedule.domain.statuses import Code, DoseStatus, SeriesStatus
from services.schedule.domain.vaccine_groups import GroupForecast

REASON_WORDS: Mapping[Code, str] = {
    Code.EXPIRED_LOT: "Expired Vaccine",
    Code.DOSE_CONDITION: "Dose Condition",
    Code.INADVERTENT: "Inadvertent Vaccine",
    Code.TOO_YOUNG: "Age: Too Young",
    Code.TOO_OLD: "Age: Too Old",
    Code.TOO_SOON: "Interval: Too Soon",
    Code.CONFLICT: "Live Virus Conflict",
    Code.WRONG_VACCINE: "Not a preferable or allowable vaccine",
    Code.LESS_VOLUME: "Volume administered is less than recommended volume",
    Code.SERIES_COMPLETE: "Series Already Complete",
}
# Across the best series of one antigen a dose that counts anywhere counts; across antigens one that must be repeated
# for any of them must be repeated.
_WITHIN_ANTIGEN = (DoseStatus.VALID, DoseStatus.EXTRANEOUS, DoseStatus.NOT_VALID, DoseStatus.SUB_STANDARD)
_ACROSS_ANTIGENS = (DoseStatus.SUB_STANDARD, DoseStatus.NOT_VALID, DoseStatus.VALID, DoseStatus.EXTRANEOUS)

# A risk forecast that asks for nothing any more does not silence the standard one.
_PAST = (SeriesStatus.AGED_OUT, SeriesStatus.NOT_RECOMMENDED)


class DoseAnswer(NamedTuple):
    """The status of a dose for one kind of series, with every reason in the cases' words."""

    status: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine finds for a case; `doses` goes by column number: for standard and for risk series."""

    series_status: str | None
    forecast_number: int | None
    earliest: date | None
    recommended: date | None
    past_due: date | None
    doses: Mapping[int, tuple[DoseAnswer | None, DoseAnswer | None]]


def answer(rules: Rules, case: Case) -> Answer:
    """Run the engine for a case."""
    found = assess(rules, case.patient, case.assessment, _groups_to_assess(rules, case))
    doses = {int(dose.key): _judged(found, case.group, place) for place, dose in enumerate(found.chart.doses)}
    risk, standard = found.risk.get(case.group.name), found.standard.get(case.group.name)
    group = _asked_for(risk, standard)
    if group is None:
        return Answer(None, None, None, None, None, doses)
    return Answer(
        str(group.status),
        _number_for_risk(found, case.group, group) if group is risk else group.number,
        _as_date(group.dates.earliest),
        _as_date(group.dates.recommended),
        _as_date(group.dates.past_due),
        doses,
    )


def _asked_for(risk: GroupForecast | None, standard: GroupForecast | None) -> GroupForecast | None:
    """Cases ask for the risk forecast where there is one, unless the patient is past it and the standard one speaks."""
    if risk is not None and (standard is None or risk.status not in _PAST):
        return risk
    return standard


def _number_for_risk(found: Assessment, group: VaccineGroup, made: GroupForecast) -> int | None:
    """The number as cases count it for those at risk: doses that are valid in any best series of the antigen.

    FORECASTDN-1 counts in the forecast series alone; there a standard series that was completed before counts nothing.
    """
    if made.number is None:
        return None
    numbers = [
        1 + len({place for each in found.antigens[antigen].best for place in counted_places(each.walk)})
        for antigen in {each.series.antigen for each in made.members if each.forecast.number is not None}
    ]
    return min(numbers) if group.full else max(numbers)


def _as_date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


def _groups_to_assess(rules: Rules, case: Case) -> list[str]:
    """The group of the case, and those of doses that are not of it: each dose is judged somewhere."""
    given = {
        association.antigen for dose in case.patient.doses for association in rules.associations.get(dose.vaccine, ())
    }
    return [
        name
        for name, group in rules.vaccine_groups.items()
        if name == case.group.name or not given.isdisjoint(group.antigens)
    ]


def _judged(found: Assessment, group: VaccineGroup, place: int) -> tuple[DoseAnswer | None, DoseAnswer | None]:
    """The dose in standard and in risk series: of the case's group, or of its own antigens where it is not of it."""
    antigens = [name for name, places in found.chart.of_antigen.items() if place in places and name in found.antigens]
    judging = [name for name in antigens if name in group.antigens] or antigens
    return _judged_for_kind(found, judging, place, risk=False), _judged_for_kind(found, judging, place, risk=True)


def _judged_for_kind(found: Assessment, antigens: list[str], place: int, *, risk: bool) -> DoseAnswer | None:
    verdicts = [
        verdict for antigen in antigens if (verdict := _judged_for_antigen(found, antigen, place, risk)) is not None
    ]
    return _joined(verdicts, _ACROSS_ANTIGENS)


def _judged_for_antigen(found: Assessment, antigen: str, place: int, risk: bool) -> DoseAnswer | None:
    """In the best series of the kind; where none is best, in the prioritized ones."""
    rules = found.chart.rules
    assessed = found.antigens[antigen]
    for chosen in (assessed.best, assessed.prioritized):
        judging = [each for each in chosen if is_risk(each.series, rules) is risk and place in each.walk.statuses]
        if judging:
            return _joined([_verdict(each, place) for each in _in_its_time(judging, place)], _WITHIN_ANTIGEN)
    return None


def _in_its_time(judging: list[PatientSeries], place: int) -> list[PatientSeries]:
    """A series that a dose came too late for says nothing of it where another had begun by then (for adults, say)."""
    in_time = [
        each for each in judging if all(reason.code is not Code.TOO_OLD for reason in each.walk.reasons.get(place, ()))
    ]
    return in_time if any(_had_begun(each, place) for each in in_time) else judging


def _had_begun(each: PatientSeries, place: int) -> bool:
    start, chart = each.series.min_age_to_start, each.walk.chart
    return start is None or start.date_ordinal(chart.birth) <= chart.doses[place].day


def _verdict(each: PatientSeries, place: int) -> DoseAnswer:
    reasons = tuple(REASON_WORDS[reason.code] for reason in each.walk.reasons.get(place, ()))
    return DoseAnswer(each.walk.statuses[place], reasons)


def _joined(verdicts: list[DoseAnswer], order: tuple[DoseStatus, ...]) -> DoseAnswer | None:
    """The status that comes first in the order, with the reasons of all that share it."""
    for status in order:
        alike = [verdict for verdict in verdicts if verdict.status == status]
        if alike:
            return DoseAnswer(str(status), tuple(dict.fromkeys(why for verdict in alike for why in verdict.reasons)))
    return None
