"""The law of one count of doses, as typed, immutable values: free windows, courses, and what few lines have.

One line is one count of doses (小児用肺炎球菌, 麻しん風しん第1期). A line has courses (how many doses, at which ages
and intervals, by the age or vaccine of the first) and free windows (定期接種: which vaccine, when, for whom).
Days are ordinals; None as an end means "still in force".
"""

from dataclasses import dataclass, field
from typing import Literal

from services.schedule.domain.legal_points import Between, Point
from services.schedule.domain.rules import Series
from services.schedule.domain.verdicts import Cited, Sentence

Live = Literal["none", "injectable", "oral", "nasal"]


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
    free there without being 定期接種. `cohort`: for some years of birth beside the ordinary window (特例, 経過措置);
    `begun`: only with a dose of the line between these two days.
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
    cohort: bool = False
    begun: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Apart:
    """An interval to an earlier dose of the course: `after` is its number, 0 the previous one.

    `counts`: whether a dose that comes too soon does not count in the series either; `grace` is the days by which it
    may fall short and still count. `vaccines`: only a dose of one of these has to keep it; `planned` is False where
    none of them is free any more.
    """

    after: int
    between: Between
    rule: Cited
    counts: bool
    grace: int
    vaccines: frozenset[str] | None = None
    planned: bool = True


@dataclass(frozen=True, slots=True)
class StandardInterval:
    """The usual time after an earlier dose (標準的な接種間隔)."""

    after: int
    first: Between | None
    last: Between | None


@dataclass(frozen=True, slots=True)
class DoseRule:
    """One dose of a course, with its own ages where it has some beside the window."""

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

    `born_from`, `born_to`: only for some years of birth, and before the courses for all (特例); `walked` is the same course as the engine walks along it.
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
    born_from: int | None = None
    born_to: int | None = None
    walked: Series | None = None

    def said(self, number: int) -> int:
        """The number of a dose as a sentence says it; 0 where the course has only one."""
        return number if len(self.doses) > 1 else 0


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

    `windows` are the free windows by vaccine; `choice` the courses in the order in which one is chosen;
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
    takes: dict[str, Takes]
    more_go_to: str | None = None
    more_only_at_its_ages: bool = False
    too_young_is_voluntary: bool = False
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
    windows: dict[str, tuple[Free, ...]] = field(init=False)
    choice: tuple[Course, ...] = field(init=False)
    takes_over_from: tuple[str, ...] = ()
    shown_as: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        codes = {code for free in self.free for code in free.vaccines}
        windows = {code: tuple(free for free in self.free if code in free.vaccines) for code in codes}
        object.__setattr__(self, "windows", windows)
        choice = sorted(self.courses, key=lambda course: course.born_from is None and course.born_to is None)
        object.__setattr__(self, "choice", tuple(choice))
