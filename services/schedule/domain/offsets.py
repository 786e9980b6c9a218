"""Points in time that rules count from a day: an age from birth, an interval from a dose (CDSi 4.6 §3.4).

Inside the engine a day is its ordinal (`date.toordinal`): comparing and adding integers is all that is needed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

FIRST_DAY: Final = 1
LAST_DAY: Final = date.max.toordinal()


class TimePoint:
    """Something that becomes a day once the day it is counted from is known.

    The engine asks nothing else of it, so that other calendars (the legal age of a country, school years, weeks of
    pregnancy) can stand wherever an offset stands.
    """

    def date_ordinal(self, origin: int) -> int:
        """The ordinal of the point, counted from the ordinal `origin`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Offset(TimePoint):
    """Months (years are twelve) and days (weeks are seven), added in this order; either may be negative.

    CDSi 4.6 Table 3-6: the day of the month is held (CALCDT-1, -2), a day that does not exist becomes the first of the
    month after (CALCDT-5), weeks and days come last (CALCDT-6).
    """

    months: int
    days: int

    def date_ordinal(self, origin: int) -> int:
        """The ordinal of the day that lies so many months and days from `origin`."""
        return (add_months(origin, self.months) if self.months else origin) + self.days


def add_months(origin: int, months: int) -> int:
    """The ordinal so many months after `origin`; beyond the calendar's ends it stays at the end."""
    start = date.fromordinal(origin)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not date.min.year <= year < date.max.year:
        return FIRST_DAY if year < date.min.year else LAST_DAY
    first = date(year, month + 1, 1).toordinal()
    if start.day <= 28:
        return first + start.day - 1
    first_of_next = date(year + (month == 11), (month + 1) % 12 + 1, 1).toordinal()
    return min(first + start.day - 1, first_of_next)
