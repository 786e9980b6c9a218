"""What a plan is made of: one item per series that matters to the child."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

from services.schedule.domain.verdicts import Because, DoseVerdict, Sentence

Status = Literal[
    "due", "overdue", "upcoming", "done", "window_closed", "not_recommended", "contraindicated", "needs_person"
]
OPEN: Final[frozenset[str]] = frozenset({"due", "overdue", "upcoming"})
NOW: Final[frozenset[str]] = frozenset({"due", "overdue"})


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


def not_before(item: PlanItem, day: int, on: int, why: Because | None = None) -> PlanItem:
    """The item moved to an ordinal that it must wait for; closed where that is after its last day.

    `why` is the reason where the recommended day moves with it.
    """
    earliest = date.fromordinal(day)
    if item.latest is not None and earliest > item.latest:
        return item._replace(status="window_closed", earliest=earliest, recommended=None, overdue_from=None)
    if item.recommended is not None and item.recommended >= earliest:
        return item._replace(earliest=earliest)
    overdue = item.overdue_from
    if overdue is not None and overdue <= earliest:
        overdue = earliest + timedelta(days=1)
        if item.latest is not None and overdue > item.latest:
            overdue = None
    status: Status = item.status if day <= on else "upcoming"
    return item._replace(
        status=status, earliest=earliest, recommended=earliest, overdue_from=overdue, why=why or item.why
    )
