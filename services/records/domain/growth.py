"""Measurements of growth (身体計測): weight in kg; length or height, head and chest circumference in cm."""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from services.records.domain.access import Caller, check
from services.records.domain.days import check_day
from services.records.domain.entries import author, own
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import ChildEvent, GrowthCorrected, GrowthMeasured, GrowthRetracted

MOST_MEASUREMENTS = 1_000
BOUNDS = {"weight_kg": (0.2, 200.0), "length_cm": (20.0, 220.0), "head_cm": (15.0, 70.0), "chest_cm": (15.0, 150.0)}
"""Beyond these it is a slip of the pen (g for kg, mm for cm), not a child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthWish:
    """A measurement as somebody wishes to record it; at least one value."""

    measured_on: date
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None


def measure(record: Record, wish: GrowthWish, caller: Caller, *, measurement_id: str, today: date) -> GrowthMeasured:
    """Record a measurement. Raises Forbidden, NotFound, Invalid with every broken rule."""
    check(record, caller, "measure", today)
    findings = Findings()
    _check(record, wish, today, findings)
    if len(record.growth) + len(record.retracted_growth) >= MOST_MEASUREMENTS:
        findings.add("", "too-many", "記録の上限に達しました。", f"A record holds {MOST_MEASUREMENTS} measurements.")
    findings.refuse()
    return GrowthMeasured(
        measurement_id=measurement_id,
        **asdict(wish),
        provenance=caller.provenance,
        organisation=caller.acts_for,
        by=caller.actor,
    )


def correct_measurement(
    record: Record, measurement_id: str, wish: GrowthWish, reason: str, caller: Caller, *, today: date
) -> GrowthCorrected:
    """The measurement put right; whose word it is stays. Raises Forbidden, NotFound, Conflict, Invalid."""
    before: GrowthMeasured = own(record, "growth", measurement_id, caller, "measure", today)
    findings = Findings()
    _check(record, wish, today, findings)
    findings.refuse()
    return GrowthCorrected(
        measurement_id=measurement_id,
        **asdict(wish),
        provenance=author(before),
        organisation=before.organisation or before.by.organisation,
        reason=reason,
        by=caller.actor,
    )


def retract_measurement(
    record: Record, measurement_id: str, reason: str, caller: Caller, *, today: date
) -> list[ChildEvent]:
    """Withdraw one that was entered in error. Raises Forbidden, NotFound, Conflict."""
    own(record, "growth", measurement_id, caller, "measure", today)
    return [GrowthRetracted(measurement_id=measurement_id, reason=reason, by=caller.actor)]


def _check(record: Record, wish: GrowthWish, today: date, findings: Findings) -> None:
    check_day(wish.measured_on, record, today, "/measured_on", findings)
    if all(getattr(wish, name) is None for name in BOUNDS):
        findings.add("", "nothing-measured", "計測値を入力してください。", "Give at least one measured value.")
    check_values(wish, findings)


def check_values(wish: Any, findings: Findings) -> None:
    """Find measured values that are slips of the pen."""
    for name, (low, high) in BOUNDS.items():
        value = getattr(wish, name)
        if value is not None and not low <= value <= high:
            findings.add(
                f"/{name}",
                "out-of-range",
                f"{low:g}から{high:g}の間で入力してください。",
                f"It must be from {low:g} to {high:g}.",
            )
