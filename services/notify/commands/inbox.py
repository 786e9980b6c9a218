"""A guardian's inbox: newest first, each item with its notice's present text and state."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.words import WORDS
from services.notify.domain.furigana import with_readings, without_readings
from services.notify.domain.notices import shown_language
from shared.auth import Principal
from shared.clock import read_instant
from shared.documents import Document
from shared.events.notify import MessageRead
from shared.problems import Forbidden, NotFound
from shared.store import Doc

REMEMBERED = 99
RECALLED = {"title": WORDS["recalled"], "body": WORDS["recalled_body"]}


async def read_inbox(
    notices: Notices, principal: Principal, limit: int, after: tuple[float, str] | None
) -> tuple[list[Doc], int, tuple[float, str] | None]:
    """(items of this page, how many are unread, the place after the last one or None)."""
    if principal.role != "guardian":
        raise Forbidden
    rows = await kept.inbox_of(notices.store, principal.subject)
    unread = sum(1 for row in rows if row["read_at"] is None or _changed_since(row))
    left = rows if after is None else [row for row in rows if (-row["at"], row["_id"]) > (-after[0], after[1])]
    page = left[:limit]
    announcements = await notices.announcements.load_many(
        {row["announcement"] for row in page if row.get("announcement")}
    )
    language = await kept.language_of(notices.store, principal.subject)
    items = [_shown(row, announcements, notices.now) | _said(row, announcements, language) for row in page]
    more = (page[-1]["at"], page[-1]["_id"]) if len(left) > limit else None
    return items, unread, more


def _shown(row: Doc, announcements: Mapping[str, Document], now: datetime) -> Doc:
    item: Doc = {
        "id": row["_id"],
        "at": kept.instant(row["at"]),
        "read_at": kept.instant(row["read_at"]) if row["read_at"] is not None else None,
        "municipality": row["municipality"],
        "changed_since_read": _changed_since(row),
    }
    if row.get("announcement"):
        notice = announcements[row["announcement"]].state
        state = item_state(notice, now)
        words = RECALLED if state == "recalled" else notice
        return {
            **item,
            "announcement": row["announcement"],
            "urgency": notice["urgency"],
            "state": state,
            "title": without_readings(words["title"]),
            "body": without_readings(words["body"]),
            "readings": {"title": with_readings(words["title"]), "body": with_readings(words["body"])},
            "links": notice.get("links", []) if words is notice else [],
            "attachments": notice.get("attachments", []) if words is notice else [],
            "safety_check": bool(notice.get("safety_check")),
            "expires_at": notice.get("expires_at"),
        }
    item |= {"child": row["child"], "urgency": "info", "state": "current"}
    if row.get("article"):
        return {
            **item,
            "article": row["article"],
            "title": without_readings(row["title"]),
            "body": without_readings(row["body"]),
            "readings": {"title": with_readings(row["title"]), "body": with_readings(row["body"])},
            "links": row["links"],
            "source": row["cited"],
        }
    return {**item, "reminder": row["reminder"], "title": row["title"], "body": row["body"]}


def _changed_since(row: Doc) -> bool:
    """Whether its notice was corrected or recalled after the guardian had read it, and has not been opened since."""
    return bool(row.get("changed", 0) > row.get("seen", 0))


def _said(row: Doc, announcements: Mapping[str, Document], language: str) -> Doc:
    """In which language the reader is shown it, and which one it was asked for in vain."""
    texts = row.get("body")
    if texts is None:
        notice = announcements[row["announcement"]].state
        texts = RECALLED["body"] if notice["state"] == "recalled" else notice["body"]
    shown = shown_language(texts, language)
    return {"language": shown, **({"fallback_from": language} if shown != language else {})}


def item_state(notice: Mapping[str, Any], now: datetime) -> str:
    """What an inbox says of a notice: current, corrected, expired, recalled."""
    if notice["state"] == "recalled":
        return "recalled"
    if notice.get("expires_at") is not None and read_instant(notice["expires_at"]) <= now:
        return "expired"
    return "corrected" if notice.get("corrected") else "current"


async def mark_read(notices: Notices, principal: Principal, item: str) -> Doc:
    """The guardian opened an item; the first time is kept, and which change of it was seen."""
    if principal.role != "guardian":
        raise Forbidden
    row = await notices.store.get(kept.INBOX, item)
    if row is None or row["recipient"] != principal.subject:
        raise NotFound
    now = notices.now
    read_at: float = row["read_at"] or now.timestamp()
    if row["read_at"] is None and not await notices.store.update(
        kept.INBOX, {"_id": item, "read_at": None}, {"$set": {"read_at": read_at}}
    ):
        # Another of the guardian's devices was first.
        known = await notices.store.get(kept.INBOX, item)
        read_at = known["read_at"] if known is not None else read_at
    # Only now, so that who corrects it at this moment finds it read.
    notice = await notices.store.get(kept.ANNOUNCEMENTS, row.get("announcement") or "", ["state.changes"])
    if notice is not None and "changes" in notice.get("state", {}):
        await notices.store.update(kept.INBOX, {"_id": item}, {"$max": {"seen": notice["state"]["changes"]}})

    def decide(doc: Document) -> Doc:
        # Also when it was read before: a process may have died between the mark and this.
        told: list[str] = doc.state.get("told_read", [])
        if item not in told:
            doc.state["told_read"] = [*told[-REMEMBERED:], item]
            event = MessageRead(
                item=item, announcement=row.get("announcement"), read_at=datetime.fromtimestamp(read_at, UTC)
            )
            doc.emit(event, now, tenant=row["municipality"])
        return {}

    await notices.mailboxes.upsert(principal.subject, decide)
    return {"id": item, "read_at": kept.instant(read_at)}
