"""Points of the legal calendar in a child's life: ages, weeks, school and fiscal years, weeks of pregnancy.

A rule names a point; `day_of` turns it into a day (ordinal) for one child. Facts about the child that many points
need are worked out once, when the `Anchors` are made.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from services.schedule.domain import civil_dates
from services.schedule.domain.offsets import TimePoint

BIRTH: Final = 0
REACHED: Final = 1
AFTER: Final = 2
SCHOOL: Final = 3
FISCAL_START: Final = 4
FISCAL_END: Final = 5
PREGNANCY: Final = 6
NEVER: Final = 10_000_000  # after every day that can be counted
_AT_DELIVERY: Final = 280


@dataclass(frozen=True, slots=True)
class Point(TimePoint):
    """A point: its kind, an amount (days, months or years as the kind has it) and days added at the end.

    BIRTH: days after birth. REACHED, AFTER: the day an age in months is reached, the day after it. SCHOOL: years after
    school entry. FISCAL_START, FISCAL_END: first, last day of the fiscal year in which an age in years is reached.
    PREGNANCY: days since the beginning of the pregnancy.
    """

    kind: int
    amount: int
    shift: int = 0

    def date_ordinal(self, origin: int) -> int:
        """The ordinal of the point, counted from a birth, or from an expected day of delivery (PREGNANCY)."""
        kind, amount, shift = self.kind, self.amount, self.shift
        if kind == BIRTH:
            return origin + amount + shift
        if kind <= AFTER:
            month, day = civil_dates.month_and_day(origin)
            return civil_dates.reached_from(month, day, amount) + kind - REACHED + shift
        anchors = Anchors(None, None)
        if kind == PREGNANCY:
            anchors.expected = origin
        else:
            anchors.birth = origin
            anchors.month, anchors.day = civil_dates.month_and_day(origin)
        return day_of(self, anchors)


class Anchors:
    """What points are counted from: the birth of a child, or the expected day of delivery of a pregnancy."""

    __slots__ = ("birth", "day", "expected", "month", "school")

    def __init__(self, birth: date | None, expected: date | None) -> None:
        self.birth = self.month = self.day = self.school = 0
        if birth is not None:
            self.birth = birth.toordinal()
            self.month, self.day = civil_dates.month_and_day(self.birth)
        self.expected = expected.toordinal() if expected is not None else 0


def _of_pregnancy(point: Point, anchors: Anchors) -> int:
    if point.kind != PREGNANCY:
        raise NoAnchor("counted from birth, which is not known")
    if not anchors.expected:
        raise NoAnchor("counted from the expected day of delivery, which is not known")
    return anchors.expected + point.amount - _AT_DELIVERY + point.shift


class NoAnchor(ValueError):
    """A point of a pregnancy was asked of a child, or the other way round."""


def day_of(point: Point, anchors: Anchors) -> int:
    """The ordinal on which the point lies for this child or pregnancy."""
    kind, amount, shift = point.kind, point.amount, point.shift
    if not anchors.birth:
        return _of_pregnancy(point, anchors)
    if REACHED <= kind <= AFTER:
        return civil_dates.reached_from(anchors.month, anchors.day, amount) + kind - REACHED + shift
    if kind == BIRTH:
        return anchors.birth + amount + shift
    if kind == PREGNANCY:
        return _of_pregnancy(point, anchors)
    if kind == SCHOOL:
        if not anchors.school:
            six = civil_dates.reached_from(anchors.month, anchors.day, 72)
            anchors.school = civil_dates.month_and_day(civil_dates.school_entry_from(six))[0]
        return civil_dates.FIRST_OF_MONTH[anchors.school + 12 * amount] + shift
    age = civil_dates.reached_from(anchors.month, anchors.day, 12 * amount)
    return civil_dates.fiscal_year_of(age)[0 if kind == FISCAL_START else 1] + shift


@dataclass(frozen=True, slots=True)
class Between(TimePoint):
    """An interval "of N days or more" or "of N months or more"; `half` adds half a month (月半). `grace` is known to counting only."""

    days: int
    months: int
    half: bool = False
    grace: int = 0

    def date_ordinal(self, origin: int) -> int:
        """The first permitted ordinal after a dose given on `origin`, less the days of grace."""
        return first_after(self, origin) - self.grace


def first_after(between: Between, given: int) -> int:
    """The first permitted ordinal after a dose given on an ordinal."""
    if not between.months and not between.half:
        return given + between.days + 1
    if between.half:
        return civil_dates.after_months(date.fromordinal(given), between.months, half=True).toordinal()
    month, day = civil_dates.month_and_day(given)
    return civil_dates.after_months_from(month, day, between.months)
