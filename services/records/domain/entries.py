"""What holds for every entry of a record that has an author: whose it is to change, and that it is withdrawn once."""

from typing import Any

from services.records.domain.access import Caller, Verb, check, check_author
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import Actor, ChildEvent, Provenance
from shared.problems import Conflict, NotFound
from shared.value_sets import value_set

MOST_ENTRIES = 200


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


def check_choice(name: str, said: str, pointer: str, findings: Findings) -> None:
    """Find what is not in the value set of that name."""
    if said not in value_set(name):
        findings.add(
            pointer, f"{name}-unknown", "この項目は登録されていません。", f"Use one of {', '.join(value_set(name))}."
        )


def check_room(record: Record, family: str, findings: Findings) -> None:
    """Find a family of entries that is full."""
    if len(getattr(record, family)) + len(getattr(record, f"retracted_{family}")) >= MOST_ENTRIES:
        findings.add("", "too-many", "記録の上限に達しました。", f"A record holds {MOST_ENTRIES} of these.")


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
