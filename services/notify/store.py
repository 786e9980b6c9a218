"""Documents and domain objects of notify; the only file that names its collections.

Primary (never rebuilt): `announcements`, `recipients`, `inbox`, `mailboxes`, `pages`, `pushes`, `subscriptions`.
Views (rebuilt from the owners' history): `families` and its derived rows `audience`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from services.notify.domain.audience import Family
from shared.clock import wire_instant
from shared.documents import Document
from shared.ids import derived_id, new_id
from shared.store import Doc, Store
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
