"""What a dose, and a series, can be found to be, and the reasons why (CDSi 4.6 §3.2, Tables 3-1 and 3-3)."""

from enum import StrEnum
from typing import NamedTuple


class DoseStatus(StrEnum):
    """The status of one dose in one series."""

    VALID = "Valid"
    NOT_VALID = "Not Valid"
    EXTRANEOUS = "Extraneous"
    SUB_STANDARD = "Sub-standard"


class SeriesStatus(StrEnum):
    """The status of a series, and of a vaccine group."""

    NOT_COMPLETE = "Not Complete"
    COMPLETE = "Complete"
    AGED_OUT = "Aged Out"
    IMMUNE = "Immune"
    CONTRAINDICATED = "Contraindicated"
    NOT_RECOMMENDED = "Not Recommended"


class Code(StrEnum):
    """Why a dose is not valid, or what is worth knowing of a valid one."""

    EXPIRED_LOT = "expired_lot"
    DOSE_CONDITION = "dose_condition"
    INADVERTENT = "inadvertent"
    TOO_YOUNG = "too_young"
    TOO_OLD = "too_old"
    TOO_SOON = "too_soon"
    CONFLICT = "conflict"
    WRONG_VACCINE = "wrong_vaccine"
    LESS_VOLUME = "less_volume"
    SERIES_COMPLETE = "series_complete"


class Reason(NamedTuple):
    """A code, the rule that it rests on, and the day that decided: first or last day allowed, where there is one."""

    code: Code
    rule: str
    day: int | None = None
