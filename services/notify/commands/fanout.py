"""From a page of frozen recipients to inbox items and pushes: any number of workers, each step the same when repeated."""

from collections.abc import Sequence

from opentelemetry import trace

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.pushing import PushTarget
from services.notify.domain.notices import in_language
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.notify import FanoutPage, PageDelivered
from shared.ids import derived_id
from shared.store import Doc

tracer = trace.get_tracer("hagukumi.notify")


async def expand_pages(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Put the notice into every inbox of these pages; what is there already stays as it is (protocol D2)."""
    for envelope in batch:
        page = FanoutPage.model_validate_json(envelope.data)
        doc = await notices.announcements.load(page.announcement)
        if doc is None:
            return [(envelope, "announcement-unknown")]
        recipients = await kept.frozen_page(notices.store, doc.state["frozen"], page.page)
        now = notices.now
        items = [
            kept.inbox_item(doc.id, recipient, now, announcement=doc.id, municipality=doc.state["municipality"])
            for recipient in recipients
        ]
        with tracer.start_as_current_span("inbox write", attributes={"hagukumi.items": len(items)}):
            await notices.store.insert_many(kept.INBOX, items)
        await _tell_page(notices, doc, page, recipients)
    return []


async def _tell_page(notices: Notices, announcement: Document, page: FanoutPage, recipients: Sequence[str]) -> None:
    def decide(doc: Document) -> Doc:
        if not doc.state.get("delivered"):
            doc.state["delivered"] = True
            doc.tenant = announcement.state["municipality"]
            event = PageDelivered(
                announcement=announcement.id,
                page=page.page,
                municipality=announcement.state["municipality"],
                urgency=announcement.state["urgency"],
                recipients=tuple(recipients),
            )
            doc.emit(event, notices.now)
        return {}

    await notices.pages.upsert(f"{announcement.id}:{page.page}", decide)


async def push_pages(notices: Notices, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
    """Push the notice to the devices of these pages: in a group of its own, so that a slow provider delays no inbox."""
    for envelope in batch:
        page = FanoutPage.model_validate_json(envelope.data)
        doc = await notices.announcements.load(page.announcement)
        if doc is None or doc.state["state"] == "recalled":
            continue
        recipients = await kept.frozen_page(notices.store, doc.state["frozen"], page.page)
        title = in_language(doc.state["title"], "ja")
        await notices.pusher.push(
            [
                PushTarget(
                    item=derived_id(doc.id, recipient, "inbox"),
                    recipient=recipient,
                    urgency=doc.state["urgency"],
                    title=title,
                    announcement=doc.id,
                    reminder=None,
                )
                for recipient in recipients
            ],
            lambda target: still_published(notices, target),
        )
    return []


async def still_published(notices: Notices, target: PushTarget) -> bool:
    """Whether the notice has not been recalled meanwhile (protocol D3)."""
    doc = await notices.announcements.load(target.announcement or "")
    return doc is not None and doc.state["state"] == "published"
