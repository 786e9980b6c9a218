"""What is known of a child (or a pregnancy) when its plan is made: doses, observations, checkups, place."""

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Sex = Literal["F", "M", "U"]
PROPOSED: Final = "proposed"
"""The provenance of a dose that is about to be given: it comes after every dose on record of its day."""


@dataclass(frozen=True, slots=True)
class DoseGiven:
    """One dose on record.

    `code` is a vaccine code of the rule set ("mr", "pcv20") or a CVX code as "cvx:04"; `provenance` says who
    recorded it (clinic, municipality, guardian).
    """

    id: str
    given_on: date
    code: str
    product: str | None = None
    lot: str | None = None
    expires_on: date | None = None
    provenance: str = "clinic"


@dataclass(frozen=True, slots=True)
class Observation:
    """A fact about the child that the rules ask for, by the rule set's code; `on` is the day it began or ended."""

    code: str
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Allergy:
    """An allergy on record; `sure` when a clinic or a town recorded it."""

    substance: str
    grave: bool
    sure: bool


@dataclass(frozen=True, slots=True)
class Reaction:
    """What was seen after a dose on record (its vaccine and day), and on which day; `sure` as with allergies."""

    symptom: str
    code: str
    given_on: date
    began_on: date
    sure: bool


@dataclass(frozen=True, slots=True)
class CheckupDone:
    """A checkup that took place: its series code ("checkup_18m") and day."""

    kind: str
    on: date


@dataclass(frozen=True, slots=True)
class History:
    """One child's whole record as the engine sees it; for a pregnancy `birth_date` is None and `expected_delivery` set.

    `municipality` is the six-digit code whose overlay of the rules holds today; `gestation_days` is days at birth.
    `delivered_on` ends the pregnancy: her checkups count from it, what was given before still from the expected day.
    """

    birth_date: date | None
    sex: Sex
    doses: tuple[DoseGiven, ...]
    observations: tuple[Observation, ...] = ()
    municipality: str | None = None
    expected_delivery: date | None = None
    gestation_days: int | None = None
    checkups: tuple[CheckupDone, ...] = ()
    allergies: tuple[Allergy, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    delivered_on: date | None = None


class HistoryError(ValueError):
    """A history that cannot be judged: a dose before birth, an unknown code, one product twice on a day.

    `field` points at the part ("doses[3].given_on"); `code` is stable (see docs/schedule-rules.md).
    """

    def __init__(self, field: str, code: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.code, self.why = field, code, why
