"""`dates`: the legal date arithmetic on the command line, one line out: `D` or `A..B`, both inclusive."""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, NoReturn

import typer

from services.schedule.domain import civil_dates
from services.schedule.domain.free_windows import NoWindow, window_of
from services.schedule.rule_files import RuleError, load_rule_set

dates_app = typer.Typer(no_args_is_help=True, help="Legal date arithmetic: ages, intervals, school and fiscal years.")

_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_PREGNANT = re.compile(r"(\d{1,2})w([0-6])d")


def bad_input(why: str) -> NoReturn:
    """Say what is wrong on stderr and leave with 2."""
    typer.echo(f"error: {why}", err=True)
    raise typer.Exit(2)


def read_day(text: str, option: str) -> date:
    """A civil day as YYYY-MM-DD, between 1900 and 2199; anything else is bad input naming the option."""
    if _ISO_DAY.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        if day is not None and civil_dates.FIRST_YEAR <= day.year <= civil_dates.LAST_YEAR:
            return day
    bad_input(f"{option}: {text!r} is not a day (YYYY-MM-DD, {civil_dates.FIRST_YEAR} to {civil_dates.LAST_YEAR})")


def _said(counted: Callable[[], str]) -> None:
    try:
        typer.echo(counted())
    except civil_dates.DateOutOfRange as error:
        bad_input(str(error))


def _span(first: date, last: date) -> str:
    return f"{first.isoformat()}..{last.isoformat()}"


def _not_negative(number: int, option: str) -> int:
    return number if 0 <= number <= 100_000 else bad_input(f"{option}: {number} is not a count from 0 to 100000")


Birth = Annotated[str, typer.Option("--birth", help="Day of birth, YYYY-MM-DD")]


@dates_app.command()
def reached(
    birth: Birth,
    months: Annotated[int | None, typer.Option("--months")] = None,
    years: Annotated[int | None, typer.Option("--years")] = None,
) -> None:
    """The day an age is reached: first day of 以上, last day of 至るまで."""
    born = read_day(birth, "--birth")
    if months is not None and years is None:
        counted = _not_negative(months, "--months")
    elif years is not None and months is None:
        counted = 12 * _not_negative(years, "--years")
    else:
        bad_input("give either --months or --years")
    _said(lambda: civil_dates.reached(born, counted).isoformat())


@dates_app.command()
def weeks(
    birth: Birth,
    weeks: Annotated[int, typer.Option("--weeks")],
    days: Annotated[int, typer.Option("--days")] = 0,
) -> None:
    """The day W weeks and N days after birth (the day of birth is 0 weeks 0 days)."""
    born = read_day(birth, "--birth")
    whole, rest = _not_negative(weeks, "--weeks"), _not_negative(days, "--days")
    _said(lambda: civil_dates.weeks_after_birth(born, whole, rest).isoformat())


@dates_app.command()
def interval(
    given: Annotated[str, typer.Option("--from", help="Day of the dose before")],
    days: Annotated[int | None, typer.Option("--days")] = None,
    months: Annotated[int | None, typer.Option("--months")] = None,
    half: Annotated[bool, typer.Option("--half", help="and a half month (月半)")] = False,
) -> None:
    """The first permitted day after an interval of at least N days (N日以上) or months."""
    before = read_day(given, "--from")
    if days is not None and months is None:
        if half:
            bad_input("--half goes with --months")
        between = _not_negative(days, "--days")
        _said(lambda: civil_dates.after_days(before, between).isoformat())
    elif months is not None and days is None:
        whole = _not_negative(months, "--months")
        _said(lambda: civil_dates.after_months(before, whole, half).isoformat())
    else:
        bad_input("give either --days or --months")


@dates_app.command(name="school-entry")
def school_entry(birth: Birth) -> None:
    """The 1 April on which primary school begins."""
    born = read_day(birth, "--birth")
    _said(lambda: civil_dates.school_entry(born).isoformat())


@dates_app.command()
def fiscal(birth: Birth, age: Annotated[int, typer.Option("--age", help="years")]) -> None:
    """The fiscal year to which the day belongs on which that age is reached."""
    born = read_day(birth, "--birth")
    years = _not_negative(age, "--age")
    _said(lambda: _span(*civil_dates.fiscal_year_of_age(born, years)))


@dates_app.command()
def pregnancy(
    edd: Annotated[str, typer.Option("--edd", help="Expected day of delivery")],
    first: Annotated[str, typer.Option("--from", help="like 28w0d")],
    last: Annotated[str, typer.Option("--to", help="like 36w6d")],
) -> None:
    """The days between two weeks of pregnancy; the expected day is 40w0d."""
    expected = read_day(edd, "--edd")
    ends = []
    for option, text in (("--from", first), ("--to", last)):
        found = _PREGNANT.fullmatch(text)
        if found is None:
            bad_input(f"{option}: {text!r} is not like 28w0d")
        ends.append((int(found[1]), int(found[2])))
    if ends[0] > ends[1]:
        bad_input("--from lies after --to")
    _said(lambda: _span(*(civil_dates.day_of_pregnancy(expected, *end) for end in ends)))


@dates_app.command()
def window(
    birth: Birth,
    series: Annotated[str, typer.Option("--series")],
    sex: Annotated[str | None, typer.Option("--sex", help="F or M")] = None,
    dose: Annotated[int, typer.Option("--dose")] = 1,
    standard: Annotated[bool, typer.Option("--standard", help="the standard age instead of the free window")] = False,
) -> None:
    """The free window (定期接種の対象期間) of a series, or the standard age of one of its doses."""
    born = read_day(birth, "--birth")
    if sex not in {None, "F", "M"}:
        bad_input(f"--sex: {sex!r} is neither F nor M")
    try:
        rules = load_rule_set()
        first, last = window_of(rules, series, born, sex, dose, standard)
    except (NoWindow, RuleError, civil_dates.DateOutOfRange) as error:
        bad_input(str(error))
    typer.echo(_span(first, last))
