"""The proof of a notice: each recipient, each channel, each answer; counted from what is there, so the sum is the audience."""

from collections.abc import Mapping, Sequence

from services.notify import store as kept
from services.notify.commands.announcements import Notices, the_notice
from services.notify.domain.deliveries import OUTCOMES, outcome
from shared.auth import Principal
from shared.ids import derived_id
from shared.store import Doc


async def ledger(
    notices: Notices, principal: Principal, announcement: str, first: int, limit: int
) -> tuple[Doc, int | None]:
    """(counts over all recipients and the lines of `limit` of them from place `first` on, the next place or None)."""
    doc = await the_notice(notices, principal, announcement)
    total: int = doc.state.get("recipients") or 0
    inbox, read = await kept.counts_of(notices.store, announcement)
    pushes: dict[str, list[Doc]] = {}
    for row in await kept.pushes_of(notices.store, announcement):
        pushes.setdefault(row["recipient"], []).append(row)
    counts = dict.fromkeys(OUTCOMES, 0)
    for rows in pushes.values():
        counts[outcome([row["state"] for row in rows])] += 1
    counts["none"] += total - len(pushes)
    shown = await kept.frozen_range(notices.store, doc.state["frozen"], first, limit) if total else []
    items = await _lines(notices, announcement, shown, pushes)
    found = {
        "id": announcement,
        "state": doc.state["state"],
        "recipients": total,
        "inbox": inbox,
        "read": read,
        "waiting": total - inbox,
        "push": counts,
        "items": items,
    }
    return found, first + limit if first + limit < total else None


async def _lines(
    notices: Notices, announcement: str, recipients: Sequence[str], pushes: Mapping[str, Sequence[Doc]]
) -> list[Doc]:
    """A line for each recipient's inbox, and one for each of its browsers that was pushed to."""
    ids = {recipient: derived_id(announcement, recipient, "inbox") for recipient in recipients}
    rows = await notices.store.get_many(kept.INBOX, ids.values(), ["at", "read_at"])
    lines: list[Doc] = []
    for recipient, item in ids.items():
        row = rows.get(item)
        line: Doc = {"recipient": recipient, "channel": "inbox", "state": "waiting", "at": None}
        if row is not None:
            line |= {"state": "delivered", "at": kept.instant(row["at"])}
            if row["read_at"] is not None:
                line |= {"state": "read", "read_at": kept.instant(row["read_at"])}
        lines.append(line)
        for push in pushes.get(recipient, ()):
            lines.append(
                {
                    "recipient": recipient,
                    "channel": "web_push",
                    "state": outcome([push["state"]]),
                    "at": push["at"],
                    "answer": push.get("status"),
                    "attempts": push["attempts"],
                }
            )
    return lines
