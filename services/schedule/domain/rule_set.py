"""The rule set as typed, immutable values: what the rule files say, ready to be counted with.

One line is one count of doses (小児用肺炎球菌, 麻しん風しん第1期). A line has courses (how many doses, at which ages
and intervals, by the age or vaccine of the first) and free windows (定期接種: which vaccine, when, for whom).
Days are ordinals; None as an end means "still in force".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.schedule.domain.legal_points import Between, Point
from services.schedule.domain.rules import Rules, Series
from services.schedule.domain.verdicts import Cited, Sentence

Live = Literal["none", "injectable", "oral", "nasal"]


class RuleError(ValueError):
    """A rule file that cannot be served: names the file, the rule and the field."""

    def __init__(self, file: str, rule: str, field: str, why: str) -> None:
        super().__init__(f"{file}: rule {rule}: {field}: {why}")
        self.file, self.rule, self.field, self.why = file, rule, field, why


@dataclass(frozen=True, slots=True)
class Vaccine:
    """A vaccine as it is recorded: our code, its CVX codes, the lines whose count it adds to (`counts_in`).

    `leads` is the line whose law judges it; `judged_in` are the lines in which it gets a verdict: the others of a
    combination follow the leading one.
    """

    code: str
    names: Sentence
    cvx: tuple[str, ...]
    live: Live = "none"
    leads: str | None = None
    counts_in: tuple[str, ...] = ()
    series: str | None = None
    aliases: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    judged_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Free:
    """A free window: these vaccines, from a point until a point (both inclusive), on effective days, for these children.

    `deemed`: counted as routine although given before it was (みなし定期). `by_municipality`: a programme of a town,
    free there without being 定期接種.
    """

    rule: Cited
    vaccines: frozenset[str]
    first: Point
    last: Point
    effective_from: int
    effective_to: int | None
    born_from: int | None = None
    born_to: int | None = None
    sex: str | None = None
    deemed: bool = False
    by_municipality: bool = False
    observation: str | None = None


@dataclass(frozen=True, slots=True)
class Apart:
    """An interval to an earlier dose of the course: `after` is its number, 0 the previous one.

    `counts`: whether a dose that comes too soon does not count in the series either; `grace` is the days by which it
    may fall short and still count.
    """

    after: int
    between: Between
    rule: Cited
    counts: bool
    grace: int


@dataclass(frozen=True, slots=True)
class StandardInterval:
    """The usual time after an earlier dose (標準的な接種間隔)."""

    after: int
    first: Between | None
    last: Between | None


@dataclass(frozen=True, slots=True)
class DoseRule:
    """One dose of a course."""

    number: int
    kind: Literal["primary", "booster", "single"]
    first: Point | None
    standard_first: Point | None
    standard_last: Point | None
    standard_interval: StandardInterval | None
    apart: tuple[Apart, ...]
    not_after: Point | None
    not_if: tuple[int, Point] | None


@dataclass(frozen=True, slots=True)
class Course:
    """How many doses, when: chosen by the age and the vaccine of the first dose (接種開始時の月齢).

    `walked` is the same course as the engine walks along it.
    """

    rule: Cited
    series: str
    vaccines: frozenset[str] | None
    start_from: Point | None
    start_until: Point | None
    only_if: tuple[int, Between] | None
    doses: tuple[DoseRule, ...]
    effective_from: int
    effective_to: int | None
    walked: Series | None = None


@dataclass(frozen=True, slots=True)
class Takes:
    """Between which points a vaccine's doses belong to a line; outside they belong to another or to none."""

    first: Point | None
    until: Point | None


@dataclass(frozen=True, slots=True)
class Offer:
    """Which vaccines are offered for the next dose, by the vaccine that the child began with and by age."""

    rule: Cited
    vaccines: tuple[str, ...]
    started: frozenset[str] | None
    first: Point | None
    until: Point | None
    effective_from: int


@dataclass(frozen=True, slots=True)
class AtMost:
    """A limit on counted doses of a line."""

    rule: Cited
    doses: int


@dataclass(frozen=True, slots=True)
class OneMaker:
    """Products of one vaccine that are not mixed."""

    rule: Cited
    vaccine: str


@dataclass(frozen=True, slots=True)
class Shorter:
    """An interval that an observation on file shortens."""

    rule: Cited
    observation: str
    instead_of: Between
    between: Between


@dataclass(frozen=True, slots=True)
class Season:
    """A yearly season, as (month, day): its first and last day, and the day on which the counting of doses turns."""

    rule: Cited
    first: tuple[int, int]
    last: tuple[int, int]
    turns: tuple[int, int]


@dataclass(frozen=True, slots=True)
class AfterLine:
    """What another line should have reached before: how many doses, how long ago; a person decides where it has not."""

    rule: Cited
    line: str
    doses: int
    between: Between | None
    person_decides: bool


@dataclass(frozen=True, slots=True)
class Excluded:
    """Children to whom a line's free windows do not apply, by an observation on file."""

    rule: Cited
    observation: str


@dataclass(frozen=True, slots=True)
class Line:
    """One count of doses with its law.

    `windows` are the free windows by vaccine; `one_vaccine` says that a change of vaccine is worth a remark,
    `has_more_to_say` that it has rules which few lines have;
    `takes_over_from` are the lines whose surplus doses come here; `shown_as` the series of its doses and items.
    """

    code: str
    names: Sentence
    voluntary: bool
    mother: bool
    sex: str | None
    first: Point | None
    free: tuple[Free, ...]
    counts_from: Point
    counting_grace: int
    medical_end: bool
    courses: tuple[Course, ...]
    takes: Mapping[str, Takes]
    more_go_to: str | None = None
    offers: tuple[Offer, ...] = ()
    at_most: AtMost | None = None
    one_maker: OneMaker | None = None
    same_product: Cited | None = None
    shorter: Shorter | None = None
    season: Season | None = None
    after_line: AfterLine | None = None
    excluded: tuple[Excluded, ...] = ()
    immune_if: frozenset[str] = frozenset()
    first_dose_by: tuple[Cited, Point] | None = None
    windows: Mapping[str, tuple[Free, ...]] = field(init=False)
    one_vaccine: bool = field(init=False)
    has_more_to_say: bool = field(init=False)
    takes_over_from: tuple[str, ...] = ()
    shown_as: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        codes = {code for free in self.free for code in free.vaccines}
        windows = {code: tuple(free for free in self.free if code in free.vaccines) for code in codes}
        object.__setattr__(self, "windows", windows)
        more = (self.after_line, self.first_dose_by, self.one_maker)
        object.__setattr__(self, "one_vaccine", self.same_product is not None or bool(self.offers))
        object.__setattr__(self, "has_more_to_say", any(rule is not None for rule in more))

    def open_since(self, born: int) -> int:
        """The ordinal on which the first national window of the line came into force for children born that day."""
        return min(
            (
                free.effective_from
                for free in self.free
                if not free.by_municipality
                and free.observation is None
                and (free.born_from is None or born >= free.born_from)
                and (free.born_to is None or born <= free.born_to)
            ),
            default=0,
        )


@dataclass(frozen=True, slots=True)
class LiveConflict:
    """The interval between two different live vaccines of the named kinds; after `counts_after` a dose counts anyway."""

    rule: Cited
    previous: frozenset[str]
    following: frozenset[str]
    between: Between
    counts_after: frozenset[str]
    effective_from: int
    effective_to: int | None


@dataclass(frozen=True, slots=True)
class BloodProduct:
    """The wait for live vaccines after a blood product on file."""

    rule: Cited
    observation: str
    against: str
    between: Between


@dataclass(frozen=True, slots=True)
class Contraindication:
    """A condition on file that stands against vaccines (接種不適当者)."""

    rule: Cited
    observation: str
    vaccines: frozenset[str]


@dataclass(frozen=True, slots=True)
class Extension:
    """A widening of free windows after a named hindrance ends (長期療養特例): months it lasts, highest age by line."""

    rule: Cited
    observations: frozenset[str]
    months: int
    not_for: frozenset[str]
    upper_age: Mapping[str, Point]
    effective_from: int
    effective_to: int | None


@dataclass(frozen=True, slots=True)
class Product:
    """A vaccine that covers one or several lines of a combination, and when it is offered."""

    rule: Cited
    series: str
    covers: tuple[str, ...]
    offered_from: int
    offered_to: int | None
    only_started: frozenset[str]
    only_started_from: int | None


@dataclass(frozen=True, slots=True)
class Combination:
    """Lines that are often given in one syringe, and with which vaccines, the preferred first."""

    id: str
    leads: str
    lines: tuple[str, ...]
    products: tuple[Product, ...]
    switch: Cited


@dataclass(frozen=True, slots=True)
class Checkup:
    """A checkup of the child: from, usual time, and the end of its window. Guides, never a reason to refuse."""

    rule: Cited
    series: str
    names: Sentence
    first: Point
    usual_until: Point | None
    closes: Point
    effective_from: int
    effective_to: int | None


@dataclass(frozen=True, slots=True)
class PregnancyCheckups:
    """The model weeks of the pregnancy checkups (妊婦健診)."""

    rule: Cited
    series: str
    names: Sentence
    weeks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MotherCheckup:
    """A checkup of the mother after birth (産婦健診): days after birth, and how long it is usual."""

    rule: Cited
    series: str
    names: Sentence
    days: int
    usual_days: int


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that plans and checks are made with; `series` is the order in which plans show them.

    `own_rule` is what is cited where no single rule decides; `always_in` has the vaccines that count in their lines
    at every age.
    """

    id: str
    names: Sentence
    first_day: int
    reaches_back_to: int
    series: tuple[str, ...]
    vaccines: Mapping[str, Vaccine]
    lines: Mapping[str, Line]
    combinations: tuple[Combination, ...]
    live_conflicts: tuple[LiveConflict, ...]
    blood_products: tuple[BloodProduct, ...]
    contraindications: tuple[Contraindication, ...]
    observations: Mapping[str, Sentence]
    extensions: tuple[Extension, ...]
    checkups: tuple[Checkup, ...]
    pregnancy_checkups: PregnancyCheckups | None
    mother_checkups: tuple[MotherCheckup, ...]
    sentences: Mapping[str, Sentence]
    engine: Rules
    codes: Mapping[str, str] = field(default_factory=dict)
    municipal: Mapping[str, "RuleSet"] = field(default_factory=dict)
    planned_lines: tuple[Line, ...] = field(init=False)
    places_of_series: Mapping[str, int] = field(init=False)
    own_rule: Cited = field(init=False)
    combined_lines: frozenset[str] = field(init=False)
    checkup_series: frozenset[str] = field(init=False)
    always_in: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        checkups = [checkup.series for checkup in self.checkups]
        checkups += [checkup.series for checkup in self.mother_checkups]
        if self.pregnancy_checkups is not None:
            checkups.append(self.pregnancy_checkups.series)
        names = [*self.series, *checkups]
        combined = frozenset(code for combination in self.combinations for code in combination.lines)
        always = {
            code: vaccine.counts_in
            for code, vaccine in self.vaccines.items()
            if vaccine.counts_in and not any(code in self.lines[line].takes for line in vaccine.counts_in)
        }
        object.__setattr__(self, "always_in", always)
        object.__setattr__(self, "combined_lines", combined)
        object.__setattr__(self, "checkup_series", frozenset(checkups))
        places = {name: at for at, name in enumerate(dict.fromkeys(names))}
        lines = sorted(self.lines.values(), key=lambda line: places.get(line.courses[0].series, len(places)))
        object.__setattr__(self, "places_of_series", places)
        object.__setattr__(self, "planned_lines", tuple(lines))
        object.__setattr__(self, "own_rule", Cited(self.id, self.names.ja, "high"))

    def of(self, municipality: str | None) -> "RuleSet":
        """The rules as they hold in a municipality: with its overlay where it has one."""
        return self.municipal.get(municipality, self) if municipality is not None else self
