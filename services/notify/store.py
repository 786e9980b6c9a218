"""Documents and domain objects of notify; the only file that names its collections.

Primary (never rebuilt): `announcements`, `recipients`, `scheduled`, `inbox`, `mailboxes`, `pages`, `pushes`, `subscriptions`,
`waiting`.
Views (rebuilt from the owners' history): `families` and its derived rows `audience`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from services.notify.domain.audience import Family
from shared.clock import wire_instant
from shared.documents import Document
from shared.ids import derived_id, new_id
from shared.store import IDS_PER_QUERY, Doc, Store
from shared.views import Derived

ANNOUNCEMENTS = "announcements"
RECIPIENTS = "recipients"
INBOX = "inbox"
MAILBOXES = "mailboxes"
PAGES = "pages"
SCHEDULED = "scheduled"
FAMILIES = "families"
AUDIENCE = "audience"
SUBSCRIPTIONS = "subscriptions"
PUSHES = "pushes"
WAITING = "waiting"
PAGE_SIZE = 500


def audience_rows(doc: Document) -> dict[str, Doc]:
    """What audiences ask of a child, found by its municipality."""
    child = doc.state.get("child")
    if not child or doc.state.get("silenced"):
        return {}
    return {
        doc.id: {
            "municipality": child["municipality"],
            "birth_date": child["birth_date"],
            "district": child.get("district"),
            "guardians": sorted(doc.state.get("guardians", {})),
            "due": doc.state.get("due", {}),
        }
    }


FAMILY_DERIVED = (Derived(AUDIENCE, audience_rows, (("municipality",),)),)


async def ensure_indexes(store: Store) -> None:
    """The indexes that notify's own queries ask for."""
    await store.ensure_index(INBOX, ["recipient"])
    await store.ensure_index(INBOX, ["announcement"])
    await store.ensure_index(SCHEDULED, ["at"])
    await store.ensure_index(WAITING, ["at"])
    await store.ensure_index(SUBSCRIPTIONS, ["recipient"])
    await store.ensure_index(SUBSCRIPTIONS, ["browser"])
    await store.ensure_index(PUSHES, ["announcement"])


async def families_of(store: Store, municipality: str) -> list[Family]:
    """The families of a town, as audiences see them."""
    rows = await store.find(AUDIENCE, {"municipality": municipality})
    return [
        Family(
            child=row["_id"],
            birth_date=date.fromisoformat(row["birth_date"]),
            district=row.get("district"),
            guardians=tuple(row["guardians"]),
            due=row.get("due", {}),
        )
        for row in rows
        if not row["gone"]
    ]


async def freeze(store: Store, guardians: Sequence[str]) -> tuple[str, int]:
    """Keep a list of recipients before anything is announced (protocol D1): (its id, its number of pages)."""
    frozen = new_id()
    pages = [guardians[start : start + PAGE_SIZE] for start in range(0, len(guardians), PAGE_SIZE)]
    await store.insert_many(
        RECIPIENTS, [{"_id": f"{frozen}:{number}", "ids": list(page)} for number, page in enumerate(pages)]
    )
    return frozen, len(pages)


async def frozen_page(store: Store, frozen: str, page: int) -> list[str]:
    """One page of a frozen list."""
    row = await store.get(RECIPIENTS, f"{frozen}:{page}")
    return list(row["ids"]) if row is not None else []


async def frozen_range(store: Store, frozen: str, first: int, limit: int) -> list[str]:
    """Recipients of a frozen list from place `first` on, in their order."""
    found: list[str] = []
    for page in range(first // PAGE_SIZE, (first + limit - 1) // PAGE_SIZE + 1):
        found += await frozen_page(store, frozen, page)
    start = first % PAGE_SIZE
    return found[start : start + limit]


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


async def counts_of(store: Store, announcement: str) -> tuple[int, int]:
    """(inbox items of a notice, how many of them were read)."""
    rows = await store.find(INBOX, {"announcement": announcement}, fields=["read_at"])
    return len(rows), sum(1 for row in rows if row["read_at"] is not None)


async def pushes_of(store: Store, announcement: str) -> list[Doc]:
    """Every push of a notice that was ever claimed."""
    fields = ["recipient", "state", "status", "at", "attempts"]
    return await store.find(PUSHES, {"announcement": announcement}, fields=fields)


async def browsers_of(store: Store, recipients: Sequence[str]) -> dict[str, list[Doc]]:
    """The browsers that take pushes, by recipient."""
    found: dict[str, list[Doc]] = {}
    for start in range(0, len(recipients), IDS_PER_QUERY):
        chunk = recipients[start : start + IDS_PER_QUERY]
        query = {"recipient": chunk[0]} if len(chunk) == 1 else {"recipient": {"$in": list(chunk)}}
        for row in await store.find(SUBSCRIPTIONS, query):
            found.setdefault(row["recipient"], []).append(row)
    return found


def inbox_item(source: str, recipient: str, at: datetime, **fields: Any) -> Doc:
    """An inbox item; the same source and recipient always make the same one."""
    return {
        "_id": derived_id(source, recipient, "inbox"),
        "recipient": recipient,
        "at": at.astimezone(UTC).timestamp(),
        "read_at": None,
        **fields,
    }


def instant(seconds: float) -> str:
    """An instant as answers carry it."""
    return wire_instant(datetime.fromtimestamp(seconds, UTC))


async def inbox_of(store: Store, recipient: str) -> list[Doc]:
    """The items of one recipient, newest first; the id decides between items of one instant."""
    rows = await store.find(INBOX, {"recipient": recipient})
    return sorted(rows, key=lambda row: (-row["at"], row["_id"]))
