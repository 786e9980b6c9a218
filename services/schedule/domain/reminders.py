"""Reminders of a plan: which are armed, when they fire, which lose their reason (お知らせ)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from services.schedule.domain.plan_items import OPEN

Kind = Literal["eve", "morning", "last_free_30", "last_free_7", "overdue"]
HORIZON: Final = timedelta(days=120)
"""Reminders are armed when their dose comes this near; each day's turn brings the next ones in."""


@dataclass(frozen=True, slots=True)
class DueItem:
    """What reminders need to know of a plan item. Dates inclusive, civil days in Tokyo."""

    series: str
    dose_number: int
    status: str
    earliest: date | None
    recommended: date | None
    overdue_from: date | None
    free_until: date | None


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder for a civil day and hour in Tokyo."""

    series: str
    dose_number: int
    kind: Kind
    day: date
    hour: int

    @property
    def key(self) -> str:
        """The same for the same reason: series, dose, kind and day."""
        return f"{self.series}:{self.dose_number}:{self.kind}:{self.day.isoformat()}"


def reminders_for(items: Iterable[DueItem], today: date) -> dict[str, Reminder]:
    """The reminders that this plan asks for from today on, by key.

    Eve (18:00) and morning (8:00) of the recommended day, 30 and 7 days before the last free day (9:00), and the day
    from which the dose is overdue (9:00). Only the next dose of a series is ever in a plan as waiting, and only one that
    may be given within the HORIZON is thought of.
    """
    wanted: dict[str, Reminder] = {}
    for item in items:
        if item.status not in OPEN or (item.earliest is not None and item.earliest > today + HORIZON):
            continue
        days: list[tuple[Kind, date | None, int]] = [
            ("eve", _before(item.recommended, 1), 18),
            ("morning", item.recommended, 8),
            ("last_free_30", _before(item.free_until, 30), 9),
            ("last_free_7", _before(item.free_until, 7), 9),
            ("overdue", item.overdue_from, 9),
        ]
        for kind, day, hour in days:
            if day is not None and day >= today:
                reminder = Reminder(item.series, item.dose_number, kind, day, hour)
                wanted[reminder.key] = reminder
    return wanted


def _before(day: date | None, days: int) -> date | None:
    return day - timedelta(days=days) if day is not None else None


def why_cancelled(reminder_key: str, items: Iterable[DueItem]) -> Literal["done", "changed"]:
    """Why an armed reminder lost its reason: its dose is no longer waiting, or its day moved."""
    series, dose, _, _ = reminder_key.split(":", 3)
    waiting = {(item.series, str(item.dose_number)) for item in items if item.status in OPEN}
    return "changed" if (series, dose) in waiting else "done"


def overdue(items: Iterable[DueItem], today: date) -> dict[str, date]:
    """Doses past the day from which they are overdue: `series:dose` -> that day."""
    return {
        f"{item.series}:{item.dose_number}": item.overdue_from
        for item in items
        if item.status in OPEN and item.overdue_from is not None and item.overdue_from <= today
    }
