"""Which doses of a line count (immunological verdict): its course is chosen, then the engine walks the doses along it."""

from collections.abc import Sequence
from typing import NamedTuple

from services.schedule.domain.cases import Case, Given
from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.legal_points import Between, day_of, first_after
from services.schedule.domain.rule_set import Course, Line
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import DoseStatus


class Count(NamedTuple):
    """How far a line has come: its course and the engine's walk of its doses along it.

    `following` is the course of what is still needed: another one where doses are on file and none counts.
    """

    line: Line
    course: Course
    walk: Walk
    following: Course

    @property
    def last_counted(self) -> int:
        """The ordinal of the last dose that counts; 0 where there is none."""
        walk = self.walk
        return walk.chart.doses[walk.satisfied[-1][1]].day if walk.satisfied else 0


def count_line(case: Case, line: Line, places: Sequence[int], on: int) -> Count:
    """Walk the doses at these places of the case along the line's course.

    Doses on file fix the course, so that a past verdict never depends on today; without any, a first dose on the day
    `on` would.
    """
    course = course_for(case, line, places, on)
    if course.walked is None:
        raise ValueError(f"course {course.rule.id} was not prepared for the engine")
    walk = Walk(course.walked, case)
    walk.places = list(places)
    following = course
    if places:
        evaluate_series(walk)
        if not walk.satisfied:
            following = course_for(case, line, (), on)
            if following.walked is not None:
                walk.series, walk.position = following.walked, 0
    return Count(line, course, walk, following)


def course_for(case: Case, line: Line, places: Sequence[int], on: int) -> Course:
    """The course that the law gives for the first dose that counts, or for a first dose on the day `on`."""
    anchors = case.anchors
    courses = line.courses
    if len(courses) == 1:
        return courses[0]
    given = case.given
    start: Given | None = None
    if places:
        earliest = day_of(line.counts_from, anchors) - line.counting_grace
        start = next((given[place] for place in places if given[place].day >= earliest), given[places[0]])
    begun = start.day if start is not None else max(on, case.birth)
    fitting: Course | None = None
    for course in courses:
        if start is not None and course.vaccines is not None and start.vaccine not in course.vaccines:
            continue
        fitting = course
        if begun < course.effective_from or (course.effective_to is not None and begun > course.effective_to):
            continue
        if course.start_from is not None and begun < day_of(course.start_from, anchors):
            continue
        if course.start_until is not None and begun > day_of(course.start_until, anchors):
            continue
        if course.only_if is not None and start is not None and not _keeps(course.only_if, case, places, start):
            continue
        return course
    return fitting or courses[-1]


def _keeps(only_if: tuple[int, Between], case: Case, places: Sequence[int], start: Given) -> bool:
    """Whether a later dose of the course was given far enough from the first, where it was given at all."""
    number, between = only_if
    later = [case.given[place].day for place in places if case.given[place].day > start.day]
    return len(later) < number - 1 or later[number - 2] >= first_after(between, start.day)


def extraneous(count: Count) -> list[int]:
    """The places of doses that came after the course was complete."""
    statuses = count.walk.statuses
    return [place for place in count.walk.places if statuses[place] is DoseStatus.EXTRANEOUS]
