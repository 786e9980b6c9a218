"""Notices: their frozen recipients, their times and pages, and the inbox items that they become."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.notify.domain.audience import Family
from services.notify.domain.disaster import Subject
from services.notify.store.names import ANNOUNCEMENTS, INBOX, LADDERS, PAGES, RECIPIENTS, SCHEDULED
from shared.clock import wire_instant
from shared.documents import Document, from_store
from shared.ids import derived_id, new_id
from shared.store import Doc, Store

PAGE_SIZE = 500


async def freeze(store: Store, guardians: Sequence[str], families: Sequence[Family] = ()) -> tuple[str, int]:
    """Keep a list of recipients before anything is announced (protocol D1): (its id, its number of pages).

    `families` are those whose safety is asked after.
    """
    frozen = new_id()
    pages = [guardians[start : start + PAGE_SIZE] for start in range(0, len(guardians), PAGE_SIZE)]
    await store.insert_many(
        RECIPIENTS, [{"_id": f"{frozen}:{number}", "ids": list(page)} for number, page in enumerate(pages)]
    )
    asked = [
        [one.child, "child" if one.birth_date is not None else "pregnancy", one.district, list(one.guardians)]
        for one in families
    ]
    await store.insert_many(
        RECIPIENTS,
        [
            {"_id": f"{frozen}:s{start // PAGE_SIZE}", "asked": asked[start : start + PAGE_SIZE]}
            for start in range(0, len(asked), PAGE_SIZE)
        ],
    )
    return frozen, len(pages)


async def subjects_of(store: Store, frozen: str) -> list[Subject]:
    """The children and pregnancies whose safety a notice asked after."""
    found: list[Subject] = []
    page = 0
    while (row := await store.get(RECIPIENTS, f"{frozen}:s{page}")) is not None:
        found += [Subject(one, kind, district, tuple(guardians)) for one, kind, district, guardians in row["asked"]]
        page += 1
    return found


async def frozen_page(store: Store, frozen: str, page: int) -> list[str]:
    """One page of a frozen list."""
    place = f"{frozen}:{page}"
    return (await frozen_pages(store, [place]))[place]


async def frozen_pages(store: Store, places: Sequence[str]) -> dict[str, list[str]]:
    """Pages of frozen lists, by place (the list's id, a colon, the page's number)."""
    rows = await store.get_many(RECIPIENTS, places)
    return {place: list(rows[place]["ids"]) if place in rows else [] for place in places}


async def frozen_range(store: Store, frozen: str, first: int, limit: int) -> list[str]:
    """Recipients of a frozen list from place `first` on, in their order."""
    found: list[str] = []
    for page in range(first // PAGE_SIZE, (first + limit - 1) // PAGE_SIZE + 1):
        found += await frozen_page(store, frozen, page)
    start = first % PAGE_SIZE
    return found[start : start + limit]


async def announcements_of(store: Store, municipality: str) -> list[Document]:
    """A town's notices, the newest first."""
    rows = await store.find(ANNOUNCEMENTS, {"state.municipality": municipality})
    return [from_store(row) for row in sorted(rows, key=lambda row: row["state"].get("made_at", ""), reverse=True)]


async def schedule(store: Store, announcement: str, at: datetime) -> None:
    """Remember when a notice is to be published; a repeat keeps the first."""
    await store.insert(SCHEDULED, {"_id": announcement, "at": at.timestamp()})


async def scheduled_until(store: Store, now: datetime) -> list[tuple[str, datetime]]:
    """Notices whose time has come."""
    rows = await store.find(SCHEDULED, {"at": {"$gte": 0, "$lte": now.timestamp()}}, limit=100)
    return [(row["_id"], datetime.fromtimestamp(row["at"], UTC)) for row in rows]


async def unschedule(store: Store, announcement: str) -> None:
    """It was published, or never will be."""
    await store.delete(SCHEDULED, {"_id": announcement})


async def published_between(store: Store, since: datetime, until: datetime) -> list[str]:
    """Notices whose recipients were frozen within this time."""
    where = {"state.as_of": {"$gte": wire_instant(since), "$lte": wire_instant(until)}}
    return [row["_id"] for row in await store.find(ANNOUNCEMENTS, where, fields=["_id"])]


async def pages_worked(store: Store, announcement: str, pages: Sequence[int]) -> dict[int, int]:
    """Which of these pages are in their inboxes, each with the last change that is told there."""
    places = {f"{announcement}:{page}": page for page in pages}
    found = await store.get_many(PAGES, places, ["state.change"])
    return {places[key]: row["state"].get("change", 0) for key, row in found.items()}


async def pages_climbed(store: Store, announcement: str) -> set[int]:
    """The pages of an emergency whose ladder was begun."""
    return {row["page"] for row in await store.find(LADDERS, {"announcement": announcement}, fields=["page"])}


async def counts_of(store: Store, announcement: str) -> tuple[int, int]:
    """(inbox items of a notice, how many of them were read)."""
    rows = await store.find(INBOX, {"announcement": announcement}, fields=["read_at"])
    return len(rows), sum(1 for row in rows if row["read_at"] is not None)


def inbox_item(source: str, recipient: str, at: datetime, **fields: Any) -> Doc:
    """An inbox item; the same source and recipient always make the same one."""
    return {
        "_id": derived_id(source, recipient, "inbox"),
        "recipient": recipient,
        "at": at.astimezone(UTC).timestamp(),
        "read_at": None,
        **fields,
    }


async def inbox_of(store: Store, recipient: str) -> list[Doc]:
    """The items of one recipient, newest first; the id decides between items of one instant."""
    rows = await store.find(INBOX, {"recipient": recipient})
    return sorted(rows, key=lambda row: (-row["at"], row["_id"]))
