"""A child's death (死亡の届出), told by the family or the town; told wrongly, it is taken back and nothing is lost."""

from datetime import date

from services.records.domain.access import Caller, check, check_author
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import ChildDied, ChildEvent, DeathRetracted
from shared.problems import Conflict, NotFound


def tell(record: Record, died_on: date, caller: Caller, today: date) -> list[ChildEvent]:
    """Say that the child died. Raises Forbidden, NotFound, Invalid; Conflict when a death is told already."""
    check(record, caller, "tell_death", today)
    if record.death is not None:
        raise Conflict("The death is told already.")
    findings = Findings()
    if died_on > today:
        findings.add("/died_on", "in-the-future", "死亡日が未来の日付です。", "The day of death is in the future.")
    if died_on < record.facts.birth_date:
        findings.add("/died_on", "before-birth", "生年月日より前の日付です。", "The day is before the birth.")
    findings.refuse()
    return [ChildDied(died_on=died_on, by=caller.actor)]


def take_back(record: Record, reason: str, caller: Caller, today: date) -> list[ChildEvent]:
    """Say that it was told wrongly. What the town told, only the town takes back.

    Raises Forbidden, and NotFound when no death is told.
    """
    check(record, caller, "tell_death", today)
    if record.death is None:
        raise NotFound
    by = record.death.by
    if by.role == "guardian":
        check_author(record, caller, "guardian", None)
    else:
        check_author(record, caller, "municipality", by.organisation)
    return [DeathRetracted(reason=reason, by=caller.actor)]
