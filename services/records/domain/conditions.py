"""Diseases had, contraindications and certificates that the schedule's rules ask for (既往歴・接種要注意)."""

from dataclasses import dataclass
from datetime import date

from services.records.domain.access import Caller, Role, check
from services.records.domain.children import FIRST_BIRTH
from services.records.domain.entries import own
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import ChildEvent, ConditionRecorded, ConditionRetracted

MOST_CONDITIONS = 200
KNOWN = frozenset(
    {
        "anaphylaxis",
        "doctor_allows_20_days",
        "gi_malformation_untreated",
        "hbv_mother_to_child",
        "immunodeficiency",
        "immunoglobulin",
        "immunoglobulin_high_dose",
        "intussusception",
        "long_illness_ended",
        "measles_disease",
        "mr_shortage_certified",
        "mumps_disease",
        "pregnant",
        "rubella_disease",
        "scid",
        "supply_or_disaster_ended",
        "varicella_disease",
    }
)
"""The observations that the schedule's rules ask for; one that they do not know could not be judged."""

OF_GUARDIANS = frozenset({"varicella_disease", "measles_disease", "rubella_disease", "mumps_disease"})
"""What a guardian may report: a disease the child has had. Everything else changes what is free or safe, and is for
those who can judge it."""

CERTIFIED_BY: dict[str, frozenset[Role]] = {
    # The municipality finds that a reason has ended (予防接種法施行令, 特例) or certifies a shortage.
    "long_illness_ended": frozenset({"staff", "system"}),
    "supply_or_disaster_ended": frozenset({"staff", "system"}),
    "mr_shortage_certified": frozenset({"staff", "system"}),
    # The doctor finds the shorter interval necessary (定期接種実施要領).
    "doctor_allows_20_days": frozenset({"clinic"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionWish:
    """A condition as somebody wishes to record it, by the code that the schedule's rules use; `since` may be unknown."""

    code: str
    since: date | None = None


def record_condition(
    record: Record, wish: ConditionWish, caller: Caller, *, condition_id: str, today: date
) -> list[ChildEvent]:
    """Record a condition. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "record_condition", today)
    findings = Findings()
    if wish.code not in KNOWN:
        findings.add(
            "/code",
            "condition-unknown",
            "この項目のコードは登録されていません。",
            "This condition's code is not known.",
        )
    not_theirs = (caller.role == "guardian" and wish.code not in OF_GUARDIANS) or (
        wish.code in CERTIFIED_BY and caller.role not in CERTIFIED_BY[wish.code]
    )
    if wish.code in KNOWN and not_theirs:
        findings.add(
            "/code",
            "not-yours-to-certify",
            "この項目は医療機関または市区町村が記録します。",
            "This is for a clinic or the municipality to record.",
        )
    if wish.since is not None and wish.since > today:
        findings.add("/since", "in-the-future", "未来の日付です。", "This day is in the future.")
    if wish.since is not None and wish.since < FIRST_BIRTH:
        findings.add("/since", "too-long-ago", "日付が古すぎます。", "This day is before 1900.")
    if len(record.conditions) + len(record.retracted_conditions) >= MOST_CONDITIONS:
        findings.add("", "too-many", "記録の上限に達しました。", f"A record holds {MOST_CONDITIONS} conditions.")
    findings.refuse()
    return [ConditionRecorded(condition_id=condition_id, code=wish.code, since=wish.since, by=caller.actor)]


def retract_condition(
    record: Record, condition_id: str, reason: str, caller: Caller, *, today: date
) -> list[ChildEvent]:
    """Withdraw a condition that was entered in error. Raises Forbidden, NotFound, Conflict."""
    own(record, "conditions", condition_id, caller, "change_condition", today)
    return [ConditionRetracted(condition_id=condition_id, reason=reason, by=caller.actor)]
