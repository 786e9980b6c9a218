"""Record, put right and withdraw doses."""

from services.records.commands.records import Records, add_entry, change_entry
from services.records.domain import doses
from services.records.domain.access import Caller
from shared.documents import Command, Document
from shared.store import Doc


async def record_dose(
    records: Records, caller: Caller, child: str, wish: doses.DoseWish, command: Command
) -> tuple[Doc, Document]:
    """Record a dose."""
    return await add_entry(
        records,
        caller,
        "record_dose",
        child,
        lambda record: doses.record_dose(
            record, wish, caller, dose_id=command.id, today=records.today, now=records.now
        ),
        command,
    )


async def correct_dose(
    records: Records,
    caller: Caller,
    child: str,
    dose: str,
    wish: doses.DoseWish,
    reason: str,
    command: Command | None,
    if_match: str | None,
) -> tuple[Doc, Document]:
    """Put a recorded dose right."""
    return await change_entry(
        records,
        caller,
        "change_dose",
        child,
        lambda record: doses.correct_dose(record, dose, wish, reason, caller, today=records.today),
        {"id": dose},
        command,
        if_match=if_match,
        match_required=True,
    )


async def retract_dose(
    records: Records, caller: Caller, child: str, dose: str, reason: str, command: Command, if_match: str | None
) -> tuple[Doc, Document]:
    """Withdraw a dose that was entered in error."""
    return await change_entry(
        records,
        caller,
        "change_dose",
        child,
        lambda record: doses.retract_dose(record, dose, reason, caller, today=records.today),
        {"id": dose},
        command,
        if_match=if_match,
    )
