"""Facts about messages. Owner: notify."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from shared.events.base import Event

Urgency = Literal["info", "important", "emergency"]


class AnnouncementEvent(Event):
    """A fact about one announcement, keyed by it."""

    stream = "notify.announcement"
    readers = ("notify", "gateway")


class AnnouncementPublished(AnnouncementEvent):
    """A municipality published a notice; its audience was frozen as of `as_of`."""

    municipality: str
    title: dict[str, str]
    body: dict[str, str]
    urgency: Urgency
    audience: dict[str, Any]
    recipients: int
    as_of: datetime
    published_by: str
    expires_at: datetime | None = None
    approved_by: str | None = Field(default=None, description="The second person, for an emergency")
    break_glass: str | None = Field(default=None, description="Why an emergency went out without a second person")


class AnnouncementCorrected(AnnouncementEvent):
    """The text of a notice was put right; every inbox shows the new text."""

    title: dict[str, str]
    body: dict[str, str]
    reason: str


class AnnouncementRecalled(AnnouncementEvent):
    """A wrong notice was recalled; every inbox shows so."""

    reason: str


class FanoutPage(Event):
    """A range of a frozen recipient list to expand (internal), keyed by announcement and page."""

    stream = "notify.fanout"
    readers = ("notify",)

    announcement: str
    page: int
    first: int = Field(description="Index of the first recipient of this page in the frozen list")
    count: int
    change: int = Field(
        default=0, description="Which correction or recall its readers are told of; 0: the notice itself"
    )


class UrgentFanoutPage(FanoutPage):
    """The same for an emergency: a lane of its own, so that it overtakes a newsletter in progress."""

    stream = "notify.urgent"
    readers = ("notify",)


class DeliveryEvent(Event):
    """A fact about one recipient's messages, keyed by the recipient."""

    stream = "notify.delivery"
    readers = ("gateway",)


class MessageDelivered(DeliveryEvent):
    """An item lies in the recipient's inbox (channel inbox), or a channel's provider accepted it."""

    item: str
    announcement: str | None = None
    reminder: str | None = None
    article: str | None = Field(default=None, description="An article of the content library")
    child: str | None = Field(default=None, description="The child, or the pregnancy, that it is about")
    municipality: str
    channel: str
    urgency: Urgency
    title: dict[str, str]
    body: dict[str, str]
    delivered_at: datetime


class PageDelivered(DeliveryEvent):
    """A page of a notice's recipients has it, or what became of it, in their inboxes; keyed by announcement and page."""

    announcement: str
    page: int
    municipality: str
    urgency: Urgency
    recipients: tuple[str, ...]
    change: int = Field(default=0, description="Which correction or recall; 0: the notice itself")


class MessageRead(DeliveryEvent):
    """The recipient opened the item."""

    item: str
    announcement: str | None = None
    read_at: datetime


class DeliveryFailed(DeliveryEvent):
    """A channel refused the message for good, or its outcome will never be known."""

    item: str
    announcement: str | None = None
    municipality: str
    channel: str
    reason: str
    failed_at: datetime


class DutyCalled(DeliveryEvent):
    """Staff on duty are called, or the next ones since nobody took the alarm in time; keyed by the alarm."""

    municipality: str
    kind: str
    about: str = Field(description="Opaque id of what it is about")
    words: str = Field(description="May stand on a lock screen")
    step: int
    turn: int = Field(description="How often the ladder was begun")
    staff: tuple[str, ...]
    take_by: datetime


class AlarmTaken(DeliveryEvent):
    """A member of staff took the alarm: it climbs no further; keyed by the alarm."""

    municipality: str
    by: str
    taken_at: datetime
