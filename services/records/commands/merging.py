"""Merging two records, as a saga over two documents (protocol W5): freeze, carry over, close; whoever finds it half done goes on.

A merge: freeze B; commit A with B's facts; move the diary; close B. A separation: freeze A; open C with what B was; move
the diary; commit A without it, and thaw. Each step looks first whether it was done. A frozen record refuses every write.
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from services.records import store as kept
from services.records.commands.records import Records, head, told
from services.records.domain import duplicates, merging
from services.records.domain.access import Caller, check_role
from services.records.domain.record import Record, opened
from shared.documents import Command, Document
from shared.events.records import ChildRegistered, MergedAway
from shared.ids import derived_id
from shared.problems import Conflict, NotFound, Problem
from shared.store import Doc

LOOK_EVERY_S = 5.0
LEFT_BEHIND_AFTER = timedelta(seconds=10)


async def merge(
    records: Records, caller: Caller, child: str, other: str, reason: str, command: Command
) -> tuple[Doc, Document]:
    """Make one record of two; the second one's id is closed for ever."""
    check_role(caller, "merge")
    first, second = await records.children.load(child), await records.children.load(other)
    if first is not None and (known := kept.children.made_before(first, command)) is not None:
        return known, first
    if first is None or second is None:
        raise NotFound
    merging.check_pair(kept.children.record_of(first), kept.children.record_of(second), caller, records.today)
    if child == other:
        raise merging.same_child()
    saga = kept.merging.saga("merge", command, child, other, reason, caller)
    await kept.merging.begin_saga(records.store, saga)
    await run(records, saga)
    return await _outcome(records, child, command)


async def separate(
    records: Records, caller: Caller, child: str, other: str, reason: str, command: Command
) -> tuple[Doc, Document]:
    """Undo a merge: what came with the second record opens a third one."""
    check_role(caller, "merge")
    doc = await records.children.load(child)
    if doc is None:
        raise NotFound
    if (known := kept.children.made_before(doc, command)) is not None:
        return known, doc
    merging.check_own(kept.children.record_of(doc), caller, records.today)
    merging.carried_of(kept.merging.merges(doc), other)
    saga = kept.merging.saga("separate", command, child, other, reason, caller)
    await kept.merging.begin_saga(records.store, saga)
    await run(records, saga)
    return await _outcome(records, child, command)


async def _outcome(records: Records, child: str, command: Command) -> tuple[Doc, Document]:
    doc = await records.children.load(child)
    known = kept.children.made_before(doc, command) if doc is not None else None
    if doc is None or known is None:
        raise Conflict
    return known, doc


async def run(records: Records, saga: Doc) -> None:
    """Do what is left of a saga. One that cannot begin (the records changed meanwhile) is taken back, and raises why.

    Behind its deciding commit, or once the third record is open, it only goes forward: the keeper comes back to it.
    """
    steps = _MERGE if saga["kind"] == "merge" else _SEPARATE
    try:
        for step in steps:
            await step(records, saga)
    except Problem:
        if not await _made(records, saga) and await records.children.load(_third(saga)) is None:
            await _thaw(records, saga)
            await kept.merging.end_saga(records.store, saga["_id"])
        raise
    await kept.merging.end_saga(records.store, saga["_id"])


async def resume(records: Records, *, older_than: timedelta = LEFT_BEHIND_AFTER) -> int:
    """Go on with what a process left half done; how many there were."""
    found = await kept.merging.sagas_before(records.store, datetime.now(UTC) - older_than)
    left = [saga for saga in found if saga["kind"] in {"merge", "separate"}]
    for saga in left:
        with contextlib.suppress(Problem):
            await run(records, saga)
    return len(left)


async def saga_keeper(records: Records) -> None:
    """Look every few seconds."""
    await resume(records)
    await asyncio.sleep(LOOK_EVERY_S)


# Steps: each looks first whether it was done ------------------------------------------------------------------------


async def _freeze(records: Records, saga: Doc) -> None:
    frozen = saga["second"] if saga["kind"] == "merge" else saga["first"]

    def decide(doc: Document) -> Doc:
        if not kept.merging.is_frozen_by(doc, saga) and kept.merging.merged_into(doc) != saga["first"]:
            kept.children.record_of(doc)  # refuses one that another saga froze, or that is closed
            kept.merging.freeze(doc, saga)
        return {}

    if not await _made(records, saga):
        await records.children.change(frozen, decide)


async def _days_follow(records: Records, child: str, other: Record) -> None:
    """The stays of the other record begin and end on their days here as well."""
    for stay, planned in other.stays.items():
        await kept.days.remember_days(
            records.store, child, stay, [planned.since, planned.until + timedelta(days=1), records.today]
        )


async def _carry_over(records: Records, saga: Doc) -> None:
    source = await records.children.load(saga["second"])
    if source is None:
        raise NotFound
    other = kept.children.record_of(source, even_frozen=True)
    caller = kept.merging.caller_of_saga(saga)
    await _days_follow(records, saga["first"], other)

    def decide(doc: Document) -> Doc:
        if kept.children.made_before(doc, kept.merging.command_of_saga(saga)) is not None:
            return {}
        record = kept.children.record_of(doc)
        merging.check_pair(record, other, caller, records.today)
        events, carried = merging.merge(
            record,
            other,
            other_id=saga["second"],
            other_revision=head(source),
            reason=saga["reason"],
            caller=caller,
        )
        revision = told(doc, record, events, records.now)
        kept.merging.remember_merge(doc, saga["second"], carried, len(record.lived))
        kept.children.remember_made(doc, kept.merging.command_of_saga(saga), {"id": doc.id, "revision": revision})
        return {}

    await records.children.change(saga["first"], decide)


async def _move_diary(records: Records, saga: Doc) -> None:
    """The entries go where their child went; photos lie under keys of their own."""
    merging_now = saga["kind"] == "merge"
    source, target = (saga["second"], saga["first"]) if merging_now else (saga["first"], _third(saga))

    def decide(doc: Document) -> Doc:
        if doc.state.get("child") == source and (merging_now or doc.state.get("came_with") == saga["second"]):
            doc.state["child"] = target
            doc.state["came_with"] = saga["second"]
            if not merging_now:
                del doc.state["came_with"]
        return {}

    for entry in await kept.merging.diary_of(records.store, source):
        await records.diary.change(entry, decide)


async def _close(records: Records, saga: Doc) -> None:
    def decide(doc: Document) -> Doc:
        if kept.merging.merged_into(doc) is None:
            doc.emit(MergedAway(into=saga["first"], by=kept.merging.caller_of_saga(saga).actor), records.now)
            kept.merging.close(doc, saga["first"])
        return {}

    await records.children.change(saga["second"], decide)


async def _open_third(records: Records, saga: Doc) -> None:
    first, second = await records.children.load(saga["first"]), await records.children.load(saga["second"])
    if first is None or second is None or await records.children.load(_third(saga)) is not None:
        return
    if saga["second"] not in kept.merging.merges(first):
        return
    record, other = kept.children.record_of(first, even_frozen=True), kept.children.record_of(second, even_frozen=True)
    carried = merging.carried_of(kept.merging.merges(first), saga["second"])
    caller = kept.merging.caller_of_saga(saga)
    # A merge from before moves were counted: none is taken for one that came after it.
    moves = kept.merging.merges(first)[saga["second"]].get("moves", len(record.lived))
    events = merging.restore(
        record, other, carried, moved_since=record.lived[moves:], other_id=saga["second"], caller=caller
    )

    def decide(doc: Document) -> Doc:
        begin, *rest = events
        if not isinstance(begin, ChildRegistered):
            raise TypeError("a record opens with ChildRegistered")
        third: Record = opened(begin)
        doc.tenant = third.facts.municipality
        doc.emit(begin, records.now)
        told(doc, third, rest, records.now)
        return {}

    await _days_follow(records, _third(saga), other)
    with contextlib.suppress(Conflict):
        await records.children.create(_third(saga), decide)


async def _leave(records: Records, saga: Doc) -> None:
    caller, third = kept.merging.caller_of_saga(saga), _third(saga)
    # Somebody has just said that they are two: nobody is asked again.
    await kept.merging.keep_apart(records.store, saga["municipality"], pair_id(saga["first"], third))

    def reopen(doc: Document) -> Doc:
        kept.merging.reopened(doc, third)
        return {}

    await records.children.change(saga["second"], reopen)

    def decide(doc: Document) -> Doc:
        if kept.children.made_before(doc, kept.merging.command_of_saga(saga)) is not None:
            return {}
        record = kept.children.record_of(doc, even_frozen=True)
        carried = merging.carried_of(kept.merging.merges(doc), saga["second"])
        events = merging.separate(
            record,
            carried,
            other_id=saga["second"],
            restored_as=third,
            reason=saga["reason"],
            caller=caller,
        )
        revision = told(doc, record, events, records.now)
        kept.merging.forget_merge(doc, saga["second"])
        kept.merging.thaw(doc, saga)
        kept.children.remember_made(
            doc, kept.merging.command_of_saga(saga), {"id": doc.id, "restored": third, "revision": revision}
        )
        return {}

    await records.children.change(saga["first"], decide)


async def _thaw(records: Records, saga: Doc) -> None:
    def decide(doc: Document) -> Doc:
        kept.merging.thaw(doc, saga)
        return {}

    for child in (saga["first"], saga["second"]):
        with contextlib.suppress(NotFound):
            await records.children.change(child, decide)


async def _made(records: Records, saga: Doc) -> bool:
    """Whether the saga's deciding commit is done: what is frozen after that would stay so."""
    doc = await records.children.load(saga["first"])
    return doc is not None and kept.children.made_before(doc, kept.merging.command_of_saga(saga)) is not None


def _third(saga: Doc) -> str:
    return derived_id("restored", saga["_id"])


# The diary once more behind the closing: an entry that was being written when the record froze is there by now, or finds
# its way by itself (commands/diary.py).
_MERGE: tuple[Any, ...] = (_freeze, _carry_over, _move_diary, _close, _move_diary)
_SEPARATE: tuple[Any, ...] = (_freeze, _open_third, _move_diary, _leave)


# Candidates -------------------------------------------------------------------------------------------------------


async def candidates(records: Records, caller: Caller, town: str) -> list[Doc]:
    """Pairs of the town's residents that may be one child, but those of whom somebody said that they are two."""
    check_role(caller, "merge")
    if caller.municipality != town:
        raise NotFound
    residents = await kept.merging.namesakes(records.store, town)
    apart = await kept.merging.told_apart(records.store, town)
    return [
        {
            "id": pair_id(pair.first, pair.second),
            "children": [pair.first, pair.second],
            "strength": pair.strength,
        }
        for pair in duplicates.pairs(residents)
        if pair_id(pair.first, pair.second) not in apart
    ]


async def tell_apart(records: Records, caller: Caller, town: str, pair: str) -> None:
    """Somebody looked: these are two children."""
    if pair not in {one["id"] for one in await candidates(records, caller, town)}:
        raise NotFound
    await kept.merging.keep_apart(records.store, town, pair)


def pair_id(first: str, second: str) -> str:
    """The id of a pair, whichever way round."""
    return derived_id("pair", *sorted((first, second)))
