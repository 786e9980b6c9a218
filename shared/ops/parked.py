"""Parked subjects: a view could not apply one revision and holds all later ones until somebody looks (promise G6)."""

import importlib
import pkgutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import shared.events
from shared.auth import InternalTokens
from shared.documents import unmark
from shared.events.base import REGISTRY
from shared.internal_calls import InternalCalls
from shared.ops.places import Place, Trouble, about
from shared.outbox import ARCHIVE, archive_id
from shared.problems import Busy
from shared.store import Doc, Store
from shared.views import GENERATIONS, generation_name


@dataclass(frozen=True, slots=True)
class Parked:
    """A document that waits at one revision, and for what reason. Nothing of its content."""

    service: str
    view: str
    document: str
    stream: str
    subject: str
    revision: int
    reason: str
    waiting: int
    """The last revision that is known to exist."""


async def parked(place: Place) -> AsyncIterator[Parked]:
    """Every parked document of every service."""
    for service in place.stores:
        async with place.store(service) as store:
            for view in (await about(store, service))["views"]:
                await _follow(store, view)
                fields = ["parked", "wanted"]
                async for row in store.each(view, {"pending": {"$gte": 0}}, fields=fields):
                    if row.get("parked"):
                        yield _of(service, view, row)


def _of(service: str, view: str, row: Doc) -> Parked:
    found = row["parked"]
    stream, subject = unmark(found["mark"])
    wanted = row.get("wanted", {}).get(found["mark"], found["revision"])
    return Parked(service, view, row["_id"], stream, subject, found["revision"], found["reason"], wanted)


async def _follow(store: Store, view: str) -> None:
    """Look at the generation that is read."""
    row = await store.get(GENERATIONS, view) or {}
    store.names[view] = generation_name(view, int(row.get("live", 0)))


async def one(place: Place, service: str, view: str, document: str) -> tuple[Parked, str, str]:
    """(the parked document, its event's type, when it was announced); raises Trouble when it is not parked."""
    async with place.store(service) as store:
        _, found = await _load(store, service, view, document)
    kind, told = await type_of(place, found.stream, found.subject, found.revision)
    return found, kind, told


async def type_of(place: Place, stream: str, subject: str, revision: int) -> tuple[str, str]:
    """(type, instant) of an event in its owner's archive; raises Trouble when it is not there or its owner cannot be asked."""
    owner = stream.partition(".")[0]
    event: Doc | None = None
    if owner in place.stores:
        async with place.store(owner) as store:
            event = await store.get(ARCHIVE, archive_id(stream, subject, revision), ["type", "time"])
    elif place.settings is not None:
        calls = InternalCalls(place.settings, InternalTokens(place.settings))
        try:
            _, events = await calls.events_after(owner, stream, subject, revision - 1)
        except Busy:
            raise Trouble(f"{owner}, whose archive holds the event, cannot be asked. Nothing was touched.") from None
        finally:
            await calls.close()
        event = next(({"type": one.type, "time": one.time} for one in events if one.revision == revision), None)
    else:
        raise Trouble(f"The store of {owner}, whose archive holds the event, is not known here; use --data.", 2)
    if event is None:
        raise Trouble(f"{owner} never announced revision {revision} of {stream} {subject}: there is nothing to replay.")
    return str(event["type"]), str(event["time"])


def know(kind: str) -> None:
    """Raise Trouble for a type of event that this release does not have."""
    for module in pkgutil.iter_modules(shared.events.__path__):
        importlib.import_module(f"shared.events.{module.name}")
    if kind not in REGISTRY:
        raise Trouble(
            f"This release has no event {kind}, so replaying it would only park it again. Nothing was touched; "
            "deploy the release that knows it, or discard the event with a reason."
        )


async def _load(store: Store, service: str, view: str, document: str) -> tuple[Doc, Parked]:
    known = (await about(store, service))["views"]
    if view not in known:
        raise Trouble(f"{service} has no view {view}; it has {', '.join(known)}.", 2)
    await _follow(store, view)
    row = await store.get(view, document, ["version", "parked", "wanted", "applied"])
    if row is None or not row.get("parked"):
        raise Trouble(f"{document} is not parked in {view} of {service}. Nothing was touched.")
    return row, _of(service, view, row)


async def replay(
    place: Place, service: str, view: str, document: str, *, reason: str, who: str, dry_run: bool
) -> Parked:
    """Let the view try again from the owner's archive; raises Trouble, then nothing was touched."""
    async with place.store(service) as store:
        row, found = await _load(store, service, view, document)
        know((await type_of(place, found.stream, found.subject, found.revision))[0])
        if not dry_run:
            await place.note(store, service, "parked.replay", found.subject, reason, who)
            await _release(store, view, row, {})
    return found


async def discard(
    place: Place, service: str, view: str, document: str, *, reason: str, who: str, dry_run: bool
) -> Parked:
    """Let the view go on behind the event as if it said nothing; raises Trouble, then nothing was touched."""
    if not reason.strip():
        raise Trouble("An event is discarded with a reason only (--reason).", 2)
    async with place.store(service) as store:
        row, found = await _load(store, service, view, document)
        name = row["parked"]["mark"]
        if row.get("applied", {}).get(name, 0) != found.revision - 1:
            raise Trouble("What comes before it is missing too: let that heal first. Nothing was touched.")
        if not dry_run:
            await place.note(store, service, "parked.discard", found.subject, reason, who)
            await _release(store, view, row, {"applied": found.revision})
    return found


async def _release(store: Store, view: str, row: Doc, skip: Doc) -> None:
    name = row["parked"]["mark"]
    change: Doc = {
        "$unset": {"parked": ""},
        "$set": {"pending": int(time.time() * 1000)},
        "$inc": {"version": 1},
    }
    if skip:
        change["$set"][f"applied.{name}"] = skip["applied"]
        # A repeat of what was discarded is known, and not one that was passed over unread (ADR 59).
        change["$unset"][f"passed.{name}"] = ""
        if row.get("wanted", {}).get(name, 0) <= skip["applied"]:
            change["$unset"][f"wanted.{name}"] = ""
    if not await store.update(view, {"_id": row["_id"], "version": row["version"]}, change):
        raise Trouble("The document changed at this very moment; look again. Nothing was touched.")
