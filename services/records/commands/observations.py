"""Record checkups and conditions; put them right, withdraw them."""

from services.records.commands.records import Records, add_entry, change_entry
from services.records.domain import checkups, conditions
from services.records.domain.access import Caller
from shared.documents import Command, Document
from shared.store import Doc


async def record_checkup(
    records: Records, caller: Caller, child: str, wish: checkups.CheckupWish, command: Command
) -> tuple[Doc, Document]:
    """Record that a checkup was done."""
    return await add_entry(
        records,
        caller,
        "record_checkup",
        child,
        lambda record: checkups.record_checkup(record, wish, caller, checkup_id=command.id, today=records.today),
        command,
    )


async def correct_checkup(
    records: Records,
    caller: Caller,
    child: str,
    checkup: str,
    wish: checkups.CheckupWish,
    reason: str,
    command: Command | None,
    if_match: str | None,
) -> tuple[Doc, Document]:
    """Put a recorded checkup right."""
    return await change_entry(
        records,
        caller,
        "change_checkup",
        child,
        lambda record: checkups.correct_checkup(record, checkup, wish, reason, caller, today=records.today),
        {"id": checkup},
        command,
        if_match=if_match,
        match_required=True,
    )


async def retract_checkup(
    records: Records, caller: Caller, child: str, checkup: str, reason: str, command: Command, if_match: str | None
) -> tuple[Doc, Document]:
    """Withdraw a checkup that was entered in error."""
    return await change_entry(
        records,
        caller,
        "change_checkup",
        child,
        lambda record: checkups.retract_checkup(record, checkup, reason, caller, today=records.today),
        {"id": checkup},
        command,
        if_match=if_match,
    )


async def record_condition(
    records: Records, caller: Caller, child: str, wish: conditions.ConditionWish, command: Command
) -> tuple[Doc, Document]:
    """Record a condition."""
    return await add_entry(
        records,
        caller,
        "record_condition",
        child,
        lambda record: conditions.record_condition(record, wish, caller, condition_id=command.id, today=records.today),
        command,
    )


async def retract_condition(
    records: Records, caller: Caller, child: str, condition: str, reason: str, command: Command, if_match: str | None
) -> tuple[Doc, Document]:
    """Withdraw a condition that was entered in error."""
    return await change_entry(
        records,
        caller,
        "change_condition",
        child,
        lambda record: conditions.retract_condition(record, condition, reason, caller, today=records.today),
        {"id": condition},
        command,
        if_match=if_match,
    )
