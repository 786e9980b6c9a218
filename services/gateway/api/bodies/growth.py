"""Growth: what is measured, and how it stands on its curves."""

from datetime import date
from typing import Literal

from pydantic import Field

from services.gateway.api.bodies.common import Answer, Body, Created


class GrowthBody(Body):
    """A measurement: kg and cm, at least one."""

    measured_on: date
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None


class GrowthCorrectionBody(GrowthBody):
    """The measurement as it should be, and why."""

    reason: str


class GrowthWarning(Answer):
    """Something unlikely in a measurement, which is kept all the same."""

    pointer: str
    code: Literal["unusual-for-age", "smaller-than-before", "sudden-change"]
    ja: str
    en: str


class Measured(Created):
    """A measurement that was recorded, and what is unlikely in it."""

    warnings: list[GrowthWarning]


class GrowthSetShown(Answer):
    """A set of curves and the days on which handbooks carried it."""

    id: str
    name: str
    name_en: str
    source: str
    confidence: Literal["high", "medium", "low"]
    effective_from: date
    effective_to: date | None
    values_held: bool


class StandingShown(Answer):
    """What one set says of a value: z-score and percentile where it gives them, else between which percentiles."""

    set: str
    in_use_then: bool = Field(description="On the day of the measurement")
    in_use_now: bool
    values_held: bool
    band: str | None = Field(default=None, description="below_p3, p3_to_p50, …, above_p97")
    z: float | None = None
    percentile: float | None = None


class ValueShown(Answer):
    """One value of a measurement, in kg or cm."""

    value: float
    standings: list[StandingShown]


class MeasurementShown(Answer):
    """A measurement; compared at the corrected age (修正月齢) where the child was born before 37 weeks."""

    id: str
    measured_on: date
    age_days: int
    corrected_age_days: int
    chest_cm: float | None
    values: dict[Literal["weight_kg", "length_cm", "head_cm"], ValueShown]
    warnings: list[GrowthWarning]


class Velocity(Answer):
    """Gain a month between two measurements."""

    measure: Literal["weight_kg", "length_cm", "head_cm"]
    from_: date = Field(alias="from")
    to: date
    days: int
    per_month: float


class Curve(Answer):
    """The lines of one set for this child's sex: [age in days, a value for each percentile]."""

    set: str
    measure: Literal["weight_kg", "length_cm", "head_cm"]
    percentiles: list[int]
    points: list[list[float]]


class Growth(Answer):
    """How a child grows."""

    child: str
    birth_date: date
    sex: Literal["F", "M", "U"]
    corrected_by_days: int
    sets: list[GrowthSetShown]
    measurements: list[MeasurementShown]
    velocity: list[Velocity]
    curves: list[Curve]
