"""Facts about plans, reminders and checks. Owner: schedule."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from shared.events.base import Data, Event


class Why(Data):
    """Why a date or a verdict is so: the rule's id, a plain sentence in two languages, and its source."""

    rule: str
    sentence: str
    sentence_en: str
    source: str


class PlanItem(Data):
    """One dose or checkup that is due, was due or will be. All dates inclusive, Asia/Tokyo."""

    series: str
    dose_number: int
    status: str
    earliest: date | None = None
    recommended: date | None = None
    overdue_from: date | None = None
    free_until: date | None = None
    latest: date | None = None
    vaccines: tuple[str, ...] = ()
    together: tuple[str, ...] = Field(default=(), description="Other due series that may be given on the same day")
    why: Why


class Reason(Data):
    """One reason of a verdict: stable code, rule, sentence."""

    code: str
    rule: str
    sentence: str
    sentence_en: str
    source: str = ""
    verdict: str = ""


class DoseVerdict(Data):
    """Legal (定期接種) and immunological verdict on one recorded dose, with every reason."""

    id: str
    series: str
    given_on: date | None = None
    dose_number: int | None = Field(
        default=None, description="Its number in the series; absent where it counts in none"
    )
    legal: str
    immunological: str
    legal_because: Why | None = Field(default=None, description="Why the law accepts it; absent where it does not")
    immunological_because: Why | None = Field(default=None, description="Why it counts; absent where it does not")
    reasons: tuple[Reason, ...] = ()


class ArmedReminder(Data):
    """A reminder that will fire at this instant unless its reason vanishes before."""

    id: str
    kind: Literal["eve", "morning", "last_free_30", "last_free_7", "overdue"]
    series: str
    dose_number: int
    fires_at: datetime


class PlanEvent(Event):
    """A fact about one child's (or pregnancy's) plan, keyed by it."""

    stream = "schedule.plan"
    readers = ("notify", "gateway")


class NationwidePlan(Data):
    """The plan by the national rules alone, as if the child lived in no town."""

    items: tuple[PlanItem, ...]
    doses: tuple[DoseVerdict, ...]


class PlanChanged(PlanEvent):
    """The plan is different from before; carries the whole plan and what it was based on."""

    rule_set: str
    as_of: date
    municipality: str
    items: tuple[PlanItem, ...]
    doses: tuple[DoseVerdict, ...]
    nationwide: NationwidePlan | None = Field(
        default=None,
        description="For a guardian from whom whereabouts are hidden (支援措置): a town's own programmes tell which town it "
        "is. Only where there is such a guardian and such a programme",
    )
    reminders: tuple[ArmedReminder, ...] = Field(default=(), description="All that are armed now")
    based_on: dict[str, int] = Field(description="stream:subject -> revision that the plan has seen")


class PlanConfirmed(PlanEvent):
    """The plan was recounted after events of the record and is the same; says what it has now seen."""

    as_of: date
    based_on: dict[str, int]


class ReminderCancelled(PlanEvent):
    """The reason of an armed reminder vanished before it fired."""

    reminder_id: str
    reason: Literal["done", "changed", "moved_on", "silenced"]


class ReminderDue(PlanEvent):
    """A reminder fired: tell the guardians. `free_until` is the last day without charge, if any."""

    reminder_id: str
    kind: str
    series: str
    dose_number: int
    recommended: date | None = None
    free_until: date | None = None


class DoseOverdue(PlanEvent):
    """A dose passed the day from which it is overdue; the child is on its municipality's not-yet list."""

    series: str
    dose_number: int
    overdue_from: date


class CheckupOverdue(PlanEvent):
    """A checkup's usual time passed without one."""

    kind: str
    overdue_from: date


class FollowUpChanged(PlanEvent):
    """Who follows up a not-yet child, and how far they are."""

    follow_up_id: str
    series: str
    dose_number: int
    state: Literal["unseen", "contacted", "booked", "declined", "done_elsewhere", "moved"]
    responsible: str | None = None


class PreCheckAnswered(PlanEvent):
    """A clinic asked before the needle; the question and the answer are kept."""

    check_id: str
    organisation: str
    code: str
    lot: str | None = None
    given_on: date
    verdict: Literal["allow", "warn", "stop"]
    reasons: tuple[Reason, ...] = ()


class LotRecalled(Event):
    """A lot was recalled; keyed by the lot."""

    stream = "schedule.lot"
    readers = ("records", "notify", "gateway")

    product: str
    lot: str
    reason: str
    detail: dict[str, Any] = Field(default_factory=dict)
