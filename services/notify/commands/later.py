"""What waits for its time: pushes in the night, the daily digest, and what staff asked to send once more."""

import structlog

from services.notify import store as kept
from services.notify.commands.failures import repeat_failures
from services.notify.commands.fanout import push_page, still_published
from services.notify.commands.pushing import PushTarget
from services.notify.commands.reminders import Reminders, fired_of, push_fired
from services.notify.commands.words import WORDS
from shared.clock import read_instant
from shared.ids import derived_id
from shared.store import Doc

log = structlog.get_logger(__name__)


async def send_later(reminders: Reminders) -> int:
    """Send what has waited long enough; how many entries it was. Each may be worked twice: claims make it once."""
    notices = reminders.notices
    rows = await kept.later_until(notices.store, notices.now)
    for row in rows:
        if "repeat" in row:
            await repeat_failures(notices, row["repeat"], lambda target: still_published(notices, target))
        elif "announcement" in row:
            await push_page(notices, row["announcement"], row["page"], row.get("change", 0))
        else:
            await push_fired(reminders, fired_of(row["fired"]))
        await kept.done_later(notices.store, row)
    return len(rows)


async def send_digests(reminders: Reminders) -> int:
    """One message a day for those who want it so: how many unread items it stands for, and not a word of them."""
    notices = reminders.notices
    rows = await kept.digests_until(notices.store, notices.now)
    by_recipient: dict[str, list[Doc]] = {}
    for row in rows:
        by_recipient.setdefault(row["recipient"], []).append(row)
    targets = []
    for who, waiting in by_recipient.items():
        count = await _unread(reminders, waiting)
        if count:
            day = read_instant(kept.instant(waiting[0]["at"])).date().isoformat()
            item = derived_id(who, day, "digest")
            titles = {language: text.format(count=count) for language, text in WORDS["digest"].items()}
            targets.append(PushTarget(item, who, "info", titles, topic="digest"))

    async def still_wanted(target: PushTarget) -> bool:
        return bool(await _unread(reminders, by_recipient[target.recipient]))

    await notices.pusher.push(targets, still_wanted)
    for row in rows:
        await notices.store.delete(kept.DIGESTS, {"_id": row["_id"]})
    return len(targets)


async def _unread(reminders: Reminders, waiting: list[Doc]) -> int:
    """How many of these lie unread in the inbox; a recalled or expired notice counts no more."""
    notices = reminders.notices
    items = await notices.store.get_many(kept.INBOX, [row["item"] for row in waiting], ["read_at", "announcement"])
    notes = {row["announcement"] for row in items.values() if row.get("announcement")}
    current = {
        name for name in notes if await still_published(notices, PushTarget("", "", "info", {}, announcement=name))
    }
    return sum(
        row["read_at"] is None and (not row.get("announcement") or row["announcement"] in current)
        for row in items.values()
    )
