"""Publishing notices, and their preview."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from services.notify import store as kept
from services.notify.commands.attachments import attachments_of
from services.notify.commands.filling import Filling
from services.notify.commands.pushing import Pusher
from services.notify.commands.together import Together
from services.notify.domain import audience as audiences
from services.notify.domain import notices
from services.notify.domain.preferences import Night
from shared.auth import Principal
from shared.clock import read_instant, tokyo_day, wire_instant
from shared.documents import Command, Document, Documents
from shared.events.notify import (
    AnnouncementPublished,
    FanoutPage,
    UrgentFanoutPage,
)
from shared.problems import FieldProblem, Forbidden, Invalid, NotFound
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
    night: Night = field(default_factory=Night)
    filling: Filling = field(default_factory=Filling)
    standing: Together[str, Doc | None] = field(init=False)
    """By a notice's id, what has to be known of it before each push: its state, when it ends, how often it was changed."""

    def __post_init__(self) -> None:
        """Pushes that go out at once ask once."""
        self.standing = Together(self._standing)

    async def _standing(self, ids: list[str]) -> list[Doc | None]:
        fields = ["state.state", "state.expires_at", "state.changes"]
        found = await self.store.get_many(kept.ANNOUNCEMENTS, ids, fields)
        return [found[one]["state"] if one in found else None for one in ids]

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
    links: Sequence[Mapping[str, Any]] = ()
    attachments: Sequence[str] = ()
    safety_check: bool = False


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


async def preview(notices_: Notices, principal: Principal, audience: Any, languages: Sequence[str] = ()) -> Doc:
    """How many a notice would reach now; and, where its text's languages are told, how many read Japanese instead of theirs."""
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
        **({"fallback": reached.fallback(people, languages)} if languages else {}),
        "everyone": audiences.is_everyone(checked, people, notices_.today),
        "as_of": wire_instant(notices_.now),
    }


async def publish(notices_: Notices, principal: Principal, notice: Notice, command: Command) -> tuple[Doc, Document]:
    """Publish a notice, arm it for later, or have an emergency wait for a second person; a repeat gives the same answer."""
    town = town_of(principal)
    frozen: Doc = {"count": 0}
    fallback: dict[str, int] = {}
    attached: list[Doc] = []
    name = town
    if await notices_.announcements.load(command.id) is None:
        _refuse(notice, notices_.now)
        attached = await attachments_of(notices_.store, town, notice.attachments)
        name = await kept.name_of_town(notices_.store, town)
        people = await kept.town_of_code(notices_.store, town)
        reached = _reached(notice, town, people, notices_.today)
        frozen = {"count": len(reached.guardians)}
        fallback = reached.fallback(people, notice.title.keys() & notice.body.keys())
        if notice.urgency == "emergency":
            pass  # frozen when a second person approves it (commands/approval.py)
        elif notice.publish_at is None:
            frozen = await freeze(notices_, reached, notice.safety_check)
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
                "links": [dict(link) for link in notice.links],
                "attachments": attached,
                "safety_check": notice.safety_check,
                "town": name,
                "made_at": wire_instant(notices_.now),
                "state": "awaiting_approval" if notice.urgency == "emergency" else "scheduled",
            }
        )
        if notice.publish_at is None and notice.urgency != "emergency":
            announce(notices_, doc, frozen)
        return {
            "id": doc.id,
            "state": doc.state["state"],
            "recipients": frozen["count"],
            "fallback": fallback,
            **pushed_from(notices_, notice.urgency, notice.publish_at or notices_.now),
        }

    return await notices_.announcements.create(command.id, decide, command)


def pushed_from(notices_: Notices, urgency: str, at: datetime) -> Doc:
    """Until when the pushes of a notice wait, or of its change, that goes out by night; nothing where they go with it."""
    if urgency == "emergency":
        return {}
    morning = notices_.night.quiet_until(at)
    return {"pushed_from": wire_instant(morning)} if morning is not None else {}


def _refuse(notice: Notice, now: datetime) -> None:
    problems = notices.text_problems("title", notice.title, notices.TITLE_LENGTH)
    problems += notices.text_problems("body", notice.body, notices.BODY_LENGTH)
    problems += notices.time_problems(notice.publish_at, notice.expires_at, now)
    problems += notices.link_problems(notice.links)
    if notice.expires_at is None and any(map(notices.asks_for_expiry, (notice.title, notice.body))):
        words = ("{{expires_on}} を使うには終了日時が必要です。", "The text says until when: a time is needed.")
        problems.append(FieldProblem("/expires_at", "required", *words))
    if problems:
        raise Invalid(errors=tuple(problems))


def _reached(notice: Notice, town: str, people: audiences.Town, on: date) -> audiences.Reach:
    """Whom it reaches on this day; nobody, or everybody, only when that number is confirmed."""
    audience = _checked(notice.audience, town)
    reached = audiences.reach(audience, people, on)
    number = len(reached.guardians)
    unusual = number == 0 or audiences.is_everyone(audience, people, on)
    if unusual and notice.confirm != number:
        found = FieldProblem(
            "/confirm",
            "confirm-the-number",
            f"この条件では{number}人に届きます。よろしければ confirm に {number} を指定してください。",
            f"This audience reaches {number} recipients. Repeat with confirm: {number} if that is meant.",
        )
        raise Invalid(errors=(found,))
    return reached


async def freeze(notices_: Notices, reached: audiences.Reach, safety_check: bool) -> Doc:
    """Keep the recipients of this moment (protocol D1), and those whose safety is asked after."""
    families = reached.families if safety_check else ()
    frozen, pages = await kept.freeze(notices_.store, reached.guardians, families)
    return {"id": frozen, "count": len(reached.guardians), "pages": pages, "as_of": notices_.now}


def announce(notices_: Notices, doc: Document, frozen: Doc) -> None:
    """Announce the notice and one event for each page of its frozen recipients."""
    state = doc.state
    state.update(
        {"state": "published", "frozen": frozen["id"], "recipients": frozen["count"], "pages": frozen["pages"]}
    )
    state["as_of"] = wire_instant(frozen["as_of"])
    fill_in(state, frozen["as_of"])
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
            approved_by=state.get("approved_by"),
            break_glass=(state.get("break_glass") or {}).get("reason"),
            expires_at=read_instant(state["expires_at"]) if state["expires_at"] else None,
        ),
        notices_.now,
    )
    emit_pages(doc, notices_.now)


def emit_pages(doc: Document, now: datetime) -> None:
    """An event for each page of a notice's recipients: of the notice, or of its latest change."""
    state = doc.state
    lane = UrgentFanoutPage if state["urgency"] == "emergency" else FanoutPage
    for page in range(state["pages"]):
        first = page * kept.PAGE_SIZE
        count = min(kept.PAGE_SIZE, state["recipients"] - first)
        event = lane(announcement=doc.id, page=page, first=first, count=count, change=state.get("changes", 0))
        doc.emit(event, now, subject=f"{doc.id}:{page}")


def fill_in(state: Doc, published: datetime) -> None:
    """Put the town and the days into the texts."""
    expires = read_instant(state["expires_at"]) if state["expires_at"] else None
    for name in ("title", "body"):
        state[name] = notices.fill_in(
            state[name], str(state.get("town") or state["municipality"]), tokyo_day(published), notices.day_of(expires)
        )


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
            frozen = await freeze(notices_, reached, bool(doc.state.get("safety_check")))

            def decide(doc: Document, frozen: Doc = frozen) -> Doc:
                if doc.state["state"] == "scheduled":
                    announce(notices_, doc, frozen)
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
        "links",
        "attachments",
        "safety_check",
        "approved_by",
        "break_glass",
        "reviewed_by",
    )
    return {
        "id": doc.id,
        **{name: state.get(name) for name in names},
        "recipients": state.get("recipients"),
        "as_of": state.get("as_of"),
        "reason": state.get("reason"),
    }
