"""Sending by every channel: claimed before it is sent, never sent twice, an unknown outcome never tried again (protocol D3)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from services.notify import store as kept
from services.notify.commands.channels.apns import Apns
from services.notify.commands.channels.fcm import Fcm
from services.notify.commands.channels.line import Line
from services.notify.commands.channels.mail import Mail
from services.notify.commands.channels.sms import Sms
from services.notify.commands.channels.web_push import WebPush, keep_few
from services.notify.commands.channels.wire import LONGEST_RETRY_S, Answer, Channel, Message
from services.notify.commands.together import Together
from services.notify.domain.deliveries import REPEATABLE
from services.notify.domain.notices import in_language
from services.notify.domain.preferences import channels_for, in_digest, next_digest
from shared.clock import Clock, wire_instant
from shared.egress import Egress
from shared.faults import crash_point
from shared.ids import derived_id
from shared.settings import Settings
from shared.store import Doc, Insert, Store, Update

log = structlog.get_logger(__name__)

IN_FLIGHT = 32
"""Of one channel and lane at once."""
ATTEMPTS = 3
BREAK_AFTER = 10
BREAK_FOR_S = 30.0


@dataclass(frozen=True, slots=True)
class PushTarget:
    """One message for one recipient; its titles (per language, Japanese always) may stand on a lock screen."""

    item: str
    recipient: str
    urgency: str
    titles: Mapping[str, str]
    bodies: Mapping[str, str] = field(default_factory=dict)
    announcement: str | None = None
    reminder: str | None = None
    topic: str = "notices"
    municipality: str = ""
    change: int = 0
    """Which correction or recall of the notice it tells of; 0: none, it is the notice itself."""


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
    """Sends messages to the addresses that guardians registered."""

    store: Store
    egress: Egress
    settings: Settings
    clock: Clock
    timeout_s: float = 10.0
    channels: dict[str, Channel] = field(default_factory=dict)
    lost: Callable[[str], Awaitable[None]] | None = None
    """Told whenever a guardian lost an address, so that previews count it no more."""
    _places: dict[tuple[str, bool], asyncio.Semaphore] = field(default_factory=dict)
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _claims: Together[Doc, bool] = field(init=False)
    _addresses: Together[str, Doc | None] = field(init=False)
    _marks: Together[Update, None] = field(init=False)

    def __post_init__(self) -> None:
        """Every channel that this platform knows, on or off."""
        ways: list[Channel] = [make(self.egress, self.settings) for make in (WebPush, Fcm, Apns, Line, Sms, Mail)]
        self.channels = {channel.name: channel for channel in ways}
        self._claims = Together(self._claim)
        self._addresses = Together(self._look_up)
        self._marks = Together(self._write_down)

    def public_key(self) -> str:
        """The application server key that browsers subscribe with: an uncompressed point, base64url."""
        web_push: Any = self.channels["web_push"]
        return str(web_push.public_key())

    def states(self) -> dict[str, str]:
        """Each channel: `on`, or `off` and why; an operator reads it beside readiness."""
        return {name: f"off: {why}" if (why := way.off()) else "on" for name, way in self.channels.items()}

    async def push(
        self,
        targets: Sequence[PushTarget],
        still_wanted: StillWanted,
        only: Collection[str] | None = None,
        addresses: Mapping[str, Sequence[Doc]] | None = None,
    ) -> dict[str, list[str]]:
        """Send each target to its recipient's addresses, many at once, to each at most once for ever.

        The channels are those that the recipient chose, or `only`; `addresses` are the recipients' where they are known. By item, the states in which its addresses ended. One that
        fails here stops no other; the first failure is raised when all are done, so that the batch comes again.
        """
        if addresses is None:
            addresses = await kept.addresses_of(self.store, [target.recipient for target in targets])
        preferences = await kept.preferences_of(self.store, sorted(addresses))
        jobs: list[tuple[PushTarget, Doc]] = []
        digest: list[Doc] = []
        for target in targets:
            preference = preferences.get(target.recipient)
            waits = target.topic != "digest" and not target.change and in_digest(preference, target.urgency)
            if only is None and waits:
                at = next_digest(self.clock.now()).timestamp()
                digest.append({"_id": target.item, "item": target.item, "recipient": target.recipient, "at": at})
                continue
            wanted = channels_for(preference, target.topic, target.urgency) if only is None else only
            for row in addresses.get(target.recipient, ()):
                if kept.channel_of(row) in wanted:
                    jobs.append((target, row))
        await kept.put_in_digest(self.store, digest)
        languages = {who: str(found.get("language", "ja")) for who, found in preferences.items()}
        ended = await asyncio.gather(
            *(self._one(target, row, languages.get(target.recipient, "ja"), still_wanted) for target, row in jobs),
            return_exceptions=True,
        )
        found: dict[str, list[str]] = {}
        for (target, _), state in zip(jobs, ended, strict=True):
            if isinstance(state, BaseException):
                raise state
            found.setdefault(target.item, []).append(state)
        return found

    async def repeat(self, target: PushTarget, row: Doc, still_wanted: StillWanted) -> str:
        """Send once more what definitely did not arrive, since a person asked for it; its state."""
        preference = (await kept.preferences_of(self.store, [target.recipient])).get(target.recipient, {})
        async with self._place(row["channel"], target.urgency):
            taken = {"$set": {"state": "claimed", "at": wire_instant(self.clock.now())}}
            if not await self.store.update(kept.PUSHES, {"_id": row["_id"], "state": row["state"]}, taken):
                return "claimed"
            message = self._message(row["_id"], target, str(preference.get("language", "ja")))
            return await self._send(message, target, row["channel"], row["address"], still_wanted)

    async def _one(self, target: PushTarget, address: Doc, language: str, still_wanted: StillWanted) -> str:
        channel = kept.channel_of(address)
        async with self._place(channel, target.urgency):
            claim = claim_of(target.item, address["_id"], channel, target.change)
            row = {
                "_id": claim,
                "item": target.item,
                "announcement": target.announcement,
                "reminder": target.reminder,
                "recipient": target.recipient,
                "municipality": target.municipality,
                "channel": channel,
                "address": address["_id"],
                "change": target.change,
                "state": "claimed",
                "attempts": 0,
                "at": wire_instant(self.clock.now()),
            }
            if not await self._claims(row):
                known = await self.store.get(kept.PUSHES, claim, ["state"])
                return str(known["state"]) if known is not None else "claimed"
            crash_point("after_claim_before_push")
            message = self._message(claim, target, language)
            return await self._send(message, target, channel, address["_id"], still_wanted)

    def _message(self, claim: str, target: PushTarget, language: str) -> Message:
        title = in_language(target.titles, language)
        body = in_language(target.bodies, language) if target.bodies else ""
        return Message(claim, target.item, target.urgency, title, body, language, target.announcement)

    async def _send(
        self, message: Message, target: PushTarget, channel: str, address_id: str, still_wanted: StillWanted
    ) -> str:
        way = self.channels[channel]
        answer, tries = Answer("refused"), list[Doc]()
        while len(tries) < ATTEMPTS:
            # Asked last, since an address may have been forgotten, passed on or renewed while this waited for its place.
            wanted = await still_wanted(target)
            address = await self._addresses(address_id) if wanted else None
            if address is None:
                answer = Answer("withdrawn")
                break
            why = way.off()
            breaker = self._breaker(way.provider(address))
            if why is not None or not breaker.closed():
                answer = Answer("off", reason=why) if why is not None else Answer("provider-down")
                break
            answer = await way.send(message, address, self.timeout_s)
            breaker.note(good=answer.healthy)
            tries.append(_try(answer, wire_instant(self.clock.now())))
            if answer.status is not None:
                crash_point("after_push_before_mark")
            if answer.state == "gone":
                # Only the address that is gone: the device may have registered anew meanwhile.
                await self.store.delete(kept.SUBSCRIPTIONS, {"_id": address_id, "device": address["device"]})
                if self.lost is not None:
                    await self.lost(target.recipient)
            pause = 0.2 * len(tries) if answer.state == "not-sent" else answer.pause
            if pause is None or pause > LONGEST_RETRY_S or len(tries) == ATTEMPTS:
                break
            await asyncio.sleep(pause)
        await self._mark(message.claim, answer, tries)
        return answer.state

    async def _mark(self, claim: str, answer: Answer, tries: list[Doc]) -> None:
        change: Doc = {
            "state": answer.state,
            "attempts": len(tries),
            "status": answer.status,
            "reason": answer.reason,
            "at": wire_instant(self.clock.now()),
        }
        if answer.state in REPEATABLE or answer.state in {"gone", "unknown"}:
            change["tell"] = self.clock.now().timestamp()
        update: Doc = {"$set": change}
        if tries:
            update["$push"] = {"tries": {"$each": tries, "$slice": -20}}
        await self._marks(Update({"_id": claim}, update))

    async def _claim(self, rows: list[Doc]) -> list[bool]:
        """Which of these claims are ours; of two that are one, the first."""
        _, taken = await self.store.bulk(kept.PUSHES, [Insert(row) for row in rows])
        return [place not in taken for place in range(len(rows))]

    async def _look_up(self, ids: list[str]) -> list[Doc | None]:
        found = await self.store.get_many(kept.SUBSCRIPTIONS, ids)
        return [found.get(one) for one in ids]

    async def _write_down(self, updates: list[Update]) -> list[None]:
        await self.store.bulk(kept.PUSHES, updates)
        return [None] * len(updates)

    def _place(self, channel: str, urgency: str) -> asyncio.Semaphore:
        """An emergency does not wait for the places that a newsletter holds, nor one channel for another's."""
        return self._places.setdefault((channel, urgency == "emergency"), asyncio.Semaphore(IN_FLIGHT))

    def _breaker(self, provider: str) -> _Breaker:
        keep_few(self._breakers)
        return self._breakers.setdefault(provider, _Breaker())


def claim_of(item: str, address_id: str, channel: str, change: int = 0) -> str:
    """The id of the one claim that there is for telling this address of an item, or of a change of it."""
    return derived_id(item, address_id, channel, *([f"change {change}"] if change else []))


def _try(answer: Answer, at: str) -> Doc:
    return {"at": at, "state": answer.state, "status": answer.status, "reason": answer.reason}
