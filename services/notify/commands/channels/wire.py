"""What all channels share: the message, the answer, and how a request to a provider ends."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown
from shared.ids import derived_id
from shared.store import Doc

LONGEST_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one address. `title` may stand on a lock screen; `body` goes only where a letter would."""

    claim: str
    item: str
    urgency: str
    title: str
    body: str
    language: str
    announcement: str | None

    @property
    def uuid(self) -> str:
        """Its id towards a provider: the same whenever this claim is sent."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"hagukumi:{self.claim}"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt.

    accepted · refused (definitely not sent) · gone (this address is dead) · not-sent (nothing left the house) · unknown
    (it may have arrived: never sent again). `reason` is the provider's documented code; `pause` the seconds after which a
    definite refusal may be tried again, None for never.
    """

    state: str
    status: int | None = None
    reason: str | None = None
    pause: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether the provider works, whatever it thinks of this message."""
        return self.state not in {"not-sent", "unknown"} and (self.status or 0) < 500


class Channel(Protocol):
    """One way out."""

    name: str

    def off(self) -> str | None:
        """Why nothing can be sent this way on this platform; None when it can."""

    def provider(self, address: Doc) -> str:
        """Whose failures count together."""

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """Try once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: Doc

    def pause(self) -> float | None:
        """Retry-After in seconds (RFC 9110 section 10.2.3), None without one; a date counts as longer than anybody waits."""
        told = self.headers.get("retry-after")
        if told is None:
            return None
        return float(told) if re.fullmatch("[0-9]{1,6}", told) else LONGEST_RETRY_S + 1


async def ask(
    egress: Egress,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    api: bool = True,
    http2: bool = False,
) -> Reply | Answer:
    """The provider's reply, or what became of a request that got none."""
    try:
        got = await egress.post(url, body, headers, timeout_s=timeout_s, api=api, http2=http2)
    except OutcomeUnknown as error:
        return Answer("unknown", reason=str(error))
    except NotSent as error:
        return Answer("not-sent", reason=str(error))
    except EgressRefused as error:
        return Answer("refused", reason=error.code)
    return Reply(got.status_code, got.headers, _object(got.content))


def _object(content: bytes) -> Doc:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def failed(reply: Reply, reason: str | None, *, gone: bool = False, again: float | None = None) -> Answer:
    """The answer to a request that the provider did not accept.

    A definite refusal (4xx, and 503 with a time to come back) did nothing; another 5xx may have: nobody knows.
    """
    if gone:
        return Answer("gone", reply.status, reason)
    pause = reply.pause()
    if reply.status == 503 and pause is not None:
        return Answer("refused", reply.status, reason, pause)
    if reply.status >= 500:
        return Answer("unknown", reply.status, reason)
    return Answer("refused", reply.status, reason, pause if pause is not None and again is not None else again)


def compact(value: Any) -> bytes:
    """JSON without spare bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def address_key(channel: str, address: str) -> str:
    """The device behind an address: whoever registers it last is who reads it."""
    return derived_id(address, channel)
