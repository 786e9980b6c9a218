"""Can a target dose be skipped? (CDSi 4.6 §6.2, Tables 6-5 to 6-11; used again by §7.1 and §7.6)"""

from services.schedule.domain.rules import Condition, ConditionKind, CountLogic, Skip, SkipSet
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import DoseStatus


def can_skip(skips: tuple[Skip, ...], walk: Walk, reference: int, in_force: int, before: int) -> bool:
    """Whether any of the skips is met.

    `reference` is the day in question (CONDSKIP-2): the day given, the assessment, or the earliest day of a forecast.
    `in_force` is the day that decides which sets are in effect, `before` the place in the chart up to which doses
    are looked at.
    """
    return any(_is_met(skip, walk, reference, in_force, before) for skip in skips)


def _is_met(skip: Skip, walk: Walk, reference: int, in_force: int, before: int) -> bool:
    """Table 6-11, asked of the sets that are in effect: one that is not is no part of the skip (RELEVANT-1, -2)."""
    asked = met = 0
    for skip_set in skip.sets:
        if skip_set.effective <= in_force <= skip_set.cessation:
            asked += 1
            if _set_is_met(skip_set, walk, reference, before):
                if not skip.needs_all:
                    return True
                met += 1
    return met == asked > 0


def _set_is_met(skip_set: SkipSet, walk: Walk, reference: int, before: int) -> bool:
    if skip_set.needs_all:
        return bool(skip_set.conditions) and all(
            _holds(condition, walk, reference, before) for condition in skip_set.conditions
        )
    return any(_holds(condition, walk, reference, before) for condition in skip_set.conditions)


def _holds(condition: Condition, walk: Walk, reference: int, before: int) -> bool:
    kind = condition.kind
    if kind is ConditionKind.VACCINE_COUNT:
        return _count_holds(condition, walk, before)
    if kind is ConditionKind.AGE:
        return _in_age_window(condition, walk.chart.birth, reference)
    if kind is ConditionKind.INTERVAL:
        return _interval_passed(condition, walk, reference, before)
    return _group_complete(condition, walk, before)


def _in_age_window(condition: Condition, birth: int, day: int) -> bool:
    if condition.begin_age is not None and day < condition.begin_age.date_ordinal(birth):
        return False
    return condition.end_age is None or day < condition.end_age.date_ordinal(birth)


def _interval_passed(condition: Condition, walk: Walk, reference: int, before: int) -> bool:
    """Table 6-8: the time since the dose before this one; with no dose before it the condition is not met."""
    previous = None
    for place in walk.places:
        if place >= before:
            break
        previous = walk.chart.doses[place].day
    if previous is None or condition.interval is None:
        return False
    return reference >= condition.interval.date_ordinal(previous)


def _group_complete(condition: Condition, walk: Walk, before: int) -> bool:
    """Table 6-7, asked of what was complete before the dose in question: later doses do not change an earlier one."""
    return not walk.complete_groups.get(before, frozenset()).isdisjoint(condition.series_groups)


def _count_holds(condition: Condition, walk: Walk, before: int) -> bool:
    counted = _counted_doses(condition, walk, before)
    if condition.logic is CountLogic.GREATER_THAN:
        return counted > condition.count
    if condition.logic is CountLogic.EQUAL:
        return counted == condition.count
    return counted < condition.count


def _counted_doses(condition: Condition, walk: Walk, before: int) -> int:
    """CONDSKIP-1: earlier doses of the named vaccines, given inside both windows.

    Named vaccines are sought in the whole history, since some belong to another antigen; with none named, the
    antigen's own doses count.
    """
    chart = walk.chart
    birth, doses, vaccines = chart.birth, chart.doses, condition.vaccines
    counted = 0
    for place in range(before) if vaccines and not condition.only_valid else walk.places:
        if place >= before:
            break
        dose = doses[place]
        if vaccines and dose.vaccine not in vaccines:
            continue
        if condition.only_valid and walk.statuses.get(place) is not DoseStatus.VALID:
            continue
        if condition.start_day <= dose.day < condition.end_day and _in_age_window(condition, birth, dose.day):
            counted += 1
    return counted
