"""Checkups that took place (乳幼児健康診査)."""

from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from services.records.domain.access import Caller, check
from services.records.domain.days import check_day
from services.records.domain.entries import author, changed, own
from services.records.domain.findings import Findings
from services.records.domain.growth import check_values
from services.records.domain.record import Record
from shared.events.records import (
    CheckupCorrected,
    CheckupFinding,
    CheckupRecorded,
    CheckupResult,
    CheckupRetracted,
    ChildEvent,
)
from shared.value_sets import value_set

MOST_CHECKUPS = 200
MOST_FINDINGS = 30
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
    """A checkup as somebody wishes to record it: what was measured (kg, cm) and found, what follows from it."""

    kind: str
    done_on: date
    result: CheckupResult | None = None
    findings: tuple[CheckupFinding, ...] = ()
    follow_up: str | None = None
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None


def record_checkup(
    record: Record, wish: CheckupWish, caller: Caller, *, checkup_id: str, today: date
) -> list[ChildEvent]:
    """Record that a checkup was done. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "record_checkup", today)
    findings = Findings()
    _check(record, wish, checkup_id, today, findings)
    if len(record.checkups) + len(record.retracted_checkups) >= MOST_CHECKUPS:
        findings.add("", "too-many", "記録の上限に達しました。", f"A record holds {MOST_CHECKUPS} checkups.")
    findings.refuse()
    return [
        CheckupRecorded(
            checkup_id=checkup_id,
            **_said(wish),
            provenance=caller.provenance,
            organisation=caller.acts_for,
            by=caller.actor,
        )
    ]


def correct_checkup(
    record: Record, checkup_id: str, wish: CheckupWish, reason: str, caller: Caller, *, today: date
) -> list[ChildEvent]:
    """Put a recorded checkup right; whose word it is stays. Raises Forbidden, NotFound, Conflict, Invalid."""
    before: CheckupRecorded = own(record, "checkups", checkup_id, caller, "change_checkup", today)
    findings = Findings()
    _check(record, wish, checkup_id, today, findings)
    findings.refuse()
    after = CheckupCorrected(
        checkup_id=checkup_id,
        **_said(wish),
        provenance=author(before),
        organisation=before.organisation,
        reason=reason,
        by=caller.actor,
    )
    return [after] if changed(before, after) else []


def retract_checkup(record: Record, checkup_id: str, reason: str, caller: Caller, *, today: date) -> list[ChildEvent]:
    """Withdraw a checkup that was entered in error; it stays to be seen. Raises Forbidden, NotFound, Conflict."""
    own(record, "checkups", checkup_id, caller, "change_checkup", today)
    return [CheckupRetracted(checkup_id=checkup_id, reason=reason, by=caller.actor)]


def _said(wish: CheckupWish) -> dict[str, Any]:
    return {one.name: getattr(wish, one.name) for one in fields(wish)}


def _check(record: Record, wish: CheckupWish, checkup_id: str, today: date, findings: Findings) -> None:
    check_day(wish.done_on, record, today, "/done_on", findings)
    if wish.kind not in KINDS:
        findings.add(
            "/kind", "checkup-unknown", "この健診の種類は登録されていません。", "This kind of checkup is not known."
        )
    others = [one for one in record.checkups.values() if one.checkup_id != checkup_id]
    if any((one.kind, one.done_on) == (wish.kind, wish.done_on) for one in others):
        findings.add(
            "/done_on",
            "already-recorded",
            "同じ日の同じ健診がすでに記録されています。",
            "This checkup is already recorded for this day.",
        )
    for place, one in enumerate(wish.findings):
        if one.code not in value_set("checkup_finding"):
            findings.add(
                f"/findings/{place}/code",
                "finding-unknown",
                "この所見の項目は登録されていません。",
                f"Use one of {', '.join(value_set('checkup_finding'))}.",
            )
    if len(wish.findings) > MOST_FINDINGS:
        findings.add("/findings", "too-many", "所見が多すぎます。", f"A checkup has at most {MOST_FINDINGS} findings.")
    if wish.result == "normal" and wish.follow_up is not None:
        findings.add(
            "/follow_up",
            "nothing-to-follow",
            "異常なしの健診に事後の指示はありません。",
            "Nothing follows from a checkup at which nothing was found.",
        )
    check_values(wish, findings)
