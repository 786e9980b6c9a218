"""What definitely failed: told to the gateway as an event, and sent once more when staff ask for it."""

import asyncio
from collections.abc import Sequence

from services.notify import store as kept
from services.notify.commands.announcements import Notices, the_notice
from services.notify.commands.corrections import told_of_change
from services.notify.commands.ladder import target_of
from services.notify.commands.pushing import PushTarget, StillWanted
from services.notify.domain.deliveries import REPEATABLE
from shared.auth import Principal
from shared.clock import read_instant
from shared.documents import Document
from shared.events.notify import DeliveryFailed
from shared.store import Doc, Update

AT_ONCE = 200
REMEMBERED = 99


async def tell_failures(notices: Notices) -> int:
    """Announce each failure once (DeliveryFailed), many in one write; how many it was."""
    rows = await notices.store.find(kept.PUSHES, {"tell": {"$gte": 0}}, limit=AT_ONCE)
    by_recipient: dict[str, list[Doc]] = {}
    for row in rows:
        by_recipient.setdefault(row["recipient"], []).append(row)
    docs = await notices.mailboxes.load_many(by_recipient)
    changed = [_told(docs.get(who) or Document(id=who), sent, notices) for who, sent in by_recipient.items()]
    lost = {doc.id for doc in await notices.mailboxes.commit_many(changed)}
    done = [row for who, sent in by_recipient.items() if who not in lost for row in sent]
    # Guarded: what failed once more meanwhile is told again.
    writes = [Update({"_id": row["_id"], "tell": row["tell"]}, {"$unset": {"tell": ""}}) for row in done]
    await notices.store.bulk(kept.PUSHES, writes)
    return len(done)


def _told(doc: Document, rows: Sequence[Doc], notices: Notices) -> Document:
    told: list[str] = doc.state.get("told_failed", [])
    for row in rows:
        mark = f"{row['_id']}@{row['tell']}"
        if mark in told:
            continue
        told = [*told[-REMEMBERED:], mark]
        event = DeliveryFailed(
            item=row["item"],
            announcement=row.get("announcement"),
            municipality=row.get("municipality", ""),
            channel=kept.channel_of(row),
            reason=row.get("reason") or row["state"],
            failed_at=read_instant(row["at"]),
        )
        doc.emit(event, notices.now, tenant=row.get("municipality", ""))
    doc.state["told_failed"] = told
    return doc


async def ask_to_repeat(notices: Notices, principal: Principal, announcement: str) -> Doc:
    """Note that staff want the failures of a notice sent once more; how many there are."""
    notice = await the_notice(notices, principal, announcement)
    failed = await _failed(notices, notice)
    if failed:
        await kept.put_later(notices.store, f"repeat:{notice.id}", notices.now, {"repeat": notice.id})
        return {"id": notice.id, "repeating": len(failed)}
    return {"id": notice.id, "repeating": 0}


async def _failed(notices: Notices, notice: Document) -> list[Doc]:
    """What definitely did not arrive of the notice while it holds, and of its latest change."""
    worth = {0} if notice.state["state"] == "published" else set()
    worth |= {notice.state["changes"]} if notice.state.get("changes") else set()
    rows = await kept.pushes_of(notices.store, notice.id)
    return [row for row in rows if row["state"] in REPEATABLE and row.get("change", 0) in worth]


async def repeat_failures(notices: Notices, announcement: str, still_wanted: StillWanted) -> int:
    """Send once more what definitely did not arrive; how many arrived now. What is unknown is left alone (G5)."""
    notice = await notices.announcements.load(announcement)
    if notice is None:
        return 0
    rows = await _failed(notices, notice)
    arrived = 0
    for start in range(0, len(rows), AT_ONCE):
        ended = await asyncio.gather(
            *(notices.pusher.repeat(_target(notice, row), row, still_wanted) for row in rows[start : start + AT_ONCE]),
            return_exceptions=True,
        )
        for state in ended:
            if isinstance(state, BaseException):
                raise state
        arrived += sum(state == "accepted" for state in ended)
    return arrived


def _target(notice: Document, row: Doc) -> PushTarget:
    told = told_of_change if row.get("change") else target_of
    return told(notice, row["recipient"])
