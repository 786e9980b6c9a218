"""How a guardian is reached: devices, addresses, preferences, the calendar feed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.gateway.api.bodies.common import Body


class CalendarFeedBody(Body):
    """`plain` says only that there is something to do; `full` names vaccines and checkups, also on lock screens."""

    detail: Literal["plain", "full"] = "plain"


class PushSubscriptionBody(BaseModel):
    """A PushSubscription as the browser gives it (W3C Push API)."""

    model_config = ConfigDict(extra="allow")

    endpoint: str
    keys: dict[str, str]


class AddressBody(BaseModel):
    """An address at which the guardian wants messages: `line` (a user id), `sms` (a mobile number) or `mail`. A code is sent there."""

    model_config = ConfigDict(extra="allow")

    channel: str
    address: str


class ProofBody(BaseModel):
    """The six digits that were sent to the address."""

    model_config = ConfigDict(extra="allow")

    code: str


class PreferencesBody(BaseModel):
    """Language, the ways (push, line, sms, mail) by topic (notices, reminders, library), and whether information comes once a day."""

    model_config = ConfigDict(extra="allow")

    language: str = "ja"
    digest: bool = False
    topics: dict[str, list[str]] = {}


class DeviceBody(BaseModel):
    """An app's token: `fcm` (a registration token) or `apns` (a device token in hexadecimal)."""

    model_config = ConfigDict(extra="allow")

    channel: str
    token: str
