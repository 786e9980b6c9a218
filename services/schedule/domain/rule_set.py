"""The rule set as typed, immutable values: what the rule files say, ready to be counted with.

The law of single lines stands in line_rules.py; here is what lies between them, and the set as a whole.
Days are ordinals; None as an end means "still in force".
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from services.schedule.domain.legal_points import Between, Point
from services.schedule.domain.line_rules import (
    AfterLine,
    Apart,
    AtMost,
    Course,
    DoseRule,
    Excluded,
    Free,
    Line,
    Offer,
    OneMaker,
    Season,
    Shorter,
    StandardInterval,
    Takes,
    Vaccine,
)
from services.schedule.domain.rules import Rules
from services.schedule.domain.verdicts import Cited, Sentence

__all__ = [
    "AfterLine",
    "Apart",
    "AtMost",
    "BloodProduct",
    "Checkup",
    "Combination",
    "Contraindication",
    "Course",
    "DoseRule",
    "Excluded",
    "Extension",
    "Free",
    "Line",
    "LiveConflict",
    "MotherCheckup",
    "Offer",
    "OneMaker",
    "PregnancyCheckups",
    "Product",
    "RuleError",
    "RuleSet",
    "Season",
    "Shorter",
    "Simply",
    "StandardInterval",
    "Takes",
    "Vaccine",
]


class RuleError(ValueError):
    """A rule file that cannot be served: names the file, the rule and the field."""

    def __init__(self, file: str, rule: str, field: str, why: str) -> None:
        super().__init__(f"{file}: rule {rule}: {field}: {why}")
        self.file, self.rule, self.field, self.why = file, rule, field, why


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
    """The wait for live vaccines, but those of `not_for`, after a blood product on file."""

    rule: Cited
    observation: str
    against: str
    between: Between
    not_for: frozenset[str]

    def concerns(self, vaccine: Vaccine) -> bool:
        """Whether the vaccine should wait."""
        return vaccine.live == self.against and vaccine.code not in self.not_for


@dataclass(frozen=True, slots=True)
class Contraindication:
    """A condition on file that stands against vaccines (接種不適当者)."""

    rule: Cited
    observation: str
    vaccines: frozenset[str]


@dataclass(frozen=True, slots=True)
class Allergen:
    """A substance that vaccines hold; a grave allergy to it stands against them."""

    rule: Cited
    substance: str
    names: Sentence
    vaccines: frozenset[str]


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """What was seen after an earlier dose, and whether it stops the next one; `within_days` of that dose, if it matters."""

    rule: Cited
    symptom: str
    names: Sentence
    stops: bool
    within_days: int | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """A widening of free windows after a named hindrance ends (長期療養特例): months it lasts, highest age by vaccine."""

    rule: Cited
    observations: frozenset[str]
    months: int
    not_for: frozenset[str]
    upper_age: dict[str, Point]
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
    """Lines that are often given in one syringe, and with which vaccines, the preferred first.

    `apart` lies between a part by itself and a combined vaccine that holds it.
    """

    id: str
    leads: str
    lines: tuple[str, ...]
    products: tuple[Product, ...]
    switch: Cited
    apart: Between


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


class Simply(NamedTuple):
    """A vaccine that counts in its lines at every age, and whether it is a live injected one."""

    lines: tuple[str, ...]
    live: bool


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that plans and checks are made with; `series` is the order in which plans show them.

    `digest` tells files apart that have one id: a correction, a town's overlay. `own_rule` is what is cited where no
    single rule decides; `always_in` has the vaccines that count in a child's lines at every age; `second_periods` are
    the lines, by series, that follow another at an interval.
    """

    id: str
    names: Sentence
    first_day: int
    reaches_back_to: int
    series: tuple[str, ...]
    vaccines: dict[str, Vaccine]
    lines: dict[str, Line]
    combinations: tuple[Combination, ...]
    live_conflicts: tuple[LiveConflict, ...]
    blood_products: tuple[BloodProduct, ...]
    contraindications: tuple[Contraindication, ...]
    allergens: tuple[Allergen, ...]
    seen_before: tuple[SeenBefore, ...]
    observations: dict[str, Sentence]
    extensions: tuple[Extension, ...]
    checkups: tuple[Checkup, ...]
    pregnancy_checkups: PregnancyCheckups | None
    mother_checkups: tuple[MotherCheckup, ...]
    sentences: dict[str, Sentence]
    engine: Rules
    codes: dict[str, str] = field(default_factory=dict)
    municipal: dict[str, "RuleSet"] = field(default_factory=dict)
    digest: str = ""
    planned_lines: tuple[Line, ...] = field(init=False)
    second_periods: dict[str, Line] = field(init=False)
    places_of_series: dict[str, int] = field(init=False)
    own_rule: Cited = field(init=False)
    combined_lines: frozenset[str] = field(init=False)
    checkup_series: frozenset[str] = field(init=False)
    always_in: dict[str, Simply] = field(init=False)

    def __post_init__(self) -> None:
        checkups = [checkup.series for checkup in self.checkups]
        checkups += [checkup.series for checkup in self.mother_checkups]
        if self.pregnancy_checkups is not None:
            checkups.append(self.pregnancy_checkups.series)
        names = [*self.series, *checkups]
        combined = frozenset(code for combination in self.combinations for code in combination.lines)
        always = {
            code: Simply(vaccine.counts_in, vaccine.live == "injectable")
            for code, vaccine in self.vaccines.items()
            if vaccine.counts_in
            and not any(code in self.lines[line].takes or self.lines[line].mother for line in vaccine.counts_in)
        }
        object.__setattr__(self, "always_in", always)
        object.__setattr__(self, "combined_lines", combined)
        object.__setattr__(self, "checkup_series", frozenset(checkups))
        places = {name: at for at, name in enumerate(dict.fromkeys(names))}
        lines = sorted(self.lines.values(), key=lambda line: places.get(line.courses[0].series, len(places)))
        object.__setattr__(self, "places_of_series", places)
        object.__setattr__(self, "planned_lines", tuple(lines))
        second = {line.courses[0].series: line for line in lines if line.after_line and line.after_line.between}
        object.__setattr__(self, "second_periods", second)
        object.__setattr__(self, "own_rule", Cited(self.id, self.names.ja, "high"))

    def of(self, municipality: str | None) -> "RuleSet":
        """The rules as they hold in a municipality: with its overlay where it has one."""
        return self.municipal.get(municipality, self) if municipality is not None else self
