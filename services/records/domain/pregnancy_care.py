"""Checkups (妊婦健診) and doses of a pregnancy: by the woman from her paper, her town, or whom she lends the record to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from services.records.domain.access import Caller
from services.records.domain.findings import Findings
from services.records.domain.pregnancy import Pregnancy, check_treating, governs, under_way
from shared.events.records import (
    Dose,
    MaternalDoseCorrected,
    MaternalDoseRecorded,
    MaternalDoseRetracted,
    PregnancyCheckupCorrected,
    PregnancyCheckupRecorded,
    PregnancyCheckupRetracted,
    PregnancyEvent,
)
from shared.problems import Conflict, Forbidden, NotFound

E = TypeVar("E", PregnancyCheckupRecorded, Dose)
MOST_ENTRIES = 100
BOUNDS: Mapping[str, tuple[float, float]] = {
    "weight_kg": (25, 250),
    "systolic_mmhg": (50, 260),
    "diastolic_mmhg": (20, 180),
    "fundal_height_cm": (5, 60),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckupWish:
    """A checkup as somebody wishes to record it: weight in kg, pressure in mmHg, height of the fundus in cm."""

    done_on: date
    weight_kg: float | None = None
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    fundal_height_cm: float | None = None
    urine_protein: Any = None
    urine_sugar: Any = None
    result: Any = None


def record_checkup(
    pregnancy: Pregnancy, wish: CheckupWish, caller: Caller, *, checkup_id: str, today: date
) -> list[PregnancyEvent]:
    """Record a checkup. Raises Forbidden, NotFound, Conflict, Invalid with every broken rule."""
    check_treating(pregnancy, caller, today)
    under_way(pregnancy)
    findings = Findings()
    _check_checkup(pregnancy, wish, checkup_id, today, findings)
    _room(pregnancy.checkups, findings)
    findings.refuse()
    return [
        PregnancyCheckupRecorded(checkup_id=checkup_id, **asdict(wish), organisation=caller.acts_for, by=caller.actor)
    ]


def correct_checkup(
    pregnancy: Pregnancy, checkup_id: str, wish: CheckupWish, reason: str, caller: Caller, *, today: date
) -> list[PregnancyEvent]:
    """Put a checkup right, also after the end; whose word it is stays. Raises Forbidden, NotFound, Conflict, Invalid."""
    before = _own(pregnancy, pregnancy.checkups, pregnancy.retracted_checkups, checkup_id, caller, today)
    findings = Findings()
    _check_checkup(pregnancy, wish, checkup_id, today, findings)
    findings.refuse()
    after = PregnancyCheckupCorrected(
        checkup_id=checkup_id, **asdict(wish), organisation=before.organisation, reason=reason, by=caller.actor
    )
    said = {"by", "reason"}
    return [after] if before.model_dump(exclude=said) != after.model_dump(exclude=said) else []


def retract_checkup(
    pregnancy: Pregnancy, checkup_id: str, reason: str, caller: Caller, *, today: date
) -> list[PregnancyEvent]:
    """Withdraw a checkup that was entered in error. Raises Forbidden, NotFound, Conflict."""
    _own(pregnancy, pregnancy.checkups, pregnancy.retracted_checkups, checkup_id, caller, today)
    return [PregnancyCheckupRetracted(checkup_id=checkup_id, reason=reason, by=caller.actor)]


def _check_checkup(pregnancy: Pregnancy, wish: CheckupWish, checkup_id: str, today: date, findings: Findings) -> None:
    _within_pregnancy(pregnancy, wish.done_on, today, "/done_on", findings)
    for name, (low, high) in BOUNDS.items():
        value = getattr(wish, name)
        if value is not None and not low <= value <= high:
            findings.add(
                f"/{name}",
                "out-of-range",
                f"{low}から{high}の間で入力してください。",
                f"It must be from {low} to {high}.",
            )
    if wish.systolic_mmhg is not None and wish.diastolic_mmhg is not None and wish.diastolic_mmhg >= wish.systolic_mmhg:
        findings.add(
            "/diastolic_mmhg", "not-below-systolic", "最低血圧が最高血圧以上です。", "It must be below the systolic."
        )
    if any(one.done_on == wish.done_on for key, one in pregnancy.checkups.items() if key != checkup_id):
        findings.add("/done_on", "already-recorded", "この日の健診は記録済みです。", "That day's checkup is recorded.")


def record_dose(
    pregnancy: Pregnancy,
    given_on: date,
    product: str | None,
    lot: str | None,
    caller: Caller,
    *,
    dose_id: str,
    today: date,
    now: datetime,
) -> list[PregnancyEvent]:
    """Record the maternal dose against RSV. Raises Forbidden, NotFound, Conflict, Invalid."""
    check_treating(pregnancy, caller, today)
    under_way(pregnancy)
    findings = Findings()
    _within_pregnancy(pregnancy, given_on, today, "/given_on", findings)
    _not_twice(pregnancy, given_on, dose_id, findings)
    _room(pregnancy.doses, findings)
    findings.refuse()
    dose = Dose(
        id=dose_id,
        given_on=given_on,
        code="rsv_maternal",
        cvx="305",
        product=product,
        lot=lot,
        provenance=caller.provenance,
        organisation=caller.acts_for,
        recorded_at=now,
    )
    return [MaternalDoseRecorded(dose=dose, by=caller.actor)]


def correct_dose(
    pregnancy: Pregnancy,
    dose_id: str,
    given_on: date,
    product: str | None,
    lot: str | None,
    reason: str,
    caller: Caller,
    *,
    today: date,
) -> list[PregnancyEvent]:
    """Put a dose right, also after the end; whose word it is stays. Raises Forbidden, NotFound, Conflict, Invalid."""
    before = _own(pregnancy, pregnancy.doses, pregnancy.retracted_doses, dose_id, caller, today)
    findings = Findings()
    _within_pregnancy(pregnancy, given_on, today, "/given_on", findings)
    _not_twice(pregnancy, given_on, dose_id, findings)
    findings.refuse()
    after = before.model_copy(update={"given_on": given_on, "product": product, "lot": lot})
    return [MaternalDoseCorrected(dose=after, reason=reason, by=caller.actor)] if after != before else []


def retract_dose(
    pregnancy: Pregnancy, dose_id: str, reason: str, caller: Caller, *, today: date
) -> list[PregnancyEvent]:
    """Withdraw a dose that was entered in error. Raises Forbidden, NotFound, Conflict."""
    _own(pregnancy, pregnancy.doses, pregnancy.retracted_doses, dose_id, caller, today)
    return [MaternalDoseRetracted(dose_id=dose_id, reason=reason, by=caller.actor)]


def _not_twice(pregnancy: Pregnancy, given_on: date, dose_id: str, findings: Findings) -> None:
    if any(one.given_on == given_on for key, one in pregnancy.doses.items() if key != dose_id):
        findings.add("/given_on", "already-recorded", "この日の接種は記録済みです。", "That day's dose is recorded.")


def _own(
    pregnancy: Pregnancy, entries: Mapping[str, E], retracted: Mapping[str, E], key: str, caller: Caller, today: date
) -> E:
    """The entry, if it is the caller's to change: her town's any, everybody else's their own.

    Raises Forbidden, NotFound, Conflict.
    """
    check_treating(pregnancy, caller, today)
    entry = entries.get(key) or retracted.get(key)
    if entry is None:
        raise NotFound
    her_town = caller.role != "guardian" and governs(pregnancy, caller)
    if not her_town and entry.organisation != caller.acts_for:
        raise Forbidden
    if key in retracted:
        raise Conflict("This entry has been withdrawn.")
    return entry


def _within_pregnancy(pregnancy: Pregnancy, day: date, today: date, pointer: str, findings: Findings) -> None:
    if day > today:
        findings.add(pointer, "in-the-future", "未来の日付です。", "The day is in the future.")
    if day < pregnancy.began:
        findings.add(pointer, "before-the-pregnancy", "妊娠の前の日付です。", "The day is before the pregnancy.")


def _room(entries: Mapping[str, object], findings: Findings) -> None:
    if len(entries) >= MOST_ENTRIES:
        findings.add("", "too-many", "記録の上限に達しました。", f"A pregnancy holds {MOST_ENTRIES} of them.")
