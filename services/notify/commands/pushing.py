"""Web Push: claimed before it is sent, never sent twice, an unknown outcome never tried again (protocol D3)."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import http_ece
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from services.notify import store as kept
from services.notify.domain.web_push import SubscriptionError, check_keys, payload, ttl_seconds, urgency_header
from shared.auth import Principal
from shared.clock import Clock, wire_instant
from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown
from shared.faults import crash_point
from shared.ids import derived_id
from shared.problems import Forbidden, NotFound, invalid
from shared.settings import Settings
from shared.store import Doc, Store

log = structlog.get_logger(__name__)

IN_FLIGHT = 32
ATTEMPTS = 3
LONGEST_RETRY_S = 5.0
BREAK_AFTER = 10
BREAK_FOR_S = 30.0
TOKEN_LIFE_S = 12 * 3_600
MAX_SUBSCRIPTIONS = 20


@dataclass(frozen=True, slots=True)
class PushTarget:
    """One message for one recipient; `title` may stand on a lock screen."""

    item: str
    recipient: str
    urgency: str
    title: str
    announcement: str | None
    reminder: str | None


@dataclass(slots=True)
class _Breaker:
    """Opens after many failures in a row, so that a dead provider costs no time (guarantee G10)."""

    failures: int = 0
    open_until: float = 0.0

    def closed(self) -> bool:
        return time.monotonic() >= self.open_until

    def note(self, *, good: bool) -> None:
        self.failures = 0 if good else self.failures + 1
        if self.failures >= BREAK_AFTER:
            self.open_until = time.monotonic() + BREAK_FOR_S
            self.failures = 0


StillWanted = Callable[[PushTarget], Awaitable[bool]]


@dataclass(slots=True)
class Pusher:
    """Sends pushes to the browsers that guardians registered."""

    store: Store
    egress: Egress
    settings: Settings
    clock: Clock
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _vapid: Any = None

    async def ensure_indexes(self) -> None:
        """The indexes of subscriptions and claims."""
        await self.store.ensure_index(kept.SUBSCRIPTIONS, ["recipient"])
        await self.store.ensure_index(kept.PUSHES, ["announcement"])

    # Subscriptions ------------------------------------------------------------------------------------------------

    async def subscribe(self, principal: Principal, name: str, endpoint: str, keys: Doc) -> bool:
        """Register a browser of this guardian, or replace it; whether it is new."""
        if principal.role != "guardian":
            raise Forbidden
        try:
            self.egress.check(endpoint)
        except EgressRefused as error:
            raise invalid(
                "/endpoint", error.code, "この送信先には対応していません。", "This push service is not one we send to."
            ) from None
        try:
            check_keys(keys)
        except SubscriptionError as error:
            raise invalid(
                error.pointer, error.code, "鍵の形式が正しくありません。", "The key cannot be used."
            ) from None
        row_id = derived_id(principal.subject, name, "subscription")
        fields = {"recipient": principal.subject, "endpoint": endpoint, "keys": keys, "active": True}
        if await self.store.update(kept.SUBSCRIPTIONS, {"_id": row_id}, {"$set": fields}):
            return False
        if len(await self._browsers(principal.subject)) >= MAX_SUBSCRIPTIONS:
            raise invalid("/endpoint", "too-many", "登録できる端末は20台までです。", "At most 20 devices.")
        return await self.store.insert(
            kept.SUBSCRIPTIONS, {"_id": row_id, **fields, "created_at": wire_instant(self.clock.now())}
        )

    async def unsubscribe(self, principal: Principal, name: str) -> None:
        """Forget a browser of this guardian."""
        if principal.role != "guardian":
            raise Forbidden
        row_id = derived_id(principal.subject, name, "subscription")
        if not await self.store.delete(kept.SUBSCRIPTIONS, {"_id": row_id}):
            raise NotFound

    async def _browsers(self, recipient: str) -> list[Doc]:
        return [row for row in await self.store.find(kept.SUBSCRIPTIONS, {"recipient": recipient}) if row["active"]]

    # Sending ------------------------------------------------------------------------------------------------------

    async def push(self, targets: Sequence[PushTarget], still_wanted: StillWanted) -> None:
        """Send each target to all browsers of its recipient, many at once, each at most once for ever."""
        jobs = [(target, row) for target in targets for row in await self._browsers(target.recipient)]
        await asyncio.gather(*(self._one(target, row, still_wanted) for target, row in jobs))

    async def _one(self, target: PushTarget, browser: Doc, still_wanted: StillWanted) -> None:
        async with self._places:
            claim = derived_id(target.item, browser["_id"], "web_push")
            row = {
                "_id": claim,
                "item": target.item,
                "announcement": target.announcement,
                "recipient": target.recipient,
                "state": "claimed",
                "attempts": 0,
                "at": wire_instant(self.clock.now()),
            }
            if not await self.store.insert(kept.PUSHES, row):
                return
            crash_point("after_claim_before_push")
            if not await still_wanted(target):
                await self._mark(claim, "withdrawn", 0)
                return
            await self._send(claim, target, browser)

    async def _send(self, claim: str, target: PushTarget, browser: Doc) -> None:
        origin = _origin(browser["endpoint"])
        breaker = self._breakers.setdefault(origin, _Breaker())
        state, attempt, status = "refused", 0, None
        while attempt < ATTEMPTS:
            if not breaker.closed():
                state = "provider-down"
                break
            attempt += 1
            try:
                answer = await self.egress.post(browser["endpoint"], *self._request(target, browser, origin))
            except OutcomeUnknown:
                breaker.note(good=False)
                state = "unknown"
                break
            except NotSent:
                breaker.note(good=False)
                state = "not-sent"
                await asyncio.sleep(0.2 * attempt)
                continue
            except EgressRefused:
                state = "refused"
                break
            status = answer.status_code
            crash_point("after_push_before_mark")
            breaker.note(good=status < 500)
            state = _state_of(status)
            if status not in {429, 503} or attempt == ATTEMPTS:
                break
            await asyncio.sleep(_retry_after(answer.headers.get("retry-after")))
        if state == "gone":
            await self.store.update(kept.SUBSCRIPTIONS, {"_id": browser["_id"]}, {"$set": {"active": False}})
        await self._mark(claim, state, attempt, status)

    async def _mark(self, claim: str, state: str, attempts: int, status: int | None = None) -> None:
        change = {"state": state, "attempts": attempts, "status": status, "at": wire_instant(self.clock.now())}
        await self.store.update(kept.PUSHES, {"_id": claim}, {"$set": change})

    def _request(self, target: PushTarget, browser: Doc, origin: str) -> tuple[bytes, dict[str, str]]:
        """Encrypted body (RFC 8291) and headers (RFC 8030, RFC 8292)."""
        private = ec.generate_private_key(ec.SECP256R1())
        body = http_ece.encrypt(
            payload(target.item, target.title, target.urgency, target.announcement),
            private_key=private,
            dh=_decode(browser["keys"]["p256dh"]),
            auth_secret=_decode(browser["keys"]["auth"]),
            version="aes128gcm",
        )
        expires = int(time.time()) + TOKEN_LIFE_S
        claims = {"aud": origin, "sub": "mailto:push@hagukumi.example", "exp": expires}
        headers = dict(self._key().sign(claims))
        headers |= {
            "TTL": str(ttl_seconds(target.urgency)),
            "Urgency": urgency_header(target.urgency),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        return body, headers

    def _key(self) -> Any:
        if self._vapid is None:
            if self.settings.vapid_key_file is None:
                raise RuntimeError("HAGUKUMI_VAPID_KEY_FILE is not set")
            self._vapid = Vapid02.from_file(str(self.settings.vapid_key_file))
        return self._vapid

    def public_key(self) -> str:
        """The application server key that browsers subscribe with: an uncompressed point, base64url."""
        point = self._key().public_key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()

    async def outcomes(self, announcement: str) -> dict[str, int]:
        """How many pushes of a notice ended in which state."""
        counts: dict[str, int] = {}
        for row in await self.store.find(kept.PUSHES, {"announcement": announcement}, fields=["state"]):
            counts[row["state"]] = counts.get(row["state"], 0) + 1
        return counts


def _origin(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def _state_of(status: int) -> str:
    """RFC 8030 section 5 and 7.3: created or accepted; gone for good; everything else is a refusal."""
    if status in {200, 201, 202}:
        return "accepted"
    return "gone" if status in {404, 410} else "refused"


def _retry_after(header: str | None) -> float:
    return min(float(header), LONGEST_RETRY_S) if header is not None and header.isdigit() else 1.0


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
