"""Adverse reactions (副反応疑い): what was seen after a dose, since when, how grave, how it ended. Nobody has to prove the cause."""

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from services.records.domain.access import Caller, check
from services.records.domain.entries import author, changed, check_choice, check_room, own
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.clock import tokyo_day
from shared.events.records import (
    AdverseReactionCorrected,
    AdverseReactionRecorded,
    AdverseReactionRetracted,
    ChildEvent,
    ReactionOutcome,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionWish:
    """A reaction as somebody wishes to record it."""

    dose_id: str
    symptom: str
    text: str | None = None
    began_at: datetime
    serious: bool = False
    outcome: ReactionOutcome = "unknown"


def record_reaction(
    record: Record, wish: ReactionWish, caller: Caller, *, reaction_id: str, today: date, now: datetime
) -> list[ChildEvent]:
    """Record what was seen after a dose. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "record_condition", today)
    findings = Findings()
    _check(record, wish, reaction_id, now, findings)
    check_room(record, "reactions", findings)
    findings.refuse()
    return [
        AdverseReactionRecorded(
            reaction_id=reaction_id,
            **_said(wish),
            provenance=caller.provenance,
            organisation=caller.acts_for,
            by=caller.actor,
        )
    ]


def correct_reaction(
    record: Record, reaction_id: str, wish: ReactionWish, reason: str, caller: Caller, *, today: date, now: datetime
) -> list[ChildEvent]:
    """Put it right, or tell how it ended; whose word it is stays. Raises Forbidden, NotFound, Conflict, Invalid."""
    before: AdverseReactionRecorded = own(record, "reactions", reaction_id, caller, "change_condition", today)
    findings = Findings()
    _check(record, wish, reaction_id, now, findings)
    findings.refuse()
    after = AdverseReactionCorrected(
        reaction_id=reaction_id,
        **_said(wish),
        provenance=author(before),
        organisation=before.organisation,
        reason=reason,
        by=caller.actor,
    )
    return [after] if changed(before, after) else []


def retract_reaction(record: Record, reaction_id: str, reason: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """Withdraw one that was entered in error. Raises Forbidden, NotFound, Conflict."""
    own(record, "reactions", reaction_id, caller, "change_condition", today)
    return [AdverseReactionRetracted(reaction_id=reaction_id, reason=reason, by=caller.actor)]


def _said(wish: ReactionWish) -> dict[str, Any]:
    return {one.name: getattr(wish, one.name) for one in fields(wish)}


def _check(record: Record, wish: ReactionWish, reaction_id: str, now: datetime, findings: Findings) -> None:
    check_choice("reaction", wish.symptom, "/symptom", findings)
    dose = record.doses.get(wish.dose_id)
    if dose is None:
        findings.add("/dose", "dose-unknown", "この接種の記録はありません。", "There is no such dose on record.")
    elif tokyo_day(wish.began_at) < dose.given_on:
        findings.add("/began_at", "before-the-dose", "接種より前の日時です。", "This is before the dose.")
    if wish.began_at > now + timedelta(minutes=5):
        findings.add("/began_at", "in-the-future", "未来の日時です。", "This instant is in the future.")
    if wish.outcome == "fatal" and not wish.serious:
        findings.add("/serious", "fatal-is-serious", "死亡は重篤です。", "A death is serious.")
    same = (wish.dose_id, wish.symptom)
    others = (one for one in record.reactions.values() if one.reaction_id != reaction_id)
    if any((one.dose_id, one.symptom) == same for one in others if one.began_at == wish.began_at):
        findings.add("/symptom", "already-recorded", "すでに記録されています。", "This is recorded already.")
