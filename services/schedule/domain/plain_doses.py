"""Doses that nobody needs to think about: given in their window, in their course, at their interval.

Most children's doses are like that. For them both verdicts follow without a walk: the law's ages and intervals are
never below those from which the engine counts a dose (checked when the rules are loaded), so what the law accepts
without a remark also counts. At the first dose about which anything at all is to be said, the line goes to the engine
and to the law in full. A test holds both ways against each other on invented histories.
"""

from collections.abc import Sequence

from services.schedule.domain.cases import Case
from services.schedule.domain.civil_dates import FIRST_OF_MONTH, LENGTH_OF_MONTH, month_and_day
from services.schedule.domain.legal_points import NEVER, day_of, first_after
from services.schedule.domain.rule_set import Course, DoseRule, Free, Line
from services.schedule.domain.verdicts import DoseVerdict, Immunological, Legal

_VALID: Immunological = "valid"
_LAWFUL: Legal = "valid"
_VOLUNTARY: Legal = "voluntary"
_new = tuple.__new__  # a NamedTuple's own constructor costs twice as much, sixty times a plan


def plain_verdicts(
    case: Case, line: Line, course: Course, places: Sequence[int], since: int
) -> list[tuple[int, DoseVerdict]] | None:
    """The verdicts by place when every dose of the line is plainly valid; None when anything is to be said.

    `since` is the last counted dose of the line that this one follows, 0 where there is none.
    """
    doses = course.doses
    if len(places) > len(doses) or case.observed:
        return None
    given_doses, code = case.given, line.code
    first_vaccine = given_doses[places[0]].vaccine
    verdicts: list[tuple[int, DoseVerdict]] = []
    window: Free | None = None
    opens = closes = previous = 0
    windowed = ""
    judged = False
    reached: list[int] = []
    for place, rule in zip(places, doses, strict=False):
        day, vaccine, key, expires, kind, dose, _, _, _, _ = given_doses[place]
        if (expires is not None and expires < day) or (vaccine != first_vaccine and line.one_vaccine):
            return None
        if vaccine != windowed:
            windowed, judged = vaccine, code in kind.judged_in
            if judged and not line.voluntary:
                window = _window(case, line, vaccine, day)
                if window is None:
                    return None
                opens, closes = day_of(window.first, case.anchors), day_of(window.last, case.anchors)
                opens = max(opens, window.effective_from)
                if window.effective_to is not None:
                    closes = min(closes, window.effective_to)
            else:
                window, closes = None, NEVER
                starts = case.starts.get(code)
                opens = starts.youngest if starts else day_of(line.counts_from, case.anchors) - line.counting_grace
        if day < opens or day > closes:
            return None
        if kind.live == "injectable" and not case.live_apart:
            return None
        for apart in rule.apart:
            origin = reached[apart.after - 1] if apart.after else previous
            between = apart.between
            if not between.months and not between.half:
                if day <= origin + between.days:
                    return None
            elif day < origin + 28 * between.months:
                return None
            elif day <= origin + 31 * between.months + 16:
                if between.half:
                    if day < first_after(between, origin):
                        return None
                else:
                    month, of_month = month_and_day(origin)
                    month += between.months
                    if day < FIRST_OF_MONTH[month] + min(of_month - 1, LENGTH_OF_MONTH[month]):
                        return None
        if rule.has_ages and not _ages_fit(case, rule, day, reached):
            return None
        reached.append(day)
        previous = day
        if judged:
            verdict = _new(
                DoseVerdict,
                (
                    key,
                    (kind.series if kind.leads == code else None) or course.series,
                    dose.given_on,
                    rule.number,
                    _VOLUNTARY if window is None else _LAWFUL,
                    _VALID,
                    None if window is None else window.rule,
                    course.rule,
                    (),
                ),
            )
            verdicts.append((place, verdict))
    if reached[0] < case.law.reaches_back_to:
        return None
    if line.has_more_to_say and not _nothing_else(case, line, places, since, reached[0]):
        return None
    return verdicts


def _ages_fit(case: Case, rule: DoseRule, day: int, reached: list[int]) -> bool:
    """Whether the dose is neither before its own age nor one that is left out."""
    if rule.first is not None and day < day_of(rule.first, case.anchors):
        return False
    if rule.not_after is not None and day > day_of(rule.not_after, case.anchors):
        return False
    return rule.not_if is None or reached[rule.not_if[0] - 1] <= day_of(rule.not_if[1], case.anchors)


def _nothing_else(case: Case, line: Line, places: Sequence[int], since: int, first_day: int) -> bool:
    """Whether the rules that few lines have are silent too."""
    after = line.after_line
    if since and after is not None and after.between is not None and first_day < first_after(after.between, since):
        return False
    if line.first_dose_by is not None and first_day > day_of(line.first_dose_by[1], case.anchors):
        return False
    if line.one_maker is not None:
        return len({case.given[place].dose.product for place in places} - {None}) <= 1
    return True


def _window(case: Case, line: Line, vaccine: str, day: int) -> Free | None:
    """The national window that is in force on the day for this child."""
    born, sex = case.birth, case.sex
    for free in line.windows.get(vaccine, ()):
        if (
            day >= free.effective_from
            and (free.effective_to is None or day <= free.effective_to)
            and not free.by_municipality
            and free.observation is None
            and (free.born_from is None or born >= free.born_from)
            and (free.born_to is None or born <= free.born_to)
            and (free.sex is None or sex is None or free.sex == sex)
        ):
            return free
    return None
