"""Emergencies have two people: one writes, another approves; who has nobody at hand breaks the glass and is reviewed afterwards."""

from collections.abc import Callable

from services.notify import store as kept
from services.notify.commands.announcements import Notices, announce, freeze, shown, the_notice, town_of
from services.notify.domain import audience as audiences
from shared.auth import Principal
from shared.clock import read_instant, wire_instant
from shared.documents import Command, Document
from shared.problems import Conflict, Forbidden, Problem
from shared.store import Doc

LISTED = 200


class AnotherPersonNeeded(Problem):
    """Who wrote it cannot be the second person."""

    status = 409
    code = "another-person-needed"
    ja = "作成した人とは別の職員の承認が必要です。"
    en = "Another member of staff has to approve this."


async def approve(
    notices: Notices, principal: Principal, announcement: str, command: Command | None
) -> tuple[Doc, Document]:
    """The second person approves an emergency, which goes out at once, or reviews one that went out without."""
    _staff_only(principal)

    def stamp(doc: Document) -> bool:
        state = doc.state
        if principal.subject in {state["published_by"], (state.get("break_glass") or {}).get("by")}:
            raise AnotherPersonNeeded
        if state["state"] == "awaiting_approval":
            state["approved_by"] = principal.subject
            return True
        if not state.get("break_glass") or state.get("reviewed_by"):
            raise Conflict
        state["reviewed_by"] = principal.subject
        return False

    return await _release(notices, principal, announcement, stamp, command)


async def break_glass(
    notices: Notices, principal: Principal, announcement: str, reason: str, command: Command | None
) -> tuple[Doc, Document]:
    """Send a waiting emergency without a second person; it stays on the list to be reviewed until another has."""
    _staff_only(principal)

    def stamp(doc: Document) -> bool:
        if doc.state["state"] != "awaiting_approval":
            raise Conflict
        doc.state["break_glass"] = {"by": principal.subject, "reason": reason, "at": wire_instant(notices.now)}
        return True

    return await _release(notices, principal, announcement, stamp, command)


def _staff_only(principal: Principal) -> None:
    town_of(principal)
    if principal.role != "staff":
        raise Forbidden


async def _release(
    notices: Notices,
    principal: Principal,
    announcement: str,
    stamp: Callable[[Document], bool],
    command: Command | None,
) -> tuple[Doc, Document]:
    """Stamp the notice; if that releases it, publish it to whom it concerns now, or arm it for its time."""
    doc = await the_notice(notices, principal, announcement)
    frozen: Doc = {}
    later = doc.state["publish_at"] is not None and read_instant(doc.state["publish_at"]) > notices.now
    if doc.state["state"] == "awaiting_approval":
        if later:
            await kept.schedule(notices.store, announcement, read_instant(doc.state["publish_at"]))
        else:
            people = await kept.town_of_code(notices.store, doc.state["municipality"])
            reached = audiences.reach(doc.state["audience"], people, notices.today)
            frozen = await freeze(notices, reached, bool(doc.state.get("safety_check")))

    def decide(doc: Document) -> Doc:
        if stamp(doc):
            if frozen:
                announce(notices, doc, frozen)
            elif later:
                doc.state["state"] = "scheduled"
            else:
                raise Conflict
        return {"id": doc.id, "state": doc.state["state"], "recipients": doc.state.get("recipients")}

    return await notices.announcements.change(announcement, decide, command)


async def listed(notices: Notices, principal: Principal, state: str | None) -> list[Doc]:
    """The town's notices, newest first, at most 200: all, or those of a state; `to_review` are those sent by breaking the glass."""
    docs = await kept.announcements_of(notices.store, town_of(principal))
    found = [shown(doc) for doc in docs]
    if state == "to_review":
        found = [one for one in found if one["break_glass"] and not one["reviewed_by"]]
    elif state is not None:
        found = [one for one in found if one["state"] == state]
    return found[:LISTED]
