"""Correcting and recalling notices: every inbox shows it, and those who had read the notice before are told."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from services.notify import store as kept
from services.notify.commands.announcements import Notices, emit_pages, fill_in, pushed_from, the_notice
from services.notify.commands.pushing import PushTarget
from services.notify.commands.words import WORDS
from services.notify.domain import notices
from shared.auth import Principal
from shared.clock import read_instant, wire_instant
from shared.documents import Command, Document
from shared.events.notify import AnnouncementCorrected, AnnouncementRecalled
from shared.ids import derived_id
from shared.problems import Conflict, FieldProblem, Invalid
from shared.store import Doc, Update


async def recall(
    notices_: Notices, principal: Principal, announcement: str, reason: str, command: Command | None
) -> tuple[Doc, Document]:
    """Recall a wrong notice: every inbox shows so, also those that a slow page reaches later (protocol D2)."""
    await the_notice(notices_, principal, announcement)

    def decide(doc: Document) -> Doc:
        if doc.state["state"] == "recalled":
            raise Conflict
        was_out = doc.state["state"] == "published"
        doc.state.update({"state": "recalled", "reason": reason})
        if was_out:
            doc.emit(AnnouncementRecalled(reason=reason), notices_.now)
            _tell(doc, notices_.now)
        return {"id": doc.id, "state": "recalled", **_waits(notices_, doc.state, told=was_out)}

    return await notices_.announcements.change(announcement, decide, command)


async def correct(
    notices_: Notices,
    principal: Principal,
    announcement: str,
    title: Mapping[str, str],
    body: Mapping[str, str],
    reason: str,
    if_match: str | None,
) -> tuple[Doc, Document]:
    """Put the text right; every inbox shows the new one."""
    doc = await the_notice(notices_, principal, announcement)
    problems = notices.text_problems("title", title, notices.TITLE_LENGTH)
    problems += notices.text_problems("body", body, notices.BODY_LENGTH)
    if doc.state["expires_at"] is None and any(map(notices.asks_for_expiry, (title, body))):
        words = ("終了日時のないお知らせです。", "This notice has no end.")
        problems.append(FieldProblem("/body", "expiry-missing", *words))
    if problems:
        raise Invalid(errors=tuple(problems))

    def decide(doc: Document) -> Doc:
        if doc.state["state"] == "recalled":
            raise Conflict
        doc.state.update({"title": dict(title), "body": dict(body), "corrected": True, "reason": reason})
        is_out = doc.state["state"] == "published"
        if is_out:
            fill_in(doc.state, read_instant(doc.state["as_of"]))
            corrected = AnnouncementCorrected(title=doc.state["title"], body=doc.state["body"], reason=reason)
            doc.emit(corrected, notices_.now)
            _tell(doc, notices_.now)
        if doc.state["urgency"] == "emergency":
            _needs_another(doc.state, principal, reason, notices_.now)
        return {"id": doc.id, "state": doc.state["state"], **_waits(notices_, doc.state, told=is_out)}

    return await notices_.announcements.change(announcement, decide, if_match=if_match, match_required=True)


def _needs_another(state: Doc, author: Principal, reason: str, now: datetime) -> None:
    """Other words of an emergency need a second person again: before it is out, or, since haste corrects too, afterwards."""
    if state["state"] == "published":
        state["break_glass"] = {"by": author.subject, "reason": reason, "at": wire_instant(now)}
        state["reviewed_by"] = None
    else:
        state.update({"state": "awaiting_approval", "approved_by": None, "published_by": author.subject})


# Telling those who had read it --------------------------------------------------------------------------------------


def _tell(doc: Document, now: datetime) -> None:
    """Announce the change page by page, in the notice's own lane and behind its own pages."""
    doc.state["changes"] = doc.state.get("changes", 0) + 1
    emit_pages(doc, now)


def _waits(notices_: Notices, state: Doc, *, told: bool) -> Doc:
    return pushed_from(notices_, state["urgency"], notices_.now) if told else {}


def told_of_change(notice: Document, recipient: str) -> PushTarget:
    """What a reader is told of a notice's latest change: its new title, or that it was wrong."""
    state = notice.state
    titles, bodies = WORDS["recalled"], WORDS["recalled_body"]
    if state["state"] != "recalled":
        titles = {
            language: WORDS["corrected"][language].format(title=title) for language, title in state["title"].items()
        }
        bodies = state["body"]
    return PushTarget(
        item=derived_id(notice.id, recipient, "inbox"),
        recipient=recipient,
        urgency=state["urgency"],
        titles=titles,
        bodies=bodies,
        announcement=notice.id,
        municipality=state["municipality"],
        change=state["changes"],
    )


async def readers(notices_: Notices, notice: Document, recipients: Sequence[str]) -> dict[str, str]:
    """Those of these recipients, by the id of their item, who read the notice as it was before its latest change."""
    items = {derived_id(notice.id, one, "inbox"): one for one in recipients}
    rows = await notices_.store.get_many(kept.INBOX, items, ["read_at", "seen"])
    return {
        item: items[item]
        for item, row in rows.items()
        if row["read_at"] is not None and row.get("seen", 0) < notice.state["changes"]
    }


async def mark_unread_again(notices_: Notices, notice: Document, recipients: Sequence[str]) -> None:
    """Their inboxes count the item as unread until they have opened it again; when they first read it stays known."""
    changes = notice.state["changes"]
    found = await readers(notices_, notice, recipients)
    await notices_.store.bulk(kept.INBOX, [Update({"_id": item}, {"$max": {"changed": changes}}) for item in found])
