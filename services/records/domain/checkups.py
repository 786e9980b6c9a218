"""Checkups that took place (乳幼児健康診査)."""

from dataclasses import dataclass
from datetime import date

from services.records.domain.access import Caller, check
from services.records.domain.days import check_day
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import CheckupRecorded, ChildEvent

MOST_CHECKUPS = 200
KINDS = frozenset(
    {
        "checkup_1m",
        "checkup_3m",
        "checkup_6m",
        "checkup_9m",
        "checkup_18m",
        "checkup_3y",
        "checkup_5y",
    }
)
"""The checkups of 母子保健法 articles 12 and 13, by the codes of the schedule's series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckupWish:
    """A checkup as somebody wishes to record it."""

    kind: str
    done_on: date


def record_checkup(
    record: Record, wish: CheckupWish, caller: Caller, *, checkup_id: str, today: date
) -> list[ChildEvent]:
    """Record that a checkup was done. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "record_checkup", today)
    findings = Findings()
    check_day(wish.done_on, record.facts.birth_date, today, "/done_on", findings)
    if wish.kind not in KINDS:
        findings.add(
            "/kind", "checkup-unknown", "この健診の種類は登録されていません。", "This kind of checkup is not known."
        )
    if any((one.kind, one.done_on) == (wish.kind, wish.done_on) for one in record.checkups.values()):
        findings.add(
            "/done_on",
            "already-recorded",
            "同じ日の同じ健診がすでに記録されています。",
            "This checkup is already recorded for this day.",
        )
    if len(record.checkups) >= MOST_CHECKUPS:
        findings.add("", "too-many", "記録の上限に達しました。", f"A record holds {MOST_CHECKUPS} checkups.")
    findings.refuse()
    return [
        CheckupRecorded(
            checkup_id=checkup_id, kind=wish.kind, done_on=wish.done_on, organisation=caller.acts_for, by=caller.actor
        )
    ]
