"""Open a record, put the child's own facts right, show what happened."""

from typing import Any

from services.records import store as kept
from services.records.commands.records import Records, change_entry, told
from services.records.domain import children, history
from services.records.domain.access import Caller, check, check_role
from services.records.domain.duplicates import Traits, alike
from services.records.domain.record import opened
from shared.documents import Command, Document
from shared.events.records import ChildRegistered
from shared.problems import Conflict, NotFound
from shared.store import Doc


async def register_child(
    records: Records, caller: Caller, wish: children.ChildWish, command: Command
) -> tuple[Doc, Document]:
    """Open a child's record; its id is the command's, so that opening twice is opening once.

    Staff and the town's system are told which of its residents may be the same child; a guardian learns of no other.
    """
    check_role(caller, "register")
    similar = [] if caller.role == "guardian" else await _similar(records, wish, command.id)

    def decide(doc: Document) -> Doc:
        first, *rest = children.register(wish, caller, records.today)
        if not isinstance(first, ChildRegistered):
            raise TypeError("a record opens with ChildRegistered")
        record = opened(first)
        doc.tenant = record.facts.municipality
        doc.emit(first, records.now)
        answer = {"id": doc.id, "revision": told(doc, record, rest, records.now)}
        if similar:
            answer["similar"] = similar
        kept.children.remember_made(doc, command, answer)
        return answer

    try:
        return await records.children.create(command.id, decide, command)
    except Conflict:
        # The document has forgotten its first command; what was made under the key says the same.
        doc = await records.children.load(command.id)
        known = kept.children.made_before(doc, command) if doc is not None else None
        if doc is None or known is None:
            raise
        return known, doc


async def _similar(records: Records, wish: children.ChildWish, own: str) -> list[Doc]:
    mine = Traits(wish.birth_date, wish.sex, wish.family_kana, wish.given_kana, wish.municipality)
    others = (await kept.merging.children_like(records.store, [mine.key])).get(mine.key, [])
    return [
        {"child": child, "strength": strength}
        for child, theirs in sorted(others)
        if child != own and (strength := alike(mine, theirs)) is not None
    ]


async def correct_child(
    records: Records,
    caller: Caller,
    child: str,
    wish: children.ChildWish,
    reason: str,
    command: Command | None,
    if_match: str | None,
) -> tuple[Doc, Document]:
    """Put the child's own facts right."""
    return await change_entry(
        records,
        caller,
        "correct",
        child,
        lambda record: children.correct(record, wish, reason, caller, records.today),
        {"id": child},
        command,
        if_match=if_match,
        match_required=True,
    )


async def read_history(
    records: Records, caller: Caller, child: str, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """(lines of the history after a revision as this role sees them, where to read on or None)."""
    check_role(caller, "read_history")
    doc = await records.children.load(child)
    if doc is None:
        raise NotFound
    check(kept.children.record_of(doc), caller, "read_history", records.today)
    found = await kept.history.history(records.children.store, doc, after, limit + 1)
    lines = [
        line
        for revision, at, kind, fact in found[:limit]
        if (line := history.line(caller.role, kind, revision, at, fact)) is not None
    ]
    return lines, found[limit - 1][0] if len(found) > limit else None
