"""The proof of a notice: each recipient, each channel, each answer; counted from what is there, so the sum is the audience."""

from collections.abc import Mapping, Sequence

from services.notify import store as kept
from services.notify.commands.announcements import Notices, the_notice
from services.notify.domain.deliveries import OUTCOMES, outcome
from services.notify.domain.preferences import PUSH
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
    changes: dict[str, list[Doc]] = {}
    for row in await kept.pushes_of(notices.store, announcement):
        (changes if row.get("change") else pushes).setdefault(row["recipient"], []).append(row)
    channels = {kept.channel_of(row) for rows in pushes.values() for row in rows}
    shown = await kept.frozen_range(notices.store, doc.state["frozen"], first, limit) if total else []
    items = await _lines(notices, announcement, shown)
    found = {
        "id": announcement,
        "state": doc.state["state"],
        "recipients": total,
        "inbox": inbox,
        "read": read,
        "waiting": total - inbox,
        "push": _counts(pushes, PUSH, total),
        "channels": {name: _counts(pushes, (name,), total) for name in sorted(channels)},
        "told_of_change": len(changes),
        "items": items,
    }
    return found, first + limit if first + limit < total else None


def _counts(sent: Mapping[str, Sequence[Doc]], channels: Sequence[str], total: int) -> dict[str, int]:
    """Each recipient once, under the best that became of its messages by these channels."""
    counts = dict.fromkeys(OUTCOMES, 0)
    counts["none"] = total - len(sent)
    for rows in sent.values():
        counts[outcome([row["state"] for row in rows if kept.channel_of(row) in channels])] += 1
    return counts


async def _lines(notices: Notices, announcement: str, recipients: Sequence[str]) -> list[Doc]:
    """A line for each recipient's inbox, and one for each address that was written to, with every attempt."""
    ids = {recipient: derived_id(announcement, recipient, "inbox") for recipient in recipients}
    sent: dict[str, list[Doc]] = {recipient: [] for recipient in recipients}
    for push in await kept.pushes_to(notices.store, announcement, recipients):
        sent[push["recipient"]].append(push)
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
        for push in sorted(sent[recipient], key=lambda one: (one["at"], one["_id"])):
            lines.append(
                {
                    "recipient": recipient,
                    "channel": kept.channel_of(push),
                    "change": push.get("change", 0),
                    "state": outcome([push["state"]]),
                    "at": push["at"],
                    "answer": push.get("status"),
                    "reason": push.get("reason") or push["state"],
                    "attempts": push["attempts"],
                    "tries": push.get("tries", []),
                }
            )
    return lines
