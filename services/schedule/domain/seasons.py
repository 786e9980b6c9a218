"""Vaccines of a season (インフルエンザ): doses are counted within their season, and the next season is planned."""

from datetime import date

from services.schedule.domain.cases import Case
from services.schedule.domain.counting import Count, count_line
from services.schedule.domain.legal import because
from services.schedule.domain.next_dose import next_item, offered_for, on_day
from services.schedule.domain.plan_items import PlanItem
from services.schedule.domain.rule_set import Line, Season
from services.schedule.domain.verdicts import DoseVerdict


def _day_in(year: int, month_and_day: tuple[int, int]) -> int:
    month, day = month_and_day
    return date(year, month, day).toordinal()


def season_of(season: Season, day: int) -> int:
    """The year in which the season began to which a day belongs."""
    year = date.fromordinal(day).year
    return year if day >= _day_in(year, season.turns) else year - 1


def season_days(season: Season, year: int) -> tuple[int, int]:
    """First and last ordinal of the season that begins in a year."""
    return _day_in(year, season.first), _day_in(year if season.last > season.first else year + 1, season.last)


def by_season(case: Case, line: Line, season: Season) -> dict[int, list[int]]:
    """The places of the line's doses, by season."""
    seasons: dict[int, list[int]] = {}
    turns = season.turns
    for place in case.of_antigen.get(line.code, ()):
        given_on = case.given[place].dose.given_on
        year = given_on.year if (given_on.month, given_on.day) >= turns else given_on.year - 1
        seasons.setdefault(year, []).append(place)
    return seasons


def seasonal_verdicts(
    case: Case, line: Line, season: Season, seasons: dict[int, list[int]]
) -> list[tuple[int, DoseVerdict]]:
    """Verdicts on all doses by their places, each in its own season."""
    verdicts: list[tuple[int, DoseVerdict]] = []
    for places in seasons.values():
        verdicts += count_line(case, line, places, 0)[1]
    return verdicts


def seasonal_item(case: Case, line: Line, season: Season, seasons: dict[int, list[int]], on: int) -> PlanItem | None:
    """The next dose of this season, or of the next one when this one is over or too short."""
    year = season_of(season, on)
    for start in (year, year + 1):
        first, last = season_days(season, start)
        count, _ = count_line(case, line, seasons.get(start, []) if start == year else [], max(on, first))
        if count.counted and not count.needed:
            return _done(case, count, first, last)
        item = _in_season(case, count, season, first, last, on)
        if item is not None:
            return item
    return None


def _done(case: Case, count: Count, first: int, last: int) -> PlanItem:
    facts = (("name", count.line.names), ("given_day", count.last_counted))
    number = count.counted
    why = because(case, count.following.rule, "plan_done", *facts)
    return PlanItem(count.following.series, number, "done", None, None, None, None, on_day(last), (), why)


def _in_season(case: Case, count: Count, season: Season, first: int, last: int, on: int) -> PlanItem | None:
    """The item within a season; None where nothing of it can be given any more."""
    day = max(on, first)
    item = next_item(case, count, day, offered_for(case, count, day))
    if item is None or item.recommended is None or item.earliest is None:
        return item
    earliest = max(item.earliest.toordinal(), first)
    recommended = max(item.recommended.toordinal(), first)
    if max(recommended, on) > last:
        return None
    if recommended > item.recommended.toordinal():
        number = count.following.said(item.dose_number)
        facts = (("name", count.line.names), ("number", number), ("due_day", recommended))
        item = item._replace(why=because(case, season.rule, "plan_season", *facts))
    return item._replace(
        status="upcoming" if on < recommended else "due",
        earliest=on_day(earliest),
        recommended=on_day(recommended),
        overdue_from=None,
        latest=on_day(last),
    )
