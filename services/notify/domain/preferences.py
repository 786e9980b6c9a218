"""Which messages reach a guardian by which channel, and when: the guardian's choice, and what holds where nothing was chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

TOKYO = ZoneInfo("Asia/Tokyo")
PUSH = ("web_push", "fcm", "apns")
"""Pushes to an app or browser: one choice for the guardian, whichever device it is."""
WAYS = {"push": PUSH, "line": ("line",), "sms": ("sms",), "mail": ("mail",)}
TOPICS = ("notices", "reminders", "library")
DEFAULT_WAYS = ("push", "line", "mail")
"""An SMS costs the town money and is kept for emergencies, unless a guardian asks for it."""
DIGEST_HOUR = 18


def channels_for(preference: Mapping[str, Any] | None, topic: str, urgency: str) -> frozenset[str]:
    """The channels that a message goes to. An emergency goes wherever the guardian can be reached."""
    if urgency == "emergency":
        return frozenset(name for names in WAYS.values() for name in names)
    if topic == "digest":
        topic = "notices"
    chosen = ((preference or {}).get("topics") or {}).get(topic, DEFAULT_WAYS)
    return frozenset(name for way in chosen for name in WAYS.get(way, ()))


def in_digest(preference: Mapping[str, Any] | None, urgency: str) -> bool:
    """Whether this guardian wants such messages once a day together."""
    return urgency == "info" and bool((preference or {}).get("digest"))


@dataclass(frozen=True, slots=True)
class Night:
    """The hours in Tokyo during which only emergencies are pushed; from and to the same hour: there is no night."""

    begins: int = 22
    ends: int = 7

    def quiet_until(self, now: datetime) -> datetime | None:
        """When the night's quiet ends, or None by day."""
        here = now.astimezone(TOKYO)
        into = (here.hour - self.begins) % 24
        if into >= (self.ends - self.begins) % 24:
            return None
        morning = here.replace(hour=self.ends, minute=0, second=0, microsecond=0)
        return morning if here.hour < self.ends else morning + timedelta(days=1)


def next_digest(now: datetime) -> datetime:
    """When the next daily digest goes out: 18:00 in Tokyo."""
    here = now.astimezone(TOKYO)
    today = here.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return today if here < today else today + timedelta(days=1)
