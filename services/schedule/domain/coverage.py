"""The not-yet list (未受診者・未接種者): who is due and not seen, how far the follow-up is, and that nobody is missing.

Every child of a municipality is either on the list for a series, or settled for it in a named way; the counts add up
to the number of children to the last one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from services.schedule.domain.plan_items import OPEN, Plan, PlanItem

Urgency = Literal["due", "overdue", "closing"]
FollowUpState = Literal["unseen", "contacted", "booked", "declined", "done_elsewhere", "moved"]
Settled = Literal[
    "done", "upcoming", "window_closed", "not_recommended", "contraindicated", "needs_person", "not_concerned"
]
CLOSING_DAYS: Final = 30
_SETTLING: frozenset[FollowUpState] = frozenset({"done_elsewhere", "moved"})


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How far the follow-up of one line is, and whose it is; nobody's until somebody takes it."""

    state: FollowUpState = "unseen"
    responsible: str | None = None


@dataclass(frozen=True, slots=True)
class NotYet:
    """One line of the list: a child, what is missing, how urgent, and the follow-up."""

    child: str
    series: str
    dose_number: int
    urgency: Urgency
    since: date | None
    free_until: date | None
    follow_up: FollowUp


def is_closing(free_until: date | None, on: date) -> bool:
    """Whether a free window is open and closes within 30 days."""
    return free_until is not None and on <= free_until <= on + timedelta(days=CLOSING_DAYS)


def may_close_first(recommended: date | None, free_until: date | None) -> bool:
    """Whether the window begins to close before the dose's usual time has come: it is listed earlier than it is due."""
    if recommended is None or free_until is None:
        return False
    return free_until - timedelta(days=CLOSING_DAYS) < recommended


def urgency_of(
    earliest: date | None, recommended: date | None, overdue_from: date | None, free_until: date | None, on: date
) -> Urgency | None:
    """How urgent an open item is: its free window closes within 30 days, it is overdue, or due; None where it can wait.

    A dose whose window closes soon is listed although its usual time has not come. Closing outweighs overdue: what is
    overdue can still be made up, a window that has closed cannot be opened again.
    """
    if earliest is None or earliest > on:
        return None
    if is_closing(free_until, on):
        return "closing"
    if overdue_from is not None and overdue_from <= on:
        return "overdue"
    return "due" if recommended is not None and recommended <= on else None


def urgency_in_plan(item: PlanItem, on: date) -> Urgency | None:
    """How urgent an item of a plan is; None where nothing of it waits."""
    if item.status not in OPEN:
        return None
    return urgency_of(item.earliest, item.recommended, item.overdue_from, item.free_until, on)


MOST_URGENT_FIRST: Mapping[Urgency, int] = {"closing": 0, "overdue": 1, "due": 2}


def not_yet(plans: Mapping[str, Plan], follow_ups: Mapping[tuple[str, str, int], FollowUp]) -> list[NotYet]:
    """The list of a municipality from its children's plans, most urgent first; each line with its follow-up."""
    lines = [
        NotYet(
            child,
            item.series,
            item.dose_number,
            urgency,
            item.recommended,
            item.free_until,
            follow_ups.get((child, item.series, item.dose_number), FollowUp()),
        )
        for child, plan in plans.items()
        for item in plan.items
        if (urgency := urgency_in_plan(item, plan.as_of)) is not None
    ]
    return sorted(
        lines, key=lambda line: (MOST_URGENT_FIRST[line.urgency], line.free_until or date.max, line.child, line.series)
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a municipality's children stand for one series. `waiting` by urgency, `settled` by how."""

    series: str
    children: int
    waiting: Mapping[str, int]
    settled: Mapping[str, int]
    states: Mapping[str, int]

    @property
    def adds_up(self) -> bool:
        """Whether every child is counted exactly once."""
        return sum(self.waiting.values()) + sum(self.settled.values()) == self.children


def coverage(
    series: Iterable[str], plans: Mapping[str, Plan], follow_ups: Mapping[tuple[str, str, int], FollowUp]
) -> list[Coverage]:
    """The standing of all children for each series; nobody is left out and nobody counted twice."""
    found = []
    for name in series:
        waiting: Counter[str] = Counter()
        settled: Counter[str] = Counter()
        states: Counter[str] = Counter()
        for child, plan in plans.items():
            item = next((item for item in plan.items if item.series == name), None)
            if item is None:
                settled["not_concerned"] += 1
                continue
            urgency = urgency_in_plan(item, plan.as_of)
            follow_up = follow_ups.get((child, name, item.dose_number), FollowUp())
            if urgency is None:
                settled[item.status if item.status not in {"due", "overdue"} else "upcoming"] += 1
            elif follow_up.state in _SETTLING:
                settled[follow_up.state] += 1
            else:
                waiting[urgency] += 1
                states[follow_up.state] += 1
        found.append(Coverage(name, len(plans), dict(waiting), dict(settled), dict(states)))
    return found
