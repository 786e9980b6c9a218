"""Steps of development (発達の記録): what the handbook's pages ask for, and when the child did it first."""

from datetime import date

from services.records.domain.access import Caller, check
from services.records.domain.days import check_day
from services.records.domain.entries import check_choice, check_room, own
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import ChildEvent, MilestoneRecorded, MilestoneRetracted


def record_milestone(
    record: Record, milestone: str, reached_on: date, caller: Caller, *, about: bool, milestone_id: str, today: date
) -> list[ChildEvent]:
    """Record when the child first did it. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "measure", today)
    findings = Findings()
    check_choice("milestone", milestone, "/milestone", findings)
    check_day(reached_on, record, today, "/reached_on", findings)
    if any(one.milestone == milestone for one in record.milestones.values()):
        findings.add("/milestone", "already-recorded", "すでに記録されています。", "This is recorded already.")
    check_room(record, "milestones", findings)
    findings.refuse()
    return [
        MilestoneRecorded(
            milestone_id=milestone_id,
            milestone=milestone,
            reached_on=reached_on,
            about=about,
            provenance=caller.provenance,
            organisation=caller.acts_for,
            by=caller.actor,
        )
    ]


def retract_milestone(
    record: Record, milestone_id: str, reason: str, caller: Caller, *, today: date
) -> list[ChildEvent]:
    """Withdraw one that was entered in error. Raises Forbidden, NotFound, Conflict."""
    own(record, "milestones", milestone_id, caller, "measure", today)
    return [MilestoneRetracted(milestone_id=milestone_id, reason=reason, by=caller.actor)]


def age_of(birth: date, on: date) -> tuple[int, int]:
    """(completed months, days beyond them); a month that has no such day is complete on its last."""
    months = (on.year - birth.year) * 12 + on.month - birth.month
    while _after(birth, months) > on:
        months -= 1
    return months, (on - _after(birth, months)).days


def _after(birth: date, months: int) -> date:
    year, month = birth.year + (birth.month - 1 + months) // 12, (birth.month - 1 + months) % 12 + 1
    for day in range(birth.day, 27, -1):
        try:
            return date(year, month, day)
        except ValueError:
            continue
    return date(year, month, birth.day)
