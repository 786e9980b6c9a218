"""Which product begins a line that has several (ロタウイルス1価・5価): the first whose course can still be completed."""

from services.schedule.domain.cases import Case
from services.schedule.domain.counting import Count
from services.schedule.domain.legal_points import first_after
from services.schedule.domain.next_dose import Window, open_window
from services.schedule.domain.rule_set import Course, Line


def with_choice(case: Case, count: Count, on: int) -> tuple[Count, tuple[str, ...]]:
    """The count on the course to begin with, and every vaccine that could begin; as it is where a dose counts."""
    line = count.line
    if line.same_product is None or count.counted:
        return count, tuple(sorted(count.following.vaccines or ()))
    possible = [course for course in line.courses if _can_finish(case, line, course, on)]
    if not possible:
        return count, tuple(sorted(count.following.vaccines or ()))
    chosen = possible[0]
    count.begin_with(chosen)
    vaccines = tuple(sorted(code for course in possible for code in course.vaccines or ()))
    return count, vaccines


def _can_finish(case: Case, line: Line, course: Course, on: int) -> bool:
    window: Window | None = open_window(case, line, course.vaccines or (), on)
    if window is None:
        return False
    day = max(on, window.first)
    for dose in course.doses[1:]:
        day = max([day, *(first_after(apart.between, day) for apart in dose.apart)])
    return day <= window.last
