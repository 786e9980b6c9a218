"""Reminders that fired: into the inboxes of the child's guardians, and to their devices without a word about health."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.pushing import PushTarget
from services.notify.domain.reminder_texts import PUSH_TITLE, reminder_text
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.notify import MessageDelivered
from shared.events.schedule import ReminderDue
from shared.ids import derived_id
from shared.store import Doc

DUE = ReminderDue.event_type()


async def deliver_reminders(
    notices: Notices, texts: Mapping[str, Any], batch: Sequence[Envelope]
) -> list[tuple[Envelope, str]]:
    """One inbox item for each guardian of the child; nothing after a death."""
    for envelope in batch:
        if envelope.type != DUE:
            continue
        event = ReminderDue.model_validate_json(envelope.data)
        title, body = reminder_text(
            texts, event.kind, event.series, event.dose_number, event.recommended, event.free_until
        )
        guardians, town = await _guardians(notices, envelope.subject)
        now = notices.now
        items = [
            kept.inbox_item(
                envelope.id,
                guardian,
                now,
                reminder=event.reminder_id,
                child=envelope.subject,
                municipality=town,
                title=title,
                body=body,
            )
            for guardian in guardians
        ]
        taken = await notices.store.insert_many(kept.INBOX, items)
        for item in items:
            if item["_id"] not in taken:
                await _tell(notices, item)
    return []


async def _tell(notices: Notices, item: Doc) -> None:
    def decide(doc: Document) -> Doc:
        told: list[str] = doc.state.setdefault("told", [])
        if item["_id"] not in told:
            doc.state["told"] = [*told[-99:], item["_id"]]
            event = MessageDelivered(
                item=item["_id"],
                reminder=item["reminder"],
                child=item["child"],
                municipality=item["municipality"],
                channel="inbox",
                urgency="info",
                title=item["title"],
                body=item["body"],
                delivered_at=notices.now,
            )
            doc.emit(event, notices.now)
        return {}

    await notices.mailboxes.upsert(item["recipient"], decide)


async def push_reminders(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """To the guardians' devices; the lock screen says only that there is something."""
    for envelope in batch:
        if envelope.type != DUE:
            continue
        event = ReminderDue.model_validate_json(envelope.data)
        guardians, _ = await _guardians(notices, envelope.subject)
        child = envelope.subject

        async def still_wanted(target: PushTarget, child: str = child) -> bool:
            return target.recipient in (await _guardians(notices, child))[0]

        await notices.pusher.push(
            [
                PushTarget(
                    item=derived_id(envelope.id, guardian, "inbox"),
                    recipient=guardian,
                    urgency="info",
                    title=PUSH_TITLE["ja"],
                    announcement=None,
                    reminder=event.reminder_id,
                )
                for guardian in guardians
            ],
            still_wanted,
        )
    return []


async def _guardians(notices: Notices, child: str) -> tuple[list[str], str]:
    row = await notices.store.get(kept.AUDIENCE, child)
    return ([], "") if row is None or row["gone"] else (list(row["guardians"]), row["municipality"])
