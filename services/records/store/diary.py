"""Diary entries, and which photos there should be."""

from collections.abc import AsyncIterator, Iterable
from datetime import date, timedelta

from services.records.store.collections import DIARY, PHOTOS
from shared.documents import Document, from_store
from shared.store import Store


async def diary_before(store: Store, child: str, first_day: date, place: str) -> AsyncIterator[Document]:
    """The child's entries before a place, newest first, for as long as the caller reads on.

    In windows that grow: the embedded store sorts all that a query finds before it counts to a limit.
    """
    last = date.fromisoformat(place[:10])
    days = 60
    while last >= first_day:
        since = max(first_day, last - timedelta(days=days))
        rows = await store.find(
            DIARY,
            {"state.child": child, "state.place": {"$gte": since.isoformat(), "$lt": place}},
            sort=[("state.place", -1)],
        )
        for row in rows:
            yield from_store(row)
        place, last, days = since.isoformat(), since - timedelta(days=1), days * 2


async def expect_photo(store: Store, file: str, entry: str, look_at: float) -> None:
    """Say, before a file is kept, which entry is going to name it; after `look_at` the keeper looks whether one does."""
    await store.insert(PHOTOS, {"_id": file, "entry": entry, "look_at": look_at})


async def doubt_photos(store: Store, files: Iterable[str], look_at: float) -> None:
    """Say, before an entry lets go of files, that the keeper has to look after them."""
    for file in files:
        await store.update(PHOTOS, {"_id": file}, {"$set": {"look_at": look_at}})


async def settle_photo(store: Store, file: str) -> None:
    """An entry names this file: nobody has to look any more."""
    await store.update(PHOTOS, {"_id": file}, {"$unset": {"look_at": ""}})


async def forget_photo(store: Store, file: str) -> None:
    """The file is gone."""
    await store.delete(PHOTOS, {"_id": file})


async def doubtful_photos(store: Store, now: float, limit: int = 100) -> list[tuple[str, str]]:
    """(file, entry) of the files that have to be looked after by now."""
    rows = await store.find(PHOTOS, {"look_at": {"$gte": 0, "$lte": now}}, limit=limit)
    return [(row["_id"], row["entry"]) for row in rows]
