"""Moves and stays: announced, confirmed, begun and ended, by people or by the day itself."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

from services.records import store as kept
from services.records.commands.records import Records, add_entry, change_entry, told
from services.records.domain import moves, stays
from services.records.domain.access import Caller, Verb, check, check_role
from services.records.domain.record import Record
from shared.documents import Command, Document
from shared.events.records import ChildEvent
from shared.problems import Conflict, NotFound, invalid
from shared.store import Doc

LOOK_EVERY_S = 60.0


async def announce_move(
    records: Records, caller: Caller, child: str, wish: moves.MoveWish, command: Command, if_match: str | None
) -> tuple[Doc, Document]:
    """The old town announces a move."""
    await _check_theirs(records, caller, child, "move")
    here = await _kind_of(records, wish.to_municipality) == "municipality"
    await kept.days.remember_days(records.store, child, command.id, [wish.effective_on])
    return await change_entry(
        records,
        caller,
        "move",
        child,
        lambda record: moves.announce(record, wish, caller, move=command.id, here=here, today=records.today),
        {"id": child},
        command,
        if_match=if_match,
    )


async def settle_move(
    records: Records, caller: Caller, child: str, command: Command, *, cancel: bool = False
) -> tuple[Doc, Document]:
    """The new town confirms a move, or one of the two takes it back."""
    verb: Callable[..., Sequence[ChildEvent]] = moves.cancel if cancel else moves.confirm
    return await change_entry(
        records, caller, "move", child, lambda record: verb(record, caller, today=records.today), {"id": child}, command
    )


async def plan_stay(
    records: Records, caller: Caller, child: str, wish: stays.StayWish, command: Command
) -> tuple[Doc, Document]:
    """Lend the record to another town and its clinics for a time."""
    await _check_theirs(records, caller, child, "stay")
    for place, (organisation, kind) in enumerate(
        [(wish.municipality, "municipality"), *((clinic, "clinic") for clinic in wish.clinics)]
    ):
        if await _kind_of(records, organisation) != kind:
            raise invalid(
                f"/clinics/{place - 1}" if place else "/municipality",
                "organisation-unknown",
                "この機関は登録されていません。",
                "This organisation is not known.",
            )
    await kept.days.remember_days(records.store, child, command.id, [wish.since, wish.until + timedelta(days=1)])
    return await add_entry(
        records,
        caller,
        "stay",
        child,
        lambda record: stays.plan(record, wish, caller, stay=command.id, today=records.today),
        command,
        {"id": command.id},
    )


async def end_stay(records: Records, caller: Caller, child: str, stay: str, command: Command) -> tuple[Doc, Document]:
    """End a stay early."""
    return await change_entry(
        records,
        caller,
        "stay",
        child,
        lambda record: stays.end(record, stay, caller, today=records.today),
        {"id": stay},
        command,
    )


async def turn_days(records: Records) -> int:
    """Let begin, end and take effect what today has brought; how many children were looked at.

    A row goes only after its child was changed: a crash in between does nothing twice, since nothing is left to happen.
    """
    today = records.today
    due = await kept.days.days_until(records.store, today)
    for row in due:

        def decide(doc: Document) -> Doc:
            record = kept.children.record_of(doc)
            told(doc, record, _on_day(record, today), records.now)
            return {}

        # A record that is being merged has its day a little later.
        with contextlib.suppress(Conflict):
            with contextlib.suppress(NotFound):
                await records.children.change(row["child"], decide)
            await kept.days.forget_day(records.store, row["_id"])
    return len(due)


def _on_day(record: Record, today: date) -> list[ChildEvent]:
    return [*stays.on_day(record, today), *moves.on_day(record, today)]


async def day_keeper(records: Records) -> None:
    """Look every minute."""
    await turn_days(records)
    await asyncio.sleep(LOOK_EVERY_S)


async def _check_theirs(records: Records, caller: Caller, child: str, verb: Verb) -> None:
    """Before anything is written under this child's name; the commit asks again."""
    check_role(caller, verb)
    known = await records.children.load(child)
    if known is None:
        raise NotFound
    check(kept.children.record_of(known), caller, verb, records.today)


async def _kind_of(records: Records, organisation: str) -> Any:
    doc = await records.organisations.load(organisation)
    return doc.state.get("kind") if doc is not None else None
