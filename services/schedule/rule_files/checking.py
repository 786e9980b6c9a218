"""Looks for what a schema cannot see: unknown codes, holes, overlaps and cycles."""

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import pairwise

from services.schedule.domain.legal_points import PREGNANCY, Anchors, Point, day_of
from services.schedule.domain.rule_set import Course, Free, Line, RuleError, RuleSet, Vaccine

_BIRTHS = tuple(date(2023, 1, 1).toordinal() + days for days in range(0, 1100, 1))
_SAMPLE = tuple(
    Anchors(date.fromordinal(day), None) for day in _BIRTHS if date.fromordinal(day).day in {1, 2, 15, 28, 29, 30, 31}
)
_PREGNANT = Anchors(None, date(2026, 11, 23))


def code_map(file: str, vaccines: Mapping[str, Vaccine]) -> dict[str, str]:
    """Every way to name a vaccine: its code, its aliases, "cvx:<number>" without leading zeros."""
    codes: dict[str, str] = {}
    for vaccine in vaccines.values():
        names = [vaccine.code, *vaccine.aliases, *(f"cvx:{int(cvx)}" for cvx in vaccine.cvx)]
        for name in names:
            if codes.setdefault(name, vaccine.code) != vaccine.code:
                raise RuleError(file, vaccine.code, "cvx" if ":" in name else "aliases", f"{name} names two vaccines")
    return codes


def check_rule_set(rules: RuleSet, files: Mapping[str, str]) -> None:
    """Raise RuleError for the first rule that cannot be served; `files` names the file of each line, and of other kinds."""
    for vaccine in rules.vaccines.values():
        for counted in {*vaccine.counts_in, *([vaccine.leads] if vaccine.leads else [])}:
            if counted not in rules.lines:
                raise RuleError(files["vaccines"], vaccine.code, "counts_in", f"{counted!r} is not a line")
        if vaccine.leads and vaccine.leads not in vaccine.counts_in:
            raise RuleError(files["vaccines"], vaccine.code, "leads", "is not among counts_in")
    for code, line in rules.lines.items():
        _check_line(files[code], line, rules)
    for combination in rules.combinations:
        for one in (*combination.lines, combination.leads):
            if one not in rules.lines:
                raise RuleError(files["combination"], combination.id, "lines", f"{one!r} is not a line")
        for product in combination.products:
            if product.series not in rules.vaccines or not set(product.covers) <= set(combination.lines):
                raise RuleError(files["combination"], product.rule.id, "covers", "names an unknown vaccine or line")
    for contraindication in rules.contraindications:
        _known(files["between"], contraindication.rule.id, "vaccines", contraindication.vaccines, rules.vaccines)
        _known(
            files["between"],
            contraindication.rule.id,
            "observation",
            [contraindication.observation],
            rules.observations,
        )
    for allergen in rules.allergens:
        _known(files["between"], allergen.rule.id, "vaccines", allergen.vaccines, rules.vaccines)
    for blood in rules.blood_products:
        _known(files["between"], blood.rule.id, "not_for", blood.not_for, rules.vaccines)
    for extension in rules.extensions:
        _known(files["special"], extension.rule.id, "observations", extension.observations, rules.observations)
        _known(files["special"], extension.rule.id, "upper_age", extension.upper_age, rules.vaccines)
        _known(files["special"], extension.rule.id, "not_for", extension.not_for, rules.lines)
    _no_rule_twice(rules, files)
    _no_cycle(rules, files)


def _known(file: str, rule: str, field: str, codes: Iterable[str], known: Mapping[str, object]) -> None:
    unknown = sorted(code for code in codes if code not in known)
    if unknown:
        raise RuleError(file, rule, field, f"unknown codes: {', '.join(unknown)}")


def _check_line(file: str, line: Line, rules: RuleSet) -> None:
    for free in line.free:
        _known(file, free.rule.id, "vaccines", free.vaccines, rules.vaccines)
        if free.observation:
            _known(file, free.rule.id, "observation", [free.observation], rules.observations)
        _window_opens(file, free.rule.id, free.first, free.last)
    for code in line.takes:
        _known(file, line.code, "takes", [code], rules.vaccines)
    for offer in line.offers:
        _known(file, offer.rule.id, "vaccines", offer.vaccines, rules.vaccines)
    if line.offers and (line.offers[-1].started or line.offers[-1].first or line.offers[-1].effective_from):
        raise RuleError(file, line.offers[-1].rule.id, "offers", "a hole: the last offer must hold for everyone")
    _known(file, line.code, "immune_if", line.immune_if, rules.observations)
    for excluded in line.excluded:
        _known(file, excluded.rule.id, "observation", [excluded.observation], rules.observations)
    _no_overlap(file, line.free)
    _no_hole(file, line.free)
    for course in line.courses:
        _known(file, course.rule.id, "vaccines", course.vaccines or (), rules.vaccines)
        _known(file, course.rule.id, "series", [course.series], dict.fromkeys(rules.series))
        for dose in course.doses:
            for apart in dose.apart:
                _known(file, apart.rule.id, "intervals", apart.vaccines or (), rules.vaccines)
        if course.only_if and course.only_if[0] > len(course.doses):
            raise RuleError(file, course.rule.id, "only_if", "names a dose that the course does not have")
    _starts_fit(file, line.courses)


def _anchors_for(point: Point) -> tuple[Anchors, ...]:
    return (_PREGNANT,) if point.kind == PREGNANCY else _SAMPLE


def _window_opens(file: str, rule: str, first: Point, last: Point) -> None:
    if (first.kind == PREGNANCY) != (last.kind == PREGNANCY):
        raise RuleError(file, rule, "to", "is counted from something else than the beginning")
    for anchors in _anchors_for(first):
        if day_of(first, anchors) > day_of(last, anchors):
            raise RuleError(file, rule, "to", "lies before the beginning of the window")


def _meet(one: tuple[int | None, int | None], other: tuple[int | None, int | None]) -> bool:
    """Whether two periods with open ends have a day in common."""
    starts = max(one[0] or 0, other[0] or 0)
    ends = [end for end in (one[1], other[1]) if end is not None]
    return not ends or starts <= min(ends)


def _national(windows: Iterable[Free]) -> list[Free]:
    return [free for free in windows if not free.by_municipality and not free.cohort]


def _no_overlap(file: str, windows: tuple[Free, ...]) -> None:
    for kind in (_national(windows), [free for free in windows if free.by_municipality]):
        for at, one in enumerate(kind):
            for other in kind[at + 1 :]:
                if (
                    one.vaccines & other.vaccines
                    and (one.sex is None or other.sex is None or one.sex == other.sex)
                    and _meet((one.effective_from, one.effective_to), (other.effective_from, other.effective_to))
                    and _meet((one.born_from, one.born_to), (other.born_from, other.born_to))
                ):
                    why = f"an overlap: {one.rule.id} holds for the same vaccine, children and days"
                    raise RuleError(file, other.rule.id, "effective_from", why)


def _no_hole(file: str, windows: tuple[Free, ...]) -> None:
    groups: dict[tuple[str, str | None], list[Free]] = {}
    for free in _national(windows):
        for vaccine in free.vaccines:
            groups.setdefault((vaccine, free.sex), []).append(free)
    for group in groups.values():
        for one, following in pairwise(sorted(group, key=lambda free: free.effective_from)):
            if one.effective_to is not None and following.effective_from > one.effective_to + 1:
                why = f"a hole: nothing holds after {one.rule.id} ends on {date.fromordinal(one.effective_to)}"
                raise RuleError(file, following.rule.id, "effective_from", why)


def _starts_fit(file: str, courses: tuple[Course, ...]) -> None:
    """Courses by age at the first dose follow each other without a hole or an overlap."""
    groups: dict[tuple[frozenset[str] | None, int | None, int | None], list[Course]] = {}
    for course in courses:
        groups.setdefault((course.vaccines, course.born_from, course.born_to), []).append(course)
    for group in groups.values():
        for one, following in pairwise(group):
            if one.only_if is not None:
                continue
            if one.start_until is None or following.start_from is None:
                raise RuleError(file, following.rule.id, "start_from", f"an overlap with {one.rule.id}")
            for anchors in _SAMPLE:
                gap = day_of(following.start_from, anchors) - day_of(one.start_until, anchors)
                if gap != 1:
                    what = "a hole" if gap > 1 else "an overlap"
                    raise RuleError(file, following.rule.id, "start_from", f"{what} after {one.rule.id}")
        if len(group) == 1 and group[0].start_from is not None:
            raise RuleError(file, group[0].rule.id, "start_from", "a hole: no course for an earlier start")


def _no_rule_twice(rules: RuleSet, files: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for line in rules.lines.values():
        for rule in [*(free.rule for free in line.free), *(course.rule for course in line.courses)]:
            if rule.id in seen:
                raise RuleError(files[line.code], rule.id, "id", "two rules have this id")
            seen.add(rule.id)


def _no_cycle(rules: RuleSet, files: Mapping[str, str]) -> None:
    """Lines that wait for, or hand on to, another line never come back to themselves."""
    links: dict[str, dict[str, str | None]] = {
        "after_line": {code: line.after_line.line if line.after_line else None for code, line in rules.lines.items()},
        "more_go_to": {code: line.more_go_to for code, line in rules.lines.items()},
    }
    for field, following in links.items():
        for start in rules.lines:
            path = [start]
            while (there := following[path[-1]]) is not None:
                if there not in rules.lines:
                    raise RuleError(files[path[-1]], path[-1], field, f"{there!r} is not a line")
                if there in path:
                    raise RuleError(files[start], start, field, "a cycle: " + " → ".join([*path, there]))
                path.append(there)
