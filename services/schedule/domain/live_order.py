"""Keeps live injected vaccines of one plan apart (注射生ワクチン 27日以上): on one day together, or 28 days after."""

from datetime import date
from typing import NamedTuple

from services.schedule.domain.legal_points import first_after
from services.schedule.domain.plan_items import OPEN, PlanItem, Status
from services.schedule.domain.rule_set import LiveConflict, RuleSet
from services.schedule.domain.verdicts import Because


class _Planned(NamedTuple):
    day: int
    series: str


def keep_live_apart(rules: RuleSet, items: list[PlanItem], on: int) -> None:
    """Move the recommended day of a live vaccine that would fall too near another one of the same plan.

    Each is taken on its recommended day, or today where that has passed. Free ones are placed first, in the order of
    their days; a voluntary one goes around them.
    """
    for conflict in rules.live_conflicts:
        open_ones = [
            (item.free_until is None, max(item.recommended.toordinal(), on), item.series, at)
            for at, item in enumerate(items)
            if item.status in OPEN and item.recommended is not None and _is_live(rules, item, conflict)
        ]
        if len(open_ones) < 2:
            continue
        planned: list[_Planned] = []
        for _, day, series, at in sorted(open_ones):
            moved, because_of = _free_day(conflict, planned, day)
            if because_of is not None:
                items[at] = _moved(rules, conflict, items[at], because_of, moved, on)
            planned.append(_Planned(moved, series))


def _is_live(rules: RuleSet, item: PlanItem, conflict: LiveConflict) -> bool:
    return any(rules.vaccines[code].live in conflict.following for code in item.vaccines if code in rules.vaccines)


def _free_day(conflict: LiveConflict, planned: list[_Planned], day: int) -> tuple[int, _Planned | None]:
    """The first day from this one that is a planned one or far enough from all, and what stood against this one."""
    against = next((other for other in planned if not _far(conflict, other.day, day)), None)
    if against is None:
        return day, None
    days = {other.day for other in planned} | {first_after(conflict.between, other.day) for other in planned}
    for candidate in sorted(days):
        if candidate > day and all(_far(conflict, other.day, candidate) for other in planned):
            return candidate, against
    return day, None


def _far(conflict: LiveConflict, one: int, other: int) -> bool:
    """Whether two days are the same, or lie far enough apart."""
    return one == other or first_after(conflict.between, min(one, other)) <= max(one, other)


def _moved(rules: RuleSet, conflict: LiveConflict, item: PlanItem, before: _Planned, day: int, on: int) -> PlanItem:
    if item.latest is not None and day > item.latest.toordinal():
        return item
    facts = (
        ("name", _fact(item.why, "name")),
        ("number", _fact(item.why, "number")),
        ("due_day", day),
        ("earlier", _names(rules, before.series)),
        ("earlier_day", before.day),
    )
    why = Because(conflict.rule, rules.sentences["plan_live_planned"], facts)
    status: Status = "upcoming" if on < day else item.status
    overdue = item.overdue_from
    if overdue is not None and overdue.toordinal() <= day:
        overdue = date.fromordinal(day + 1)
    return item._replace(status=status, recommended=date.fromordinal(day), overdue_from=overdue, why=why)


def _fact(why: Because, name: str) -> object:
    return next((fact for key, fact in why.facts if key == name), "")


def _names(rules: RuleSet, series: str) -> object:
    return next(
        (line.names for line in rules.lines.values() if any(course.series == series for course in line.courses)), series
    )
