"""A pregnancy from its notification (妊娠届) to its end."""

from datetime import date
from typing import Literal

from pydantic import Field

from services.gateway.api.bodies.child import NameBody
from services.gateway.api.bodies.common import Body, Municipality, Why500, Words
from shared.events.records import UrineTest


class PregnancyBody(Body):
    """A pregnancy; `guardian` is the woman's own id, which staff name and she herself may leave out."""

    guardian: Words | None = None
    municipality: Municipality
    expected_delivery: date


class ExpectedDeliveryBody(Body):
    """The expected date of delivery as it should be, and why."""

    expected_delivery: date
    reason: Why500


class PregnancyMoveBody(Body):
    """Where the woman lives from now on."""

    to_municipality: Municipality


class LendingBody(Body):
    """Until which day (inclusive) the clinic or town reads and writes."""

    until: date


class PregnancyCheckupBody(Body):
    """A checkup: weight in kg, blood pressure in mmHg, height of the fundus in cm."""

    done_on: date
    weight_kg: float | None = Field(default=None, ge=25, le=250)
    systolic_mmhg: int | None = Field(default=None, ge=50, le=260)
    diastolic_mmhg: int | None = Field(default=None, ge=20, le=180)
    fundal_height_cm: float | None = Field(default=None, ge=5, le=60)
    urine_protein: UrineTest | None = None
    urine_sugar: UrineTest | None = None
    result: Literal["normal", "watch", "treat"] | None = None


class MaternalDoseBody(Body):
    """A dose against RSV (母子免疫ワクチン)."""

    given_on: date
    product: Words | None = None
    lot: str | None = None


class PregnancyCheckupCorrectionBody(PregnancyCheckupBody):
    """The checkup as it should be, and why."""

    reason: Why500


class MaternalDoseCorrectionBody(MaternalDoseBody):
    """The dose as it should be, and why."""

    reason: Why500


class NewbornBody(Body):
    """A child that was born; weight in grams."""

    sex: Literal["F", "M", "U"]
    name: NameBody
    district: Words | None = None
    birth_weight_g: int | None = Field(default=None, ge=200, le=8_000)


class OutcomeBody(Body):
    """How a pregnancy ended: a birth of one or several, or a loss."""

    outcome: Literal["birth", "loss"]
    ended_on: date
    children: list[NewbornBody] = []  # noqa: RUF012 - pydantic copies it
