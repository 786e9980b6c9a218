"""Free windows (定期接種の対象期間): between which days a dose is free for a child, under the law of those days."""

from collections.abc import Iterable
from datetime import date

from services.schedule.domain.legal_points import NEVER, Anchors, NoAnchor, Point, day_of
from services.schedule.domain.rule_set import Course, Free, Line, RuleSet


class NoWindow(ValueError):
    """There is no such window; the words say why."""


def vaccines_of(rules: RuleSet, line: Line, series: str) -> frozenset[str]:
    """The vaccines that a series shows: of a line with several series those that belong to this one."""
    if len({course.series for course in line.courses}) == 1 and not any(
        rules.vaccines[code].series for free in line.free for code in free.vaccines
    ):
        return frozenset(code for code, vaccine in rules.vaccines.items() if line.code in vaccine.counts_in)
    return frozenset(code for code, vaccine in rules.vaccines.items() if (vaccine.series or code) == series)


def is_for(free: Free, born: int, sex: str | None) -> bool:
    """Whether a window is for children born that day and of that sex; an unknown sex (None) leaves it open."""
    return (
        (free.born_from is None or born >= free.born_from)
        and (free.born_to is None or born <= free.born_to)
        and (free.sex is None or sex is None or free.sex == sex)
    )


def days_of(free: Free, anchors: Anchors, known_since: int = 0) -> tuple[int, int]:
    """First and last ordinal of a window for a child, within the days on which the rule is in force.

    What holds since the rules reach back at all (`known_since`) did not begin on that very day: a window that is open
    then is shown whole.
    """
    first, last = day_of(free.first, anchors), day_of(free.last, anchors)
    until = NEVER if free.effective_to is None else free.effective_to
    if not free.effective_from == known_since <= last:
        first = max(first, free.effective_from)
    return first, min(last, until)


def _hull(windows: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    open_ones = [window for window in windows if window[0] <= window[1]]
    if not open_ones:
        return None
    return min(window[0] for window in open_ones), max(window[1] for window in open_ones)


def window_of(
    rules: RuleSet, series: str, birth: date, sex: str | None, dose: int = 1, standard: bool = False
) -> tuple[date, date]:
    """First and last day of the free window of a dose, or of its standard age (標準的な接種期間), both inclusive.

    Raises NoWindow where the series is unknown, the dose is not in its course, or the child is outside the rule.
    """
    anchors = Anchors(birth, None)
    for checkup in rules.checkups:
        if checkup.series == series:
            end = checkup.usual_until if standard and checkup.usual_until else checkup.closes
            return date.fromordinal(day_of(checkup.first, anchors)), date.fromordinal(day_of(end, anchors))
    line, course = _course_of(rules, series)
    if (
        not 1
        <= dose
        <= max((len(one.doses) for one in line.courses if one.series == series), default=len(course.doses))
    ):
        raise NoWindow(f"{series} has no dose {dose}")
    rule = course.doses[min(dose, len(course.doses)) - 1]
    try:
        whole = _window(rules, line, series, anchors, sex)
        if standard:
            if rule.standard_first is None and rule.standard_last is None:
                raise NoWindow(f"the standard time of dose {dose} of {series} is counted from the dose before")
            first = _day(rule.standard_first, anchors, whole[0] if whole else None)
            last = _day(rule.standard_last, anchors, whole[1] if whole else None)
        elif whole is None:
            raise NoWindow(f"{series} is not free (定期接種) for this child")
        else:
            first = max(whole[0], _day(rule.first, anchors, whole[0]))
            last = min(whole[1], _day(rule.not_after, anchors, whole[1]))
    except NoAnchor as error:
        raise NoWindow(f"{series} is {error}") from None
    return date.fromordinal(first), date.fromordinal(last)


def _course_of(rules: RuleSet, series: str) -> tuple[Line, Course]:
    for line in rules.lines.values():
        for course in line.courses:
            if course.series == series:
                return line, course
    if series in rules.series and series in rules.vaccines:
        leads = rules.vaccines[series].leads
        if leads is not None:
            line = rules.lines[leads]
            return line, line.courses[-1]
    raise NoWindow(f"{series!r} is not a series of the rules")


def _window(rules: RuleSet, line: Line, series: str, anchors: Anchors, sex: str | None) -> tuple[int, int] | None:
    vaccines = vaccines_of(rules, line, series)
    return _hull(
        days_of(free, anchors, rules.reaches_back_to)
        for free in line.free
        if free.vaccines & vaccines
        and not free.by_municipality
        and free.observation is None
        and free.begun is None
        and is_for(free, anchors.birth or anchors.expected, sex)
    )


def _day(point: Point | None, anchors: Anchors, otherwise: int | None) -> int:
    if point is not None:
        return day_of(point, anchors)
    if otherwise is None:
        raise NoWindow("the standard time has no such end")
    return otherwise
