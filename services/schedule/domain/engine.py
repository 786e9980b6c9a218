"""One entry: a patient's whole assessment, or that of the vaccine groups asked for (CDSi 4.6 chapter 4)."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.schedule.domain.patient import Chart, Patient
from services.schedule.domain.patient_series import PatientSeries, patient_series
from services.schedule.domain.rules import Rules, Series, SeriesKind
from services.schedule.domain.select_series import best_series, prioritized_series
from services.schedule.domain.vaccine_groups import GroupForecast, group_forecast


@dataclass(frozen=True, slots=True)
class AntigenAssessment:
    """Every relevant series of an antigen, the prioritized ones of its series groups, and the best of these."""

    relevant: tuple[PatientSeries, ...]
    prioritized: tuple[PatientSeries, ...]
    best: tuple[PatientSeries, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules say of a patient on a day: per antigen, and per vaccine group for each kind of series."""

    chart: Chart
    antigens: dict[str, AntigenAssessment]
    standard: dict[str, GroupForecast]
    risk: dict[str, GroupForecast]


def assess(rules: Rules, patient: Patient, assessment: int, groups: Iterable[str] | None = None) -> Assessment:
    """Evaluate, select and forecast on the day `assessment` (an ordinal), for some vaccine groups or for all.

    Nothing else is read: the same arguments give the same answer, in whatever order doses were entered.
    """
    chart = Chart(rules, patient, assessment)
    antigens: dict[str, AntigenAssessment] = {}
    standard: dict[str, GroupForecast] = {}
    risk: dict[str, GroupForecast] = {}
    for name in rules.vaccine_groups if groups is None else groups:
        group = rules.vaccine_groups[name]
        for antigen in group.antigens:
            if antigen in rules.antigens and antigen not in antigens:
                antigens[antigen] = _assess_antigen(rules, antigen, chart)
        best = [each for antigen in group.antigens if antigen in antigens for each in antigens[antigen].best]
        made = group_forecast(group, [each for each in best if not is_risk(each.series, rules)], chart)
        if made is not None:
            standard[name] = made
        made = group_forecast(group, [each for each in best if is_risk(each.series, rules)], chart)
        if made is not None:
            risk[name] = made
    return Assessment(chart, antigens, standard, risk)


def is_risk(series: Series, rules: Rules) -> bool:
    """Whether a series speaks for those at risk: an evaluation-only one belongs to the kind of its series group."""
    if series.kind is not SeriesKind.EVALUATION_ONLY:
        return series.kind is SeriesKind.RISK
    return any(
        other.group == series.group and other.kind is SeriesKind.RISK for other in rules.antigens[series.antigen].series
    )


def _assess_antigen(rules: Rules, name: str, chart: Chart) -> AntigenAssessment:
    relevant = patient_series(rules.antigens[name], chart)
    prioritized = prioritized_series(relevant)
    return AntigenAssessment(tuple(relevant), tuple(prioritized.values()), tuple(best_series(prioritized)))
