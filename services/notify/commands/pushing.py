"""Web Push: claimed before it is sent, never sent twice, an unknown outcome never tried again (protocol D3)."""

import asyncio
import base64
import re
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
from shared.problems import Busy, Forbidden, NotFound, invalid
from shared.settings import Settings
from shared.store import Doc, Store

log = structlog.get_logger(__name__)

IN_FLIGHT = 32
ATTEMPTS = 3
LONGEST_RETRY_S = 10.0
BREAK_AFTER = 10
BREAK_FOR_S = 30.0
TOKEN_LIFE_S = 12 * 3_600
MAX_SUBSCRIPTIONS = 20
MAX_ORIGINS = 1_000


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
    timeout_s: float = 10.0
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    _urgent_places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _tokens: dict[str, tuple[float, dict[str, str]]] = field(default_factory=dict)
    _vapid: Any = None

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
        browser = derived_id(endpoint, "browser")
        fields = {"recipient": principal.subject, "endpoint": endpoint, "browser": browser, "keys": keys}
        known = (await kept.browsers_of(self.store, [principal.subject])).get(principal.subject, [])
        others = [row for row in known if row["_id"] != row_id and row["browser"] != browser]
        if len(others) >= MAX_SUBSCRIPTIONS:
            raise invalid("/endpoint", "too-many", "登録できる端末は20台までです。", "At most 20 devices.")
        # Who signs in on a browser last is who reads its lock screen.
        for row in await self.store.find(kept.SUBSCRIPTIONS, {"browser": browser}, fields=["browser"]):
            if row["_id"] != row_id:
                await self.store.delete(kept.SUBSCRIPTIONS, {"_id": row["_id"]})
        if await self.store.update(kept.SUBSCRIPTIONS, {"_id": row_id}, {"$set": fields}):
            return False
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

    async def reachable(self, recipients: Sequence[str]) -> int:
        """How many of these have a browser that takes pushes."""
        return len(await kept.browsers_of(self.store, recipients))

    # Sending ------------------------------------------------------------------------------------------------------

    async def push(self, targets: Sequence[PushTarget], still_wanted: StillWanted) -> None:
        """Send each target to all browsers of its recipient, many at once, each at most once for ever.

        One that fails here stops no other; the first failure is raised when all are done, so that the batch comes again.
        """
        if self.settings.vapid_key_file is None:
            return
        browsers = await kept.browsers_of(self.store, [target.recipient for target in targets])
        jobs = [(target, row) for target in targets for row in browsers.get(target.recipient, ())]
        ended = await asyncio.gather(
            *(self._one(target, row, still_wanted) for target, row in jobs), return_exceptions=True
        )
        for failure in ended:
            if failure is not None:
                raise failure

    async def _one(self, target: PushTarget, browser: Doc, still_wanted: StillWanted) -> None:
        # An emergency does not wait for the places that a newsletter holds.
        async with self._urgent_places if target.urgency == "emergency" else self._places:
            claim = derived_id(target.item, browser["_id"], "web_push")
            row = {
                "_id": claim,
                "item": target.item,
                "announcement": target.announcement,
                "reminder": target.reminder,
                "recipient": target.recipient,
                "state": "claimed",
                "attempts": 0,
                "at": wire_instant(self.clock.now()),
            }
            if not await self.store.insert(kept.PUSHES, row):
                return
            crash_point("after_claim_before_push")
            await self._send(claim, target, browser["_id"], still_wanted)

    async def _send(self, claim: str, target: PushTarget, subscription: str, still_wanted: StillWanted) -> None:
        state, attempt, status = "refused", 0, None
        while attempt < ATTEMPTS:
            # Asked last, since a browser may have been forgotten, passed on or renewed while this waited for its place.
            wanted = await still_wanted(target)
            browser = await self.store.get(kept.SUBSCRIPTIONS, subscription) if wanted else None
            if browser is None:
                state = "withdrawn"
                break
            origin = _origin(browser["endpoint"])
            breaker = self._breaker(origin)
            if not breaker.closed():
                state = "provider-down"
                break
            attempt += 1
            try:
                body, headers = self._request(target, browser, origin)
                answer = await self.egress.post(browser["endpoint"], body, headers, timeout_s=self.timeout_s)
            except OutcomeUnknown:
                breaker.note(good=False)
                state = "unknown"
                break
            except NotSent:
                breaker.note(good=False)
                state = "not-sent"
                await asyncio.sleep(0.2 * attempt)
                continue
            except (EgressRefused, ValueError) as error:
                log.warning("push.refused_here", error=type(error).__name__)
                state = "refused"
                break
            status = answer.status_code
            crash_point("after_push_before_mark")
            breaker.note(good=status < 500)
            state = _state_of(status)
            if state == "gone":
                # Only the address that is gone: the browser may have subscribed anew meanwhile.
                gone = {"_id": subscription, "browser": browser["browser"]}
                await self.store.delete(kept.SUBSCRIPTIONS, gone)
            pause = _pause(status, answer.headers.get("retry-after"))
            if pause is None or pause > LONGEST_RETRY_S or attempt == ATTEMPTS:
                break
            await asyncio.sleep(pause)
        await self._mark(claim, state, attempt, status)

    def _breaker(self, origin: str) -> _Breaker:
        _keep_few(self._breakers)
        return self._breakers.setdefault(origin, _Breaker())

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
        headers = self._credentials(origin) | {
            "TTL": str(ttl_seconds(target.urgency)),
            "Urgency": urgency_header(target.urgency),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        return body, headers

    def _credentials(self, origin: str) -> dict[str, str]:
        """The VAPID header for a push service; one signature serves for half its life (RFC 8292 section 2)."""
        now = time.time()  # not the clock that a development platform moves: the push service looks at its own
        fresh_until, headers = self._tokens.get(origin, (0.0, {}))
        if now >= fresh_until:
            claims = {"aud": origin, "sub": "mailto:push@hagukumi.example", "exp": int(now) + TOKEN_LIFE_S}
            fresh_until, headers = now + TOKEN_LIFE_S / 2, dict(self._key().sign(claims))
            _keep_few(self._tokens)
            self._tokens[origin] = (fresh_until, headers)
        return headers

    def _key(self) -> Any:
        if self._vapid is None:
            if self.settings.vapid_key_file is None:
                raise Busy("Web Push is not set up on this platform.")
            self._vapid = Vapid02.from_file(str(self.settings.vapid_key_file))
        return self._vapid

    def public_key(self) -> str:
        """The application server key that browsers subscribe with: an uncompressed point, base64url."""
        point = self._key().public_key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _origin(endpoint: str) -> str:
    """The origin in its one spelling (RFC 6454 section 6.2): what `aud` must equal (RFC 8292 section 2)."""
    parts = urlsplit(endpoint)
    usual = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(usual)}"


def _keep_few(by_origin: dict[str, Any]) -> None:
    """Forget the oldest of too many origins: some push services have any number of hosts, and anybody may name them."""
    while len(by_origin) >= MAX_ORIGINS:
        del by_origin[next(iter(by_origin))]


def _state_of(status: int) -> str:
    """RFC 8030 section 5 and 7.3: created or accepted; gone for good; everything else is a refusal."""
    if status in {200, 201, 202}:
        return "accepted"
    return "gone" if status in {404, 410} else "refused"


def _pause(status: int, retry_after: str | None) -> float | None:
    """Seconds until a refused push may be tried again (RFC 9110 section 10.2.3), or None: never.

    429 refuses by itself (RFC 8030 section 8.4); 503 may come from something on the way, unless it says when to come back. A date
    is taken for longer than anybody waits here.
    """
    if status not in {429, 503} or (status == 503 and retry_after is None):
        return None
    if retry_after is None:
        return 1.0
    return float(retry_after) if re.fullmatch("[0-9]{1,6}", retry_after) else LONGEST_RETRY_S + 1


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
