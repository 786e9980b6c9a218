"""Adding months and days (CDSi 4.6 Table 3-6)."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.schedule.domain.offsets import LAST_DAY, Offset, add_months
from services.schedule.rule_files.cdsi_reading import offset


@pytest.mark.parametrize(
    ("start", "length", "there"),
    [
        ("2000-01-01", "3 years", "2003-01-01"),
        ("2000-11-01", "6 months", "2001-05-01"),
        ("2000-02-01", "5 weeks", "2000-03-07"),
        ("2001-02-01", "5 weeks", "2001-03-08"),
        ("2000-01-15", "- 4 days", "2000-01-11"),
        ("2000-03-31", "6 months", "2000-10-01"),
        ("2010-08-31", "6 months", "2011-03-01"),
        ("2000-01-31", "6 months - 4 days", "2000-07-27"),
        ("2020-02-29", "1 year", "2021-03-01"),
        ("2020-02-29", "4 years", "2024-02-29"),
        ("2021-12-31", "2 months", "2022-03-01"),
        ("2021-01-30", "1 month", "2021-03-01"),
        ("2020-05-10", "16 years - 4 months", "2036-01-10"),
        ("2020-12-15", "12 months + 4 weeks", "2022-01-12"),
    ],
)
def test_months_come_first_and_a_day_that_does_not_exist_becomes_the_first(start: str, length: str, there: str) -> None:
    assert date.fromordinal(offset(length).date_ordinal(date.fromisoformat(start).toordinal())) == date.fromisoformat(
        there
    )


@given(st.dates(date(1900, 1, 1), date(2150, 1, 1)), st.integers(0, 1500))
def test_a_later_birth_never_reaches_an_age_earlier(birth: date, months: int) -> None:
    ordinal = birth.toordinal()
    assert add_months(ordinal, months) <= add_months(ordinal + 1, months)
    assert Offset(months, 0).date_ordinal(ordinal) < Offset(months + 1, 0).date_ordinal(ordinal)


def test_beyond_the_calendar_is_its_end() -> None:
    assert add_months(LAST_DAY - 400, 12 * 300) == LAST_DAY
    assert add_months(5, -12) == 1


@pytest.mark.parametrize("nonsense", ["soon", "4", "4 moons", "4 weeks or so", "", "9999 years"])
def test_what_is_no_length_of_time_is_refused(nonsense: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|longer than"):
        offset(nonsense)
