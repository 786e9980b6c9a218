"""What holds for every entry of a record that has an author: whose it is to change, and that it is withdrawn once."""

from typing import Any

from services.records.domain.access import Caller, Verb, check, check_author
from services.records.domain.record import Record
from shared.events.records import Actor, ChildEvent, Provenance
from shared.problems import Conflict, NotFound


def own(record: Record, family: str, key: str, caller: Caller, verb: Verb, today: Any) -> Any:
    """The entry, if it is the caller's to change; families are attributes of the record.

    Raises Forbidden, NotFound; Conflict for one that was withdrawn.
    """
    check(record, caller, verb, today)
    retracted = getattr(record, f"retracted_{family}").get(key)
    entry = getattr(record, family).get(key) or retracted
    if entry is None:
        raise NotFound
    check_author(record, caller, author(entry), entry.organisation if _says(entry) else entry.by.organisation)
    if retracted is not None:
        raise Conflict("This entry has been withdrawn.")
    return entry


def changed(before: ChildEvent, after: ChildEvent) -> bool:
    """Whether a correction says anything new; by whom and why is not what it says."""
    hidden = {"by", "reason"}
    return before.model_dump(exclude=hidden) != after.model_dump(exclude=hidden)


def author(entry: Any) -> Provenance:
    """Whose word the entry is: as it says, or by who recorded it."""
    return entry.provenance if _says(entry) else _of(entry.by)


def _says(entry: Any) -> bool:
    return getattr(entry, "provenance", None) is not None


def _of(by: Actor) -> Provenance:
    return Caller(by.subject, by.role, organisation=by.organisation).provenance
