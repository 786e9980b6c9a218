"""Allergies (アレルギー): to what, and how dangerous the next contact would be."""

from dataclasses import dataclass
from datetime import date

from services.records.domain.access import Caller, check
from services.records.domain.days import check_day
from services.records.domain.entries import check_choice, check_room, own
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import AllergyRecorded, AllergyRetracted, ChildEvent, Criticality


@dataclass(frozen=True, slots=True, kw_only=True)
class AllergyWish:
    """An allergy as somebody wishes to record it; since when may be unknown."""

    substance: str
    criticality: Criticality = "unknown"
    since: date | None = None
    text: str | None = None


def record_allergy(
    record: Record, wish: AllergyWish, caller: Caller, *, allergy_id: str, today: date
) -> list[ChildEvent]:
    """Record an allergy. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "record_condition", today)
    findings = Findings()
    check_choice("allergen", wish.substance, "/substance", findings)
    if wish.since is not None:
        check_day(wish.since, record, today, "/since", findings)
    if any(
        (one.substance, one.provenance, one.organisation) == (wish.substance, caller.provenance, caller.acts_for)
        for one in record.allergies.values()
    ):
        findings.add("/substance", "already-recorded", "すでに記録されています。", "This is recorded already.")
    check_room(record, "allergies", findings)
    findings.refuse()
    return [
        AllergyRecorded(
            allergy_id=allergy_id,
            substance=wish.substance,
            criticality=wish.criticality,
            since=wish.since,
            text=wish.text,
            provenance=caller.provenance,
            organisation=caller.acts_for,
            by=caller.actor,
        )
    ]


def retract_allergy(record: Record, allergy_id: str, reason: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """Withdraw one that was entered in error or was outgrown. Raises Forbidden, NotFound, Conflict."""
    own(record, "allergies", allergy_id, caller, "change_condition", today)
    return [AllergyRetracted(allergy_id=allergy_id, reason=reason, by=caller.actor)]
