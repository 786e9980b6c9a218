"""On which days a clinic is open: its weekdays, without national holidays and the days that it says it is closed."""

from collections.abc import Callable, Collection
from datetime import date

import holidays

MONDAY_TO_SATURDAY = frozenset(range(6))


def opening_days(
    weekdays: Collection[int] = MONDAY_TO_SATURDAY, closed: Collection[date] = ()
) -> Callable[[date], bool]:
    """A predicate for the planner; weekdays count from Monday = 0. National holidays (国民の祝日) are closed."""
    national = holidays.country_holidays("JP")
    return lambda day: day.weekday() in weekdays and day not in closed and day not in national
