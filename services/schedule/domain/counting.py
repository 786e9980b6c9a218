"""Which doses of a line count (immunological verdict): its course is chosen, then the engine walks the doses along it."""

from collections.abc import Sequence

from services.schedule.domain.cases import Case, Starts
from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.judging import judge
from services.schedule.domain.legal_points import NEVER, Between, day_of, first_after
from services.schedule.domain.rule_set import Course, Line
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import DoseStatus
from services.schedule.domain.verdicts import DoseVerdict


class Count:
    """How far a line has come: its course, the places of its doses, how many count and when the last of them was.

    `following` is the course of what is still needed: another one where doses are on file and none counts.
    """

    __slots__ = ("_walk", "case", "counted", "course", "following", "last_counted", "line", "places")

    def __init__(self, case: Case, line: Line, course: Course, places: Sequence[int]) -> None:
        self.case, self.line, self.places = case, line, places
        self.course = self.following = course
        self.counted = self.last_counted = 0
        self._walk: Walk | None = None

    @property
    def walk(self) -> Walk:
        """The engine's walk of the doses along the course; begun when it is asked for."""
        if self._walk is None:
            self._walk = _begin(self.case, self.following)
            self._walk.places = list(self.places)
        return self._walk

    @property
    def needed(self) -> bool:
        """Whether a target of the course is left."""
        if self._walk is not None:
            return self._walk.position < len(self.following.doses)
        return self.counted < len(self.following.doses)

    def walk_along(self, on: int) -> None:
        """Let the engine judge every dose; where none counts, what follows goes by a first dose on the day `on`."""
        walk = self.walk
        evaluate_series(walk)
        self.counted = len(walk.satisfied)
        if self.counted:
            self.last_counted = walk.chart.doses[walk.satisfied[-1][1]].day
        else:
            self.begin_with(course_for(self.case, self.line, (), on))

    def begin_with(self, course: Course) -> None:
        """Plan along another course; only while no dose counts."""
        self.following = course
        if self._walk is not None and course.walked is not None:
            self._walk.series, self._walk.position = course.walked, 0


def _begin(case: Case, course: Course) -> Walk:
    if course.walked is None:
        raise ValueError(f"course {course.rule.id} was not prepared for the engine")
    return Walk(course.walked, case)


def count_line(
    case: Case, line: Line, places: Sequence[int], on: int, since: int = 0
) -> tuple[Count, list[tuple[int, DoseVerdict]]]:
    """Count the doses at these places of the case, with both verdicts on each by its place.

    Doses on file fix the course, so that a past verdict never depends on today; without any, a first dose on the day
    `on` would. `since` is the last counted dose of the line that this one follows, 0 where there is none.
    """
    courses = line.courses
    course = courses[0] if len(courses) == 1 else course_for(case, line, places, on)
    count = Count(case, line, course, places)
    if not places:
        return count, []
    count.walk_along(on)
    return count, judge(case, line, count.course, count.walk, since)


def course_for(case: Case, line: Line, places: Sequence[int], on: int) -> Course:
    """The course that the law gives for the first dose that counts, or for a first dose on the day `on`."""
    courses = line.choice
    if len(courses) == 1:
        return courses[0]
    starts = case.starts.get(line.code)
    if starts is None:
        youngest = day_of(line.counts_from, case.anchors) - line.counting_grace
        starts = case.starts[line.code] = Starts(youngest, [None] * len(courses))
    if places:
        given = case.given
        start = given[places[0]]
        if start.day < starts.youngest:
            start = next((given[place] for place in places if given[place].day >= starts.youngest), start)
        begun, vaccine = start.day, start.vaccine
    else:
        begun, vaccine = max(on, case.birth), ""
    fitting: Course | None = None
    for at, course in enumerate(courses):
        if vaccine and course.vaccines is not None and vaccine not in course.vaccines:
            continue
        fitting = course
        days = starts.days[at]
        if days is None:
            days = starts.days[at] = _start_days(case, course)
        if days[0] <= begun <= days[1] and (
            course.only_if is None or not vaccine or _keeps(course.only_if, case, places, begun)
        ):
            return course
    return fitting or courses[-1]


def _start_days(case: Case, course: Course) -> tuple[int, int]:
    """First and last ordinal of a first dose that begins the course; none for children of other years of birth."""
    if course.born_from is not None and case.birth < course.born_from:
        return NEVER, 0
    if course.born_to is not None and case.birth > course.born_to:
        return NEVER, 0
    first, last = course.effective_from, NEVER if course.effective_to is None else course.effective_to
    if course.start_from is not None:
        first = max(first, day_of(course.start_from, case.anchors))
    if course.start_until is not None:
        last = min(last, day_of(course.start_until, case.anchors))
    return first, last


def _keeps(only_if: tuple[int, Between], case: Case, places: Sequence[int], begun: int) -> bool:
    """Whether a later dose of the course was given far enough from the first, where it was given at all."""
    number, between = only_if
    later = [case.given[place].day for place in places if case.given[place].day > begun]
    return len(later) < number - 1 or later[number - 2] >= first_after(between, begun)


def extraneous(count: Count) -> list[int]:
    """The places of doses that came after the course was complete."""
    if count.counted == len(count.places):
        return []
    statuses = count.walk.statuses
    return [place for place in count.places if statuses[place] is DoseStatus.EXTRANEOUS]
