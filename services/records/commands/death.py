"""Telling of a child's death, and taking it back."""

from datetime import date

from services.records.commands.records import Records, add_entry
from services.records.domain import death
from services.records.domain.access import Caller
from shared.documents import Command, Document
from shared.store import Doc


async def tell(records: Records, caller: Caller, child: str, died_on: date, command: Command) -> tuple[Doc, Document]:
    """The child died: every reader falls silent."""
    return await add_entry(
        records,
        caller,
        "tell_death",
        child,
        lambda record: death.tell(record, died_on, caller, records.today),
        command,
        {"id": child},
    )


async def take_back(
    records: Records, caller: Caller, child: str, reason: str, command: Command
) -> tuple[Doc, Document]:
    """It was told wrongly: every reader has the child back as it was."""
    return await add_entry(
        records,
        caller,
        "tell_death",
        child,
        lambda record: death.take_back(record, reason, caller, records.today),
        command,
        {"id": child},
    )
