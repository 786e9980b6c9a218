"""Both verdicts on every dose of a line: what the engine found (immunological), and the law of the dose's own day.

The engine's reasons are translated, the law's come from the windows (legal.py) and from the dose's place in its
course. Every failing reason is kept.
"""

from typing import Final

from services.schedule.domain.cases import Case, Given
from services.schedule.domain.legal import fault, find_window, had_disease, live_before, live_reason, warning
from services.schedule.domain.legal_points import day_of, first_after
from services.schedule.domain.rule_set import Course, DoseRule, Line
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import Code, DoseStatus
from services.schedule.domain.statuses import Reason as Found
from services.schedule.domain.verdicts import Cited, DoseVerdict, Immunological, Legal, Reason

_NO_REASONS: Final[tuple[Reason, ...]] = ()
_new: Final = tuple.__new__  # a NamedTuple's own constructor costs twice as much, sixty times a plan


def judge(case: Case, line: Line, course: Course, walk: Walk, since: int = 0) -> list[tuple[int, DoseVerdict]]:
    """Both verdicts on each dose of a line that is judged there, by its place in the case.

    `since` is the last counted dose (ordinal) of the line that this one follows, 0 where there is none.
    """
    verdicts: list[tuple[int, DoseVerdict]] = []
    before: Given | None = None
    previous = 0
    reached: dict[int, int] = {}
    seen = _Seen(line, course, walk, case.given[0], None, None, 0, reached, since)
    for place in walk.places:
        given = case.given[place]
        target = walk.judged.get(place)
        number = target.number if target is not None else None
        status = walk.statuses[place]
        if line.code in given.kind.judged_in:
            found = walk.reasons.get(place)
            seen.given, seen.before, seen.number, seen.previous = given, before, number, previous
            verdicts.append((place, _verdict(case, seen, status, found)))
        before = given
        if status is DoseStatus.VALID and number is not None:
            reached[number] = previous = given.day
        elif status is DoseStatus.NOT_VALID:
            previous = given.day
    return verdicts


class _Seen:
    """A dose in its line: the course, the dose before it, its target's number, the days of the targets before.

    No dataclass: mypyc leaves a dataclass's constructor to the interpreter, sixty times a plan.
    """

    def __init__(
        self,
        line: Line,
        course: Course,
        walk: Walk,
        given: Given,
        before: Given | None,
        number: int | None,
        previous: int,
        reached: dict[int, int],
        since: int,
    ) -> None:
        self.line = line
        self.course = course
        self.walk = walk
        self.given = given
        self.before = before
        self.number = number
        self.previous = previous
        self.reached = reached
        self.since = since


def _verdict(case: Case, seen: _Seen, status: DoseStatus, found: tuple[Found, ...] | None) -> DoseVerdict:
    line, course, given, number = seen.line, seen.course, seen.given, seen.number
    series = (given.kind.series if line.code == given.kind.leads else None) or course.series
    day = given.day
    # As families count: a dose that the course left out (行わない) has no number.
    shown = None if number is None else len(seen.reached) + 1
    immunological: Immunological = "valid" if status is DoseStatus.VALID else "not_valid"
    reasons: list[Reason] = []
    if found is not None and status is not DoseStatus.VALID:
        if number is None:
            immunological = "extraneous"
        reasons = [_translated(case, seen, one) for one in found]
    if day < case.law.reaches_back_to:
        reasons.append(warning(case, "legal", "before_rules", course.rule, ("vaccine", given.kind.names)))
        return DoseVerdict(
            given.key,
            series,
            given.dose.given_on,
            shown,
            "as_recorded",
            immunological,
            None,
            course.rule,
            tuple(reasons),
        )
    window: Cited | None = None
    legal: Legal = "voluntary"
    if not line.voluntary:
        finding = find_window(case, line, given)
        legal = finding.legal
        if finding.free is not None:
            window = finding.free.rule
        if finding.reason is not None:
            reasons.append(finding.reason)
    elif line.immune_if and (disease := had_disease(case, line, given)) is not None:
        reasons.append(disease)
    _course_reasons(case, seen, reasons)
    if legal == "voluntary":
        # The law of the routine immunisation does not refuse what is not part of it; it is still worth saying.
        reasons = [
            Reason(one.verdict, one.code, one.because, refuses=False) if one.verdict == "legal" else one
            for one in reasons
        ]
    if reasons and legal == "valid" and any(reason.refuses and _against_the_law(reason) for reason in reasons):
        legal = "not_valid"
    found_reasons = tuple(reasons) if reasons else _NO_REASONS
    return _new(
        DoseVerdict,
        (given.key, series, given.dose.given_on, shown, legal, immunological, window, course.rule, found_reasons),
    )


def _against_the_law(reason: Reason) -> bool:
    """A legal reason, or one that makes a dose useless in law too: one too many, or of an expired lot."""
    return reason.verdict == "legal" or reason.code in {"needless", "expired_lot"}


def _translated(case: Case, seen: _Seen, found: Found) -> Reason:
    """A reason of the engine as one of ours."""
    line, course, given = seen.line, seen.course, seen.given
    name = ("vaccine", given.kind.names)
    day = found.day or 0
    if found.code is Code.SERIES_COMPLETE:
        return fault(case, "immunological", "needless", line.at_most.rule if line.at_most else course.rule, name)
    if found.code is Code.TOO_YOUNG:
        return fault(case, "immunological", "too_early", course.rule, name, ("first_day", day))
    if found.code is Code.TOO_OLD:
        return fault(case, "immunological", "wrong_age", course.rule, name, ("last_day", day))
    if found.code is Code.TOO_SOON:
        rule = next(
            (apart.rule for dose in course.doses for apart in dose.apart if apart.rule.id == found.rule), course.rule
        )
        return fault(case, "immunological", "interval", rule, name, ("first_day", day))
    if found.code is Code.CONFLICT:
        before = live_before(case, given.day, given.vaccine, given.kind.live, in_force=False)
        earlier = before.earlier if before is not None else given
        rule = before.rule.rule if before is not None else course.rule
        facts = (name, ("earlier", earlier.kind.names), ("earlier_day", earlier.day), ("first_day", day))
        return fault(case, "immunological", "live_interval", rule, *facts)
    if found.code is Code.EXPIRED_LOT:
        return fault(case, "immunological", "expired_lot", course.rule, name, ("expiry_day", day))
    return fault(case, "immunological", "wrong_product", course.rule, name)


def _course_reasons(case: Case, seen: _Seen, reasons: list[Reason]) -> None:
    """What the law says of the dose's place in the course: live vaccines, intervals, ages, products."""
    line, course, given, before = seen.line, seen.course, seen.given, seen.before
    day = given.day
    name = ("vaccine", given.kind.names)
    if given.kind.live == "injectable" and case.live[0].day < day:
        reason = live_reason(case, given)
        if reason is not None:
            reasons.append(reason)
    if before is not None and before.day == day and before.vaccine == given.vaccine:
        reasons.append(fault(case, "legal", "same_day_duplicate", course.rule, name))
    if seen.number is not None and seen.number <= len(course.doses):
        _intervals(case, seen, course.doses[seen.number - 1], reasons)
    after = line.after_line
    if after is not None and after.between is not None and seen.since:
        permitted = first_after(after.between, seen.since)
        if day < permitted:
            reasons.append(warning(case, "legal", "interval", after.rule, name, ("first_day", permitted)))
    if before is not None:
        _products(case, seen, before, reasons)
    elif line.first_dose_by is not None:
        last = day_of(line.first_dose_by[1], case.anchors)
        if day > last:
            reasons.append(warning(case, "legal", "late_first_dose", line.first_dose_by[0], name, ("last_day", last)))


def _intervals(case: Case, seen: _Seen, rule: DoseRule, reasons: list[Reason]) -> None:
    given = seen.given
    name = ("vaccine", given.kind.names)
    shorter = seen.line.shorter
    for apart in rule.apart:
        if apart.vaccines is not None and given.vaccine not in apart.vaccines:
            continue
        origin = seen.reached.get(apart.after, 0) if apart.after else seen.previous
        if not origin:
            continue
        between = apart.between
        if shorter is not None and between == shorter.instead_of and shorter.observation in case.observed:
            between = shorter.between
        permitted = first_after(between, origin)
        if given.day < permitted:
            reasons.append(fault(case, "legal", "interval", apart.rule, name, ("first_day", permitted)))
    if rule.first is not None:
        first = day_of(rule.first, case.anchors)
        if given.day < first:
            reasons.append(fault(case, "legal", "too_early", seen.course.rule, name, ("first_day", first)))


def _products(case: Case, seen: _Seen, before: Given, reasons: list[Reason]) -> None:
    """Mixing is a warning: the law says "in principle" (原則)."""
    line, given, places = seen.line, seen.given, seen.walk.places
    name = ("vaccine", given.kind.names)
    if given.vaccine != before.vaccine:
        if line.same_product is not None:
            reasons.append(warning(case, "legal", "wrong_product", line.same_product, name, key="mixed_products"))
        begun = case.given[places[0]].vaccine
        for offer in line.offers:
            if offer.started is None or given.day < offer.effective_from:
                continue
            if begun in offer.started and given.vaccine not in offer.vaccines:
                reasons.append(warning(case, "legal", "wrong_product", offer.rule, name, key="mixed_products"))
    elif line.one_maker is not None and given.vaccine == line.one_maker.vaccine and given.dose.product:
        earlier = [case.given[place] for place in places if case.given[place].day < given.day]
        if any(one.dose.product not in {None, given.dose.product} for one in earlier if one.vaccine == given.vaccine):
            reasons.append(warning(case, "legal", "wrong_product", line.one_maker.rule, name, key="mixed_products"))
