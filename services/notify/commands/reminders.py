"""Reminders that fired: into the inboxes of the child's guardians, and to their devices without a word about health."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.pushing import PushTarget
from services.notify.commands.words import WORDS
from services.notify.domain.reminder_texts import reminder_text
from shared.documents import Document, Documents
from shared.events.base import Envelope
from shared.events.notify import MessageDelivered
from shared.events.schedule import PlanEvent, ReminderDue
from shared.ids import derived_id
from shared.store import Doc

log = structlog.get_logger(__name__)
DUE = ReminderDue.event_type()
REMEMBERED = 99
CHILD_FOLLOWS_ITS_REMINDER = timedelta(days=1)
"""How long a reminder waits for a child that this service does not know yet."""


@dataclass(frozen=True, slots=True)
class Reminders:
    """What reminders need: inboxes and pushes, the view of families, and the words (texts/reminders.yaml)."""

    notices: Notices
    families: Documents
    pregnancies: Documents
    texts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Fired:
    """A reminder that fired: its event's id, its child, and its revision in the plan's stream."""

    id: str
    child: str
    revision: int
    event: ReminderDue


async def deliver_reminders(reminders: Reminders, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """One inbox item for each guardian of the child; nothing after a death, nothing when the dose was given meanwhile."""
    rejected: list[tuple[Envelope, str]] = []
    for envelope in batch:
        if envelope.type != DUE:
            continue
        fired = _fired(envelope)
        if fired is None:
            rejected.append((envelope, "schema-broken"))
        elif fired.event.kind not in reminders.texts["kinds"]:
            rejected.append((envelope, "reminder-kind-unknown"))
        elif not await _known(reminders, fired.child):
            # The record's topic is behind the plan's: the child comes, and then its reminder goes out.
            await reminders.notices.store.insert(kept.WAITING, _put_aside(fired, reminders.notices.now))
        else:
            await _deliver(reminders, fired)
    return rejected


async def push_reminders(reminders: Reminders, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """To the guardians' devices; the lock screen says only that there is something."""
    for envelope in batch:
        fired = _fired(envelope) if envelope.type == DUE else None
        if fired is not None:
            await _push(reminders, fired)
    return []


async def deliver_late(reminders: Reminders) -> int:
    """Deliver the reminders whose child is known by now; how many it was."""
    store, now, done = reminders.notices.store, reminders.notices.now, 0
    for row in await store.find(kept.WAITING, {"at": {"$gte": 0}}, limit=500):
        fired = fired_of(row)
        if await _known(reminders, fired.child):
            await _deliver(reminders, fired)
            await _push(reminders, fired)
            done += 1
        elif now - datetime.fromtimestamp(row["at"], UTC) < CHILD_FOLLOWS_ITS_REMINDER:
            continue
        else:
            log.warning("reminder.child_unknown", reminder=fired.event.reminder_id)
        await store.delete(kept.WAITING, {"_id": row["_id"]})
    return done


def _fired(envelope: Envelope) -> _Fired | None:
    try:
        event = ReminderDue.model_validate_json(envelope.data)
    except ValidationError:
        return None
    return _Fired(envelope.id, envelope.subject, envelope.revision, event)


def _put_aside(fired: _Fired, now: datetime) -> Doc:
    return {
        "_id": fired.id,
        "child": fired.child,
        "revision": fired.revision,
        "data": fired.event.model_dump_json(),
        "at": now.timestamp(),
    }


async def _known(reminders: Reminders, child: str) -> bool:
    doc = await reminders.families.load(child)
    if doc is not None and ("child" in doc.state or bool(doc.state.get("silenced"))):
        return True
    return await reminders.pregnancies.load(child) is not None


async def _concerned(reminders: Reminders, fired: _Fired) -> tuple[list[str], str]:
    """(the guardians to tell now, the child's town): none after a death, none when the dose is no longer to do.

    Whether it is to do is asked only of a plan that has been read as far as the reminder itself.
    """
    doc = await reminders.families.load(fired.child)
    if doc is None or "child" not in doc.state or doc.state.get("silenced"):
        return await _expecting(reminders, fired.child)
    line = f"{fired.event.series}:{fired.event.dose_number}"
    read = doc.read_to(PlanEvent.stream, fired.child) >= fired.revision
    if read and "to_do" in doc.state and line not in doc.state["to_do"]:
        return [], ""
    return sorted(doc.state.get("guardians", {})), doc.state["child"]["municipality"]


async def _expecting(reminders: Reminders, pregnancy: str) -> tuple[list[str], str]:
    """(the woman, her town) when it is a pregnancy's reminder: none after a loss."""
    doc = await reminders.pregnancies.load(pregnancy)
    if doc is None or "pregnancy" not in doc.state or doc.state.get("lost"):
        return [], ""
    return sorted(doc.state.get("guardians", {})), doc.state["pregnancy"]["municipality"]


async def _deliver(reminders: Reminders, fired: _Fired) -> None:
    notices, event = reminders.notices, fired.event
    title, body = reminder_text(
        reminders.texts, event.kind, event.series, event.dose_number, event.recommended, event.free_until
    )
    guardians, town = await _concerned(reminders, fired)
    items = [
        kept.inbox_item(
            fired.id,
            guardian,
            notices.now,
            reminder=event.reminder_id,
            child=fired.child,
            municipality=town,
            title=title,
            body=body,
        )
        for guardian in guardians
    ]
    await notices.store.insert_many(kept.INBOX, items)
    for item in items:
        # Also those that were there: a process may have died between the item and the word of it.
        await _tell(notices, item)


async def _tell(notices: Notices, item: Doc) -> None:
    def decide(doc: Document) -> Doc:
        told: list[str] = doc.state.get("told", [])
        if item["_id"] not in told:
            doc.state["told"] = [*told[-REMEMBERED:], item["_id"]]
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
            doc.emit(event, notices.now, tenant=item["municipality"])
        return {}

    await notices.mailboxes.upsert(item["recipient"], decide)


async def _push(reminders: Reminders, fired: _Fired) -> None:
    """Now, or in the morning."""
    morning = reminders.notices.night.quiet_until(reminders.notices.now)
    if morning is None:
        await push_fired(reminders, fired)
        return
    waits = {"fired": _put_aside(fired, reminders.notices.now)}
    await kept.put_later(reminders.notices.store, fired.id, morning, waits)


def fired_of(row: Doc) -> _Fired:
    """A reminder as it was put aside."""
    return _Fired(row["_id"], row["child"], row["revision"], ReminderDue.model_validate_json(row["data"]))


async def push_fired(reminders: Reminders, fired: _Fired) -> None:
    """To the devices of the guardians whom it concerns at this moment."""
    guardians, town = await _concerned(reminders, fired)

    async def still_wanted(target: PushTarget) -> bool:
        return target.recipient in (await _concerned(reminders, fired))[0]

    targets = [
        PushTarget(
            item=derived_id(fired.id, guardian, "inbox"),
            recipient=guardian,
            urgency="info",
            reminder=fired.event.reminder_id,
            titles=WORDS["reminder"],
            topic="reminders",
            municipality=town,
        )
        for guardian in guardians
    ]
    await reminders.notices.pusher.push(targets, still_wanted)
