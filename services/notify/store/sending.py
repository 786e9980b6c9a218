"""How guardians are reached, what was sent to them by any channel, and what waits to be sent."""

from collections.abc import Sequence
from datetime import datetime

from services.notify.domain.audience import Contact
from services.notify.store.names import CALLS, CONTACTS, DIGESTS, LATER, PREFERENCES, PUSHES, SUBSCRIPTIONS
from shared.store import IDS_PER_QUERY, Doc, Store

_OUTCOME = ["recipient", "address", "channel", "change", "state"]


async def contact_of(store: Store, guardian: str) -> Contact:
    """How this guardian is reached now, from preferences and devices."""
    addresses = (await addresses_of(store, [guardian])).get(guardian, [])
    chosen = (await preferences_of(store, [guardian])).get(guardian, {})
    language = str(chosen.get("language", Contact().language))
    return Contact(language, tuple(sorted({channel_of(row) for row in addresses})))


async def language_of(store: Store, guardian: str) -> str:
    """The language that this guardian chose, or Japanese."""
    row = await store.get(CONTACTS, guardian, ["state.language"])
    return row["state"]["language"] if row is not None and "state" in row else Contact().language


async def pushes_of(store: Store, announcement: str) -> list[Doc]:
    """What became of every push of a notice that was ever claimed; how it came to that is `pushes_to`'s."""
    return await store.find(PUSHES, {"announcement": announcement}, fields=_OUTCOME)


async def pushes_to(store: Store, announcement: str, recipients: Sequence[str]) -> list[Doc]:
    """Every push of a notice to these recipients, with each attempt."""
    fields = [*_OUTCOME, "status", "reason", "at", "attempts", "tries"]
    found: list[Doc] = []
    for start in range(0, len(recipients), IDS_PER_QUERY):
        chunk = {"$in": list(recipients[start : start + IDS_PER_QUERY])}
        found += await store.find(PUSHES, {"announcement": announcement, "recipient": chunk}, fields=fields)
    return found


async def calls_of(store: Store, announcement: str) -> list[Doc]:
    """Every call that was noted for a notice."""
    return await store.find(CALLS, {"announcement": announcement})


async def put_later(store: Store, name: str, at: datetime, fields: Doc) -> None:
    """Remember what is to be sent at a time; a repeat keeps the first."""
    await store.insert(LATER, {"_id": name, "at": at.timestamp(), **fields})


async def later_until(store: Store, now: datetime) -> list[Doc]:
    """What has waited long enough."""
    return await store.find(LATER, {"at": {"$gte": 0, "$lte": now.timestamp()}}, limit=100)


async def done_later(store: Store, row: Doc) -> None:
    """It was sent."""
    await store.delete(LATER, {"_id": row["_id"]})


async def put_in_digest(store: Store, rows: Sequence[Doc]) -> None:
    """Leave items to the next daily digest."""
    await store.insert_many(DIGESTS, rows)


async def digests_until(store: Store, now: datetime) -> list[Doc]:
    """The items whose digest is due."""
    return await store.find(DIGESTS, {"at": {"$gte": 0, "$lte": now.timestamp()}}, limit=2_000)


def channel_of(address: Doc) -> str:
    """The channel of a registered address."""
    return str(address.get("channel", "web_push"))


async def addresses_of(store: Store, recipients: Sequence[str]) -> dict[str, list[Doc]]:
    """The addresses that were registered and, where that is asked, proven: by recipient."""
    found: dict[str, list[Doc]] = {}
    for start in range(0, len(recipients), IDS_PER_QUERY):
        chunk = recipients[start : start + IDS_PER_QUERY]
        query = {"recipient": chunk[0]} if len(chunk) == 1 else {"recipient": {"$in": list(chunk)}}
        for row in await store.find(SUBSCRIPTIONS, query):
            found.setdefault(row["recipient"], []).append(row)
    return found


async def preferences_of(store: Store, recipients: Sequence[str]) -> dict[str, Doc]:
    """What these guardians chose, as far as they chose."""
    return await store.get_many(PREFERENCES, recipients)
