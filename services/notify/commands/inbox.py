"""A guardian's inbox: newest first, each item with its notice's present text and state."""

from collections.abc import Mapping
from typing import Any

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from shared.auth import Principal
from shared.documents import Document
from shared.events.notify import MessageRead
from shared.problems import Forbidden, NotFound
from shared.store import Doc

RECALLED = {
    "title": {"ja": "このお知らせは取り消されました", "en": "This notice was recalled"},
    "body": {"ja": "先にお送りしたお知らせは誤りでした。", "en": "The notice sent before was wrong."},
}


async def read_inbox(
    notices: Notices, principal: Principal, limit: int, after: tuple[float, str] | None
) -> tuple[list[Doc], int, tuple[float, str] | None]:
    """(items of this page, how many are unread, the place after the last one or None)."""
    if principal.role != "guardian":
        raise Forbidden
    rows = await kept.inbox_of(notices.store, principal.subject)
    unread = sum(1 for row in rows if row["read_at"] is None)
    left = rows if after is None else [row for row in rows if (-row["at"], row["_id"]) > (-after[0], after[1])]
    page = left[:limit]
    announcements = await notices.announcements.load_many(
        {row["announcement"] for row in page if row.get("announcement")}
    )
    items = [_shown(row, announcements) for row in page]
    more = (page[-1]["at"], page[-1]["_id"]) if len(left) > limit else None
    return items, unread, more


def _shown(row: Doc, announcements: Mapping[str, Document]) -> Doc:
    item: Doc = {
        "id": row["_id"],
        "at": kept.instant(row["at"]),
        "read_at": kept.instant(row["read_at"]) if row["read_at"] is not None else None,
        "municipality": row["municipality"],
    }
    if row.get("announcement"):
        state: Mapping[str, Any] = announcements[row["announcement"]].state
        words = RECALLED if state["state"] == "recalled" else state
        return {
            **item,
            "announcement": row["announcement"],
            "urgency": state["urgency"],
            "state": "recalled"
            if state["state"] == "recalled"
            else "corrected"
            if state.get("corrected")
            else "current",
            "title": words["title"],
            "body": words["body"],
            "expires_at": state.get("expires_at"),
        }
    return {
        **item,
        "reminder": row["reminder"],
        "child": row["child"],
        "urgency": "info",
        "state": "current",
        "title": row["title"],
        "body": row["body"],
    }


async def mark_read(notices: Notices, principal: Principal, item: str) -> Doc:
    """The guardian opened an item; the first time is kept."""
    if principal.role != "guardian":
        raise Forbidden
    row = await notices.store.get(kept.INBOX, item)
    if row is None or row["recipient"] != principal.subject:
        raise NotFound
    now = notices.now
    first = await notices.store.update(
        kept.INBOX, {"_id": item, "read_at": None}, {"$set": {"read_at": now.timestamp()}}
    )
    if first:

        def decide(doc: Document) -> Doc:
            doc.state["read"] = doc.state.get("read", 0) + 1
            doc.emit(MessageRead(item=item, announcement=row.get("announcement"), read_at=now), now)
            return {}

        await notices.mailboxes.upsert(principal.subject, decide)
        return {"id": item, "read_at": kept.instant(now.timestamp())}
    known = await notices.store.get(kept.INBOX, item)
    return {"id": item, "read_at": kept.instant(known["read_at"] if known else now.timestamp())}
