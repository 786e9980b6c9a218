"""Says a rule set's lines in the engine's own terms, so that one engine walks every schedule.

A line is an antigen, a course one of its series. Where the legal calendar counts, a `Point` or `Between` stands as the
engine's time point. The windows of the law are not in here: they belong to the legal verdict.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.schedule.domain.cases import immunity
from services.schedule.domain.legal_points import Between, Point
from services.schedule.domain.offsets import Offset, TimePoint
from services.schedule.domain.rule_set import Contraindication as Against
from services.schedule.domain.rule_set import Course, DoseRule, Line, LiveConflict, Vaccine
from services.schedule.domain.rules import (
    Age,
    Antigen,
    Association,
    Condition,
    ConditionKind,
    Conflict,
    Contraindication,
    Interval,
    Rules,
    Series,
    SeriesKind,
    Skip,
    SkipSet,
    TargetDose,
    VaccineRule,
)


def with_series(line: Line, vaccines: Mapping[str, Vaccine]) -> Line:
    """The line with the engine's series of each course."""
    counted = [code for code, vaccine in vaccines.items() if line.code in vaccine.counts_in]
    preferred = [
        code for code in counted if code in line.windows or (line.voluntary and vaccines[code].leads == line.code)
    ]
    courses = tuple(replace(course, walked=_series(line, course, counted, preferred)) for course in line.courses)
    shown = {course.series for course in courses} | {vaccines[code].series or courses[0].series for code in counted}
    return replace(line, courses=courses, shown_as=frozenset(shown))


def engine_rules(
    lines: Mapping[str, Line],
    vaccines: Mapping[str, Vaccine],
    conflicts: Iterable[LiveConflict],
    against: Iterable[Against],
) -> Rules:
    """Every line as an antigen, which vaccine counts for which, and the conflicts of live vaccines."""
    forbidden = tuple(
        Contraindication(one.observation, vaccine=code) for one in against for code in sorted(one.vaccines)
    )
    return Rules(
        antigens={code: _antigen(line, vaccines, forbidden) for code, line in lines.items()},
        vaccine_groups={},
        associations={code: _associations(vaccine, lines) for code, vaccine in vaccines.items()},
        conflicts=_conflicts(vaccines, conflicts),
    )


def _antigen(line: Line, vaccines: Mapping[str, Vaccine], forbidden: tuple[Contraindication, ...]) -> Antigen:
    return Antigen(
        name=line.code,
        series=tuple(course.walked for course in line.courses if course.walked is not None),
        immune_by=frozenset({immunity(line.code)}) if line.immune_if else frozenset(),
        vaccine_contraindications=tuple(
            one for one in forbidden if one.vaccine is not None and line.code in vaccines[one.vaccine].counts_in
        ),
    )


def _associations(vaccine: Vaccine, lines: Mapping[str, Line]) -> tuple[Association, ...]:
    """The lines that a vaccine counts in, between the ages at which each takes it."""
    found = []
    for code in vaccine.counts_in:
        takes = lines[code].takes.get(vaccine.code)
        begin = takes.first if takes else None
        end = _day_after(takes.until) if takes and takes.until else None
        found.append(Association(code, begin, end))
    return tuple(found)


def _conflicts(vaccines: Mapping[str, Vaccine], rules: Iterable[LiveConflict]) -> dict[str, dict[str, Conflict]]:
    conflicts: dict[str, dict[str, Conflict]] = {}
    for rule in rules:
        made = Conflict(rule.rule.id, Offset(0, 1), rule.between, rule.between)
        for current in vaccines.values():
            for previous in vaccines.values():
                if (
                    current.code != previous.code
                    and current.live in rule.following
                    and previous.live in rule.previous
                    and previous.code not in rule.counts_after
                ):
                    conflicts.setdefault(current.code, {})[previous.code] = made
    return conflicts


def _series(line: Line, course: Course, counted: list[str], preferred: list[str]) -> Series:
    return Series(
        name=course.rule.id,
        antigen=line.code,
        vaccine_group=line.code,
        kind=SeriesKind.STANDARD,
        group=line.code,
        doses=tuple(_target(line, course, dose, counted, preferred) for dose in course.doses),
    )


def _target(line: Line, course: Course, dose: DoseRule, counted: list[str], preferred: list[str]) -> TargetDose:
    from_, grace = line.counts_from, line.counting_grace
    skips = _skips(dose)
    age = Age(
        ref=course.rule.id,
        absolute_minimum=replace(from_, shift=from_.shift - grace),
        minimum=dose.first or line.first,
        earliest_recommended=dose.standard_first,
        latest_recommended=_day_after(dose.standard_last),
        maximum=_day_after(_medical_end(line, course)),
    )
    return TargetDose(
        number=dose.number,
        ref=course.rule.id,
        ages=(age,),
        intervals=_intervals(course, dose),
        preferable=tuple(VaccineRule(code, recommend=True) for code in preferred),
        allowable=tuple(VaccineRule(code) for code in counted if code not in preferred),
        skips_evaluating=skips,
        skips_forecasting=skips,
    )


def _medical_end(line: Line, course: Course) -> Point | None:
    """The last point at which the dose may be given at all, where the line's windows are that."""
    if not line.medical_end:
        return None
    ends = [free.last for free in line.free if course.vaccines is None or free.vaccines & course.vaccines]
    return max(ends, key=lambda point: (point.amount, point.shift)) if ends else None


def _intervals(course: Course, dose: DoseRule) -> tuple[Interval, ...]:
    intervals = []
    for apart in dose.apart:
        counting: TimePoint | None = replace(apart.between, grace=apart.grace) if apart.counts else None
        law = apart.between if apart.rule.may_refuse and apart.planned else None
        target = apart.after or None
        intervals.append(
            Interval(
                apart.rule.id,
                target is None,
                target,
                absolute_minimum=counting,
                minimum=law,
                asked_of=apart.vaccines,
            )
        )
    usual = dose.standard_interval
    if usual is not None:
        target = usual.after or None
        intervals.append(
            Interval(
                course.rule.id,
                target is None,
                target,
                earliest_recommended=usual.first,
                latest_recommended=_one_later(usual.last),
            )
        )
    return tuple(intervals)


def _skips(dose: DoseRule) -> tuple[Skip, ...]:
    """A dose whose age is over, or that an earlier dose came too late for, is left out (行わない)."""
    conditions = []
    if dose.not_after is not None:
        conditions.append(Condition(ConditionKind.AGE, begin_age=_day_after(dose.not_after)))
    if dose.not_if is not None:
        # The dose before this one is the last valid one, so counting valid doses after the age asks about it.
        late = _day_after(dose.not_if[1])
        conditions.append(Condition(ConditionKind.VACCINE_COUNT, begin_age=late, only_valid=True, count=0))
    if not conditions:
        return ()
    return (Skip((SkipSet(tuple(conditions), needs_all=False),), needs_all=False),)


def _day_after(point: Point | None) -> Point | None:
    return None if point is None else replace(point, shift=point.shift + 1)


def _one_later(between: Between | None) -> Between | None:
    """The day after an interval's last usual day: the engine calls a dose past due the day before it."""
    return None if between is None else replace(between, grace=-1)
