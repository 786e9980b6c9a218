"""The duty roster of a town, and alarms that climb it until somebody takes them."""

from dataclasses import dataclass
from datetime import datetime

from services.notify import store as kept
from services.notify.commands.announcements import town_of
from services.notify.domain import duty as rules
from services.notify.domain.notices import unseen_or_markup
from shared.auth import Principal
from shared.clock import wire_instant
from shared.documents import Command, Document, Documents
from shared.events.notify import AlarmTaken, DutyCalled
from shared.ids import derived_id
from shared.problems import Conflict, Forbidden, Invalid, NotFound, invalid
from shared.store import Doc

LISTED = 200


@dataclass(frozen=True, slots=True)
class Duty:
    """Rosters, and alarms: a document each."""

    rosters: Documents
    alarms: Documents

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.alarms.clock.now()


async def put_roster(duty: Duty, principal: Principal, town: str, roster: Doc, if_match: str | None) -> Document:
    """Say who is on duty; alarms that ring already keep their ladder. Raises NotFound, Invalid, PreconditionFailed."""
    _own_town(principal, town)
    problems = rules.unknown_staff(roster, await kept.staff_of(duty.rosters.store, town))
    if problems:
        raise Invalid(errors=tuple(problems))

    def decide(doc: Document) -> Doc:
        doc.tenant = town
        doc.state.update({"roster": roster, "by": principal.subject, "at": wire_instant(duty.now)})
        return {}

    if await duty.rosters.load(town) is None:
        _, doc = await duty.rosters.upsert(town, decide)
    else:
        _, doc = await duty.rosters.change(town, decide, if_match=if_match, match_required=True)
    return doc


async def the_roster(duty: Duty, principal: Principal, town: str) -> tuple[Doc, Document]:
    """The roster of the principal's own town, with the ladder that is in force now."""
    _own_town(principal, town)
    doc = await duty.rosters.load(town)
    if doc is None:
        raise NotFound
    return {**doc.state["roster"], "now": rules.steps_at(doc.state["roster"], duty.now)}, doc


async def raise_alarm(duty: Duty, town: str, kind: str, about: str, words: str, cause: str) -> tuple[Doc, Document]:
    """Call whoever is on duty in this town; the same cause rings once. Raises Conflict where the town has no roster.

    `words` may be read on a lock screen: no name, no health data. `about` is an opaque id.
    """
    roster = await duty.rosters.load(town)
    if roster is None:
        raise Conflict("This municipality has no duty roster.")
    steps = rules.steps_at(roster.state["roster"], duty.now)

    def decide(doc: Document) -> Doc:
        if not doc.exists:
            doc.tenant = town
            doc.state.update({"municipality": town, "kind": kind, "about": about, "words": words, "state": "ringing"})
            doc.state.update({"steps": [dict(step) for step in steps], "raised_at": wire_instant(duty.now)})
            _call(duty, doc, rules.ring(doc.state, duty.now, step=0, turn=1))
        return {"id": doc.id, "state": doc.state["state"]}

    return await duty.alarms.upsert(derived_id("alarm", town, cause), decide)


async def raise_by_hand(
    duty: Duty, principal: Principal, kind: str, about: str, words: str, command: Command
) -> tuple[Doc, Document]:
    """Staff, or the town's system, call whoever is on duty."""
    town = town_of(principal)
    if unseen_or_markup(words):
        raise invalid("/words", "markup", "HTML や制御文字は使えません。", "Markup and unseen signs are not accepted.")
    return await raise_alarm(duty, town, kind, about, words, command.id)


def _call(duty: Duty, doc: Document, called: tuple[str, ...]) -> None:
    state = doc.state
    event = DutyCalled(
        municipality=state["municipality"],
        kind=state["kind"],
        about=state["about"],
        words=state["words"],
        step=state["step"],
        turn=state["turn"],
        staff=called,
        take_by=datetime.fromtimestamp(state["climbs_at"] / 1000, duty.now.tzinfo),
    )
    doc.emit(event, duty.now)


async def climb(duty: Duty) -> int:
    """Call the next ones of every alarm that nobody took in time; a guarded commit, so two workers call once (protocol D4)."""
    called = 0
    until = int(duty.now.timestamp() * 1000)
    for row in await kept.alarms_until(duty.alarms.store, until):

        def decide(doc: Document) -> Doc:
            found = rules.climb(doc.state, duty.now)
            if found:
                _call(duty, doc, found)
            return {"called": bool(found)}

        answer, _ = await duty.alarms.change(row, decide)
        called += answer["called"]
    return called


async def take(duty: Duty, principal: Principal, alarm: str) -> tuple[Doc, Document]:
    """A member of the town's staff takes the alarm: it climbs no further. Raises NotFound, Conflict."""
    town = town_of(principal)
    if principal.role != "staff":
        raise Forbidden

    def decide(doc: Document) -> Doc:
        if doc.state["municipality"] != town:
            raise NotFound
        if rules.take(doc.state, principal.subject, duty.now):
            doc.emit(AlarmTaken(municipality=town, by=principal.subject, taken_at=duty.now), duty.now)
        elif doc.state["taken_by"] != principal.subject:
            raise Conflict
        return {"id": doc.id, "state": doc.state["state"]}

    return await duty.alarms.change(alarm, decide)


async def listed(duty: Duty, principal: Principal, state: str | None) -> list[Doc]:
    """The town's alarms, newest first, at most 200."""
    town = town_of(principal)
    docs = await kept.alarms_of(duty.alarms.store, town)
    return [_shown(doc) for doc in docs if state is None or doc.state["state"] == state][:LISTED]


def _shown(doc: Document) -> Doc:
    state = doc.state
    climbs_at, taken_at = state.get("climbs_at"), state.get("taken_at")
    return {
        "id": doc.id,
        **{name: state[name] for name in ("kind", "about", "words", "state", "raised_at", "step", "turn")},
        "called": [{"staff": one["staff"], "at": kept.instant(one["at"])} for one in state["called"]],
        "climbs_at": kept.instant(climbs_at / 1000) if climbs_at is not None else None,
        "taken_by": state.get("taken_by"),
        "taken_at": kept.instant(taken_at) if taken_at is not None else None,
    }


def _own_town(principal: Principal, town: str) -> None:
    if town_of(principal) != town:
        raise NotFound
    if principal.role != "staff":
        raise Forbidden
