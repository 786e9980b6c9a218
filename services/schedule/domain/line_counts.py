"""The counts of all lines of one case, each made once, with both verdicts on every dose by its place."""

from services.schedule.domain.cases import Case
from services.schedule.domain.counting import Count, count_line, extraneous
from services.schedule.domain.free_windows import is_for
from services.schedule.domain.legal import find_window
from services.schedule.domain.rule_set import Line
from services.schedule.domain.verdicts import DoseVerdict


class LineCounts:
    """Counts lines as they are asked for; a line that follows another asks for that one first."""

    __slots__ = ("case", "counts", "day", "verdicts")

    def __init__(self, case: Case, day: int) -> None:
        self.case, self.day = case, day
        self.counts: dict[str, Count] = {}
        self.verdicts: list[tuple[int, DoseVerdict]] = []
        if case.without_line and case.observed:
            self._still_free()

    def _still_free(self) -> None:
        """A dose that is too late for its line belongs to it all the same where a special measure keeps it free."""
        case = self.case
        without_line, case.without_line = case.without_line, []
        for place in without_line:
            given = case.given[place]
            free_for = [
                code
                for code in given.kind.counts_in
                if given.vaccine in case.law.lines[code].takes and find_window(case, case.law.lines[code], given).free
            ]
            for code in free_for:
                case.of_antigen[code] = sorted([*case.of_antigen.get(code, ()), place])
            if not free_for:
                case.without_line.append(place)

    def of(self, line: Line) -> Count:
        """The count of a line; doses that an earlier line had no place for come in here."""
        count = self.counts.get(line.code)
        if count is None:
            places = self._places(line)
            since = 0 if line.after_line is None else self.before(line)[0]
            count, verdicts = count_line(self.case, line, places, self.day, since)
            self.counts[line.code] = count
            self.verdicts += verdicts
        return count

    def _places(self, line: Line) -> list[int]:
        """The doses of a line. What is still free for an earlier period counts there first, and what is too much
        there comes here."""
        case = self.case
        places = case.of_antigen.get(line.code) or []
        if line.more_go_to is not None:
            later = case.of_antigen.get(line.more_go_to)
            if not later or not (case.observed or _of_a_cohort(line, case.birth)):
                return places
            made_up = [
                place for place in later if place not in places and find_window(case, line, case.given[place]).free
            ]
            return sorted([*places, *made_up])
        for other in line.takes_over_from:
            before = self.of(case.law.lines[other])
            left_over = extraneous(before)
            if case.law.lines[other].more_only_at_its_ages:
                left_over = [place for place in left_over if place in places]
            if left_over:
                self._forget(other, left_over)
            if left_over or len(before.places) > len(case.of_antigen.get(other) or ()):
                taken = {*before.places}.difference(left_over)
                places = sorted({*places, *left_over}.difference(taken))
        return places

    def _forget(self, line: str, places: list[int]) -> None:
        """Doses that another line takes over are judged there."""
        shown = self.case.law.lines[line].shown_as
        self.verdicts = [one for one in self.verdicts if one[0] not in places or one[1].series not in shown]

    def before(self, line: Line) -> tuple[int, int | None]:
        """The last counted dose (ordinal) and how many count in the line that this one follows."""
        if line.after_line is None:
            return 0, None
        before = self.of(self.case.law.lines[line.after_line.line])
        return before.last_counted, before.counted


def _of_a_cohort(line: Line, birth: int) -> bool:
    """Whether a window of the line is for some years of birth and this child is born in them."""
    return any(free.cohort and is_for(free, birth, None) for free in line.free)
