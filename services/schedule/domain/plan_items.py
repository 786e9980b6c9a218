"""What a plan is made of: one item per series that matters to the child."""

from collections.abc import Mapping
from datetime import date
from typing import Literal, NamedTuple

from services.schedule.domain.verdicts import Because, DoseVerdict, Sentence

Status = Literal[
    "due", "overdue", "upcoming", "done", "window_closed", "not_recommended", "contraindicated", "needs_person"
]
OPEN: frozenset[str] = frozenset({"due", "overdue", "upcoming"})


class PlanItem(NamedTuple):
    """The next dose of a series, or a checkup. All days inclusive; None where there is no such day."""

    series: str
    dose_number: int
    status: Status
    earliest: date | None
    recommended: date | None
    overdue_from: date | None
    free_until: date | None
    latest: date | None
    vaccines: tuple[str, ...]
    why: Because
    together: tuple[str, ...] = ()


class Plan(NamedTuple):
    """A child's plan under one rule set as of one day; `sentences` are the rule set's, for whoever reads it."""

    rule_set: str
    as_of: date
    items: tuple[PlanItem, ...]
    doses: tuple[DoseVerdict, ...]
    sentences: Mapping[str, Sentence]
