"""A guardian's calendar feed: a secret address that calendar programs read without signing in, and that can be taken back."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.notify import store as kept
from services.notify.domain.calendar_feed import Detail, Entry, feed
from shared.auth import Principal
from shared.clock import Clock, wire_instant
from shared.documents import Command, Documents
from shared.problems import Forbidden, NotFound
from shared.store import Doc, Store

SUFFIX = ".ics"


@dataclass(frozen=True, slots=True)
class Calendars:
    """What feeds are made from. `key` is known to this service alone."""

    store: Store
    families: Documents
    texts: Mapping[str, Any]
    clock: Clock
    key: bytes


async def open_feed(calendars: Calendars, principal: Principal, detail: Detail, command: Command) -> Doc:
    """A new address; the one before ends. It is told in this answer alone, and told again only to a repeat of the same request."""
    _guardians_only(principal)
    secret = hmac.new(calendars.key, f"calendar\x1f{command.id}".encode(), hashlib.sha256).hexdigest()
    row = {
        "_id": _known_as(secret),
        "guardian": principal.subject,
        "detail": detail,
        "opened_at": wire_instant(calendars.clock.now()),
    }
    if await calendars.store.insert(kept.CALENDARS, {**row, "ended": False}):
        await _end(calendars, principal.subject, but=row["_id"])
    return {"url": f"/v1/calendars/{secret}{SUFFIX}", "detail": detail}


async def close_feed(calendars: Calendars, principal: Principal) -> None:
    """End the guardian's feed; from now on its address is not there."""
    _guardians_only(principal)
    if not await _end(calendars, principal.subject):
        raise NotFound


async def read_feed(calendars: Calendars, address: str) -> bytes:
    """What the guardian behind this address has to do for its children today; NotFound for an address that is none."""
    row = await calendars.store.get(kept.CALENDARS, _known_as(address.removesuffix(SUFFIX)))
    if row is None or row["ended"]:
        raise NotFound
    bonds = await kept.bonds_of(calendars.store, row["guardian"])
    children = await calendars.families.load_many(bond["of"] for bond in bonds)
    entries = [
        Entry(
            child=child.id,
            birth_date=date.fromisoformat(child.state["child"]["birth_date"]),
            series=line["series"],
            dose_number=line["dose_number"],
            recommended=_day(line["recommended"]),
            free_until=_day(line["free_until"]),
        )
        for child in children.values()
        if "child" in child.state and row["guardian"] in child.state.get("guardians", {})
        for line in child.state.get("dates", ())
    ]
    language = await kept.language_of(calendars.store, row["guardian"])
    return feed(entries, calendars.texts, row["detail"], language, calendars.clock.now())


async def _end(calendars: Calendars, guardian: str, but: str = "") -> bool:
    """End the guardian's feeds; whether there was one. The row stays, so that no repeat opens it again."""
    ended = False
    for row in await calendars.store.find(kept.CALENDARS, {"guardian": guardian}):
        if not row["ended"] and row["_id"] != but:
            ended |= await calendars.store.update(kept.CALENDARS, {"_id": row["_id"]}, {"$set": {"ended": True}})
    return ended


def _known_as(secret: str) -> str:
    """What is kept of a secret: whoever reads the store cannot read a calendar."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _guardians_only(principal: Principal) -> None:
    if principal.role != "guardian":
        raise Forbidden


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text is not None else None
