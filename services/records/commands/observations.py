"""Record checkups, conditions, reactions, allergies and steps of development; put them right, withdraw them."""

from services.records.commands.records import Facts, Records, add_entry, change_entry
from services.records.domain import checkups, conditions
from services.records.domain.access import Caller, Verb, check_role
from shared.documents import Command, Document
from shared.store import Doc


async def record_checkup(
    records: Records, caller: Caller, child: str, wish: checkups.CheckupWish, command: Command
) -> tuple[Doc, Document]:
    """Record that a checkup was done."""
    check_role(caller, "record_checkup")
    return await add_entry(
        records,
        child,
        lambda record: checkups.record_checkup(record, wish, caller, checkup_id=command.id, today=records.today),
        command,
        {"id": command.id},
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
    check_role(caller, "change_checkup")
    return await change_entry(
        records,
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
    check_role(caller, "change_checkup")
    return await change_entry(
        records,
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
    check_role(caller, "record_condition")
    return await add_entry(
        records,
        child,
        lambda record: conditions.record_condition(record, wish, caller, condition_id=command.id, today=records.today),
        command,
        {"id": command.id},
    )


async def retract_condition(
    records: Records, caller: Caller, child: str, condition: str, reason: str, command: Command, if_match: str | None
) -> tuple[Doc, Document]:
    """Withdraw a condition that was entered in error."""
    check_role(caller, "change_condition")
    return await change_entry(
        records,
        child,
        lambda record: conditions.retract_condition(record, condition, reason, caller, today=records.today),
        {"id": condition},
        command,
        if_match=if_match,
    )


async def record_entry(
    records: Records, caller: Caller, child: str, verb: Verb, facts: Facts, command: Command
) -> tuple[Doc, Document]:
    """Record a reaction, an allergy or a step of development under the command's id."""
    check_role(caller, verb)
    return await add_entry(records, child, facts, command, {"id": command.id, "provenance": caller.provenance})


async def change_own_entry(
    records: Records,
    caller: Caller,
    child: str,
    entry: str,
    verb: Verb,
    facts: Facts,
    command: Command | None,
    if_match: str | None,
    *,
    match_required: bool = False,
) -> tuple[Doc, Document]:
    """Put such an entry right, or withdraw it."""
    check_role(caller, verb)
    return await change_entry(
        records, child, facts, {"id": entry}, command, if_match=if_match, match_required=match_required
    )
