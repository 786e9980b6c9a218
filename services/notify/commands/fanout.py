"""From a page of frozen recipients to inbox items and pushes: any number of workers, each step the same when repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

LOOKED_BACK = timedelta(days=2)
PAGES_AT_ONCE = 4
LANES = frozenset({FanoutPage.event_type(), UrgentFanoutPage.event_type()})

tracer = trace.get_tracer("hagukumi.notify")


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of a notice's frozen recipients, of the notice itself or of a change of it."""

    notice: Document
    number: int
    change: int = 0

    @property
    def frozen(self) -> str:
        """Where its recipients are."""
        return f"{self.notice.state['frozen']}:{self.number}"

    @property
    def id(self) -> str:
        """Where it is kept that they have it."""
        return f"{self.notice.id}:{self.number}"


async def expand_pages(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Put the notices of these pages into every inbox; what is there already stays as it is (protocol D2)."""
    pages, rejected = _read(batch)
    docs = await notices.announcements.load_many({page.announcement for _, page in pages})
    work: list[_Page] = []
    for envelope, page in pages:
        doc = docs.get(page.announcement)
        if doc is None or "frozen" not in doc.state:
            rejected.append((envelope, "announcement-unknown"))
        else:
            work.append(_Page(doc, page.page, page.change))
    async with notices.filling.of(envelope.type for envelope, _ in pages):
        await _work(notices, work)
    return rejected


async def _work(notices: Notices, pages: Sequence[_Page]) -> None:
    """One read of the recipients, one write of their items, one of the word that they have it."""
    recipients = await kept.frozen_pages(notices.store, [page.frozen for page in pages])
    now = notices.now
    items = [
        kept.inbox_item(
            page.notice.id, one, now, announcement=page.notice.id, municipality=page.notice.state["municipality"]
        )
        for page in pages
        if not page.change
        for one in recipients[page.frozen]
    ]
    with tracer.start_as_current_span("inbox write", attributes={"hagukumi.items": len(items)}):
        await notices.store.insert_many(kept.INBOX, items)
    for page in pages:
        if page.change:
            await mark_unread_again(notices, page.notice, recipients[page.frozen])
    docs = await notices.pages.load_many([page.id for page in pages])
    for page in pages:
        _tell(docs.setdefault(page.id, Document(id=page.id)), page, recipients[page.frozen], now)
    lost = {doc.id for doc in await notices.pages.commit_many(list(docs.values()))}
    if lost:
        # Another worker was at the same page: what it left to say is said after it.
        await _work(notices, [page for page in pages if page.id in lost])


def _tell(doc: Document, page: _Page, recipients: Sequence[str], now: datetime) -> None:
    if doc.state.get("delivered") and doc.state.get("change", 0) >= page.change:
        return
    notice = page.notice.state
    doc.state.update({"delivered": True, "change": page.change})
    doc.tenant = notice["municipality"]
    event = PageDelivered(
        announcement=page.notice.id,
        page=page.number,
        municipality=notice["municipality"],
        urgency=notice["urgency"],
        recipients=tuple(recipients),
        change=page.change,
    )
    doc.emit(event, now)


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
            left = [_Page(doc, page) for page in sorted(unworked)]
            for start in range(0, len(left), PAGES_AT_ONCE):
                await _work(notices, left[start : start + PAGES_AT_ONCE])
            if doc.state["urgency"] == "emergency":
                unclimbed = set(pages) - await kept.pages_climbed(notices.store, announcement)
            for page in sorted(unworked | unclimbed):
                await push_page(notices, announcement, page)
            done += len(unworked | unclimbed)
        change = doc.state.get("changes", 0)
        for page in sorted(page for page, told in worked.items() if told < change):
            await _work(notices, [_Page(doc, page, change)])
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


async def push_pages(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Push the notice to the devices of these pages: in a group of its own, so that a slow provider delays no inbox."""
    # What cannot be read is set aside by the group that fills the inboxes.
    pages, _ = _read(batch)
    for envelope, page in pages:
        await push_page(notices, page.announcement, page.page, page.change)
        await notices.filling.over(envelope.type)
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
    state = await notices.standing(target.announcement or "")
    return state is not None and _worth_telling(state, target.change, notices.now)


def _worth_telling(state: Mapping[str, Any], change: int, now: datetime) -> bool:
    """Of a recall everybody is to hear who believes the notice; of all else only while the notice holds."""
    if change and change != state.get("changes", 0):
        return False
    return _current(state, now) or (change > 0 and state["state"] == "recalled")


def _current(state: Mapping[str, Any], now: datetime) -> bool:
    expires = state.get("expires_at")
    return state["state"] == "published" and (expires is None or read_instant(expires) > now)
