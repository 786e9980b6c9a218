"""Publishing, correcting and recalling notices, and their preview."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from services.notify import store as kept
from services.notify.commands.pushing import Pusher
from services.notify.domain import audience as audiences
from services.notify.domain import notices
from shared.auth import Principal
from shared.clock import read_instant, wire_instant
from shared.documents import Command, Document, Documents
from shared.events.notify import (
    AnnouncementCorrected,
    AnnouncementPublished,
    AnnouncementRecalled,
    FanoutPage,
    UrgentFanoutPage,
)
from shared.problems import Conflict, FieldProblem, Forbidden, Invalid, NotFound
from shared.store import Doc, Store

NOTICE_FOLLOWS_ITS_ROW = timedelta(minutes=10)
"""How long a row of the schedule waits for its notice, whose writer may be between the two."""


@dataclass(slots=True)
class Notices:
    """What every command on notices needs."""

    store: Store
    announcements: Documents
    mailboxes: Documents
    pages: Documents
    pusher: Pusher

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.announcements.clock.now()

    @property
    def today(self) -> date:
        """The civil day in Tokyo."""
        return self.announcements.clock.today()


@dataclass(frozen=True, slots=True)
class Notice:
    """What a municipality wants to say, and to whom."""

    title: Mapping[str, str]
    body: Mapping[str, str]
    audience: Mapping[str, Any]
    urgency: str
    publish_at: datetime | None = None
    expires_at: datetime | None = None
    confirm: int | None = None


def town_of(principal: Principal) -> str:
    """The town that this principal publishes for; Forbidden for every other role."""
    if principal.role not in {"staff", "system"} or principal.municipality is None:
        raise Forbidden
    return principal.municipality


def _checked(audience: Any, town: str) -> Mapping[str, Any]:
    try:
        audiences.check(audience, town)
    except audiences.AudienceError as error:
        found = FieldProblem(
            f"/audience{error.pointer}",
            error.code,
            "対象者の条件が正しくありません。",
            "This part of the audience is not understood.",
        )
        raise Invalid(errors=(found,)) from None
    checked: Mapping[str, Any] = audience
    return checked


async def preview(notices_: Notices, principal: Principal, audience: Any) -> Doc:
    """How many a notice would reach now."""
    town = town_of(principal)
    checked = _checked(audience, town)
    people = await kept.town_of_code(notices_.store, town)
    reached = audiences.reach(checked, people, notices_.today)
    return {
        "recipients": len(reached.guardians),
        "children": reached.children,
        "pregnancies": reached.pregnancies,
        "by_channel": reached.by_channel(people),
        "by_language": reached.by_language(people),
        "everyone": audiences.is_everyone(checked, people, notices_.today),
        "as_of": wire_instant(notices_.now),
    }


async def publish(notices_: Notices, principal: Principal, notice: Notice, command: Command) -> tuple[Doc, Document]:
    """Publish a notice, or arm it for later; a repeat with the same key gives the same answer."""
    town = town_of(principal)
    frozen: Doc = {"count": 0}
    if await notices_.announcements.load(command.id) is None:
        _refuse(notice, notices_.now)
        guardians = await _reach(notices_, town, notice)
        frozen = {"count": len(guardians)}
        if notice.publish_at is None:
            frozen = await _freeze(notices_, guardians)
        else:
            # Before the notice itself: a row without a notice is dropped in the end, a notice without a row would wait for ever.
            await kept.schedule(notices_.store, command.id, notice.publish_at)

    def decide(doc: Document) -> Doc:
        doc.tenant = town
        doc.state.update(
            {
                "municipality": town,
                "title": dict(notice.title),
                "body": dict(notice.body),
                "audience": dict(notice.audience),
                "urgency": notice.urgency,
                "published_by": principal.subject,
                "publish_at": wire_instant(notice.publish_at) if notice.publish_at else None,
                "expires_at": wire_instant(notice.expires_at) if notice.expires_at else None,
                "state": "scheduled",
            }
        )
        if notice.publish_at is None:
            _announce(notices_, doc, frozen)
        return {"id": doc.id, "state": doc.state["state"], "recipients": frozen["count"]}

    return await notices_.announcements.create(command.id, decide, command)


def _refuse(notice: Notice, now: datetime) -> None:
    problems = notices.text_problems("title", notice.title, notices.TITLE_LENGTH)
    problems += notices.text_problems("body", notice.body, notices.BODY_LENGTH)
    problems += notices.time_problems(notice.publish_at, notice.expires_at, now)
    if problems:
        raise Invalid(errors=tuple(problems))


async def _reach(notices_: Notices, town: str, notice: Notice) -> list[str]:
    """Whom it reaches now; nobody, or everybody, only when that number is confirmed."""
    audience = _checked(notice.audience, town)
    people = await kept.town_of_code(notices_.store, town)
    guardians = audiences.reach(audience, people, notices_.today).guardians
    unusual = not guardians or audiences.is_everyone(audience, people, notices_.today)
    if unusual and notice.confirm != len(guardians):
        number = len(guardians)
        found = FieldProblem(
            "/confirm",
            "confirm-the-number",
            f"この条件では{number}人に届きます。よろしければ confirm に {number} を指定してください。",
            f"This audience reaches {number} recipients. Repeat with confirm: {number} if that is meant.",
        )
        raise Invalid(errors=(found,))
    return guardians


async def _freeze(notices_: Notices, guardians: list[str]) -> Doc:
    frozen, pages = await kept.freeze(notices_.store, guardians)
    return {"id": frozen, "count": len(guardians), "pages": pages, "as_of": notices_.now}


def _announce(notices_: Notices, doc: Document, frozen: Doc) -> None:
    """Announce the notice and one event for each page of its frozen recipients."""
    state = doc.state
    state.update(
        {"state": "published", "frozen": frozen["id"], "recipients": frozen["count"], "pages": frozen["pages"]}
    )
    state["as_of"] = wire_instant(frozen["as_of"])
    doc.emit(
        AnnouncementPublished(
            municipality=state["municipality"],
            title=state["title"],
            body=state["body"],
            urgency=state["urgency"],
            audience=state["audience"],
            recipients=frozen["count"],
            as_of=frozen["as_of"],
            published_by=state["published_by"],
            expires_at=read_instant(state["expires_at"]) if state["expires_at"] else None,
        ),
        notices_.now,
    )
    lane = UrgentFanoutPage if state["urgency"] == "emergency" else FanoutPage
    for page in range(frozen["pages"]):
        first = page * kept.PAGE_SIZE
        event = lane(announcement=doc.id, page=page, first=first, count=min(kept.PAGE_SIZE, frozen["count"] - first))
        doc.emit(event, notices_.now, subject=f"{doc.id}:{page}")


async def publish_scheduled(notices_: Notices) -> int:
    """Publish every notice whose time has come; its recipients are frozen now."""
    done = 0
    now = notices_.now
    for announcement, at in await kept.scheduled_until(notices_.store, now):
        doc = await notices_.announcements.load(announcement)
        if doc is None and now - at < NOTICE_FOLLOWS_ITS_ROW:
            continue
        if doc is not None and doc.state["state"] == "scheduled":
            people = await kept.town_of_code(notices_.store, doc.state["municipality"])
            reached = audiences.reach(doc.state["audience"], people, notices_.today)
            frozen = await _freeze(notices_, reached.guardians)

            def decide(doc: Document, frozen: Doc = frozen) -> Doc:
                if doc.state["state"] == "scheduled":
                    _announce(notices_, doc, frozen)
                return {}

            await notices_.announcements.change(doc.id, decide)
            done += 1
        await kept.unschedule(notices_.store, announcement)
    return done


async def the_notice(notices_: Notices, principal: Principal, announcement: str) -> Document:
    """A notice of this principal's own town; NotFound for every other."""
    town = town_of(principal)
    doc = await notices_.announcements.load(announcement)
    if doc is None or doc.state["municipality"] != town:
        raise NotFound
    return doc


def shown(doc: Document) -> Doc:
    """A notice as staff see it."""
    state = doc.state
    names = (
        "municipality",
        "title",
        "body",
        "audience",
        "urgency",
        "state",
        "publish_at",
        "expires_at",
        "published_by",
    )
    return {
        "id": doc.id,
        **{name: state.get(name) for name in names},
        "recipients": state.get("recipients"),
        "as_of": state.get("as_of"),
        "reason": state.get("reason"),
    }


async def recall(
    notices_: Notices, principal: Principal, announcement: str, reason: str, command: Command | None
) -> tuple[Doc, Document]:
    """Recall a wrong notice: every inbox shows so, also those that a slow page reaches later (protocol D2)."""
    await the_notice(notices_, principal, announcement)

    def decide(doc: Document) -> Doc:
        if doc.state["state"] == "recalled":
            raise Conflict
        scheduled = doc.state["state"] == "scheduled"
        doc.state.update({"state": "recalled", "reason": reason})
        if not scheduled:
            doc.emit(AnnouncementRecalled(reason=reason), notices_.now)
        return {"id": doc.id, "state": "recalled"}

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
    await the_notice(notices_, principal, announcement)
    problems = notices.text_problems("title", title, notices.TITLE_LENGTH)
    problems += notices.text_problems("body", body, notices.BODY_LENGTH)
    if problems:
        raise Invalid(errors=tuple(problems))

    def decide(doc: Document) -> Doc:
        if doc.state["state"] == "recalled":
            raise Conflict
        doc.state.update({"title": dict(title), "body": dict(body), "corrected": True, "reason": reason})
        if doc.state["state"] == "published":
            doc.emit(AnnouncementCorrected(title=dict(title), body=dict(body), reason=reason), notices_.now)
        return {"id": doc.id, "state": doc.state["state"]}

    return await notices_.announcements.change(announcement, decide, if_match=if_match, match_required=True)
