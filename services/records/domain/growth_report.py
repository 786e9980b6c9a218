"""How a child grows: each measurement on the curves of its day and of today, how fast, and what looks like a slip.

Ages are in days. A child born before 37 weeks is compared at its corrected age (修正月齢) until its second birthday.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.records.domain.growth import BOUNDS
from services.records.domain.growth_sets import DAYS_PER_MONTH, MEASURES, GrowthSet, Measure, who_z
from services.records.domain.record import Record
from shared.events.records import ChildFacts, GrowthMeasured

FULL_TERM_DAYS = 280
PRETERM_BEFORE_DAYS = 259
"""37 completed weeks (正期産); a child born earlier is compared at its corrected age."""

UNUSUAL: dict[Measure, tuple[float, float]] = {"weight_kg": (-6, 5), "length_cm": (-6, 6), "head_cm": (-5, 5)}
"""z-scores beyond which the WHO's own software flags a value as implausible (WHO Anthro, data cleaning)."""

LEAST_DAYS_OF_VELOCITY = 14
SLACK_CM = 1.0
JUMP = 0.2
JUMP_WITHIN_DAYS = 14


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that may be a slip of the pen; the value is kept all the same."""

    pointer: str
    code: str
    ja: str
    en: str


def corrected_by(facts: ChildFacts, on: date) -> int:
    """Days by which the age on that day is corrected; 0 for a child of term, or from its second birthday."""
    if facts.gestation_days is None or facts.gestation_days >= PRETERM_BEFORE_DAYS:
        return 0
    born = facts.birth_date
    second_birthday = (
        date(born.year + 2, 3, 1) if (born.month, born.day) == (2, 29) else born.replace(year=born.year + 2)
    )
    return FULL_TERM_DAYS - facts.gestation_days if on < second_birthday else 0


def warnings(record: Record, measured: GrowthMeasured) -> list[Warned]:
    """What is unlikely in a measurement, by itself and beside its neighbours."""
    found = []
    facts = record.facts
    # Before its due date a preterm child is compared with a newborn: a wrong decimal point is seen all the same.
    age = max(0, (measured.measured_on - facts.birth_date).days - corrected_by(facts, measured.measured_on))
    for measure in MEASURES:
        value = getattr(measured, measure)
        z = who_z(facts.sex, measure, age, value) if value is not None else None
        if z is not None and not UNUSUAL[measure][0] <= z <= UNUSUAL[measure][1]:
            found.append(
                Warned(
                    f"/{measure}",
                    "unusual-for-age",
                    "この月齢ではまれな値です。単位と小数点を確かめてください。",
                    "This is rare at this age: look at the unit and the decimal point.",
                )
            )
    others = [one for one in in_order(record) if one.measurement_id != measured.measurement_id]
    for measure in ("length_cm", "head_cm"):
        if _shrinks(others, measured, measure):
            found.append(
                Warned(
                    f"/{measure}",
                    "smaller-than-before",
                    "前後の計測と比べて小さくなっています。",
                    "It is smaller than what was measured before, or larger than what was measured after.",
                )
            )
    if _jumps(others, measured):
        found.append(
            Warned(
                "/weight_kg",
                "sudden-change",
                "近い日の計測と体重が2割以上ちがいます。",
                "The weight differs by a fifth or more from one measured within two weeks.",
            )
        )
    return found


def _shrinks(others: Sequence[GrowthMeasured], measured: GrowthMeasured, measure: str) -> bool:
    value = getattr(measured, measure)
    if value is None:
        return False
    return any(
        (other.measured_on < measured.measured_on and there > value + SLACK_CM)
        or (other.measured_on > measured.measured_on and there < value - SLACK_CM)
        for other in others
        if (there := getattr(other, measure)) is not None
    )


def _jumps(others: Sequence[GrowthMeasured], measured: GrowthMeasured) -> bool:
    weight = measured.weight_kg
    return weight is not None and any(
        abs((other.measured_on - measured.measured_on).days) <= JUMP_WITHIN_DAYS
        and abs(other.weight_kg - weight) >= JUMP * other.weight_kg
        for other in others
        if other.weight_kg is not None
    )


def as_json(found: Sequence[Warned]) -> list[dict[str, str]]:
    """Warnings as answers carry them."""
    return [{"pointer": one.pointer, "code": one.code, "ja": one.ja, "en": one.en} for one in found]


def report(child: str, record: Record, sets: Sequence[GrowthSet], today: date) -> dict[str, Any]:
    """Everything about one child's growth, as JSON: sets, measurements with standings and warnings, velocity, curves."""
    facts = record.facts
    ordered = in_order(record)
    return {
        "child": child,
        "birth_date": facts.birth_date.isoformat(),
        "sex": facts.sex,
        "corrected_by_days": corrected_by(facts, facts.birth_date),
        "sets": [
            {
                "id": one.id,
                "name": one.name,
                "name_en": one.name_en,
                "source": one.source,
                "confidence": one.confidence,
                "effective_from": one.effective_from.isoformat(),
                "effective_to": one.effective_to.isoformat() if one.effective_to else None,
                "values_held": bool(one.lines),
            }
            for one in sets
        ],
        "measurements": [_measurement(record, one, sets, today) for one in ordered],
        "velocity": [pace for measure in MEASURES for pace in _velocity(ordered, measure)],
        "curves": [
            {
                "set": one.id,
                "measure": measure,
                "percentiles": list(lines.percentiles),
                "points": [
                    [round(age, 1), *(round(value, 3) for value in values)]
                    for age, values in zip(lines.ages, lines.values, strict=True)
                ],
            }
            for one in sets
            for measure in MEASURES
            if (lines := one.of(facts.sex, measure)) is not None
        ],
    }


def in_order(record: Record) -> list[GrowthMeasured]:
    """The measurements, oldest first: those recorded as such, and those taken at a checkup."""
    found = list(record.growth.values())
    found += [
        GrowthMeasured(
            measurement_id=one.checkup_id,
            measured_on=one.done_on,
            by=one.by,
            **{name: getattr(one, name) for name in BOUNDS},
        )
        for one in record.checkups.values()
        if any(getattr(one, name) is not None for name in BOUNDS)
    ]
    return sorted(found, key=lambda one: (one.measured_on, one.measurement_id))


def _measurement(record: Record, one: GrowthMeasured, sets: Sequence[GrowthSet], today: date) -> dict[str, Any]:
    facts = record.facts
    age = (one.measured_on - facts.birth_date).days
    corrected = age - corrected_by(facts, one.measured_on)
    return {
        "id": one.measurement_id,
        "measured_on": one.measured_on.isoformat(),
        "age_days": age,
        "corrected_age_days": corrected,
        "chest_cm": one.chest_cm,
        "values": {
            measure: {
                "value": value,
                "standings": [
                    standing
                    for each in sets
                    if (standing := _standing(each, facts, measure, corrected, value, one.measured_on, today))
                ],
            }
            for measure in MEASURES
            if (value := getattr(one, measure)) is not None
        },
        "warnings": as_json(warnings(record, one)),
    }


def _standing(
    each: GrowthSet, facts: ChildFacts, measure: Measure, age: int, value: float, then: date, today: date
) -> dict[str, Any] | None:
    """What one set says, if it was in use on the day of the measurement or is today."""
    if facts.sex not in {"F", "M"} or not (each.in_use(then) or each.in_use(today)):
        return None
    found: dict[str, Any] = {"set": each.id, "in_use_then": each.in_use(then), "in_use_now": each.in_use(today)}
    if not each.lines:
        return {**found, "values_held": False}
    standing = each.standing(facts.sex, measure, age, value)
    if standing is None:
        return None
    return {**found, "values_held": True, "band": standing.band, "z": standing.z, "percentile": standing.percentile}


def _velocity(ordered: Sequence[GrowthMeasured], measure: Measure) -> list[dict[str, Any]]:
    """Gain a month (30.4 days) between measurements that lie at least two weeks apart."""
    found: list[dict[str, Any]] = []
    before: GrowthMeasured | None = None
    for one in ordered:
        if getattr(one, measure) is None:
            continue
        if before is not None:
            days = (one.measured_on - before.measured_on).days
            if days < LEAST_DAYS_OF_VELOCITY:
                continue
            gain = (getattr(one, measure) - getattr(before, measure)) * DAYS_PER_MONTH / days
            found.append(
                {
                    "measure": measure,
                    "from": before.measured_on.isoformat(),
                    "to": one.measured_on.isoformat(),
                    "days": days,
                    "per_month": round(gain, 3),
                }
            )
        before = one
    return found
