"""Legal date arithmetic from the text of the law, beyond the published vectors."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from services.schedule.cli_dates import dates_app
from services.schedule.domain import civil_dates
from services.schedule.domain.legal_points import Anchors, Point, day_of
from services.schedule.domain.offsets import TimePoint

births = st.dates(date(1950, 1, 1), date(2100, 12, 31))


def run(command: str) -> tuple[int, str]:
    result = CliRunner().invoke(dates_app, command.split())
    return result.exit_code, result.output.strip()


@given(births, st.integers(0, 1200))
def test_the_day_reached_is_the_eve_of_the_same_day(birth: date, months: int) -> None:
    """年齢計算ニ関スル法律, 民法 143 条: the period ends on the eve of the day that corresponds, or on the month's last day."""
    year, month = divmod(birth.year * 12 + birth.month - 1 + months, 12)
    try:
        expected = date(year, month + 1, birth.day) - timedelta(days=1)
    except ValueError:
        expected = date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)
    assert civil_dates.reached(birth, months) == expected


@given(births)
def test_nobody_born_on_one_school_years_days_enters_in_two(birth: date) -> None:
    """学校教育法 17 条: those born from 2 April to 1 April of the next year enter together."""
    entry = civil_dates.school_entry(birth)
    assert (entry.month, entry.day) == (4, 1)
    cohort = birth.year - (date(birth.year, birth.month, birth.day) < date(birth.year, 4, 2))
    assert entry.year == cohort + 7


@given(births, st.integers(0, 200), st.integers(0, 60))
def test_intervals_never_come_too_soon(given_on: date, days: int, months: int) -> None:
    assert (civil_dates.after_days(given_on, days) - given_on).days == days + 1
    after = civil_dates.after_months(given_on, months)
    assert after >= given_on + timedelta(days=28 * months)
    assert civil_dates.after_months(given_on, months, half=True) - after in {timedelta(days=n) for n in (14, 15, 16)}


@given(births, st.integers(0, 200), st.integers(-3, 3), st.sampled_from(range(6)))
def test_a_point_is_the_same_with_and_without_anchors(birth: date, amount: int, shift: int, kind: int) -> None:
    """The engine asks a point by its origin; the law's windows ask it by anchors made once."""
    point: TimePoint = Point(kind, amount % 20 if kind > 2 else amount, shift)
    assert isinstance(point, Point)
    assert point.date_ordinal(birth.toordinal()) == day_of(point, Anchors(birth, None))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("reached --birth 2024-01-31 --months 1", "2024-02-29"),
        ("reached --birth 2025-01-31 --months 1", "2025-02-28"),
        ("reached --birth 2026-03-01 --months 12", "2027-02-28"),
        ("weeks --birth 2026-05-10 --weeks 14 --days 6", "2026-08-22"),
        ("weeks --birth 2026-05-10 --weeks 0", "2026-05-10"),
        ("interval --from 2026-06-30 --months 2", "2026-08-30"),
        ("interval --from 2026-12-31 --months 2", "2027-03-01"),
        ("interval --from 2026-05-10 --days 27", "2026-06-07"),
        ("interval --from 2024-02-01 --months 0 --half", "2024-02-16"),
        ("school-entry --birth 2020-02-29", "2026-04-01"),
        ("fiscal --birth 2014-04-01 --age 12", "2025-04-01..2026-03-31"),
        ("fiscal --birth 2014-04-02 --age 12", "2026-04-01..2027-03-31"),
        ("pregnancy --edd 2026-04-23 --from 40w0d --to 40w0d", "2026-04-23..2026-04-23"),
    ],
)
def test_command(command: str, expected: str) -> None:
    assert run(command) == (0, expected)


@pytest.mark.parametrize(
    "command",
    [
        "reached --birth 2026-02-30 --months 1",
        "reached --birth 20260510 --months 1",
        "reached --birth 2026-05-10",
        "reached --birth 2026-05-10 --months 1 --years 1",
        "reached --birth 2026-05-10 --months -1",
        "reached --birth 2026-05-10 --years 900",
        "weeks --birth 2026-05-10 --weeks -1",
        "weeks --birth 2199-12-30 --weeks 9000",
        "reached --birth 2200-01-01 --months 1",
        "interval --from 2026-05-10 --days 1 --half",
        "interval --from 2026-05-10",
        "fiscal --birth 2026-05-10 --age x",
        "pregnancy --edd 2026-05-10 --from 28w7d --to 36w6d",
        "pregnancy --edd 2026-05-10 --from 36w0d --to 28w0d",
        "window --birth 2026-05-10 --series nothing",
        "window --birth 2026-05-10 --series rsv_maternal",
        "window --birth 2026-05-10 --series bcg --dose 2",
        "window --birth 2026-05-10 --series hpv --sex M",
        "window --birth 2026-05-10 --series bcg --sex X",
        "unknown",
    ],
)
def test_bad_input_leaves_with_two(command: str) -> None:
    assert run(command)[0] == 2
