"""Disasters (災害時の妊産婦・乳幼児支援): who is safe, who needs what, who has not been heard of, and where there is room and milk.

A family is accounted for when one of its guardians has answered or staff have found it. Of several answers the worst counts.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STATES = ("injured", "needs_help", "safe")
"""From the worst to the best."""
UNACCOUNTED = "unaccounted"
SUPPLIES = (
    "formula_powder", "formula_liquid", "baby_food", "allergy_food", "bottles", "water_l", "diapers_newborn", "diapers_s",
    "diapers_m", "diapers_l", "wipes", "maternity_pads", "blankets",
)  # fmt: skip
"""What a shelter has: pieces, and litres of drinking water."""
NEEDS = (*SUPPLIES, "medicine", "doctor", "midwife", "transport")
EARTH_KM = 6_371.0088


@dataclass(frozen=True, slots=True)
class Subject:
    """A child or a pregnancy whom the question went out for."""

    id: str
    kind: str
    district: str | None
    guardians: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of one child or pregnancy: its state and the answer that says so."""

    subject: Subject
    state: str
    answer: Mapping[str, Any] | None


def lines(
    subjects: Iterable[Subject], by_guardian: Mapping[str, Mapping[str, Any]], by_staff: Mapping[str, Mapping[str, Any]]
) -> list[Line]:
    """Everybody whom the question went out for, each once: the worst of what their guardians said, or what staff found since."""
    found: list[Line] = []
    for subject in subjects:
        answers = [by_guardian[one] for one in subject.guardians if one in by_guardian]
        seen = by_staff.get(subject.id)
        if seen is not None:
            # Whoever was there knows better than what was said before.
            answers = [seen, *(one for one in answers if one["at"] > seen["at"])]
        worst = min(answers, key=lambda one: (STATES.index(one["state"]), -one["at"]), default=None)
        found.append(Line(subject, worst["state"] if worst is not None else UNACCOUNTED, worst))
    return found


def counts(found: Sequence[Line]) -> dict[str, int]:
    """How many are in each state; the sum is everybody."""
    number = Counter(line.state for line in found)
    return {state: number[state] for state in (*STATES, UNACCOUNTED)}


def needs(found: Sequence[Line]) -> dict[str, int]:
    """How many families need each thing; an answer counts once however many children it is about."""
    answers = {line.answer["_id"]: line.answer for line in found if line.answer is not None}
    number = Counter(need for answer in answers.values() for need in answer["needs"])
    return {need: number[need] for need in NEEDS if number[need]}


def kilometres(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) in degrees (haversine)."""
    (a, b), (c, d) = ((math.radians(x), math.radians(y)) for x, y in (here, there))
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(h)))
