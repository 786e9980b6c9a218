"""Which series of an antigen lead: one per series group, and of these the best (CDSi 4.6 chapter 8)."""

from collections.abc import Sequence

from services.schedule.domain.patient_series import PatientSeries
from services.schedule.domain.rules import SeriesKind
from services.schedule.domain.score_series import best_scored
from services.schedule.domain.statuses import SeriesStatus


def prioritized_series(made: Sequence[PatientSeries]) -> dict[str, PatientSeries]:
    """The prioritized series of each series group of one antigen; a group without any has no entry."""
    groups: dict[str, list[PatientSeries]] = {}
    for each in made:
        groups.setdefault(each.series.group, []).append(each)
    chosen = {group: _prioritized(members) for group, members in groups.items()}
    return {group: each for group, each in chosen.items() if each is not None}


def best_series(prioritized: dict[str, PatientSeries]) -> list[PatientSeries]:
    """The prioritized series that are needed to protect the patient (Table 8-14)."""
    return [each for each in prioritized.values() if _is_best(each, prioritized)]


def _is_best(each: PatientSeries, prioritized: dict[str, PatientSeries]) -> bool:
    if each.status is SeriesStatus.COMPLETE:
        return True
    equivalent = [prioritized[group] for group in each.series.equivalent_groups if group in prioritized]
    if any(other.status is SeriesStatus.COMPLETE for other in equivalent):
        return False
    if each.series.kind is SeriesKind.EVALUATION_ONLY:
        return False
    if each.series.kind is SeriesKind.RISK:
        return True
    return all(other.series.kind is not SeriesKind.RISK for other in equivalent)


def _prioritized(group: Sequence[PatientSeries]) -> PatientSeries | None:
    """§8.2, Table 8-3: one series stands out, or the scores decide.

    A contraindicated series is out of consideration (§8.1), and so is no default either, unless all are contraindicated.
    """
    candidates = [each for each in group if each.status is not SeriesStatus.CONTRAINDICATED] or list(group)
    default = _default(candidates)
    scorable = _scorable(group, candidates, has_default=default is not None)
    if not scorable:
        return default or _default(group)
    if len(scorable) == 1:
        return scorable[0]
    complete = [each for each in scorable if each.status is SeriesStatus.COMPLETE]
    if len(complete) == 1:
        return complete[0]
    if not complete:
        in_process = [each for each in scorable if each.in_process]
        if len(in_process) == 1:
            return in_process[0]
        if not in_process and default is not None:
            return default
    return best_scored(scorable)


def _default(among: Sequence[PatientSeries]) -> PatientSeries | None:
    """SELECTB-7."""
    return next((each for each in among if each.series.is_default), None)


def _scorable(
    group: Sequence[PatientSeries], candidates: Sequence[PatientSeries], *, has_default: bool
) -> list[PatientSeries]:
    """§8.1, Table 8-2."""
    highest = min(each.series.priority for each in group)
    begun = any(each.valid_doses for each in group)
    return [each for each in candidates if _is_scorable(each, highest, begun=begun, has_default=has_default)]


def _is_scorable(each: PatientSeries, highest: str, *, begun: bool, has_default: bool) -> bool:
    """SELECTSCORE-2."""
    kind = each.series.kind
    if kind is SeriesKind.RISK:
        return each.series.priority <= highest
    if kind is SeriesKind.EVALUATION_ONLY:
        return each.status is SeriesStatus.COMPLETE
    first = each.first_valid_day
    if first is None:
        return not begun and not has_default
    too_late = each.series.max_age_to_start
    return too_late is None or first < too_late.date_ordinal(each.walk.chart.birth)
