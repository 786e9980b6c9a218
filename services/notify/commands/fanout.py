"""From a page of frozen recipients to inbox items and pushes: any number of workers, each step the same when repeated."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from opentelemetry import trace
from pydantic import ValidationError

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.corrections import mark_unread_again, readers, told_of_change
from services.notify.commands.ladder import begin, target_of
from services.notify.commands.pushing import PushTarget
from shared.clock import read_instant
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.notify import FanoutPage, PageDelivered, UrgentFanoutPage
from shared.store import Doc

LOOKED_BACK = timedelta(days=2)
LANES = frozenset({FanoutPage.event_type(), UrgentFanoutPage.event_type()})

tracer = trace.get_tracer("hagukumi.notify")


async def expand_pages(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Put the notice into every inbox of these pages; what is there already stays as it is (protocol D2)."""
    pages, rejected = _read(batch)
    for envelope, page in pages:
        doc = await notices.announcements.load(page.announcement)
        if doc is None or "frozen" not in doc.state:
            rejected.append((envelope, "announcement-unknown"))
            continue
        await _work(notices, doc, page.page, page.change)
    return rejected


async def _work(notices: Notices, doc: Document, page: int, change: int = 0) -> None:
    recipients = await kept.frozen_page(notices.store, doc.state["frozen"], page)
    if change:
        await mark_unread_again(notices, doc, recipients)
        await _tell_page(notices, doc, page, recipients, change)
        return
    now = notices.now
    items = [
        kept.inbox_item(doc.id, recipient, now, announcement=doc.id, municipality=doc.state["municipality"])
        for recipient in recipients
    ]
    with tracer.start_as_current_span("inbox write", attributes={"hagukumi.items": len(items)}):
        await notices.store.insert_many(kept.INBOX, items)
    await _tell_page(notices, doc, page, recipients)


async def finish_pages(notices: Notices, grace: timedelta) -> int:
    """Work the pages of the last two days that nobody began within `grace`: Kafka lost what told of them (G8). How many.

    Any replica, any number of times: an item, a claim and a ladder have ids of their own.
    """
    until = notices.now - grace
    done = 0
    for announcement in await kept.published_between(notices.store, until - LOOKED_BACK, until):
        doc = await notices.announcements.load(announcement)
        if doc is None:
            continue
        pages = range(doc.state["pages"])
        worked = await kept.pages_worked(notices.store, announcement, pages)
        unclimbed: set[int] = set()
        if _current(doc.state, notices.now):
            unworked = set(pages) - worked.keys()
            for page in sorted(unworked):
                await _work(notices, doc, page)
            if doc.state["urgency"] == "emergency":
                unclimbed = set(pages) - await kept.pages_climbed(notices.store, announcement)
            for page in sorted(unworked | unclimbed):
                await push_page(notices, announcement, page)
            done += len(unworked | unclimbed)
        change = doc.state.get("changes", 0)
        for page in sorted(page for page, told in worked.items() if told < change):
            await _work(notices, doc, page, change)
            await push_page(notices, announcement, page, change)
            done += 1
    return done


def _read(batch: Sequence[Envelope]) -> tuple[list[tuple[Envelope, FanoutPage]], list[tuple[Envelope, str]]]:
    """(the pages of a batch, what is none and never will be)."""
    pages: list[tuple[Envelope, FanoutPage]] = []
    rejected: list[tuple[Envelope, str]] = []
    for envelope in batch:
        if envelope.type not in LANES:
            continue
        try:
            pages.append((envelope, FanoutPage.model_validate_json(envelope.data)))
        except ValidationError:
            rejected.append((envelope, "schema-broken"))
    return pages, rejected


async def _tell_page(
    notices: Notices, announcement: Document, page: int, recipients: Sequence[str], change: int = 0
) -> None:
    def decide(doc: Document) -> Doc:
        if not doc.state.get("delivered") or doc.state.get("change", 0) < change:
            doc.state.update({"delivered": True, "change": change})
            doc.tenant = announcement.state["municipality"]
            event = PageDelivered(
                announcement=announcement.id,
                page=page,
                municipality=announcement.state["municipality"],
                urgency=announcement.state["urgency"],
                recipients=tuple(recipients),
                change=change,
            )
            doc.emit(event, notices.now)
        return {}

    await notices.pages.upsert(f"{announcement.id}:{page}", decide)


async def push_pages(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Push the notice to the devices of these pages: in a group of its own, so that a slow provider delays no inbox."""
    # What cannot be read is set aside by the group that fills the inboxes.
    pages, _ = _read(batch)
    for _envelope, page in pages:
        await push_page(notices, page.announcement, page.page, page.change)
    return []


async def push_page(notices: Notices, announcement: str, page: int, change: int = 0) -> None:
    """To the addresses of one page: an emergency by its ladder, all else by day and as each recipient prefers.

    Of a change only those are told who had read the notice before, by every way that such a notice comes.
    """
    doc = await notices.announcements.load(announcement)
    if doc is None or not _worth_telling(doc.state, change, notices.now):
        return

    async def still_wanted(target: PushTarget) -> bool:
        return await still_published(notices, target)

    urgent = doc.state["urgency"] == "emergency"
    if urgent and not change:
        await begin(notices, doc, page, still_wanted)
        return
    morning = None if urgent else notices.night.quiet_until(notices.now)
    if morning is not None:
        waits = {"announcement": announcement, "page": page, "change": change}
        await kept.put_later(notices.store, f"{announcement}:{page}:{change}", morning, waits)
        return
    recipients = await kept.frozen_page(notices.store, doc.state["frozen"], page)
    if change:
        told = await readers(notices, doc, recipients)
        targets = [told_of_change(doc, recipient) for recipient in told.values()]
    else:
        targets = [target_of(doc, recipient) for recipient in recipients]
    await notices.pusher.push(targets, still_wanted)


async def still_published(notices: Notices, target: PushTarget) -> bool:
    """Whether the notice has neither been recalled nor expired meanwhile, nor its change changed again (protocol D3)."""
    fields = ["state.state", "state.expires_at", "state.changes"]
    row = await notices.store.get(kept.ANNOUNCEMENTS, target.announcement or "", fields)
    return row is not None and _worth_telling(row["state"], target.change, notices.now)


def _worth_telling(state: Mapping[str, Any], change: int, now: datetime) -> bool:
    """Of a recall everybody is to hear who believes the notice; of all else only while the notice holds."""
    if change and change != state.get("changes", 0):
        return False
    return _current(state, now) or (change > 0 and state["state"] == "recalled")


def _current(state: Mapping[str, Any], now: datetime) -> bool:
    expires = state.get("expires_at")
    return state["state"] == "published" and (expires is None or read_instant(expires) > now)
