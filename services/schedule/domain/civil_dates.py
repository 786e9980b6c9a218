"""Legal date arithmetic (期間計算): ages, intervals, school and fiscal years, weeks of pregnancy.

Days are proleptic Gregorian ordinals (`date.toordinal`) inside the engine and `datetime.date` at its doors.
Every period that comes out of here is inclusive at both ends.

Sources: 年齢計算ニ関スル法律; 民法 143 条; 学校教育法 17 条; 厚生労働省 事務連絡 平成26年3月11日 (ages and their last day);
厚生労働省 第52回予防接種基本方針部会 資料5 (intervals in months and half months).
"""

from calendar import monthrange
from datetime import date
from typing import Final

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199
_COUNTED_TO: Final = LAST_YEAR + 120  # from the last birth on, every age of the rules can still be counted
_MONTHS = [(year, month) for year in range(FIRST_YEAR, _COUNTED_TO + 1) for month in range(1, 13)]
FIRST_OF_MONTH: Final[tuple[int, ...]] = tuple(date(year, month, 1).toordinal() for year, month in _MONTHS)
LENGTH_OF_MONTH: Final[tuple[int, ...]] = tuple(monthrange(year, month)[1] for year, month in _MONTHS)
_DAY_ONE: Final = FIRST_OF_MONTH[0]
_MONTH_OF: Final = tuple(month for month, length in enumerate(LENGTH_OF_MONTH) for _ in range(length))
_HALF_OF_MONTH: Final = {28: 14, 29: 15, 30: 15, 31: 16}
_EXPECTED_AFTER: Final = 280  # the expected date of delivery is 40 weeks 0 days


class DateOutOfRange(ValueError):
    """A day before 1900 or far after 2199, or a count that leads there: no rule reaches that far."""


def month_and_day(day: int) -> tuple[int, int]:
    """The index of the ordinal's month (0 = January 1900) and its day of the month, from 1."""
    place = day - _DAY_ONE
    if not 0 <= place < len(_MONTH_OF):
        raise DateOutOfRange(f"only days of {FIRST_YEAR} to {_COUNTED_TO} can be counted")
    month = _MONTH_OF[place]
    return month, day - FIRST_OF_MONTH[month] + 1


def reached_from(month: int, day_of_month: int, months: int) -> int:
    """The ordinal on which an age of so many months is reached, from the month index and day of birth.

    It is the day before the same day of the month; where that month has no such day, its last day.
    """
    there = month + months
    return FIRST_OF_MONTH[there] + min(day_of_month - 2, LENGTH_OF_MONTH[there] - 1)


def after_months_from(month: int, day_of_month: int, months: int) -> int:
    """The first ordinal after an interval of so many months: the same day, or the 1st of the month after."""
    there = month + months
    return FIRST_OF_MONTH[there] + min(day_of_month - 1, LENGTH_OF_MONTH[there])


def _counted(day: date, months: int) -> tuple[int, int]:
    month, of_month = month_and_day(day.toordinal())
    if not 0 <= month + months < len(FIRST_OF_MONTH):
        raise DateOutOfRange(f"only days of {FIRST_YEAR} to {_COUNTED_TO} can be counted")
    return month, of_month


def reached(birth: date, months: int) -> date:
    """The day an age is reached (達した日): first day of "from that age" (以上) and last day of "until" (至るまで)."""
    month, of_month = _counted(birth, months)
    return date.fromordinal(reached_from(month, of_month, months))


def weeks_after_birth(birth: date, weeks: int, days: int = 0) -> date:
    """The day w weeks and d days after birth (出生w週d日後); the day of birth is 0 weeks 0 days."""
    return _shifted(birth, 7 * weeks + days)


def _shifted(day: date, days: int) -> date:
    there = day.toordinal() + days
    month_and_day(there)
    return date.fromordinal(there)


def after_days(given: date, days: int) -> date:
    """The first permitted day when "N days or more" (N日以上の間隔) must lie between: N + 1 days later."""
    return _shifted(given, days + 1)


def after_months(given: date, months: int, half: bool = False) -> date:
    """The first permitted day after an interval of months (月以上の間隔), or of months and a half (月半).

    Half a month is 14, 15, 15 or 16 days as the month then reached has 28, 29, 30 or 31 days.
    """
    month, of_month = _counted(given, months)
    there = after_months_from(month, of_month, months)
    if half:
        there += _HALF_OF_MONTH[LENGTH_OF_MONTH[month_and_day(there)[0]]]
    return date.fromordinal(there)


def fiscal_year_of(day: int) -> tuple[int, int]:
    """First and last ordinal of the fiscal year (年度, 1 April to 31 March) that holds the day."""
    month = month_and_day(day)[0]
    start = month - (month - 3) % 12
    if start < 0 or start + 12 >= len(FIRST_OF_MONTH):
        raise DateOutOfRange(f"only days of {FIRST_YEAR} to {_COUNTED_TO} can be counted")
    return FIRST_OF_MONTH[start], FIRST_OF_MONTH[start + 12] - 1


def fiscal_year_of_age(birth: date, years: int) -> tuple[date, date]:
    """First and last day of the fiscal year to which the day belongs on which that age is reached."""
    first, last = fiscal_year_of(reached(birth, 12 * years).toordinal())
    return date.fromordinal(first), date.fromordinal(last)


def school_entry(birth: date) -> date:
    """The beginning of primary school (小学校就学の始期): the 1 April that follows the day the age of six is reached.

    A child born on 1 April reaches six on 31 March and enters the next day (早生まれ).
    """
    return date.fromordinal(school_entry_from(reached(birth, 72).toordinal()))


def school_entry_from(six: int) -> int:
    """The first 1 April after the ordinal on which six years are reached."""
    return fiscal_year_of(six)[1] + 1


def day_of_pregnancy(expected: date, weeks: int, days: int) -> date:
    """The day on which a pregnancy is w weeks and d days along; the expected date (出産予定日) is 40 weeks 0 days."""
    return _shifted(expected, 7 * weeks + days - _EXPECTED_AFTER)
