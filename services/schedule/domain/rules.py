"""The rules of a schedule as typed, immutable values, compiled once when they are loaded (CDSi 4.6 §3.3, §5 to §9).

An antigen has series, a series has target doses, a target dose has ages, intervals, vaccines and skips. What a rule
does not say is None or an empty tuple. Days are ordinals, points in time are `TimePoint`s, vaccines are codes of
whatever list the rules use. Where a rule failed is said by its `ref`, a short text made when it was loaded.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from services.schedule.domain.offsets import FIRST_DAY, LAST_DAY, TimePoint

NO_PREFERENCE: Final = 1_000_000


class SeriesKind(StrEnum):
    """For everybody, for those with an indication, or only to recognise what was completed (CDSi 4.6 §4.3)."""

    STANDARD = "Standard"
    RISK = "Risk"
    EVALUATION_ONLY = "Evaluation Only"


class ConditionKind(IntEnum):
    """What a condition of a skip looks at (CDSi 4.6 Tables 6-6 to 6-9)."""

    AGE = 0
    INTERVAL = 1
    COMPLETED_SERIES = 2
    VACCINE_COUNT = 3


class CountLogic(IntEnum):
    """How a number of doses is compared (CDSi 4.6 Table 6-9)."""

    GREATER_THAN = 0
    EQUAL = 1
    LESS_THAN = 2


@dataclass(frozen=True, slots=True)
class Age:
    """At which ages a target dose is valid, recommended and too late; in force on days from `effective` to `cessation`.

    The absolute minimum already contains every day of grace; an age is reached on its day and `maximum` is too late.
    """

    ref: str
    absolute_minimum: TimePoint | None = None
    minimum: TimePoint | None = None
    earliest_recommended: TimePoint | None = None
    latest_recommended: TimePoint | None = None
    maximum: TimePoint | None = None
    effective: int = FIRST_DAY
    cessation: int = LAST_DAY


@dataclass(frozen=True, slots=True)
class Interval:
    """How far a target dose lies from something: exactly one of the four `from_` fields says from what.

    `overrides` marks an interval that lets its forecast lead the vaccine group's (CDSi 4.6 FORECASTPRIORITY-1).
    `asked_of`: only a dose of one of these vaccines has to keep it (ours; CDSi has no such interval).
    """

    ref: str
    from_previous: bool = False
    from_target: int | None = None
    from_most_recent: frozenset[str] = frozenset()
    from_observation: str | None = None
    absolute_minimum: TimePoint | None = None
    minimum: TimePoint | None = None
    earliest_recommended: TimePoint | None = None
    latest_recommended: TimePoint | None = None
    overrides: bool = False
    effective: int = FIRST_DAY
    cessation: int = LAST_DAY
    asked_of: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class VaccineRule:
    """A vaccine that a target dose prefers or allows, from `begin` until before `end`.

    Trade name, maker and volume are given for preferable vaccines only (CDSi 4.6 Table 6-25).
    """

    vaccine: str
    begin: TimePoint | None = None
    end: TimePoint | None = None
    trade_name: str | None = None
    maker: str | None = None
    volume: float | None = None
    recommend: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a skip; which fields speak depends on its kind (CDSi 4.6 Table 6-4).

    Ages and days are half-open windows. A count looks at `vaccines` (none named: all of the antigen), and with
    `only_valid` at doses that are valid in the series.
    """

    kind: ConditionKind
    begin_age: TimePoint | None = None
    end_age: TimePoint | None = None
    start_day: int = FIRST_DAY
    end_day: int = LAST_DAY
    interval: TimePoint | None = None
    series_groups: frozenset[str] = frozenset()
    vaccines: frozenset[str] = frozenset()
    only_valid: bool = False
    count: int = 0
    logic: CountLogic = CountLogic.GREATER_THAN


@dataclass(frozen=True, slots=True)
class SkipSet:
    """Conditions that are met together: all of them, or any (CDSi 4.6 Table 6-10)."""

    conditions: tuple[Condition, ...]
    needs_all: bool
    effective: int = FIRST_DAY
    cessation: int = LAST_DAY


@dataclass(frozen=True, slots=True)
class Skip:
    """When a target dose is not needed: all its sets, or any, are met (CDSi 4.6 Table 6-11)."""

    sets: tuple[SkipSet, ...]
    needs_all: bool


@dataclass(frozen=True, slots=True)
class Season:
    """The days on which a seasonal dose is recommended; `end` is still inside (CDSi 4.6 Tables 7-9, 7-12)."""

    start: int | None
    end: int


@dataclass(frozen=True, slots=True)
class TargetDose:
    """One dose that a series asks for (CDSi 4.6 §3.1). Skips stand by the context in which they hold."""

    number: int
    ref: str
    ages: tuple[Age, ...] = ()
    intervals: tuple[Interval, ...] = ()
    allowable_intervals: tuple[Interval, ...] = ()
    preferable: tuple[VaccineRule, ...] = ()
    allowable: tuple[VaccineRule, ...] = ()
    inadvertent: frozenset[str] = frozenset()
    skips_evaluating: tuple[Skip, ...] = ()
    skips_forecasting: tuple[Skip, ...] = ()
    recurring: bool = False
    season: Season | None = None


@dataclass(frozen=True, slots=True)
class Indication:
    """An observation that makes a risk series relevant between two ages (CDSi 4.6 Table 5-4)."""

    observation: str
    begin: TimePoint | None = None
    end: TimePoint | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One way to protection against an antigen, with what the choice between ways needs (CDSi 4.6 §5, §8).

    `genders` empty means all. `priority` "A" comes before "B"; of equal scores the lower `preference` wins.
    """

    name: str
    antigen: str
    vaccine_group: str
    kind: SeriesKind
    group: str
    doses: tuple[TargetDose, ...]
    equivalent_groups: frozenset[str] = frozenset()
    genders: frozenset[str] = frozenset()
    is_default: bool = False
    product_path: bool = False
    priority: str = "A"
    preference: int = NO_PREFERENCE
    min_age_to_start: TimePoint | None = None
    max_age_to_start: TimePoint | None = None
    indications: tuple[Indication, ...] = ()
    asks_for_complete_groups: bool = False


@dataclass(frozen=True, slots=True)
class BornBefore:
    """Immunity by birth before a day in a country, unless an exclusion is on file (CDSi 4.6 Table 7-3)."""

    day: int
    country: str | None
    exclusions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Contraindication:
    """An observation that forbids an antigen, or `vaccine` alone where it is named (CDSi 4.6 Tables 7-5, 7-6)."""

    observation: str
    begin: TimePoint | None = None
    end: TimePoint | None = None
    vaccine: str | None = None


@dataclass(frozen=True, slots=True)
class Antigen:
    """A disease that vaccines protect from: its series, and what makes a person immune or forbids a vaccine."""

    name: str
    series: tuple[Series, ...]
    immune_by: frozenset[str] = frozenset()
    born_before: tuple[BornBefore, ...] = ()
    contraindications: tuple[Contraindication, ...] = ()
    vaccine_contraindications: tuple[Contraindication, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """How long after a dose of one vaccine a dose of another is in conflict (CDSi 4.6 Table 6-24).

    `minimum_end` ends the conflict after a valid (or unjudged) dose, `end` after any other and in forecasts.
    """

    ref: str
    begin: TimePoint
    minimum_end: TimePoint
    end: TimePoint


@dataclass(frozen=True, slots=True)
class Association:
    """An antigen that a vaccine counts for, when it was given between two ages (CDSi 4.6 §4.2)."""

    antigen: str
    begin: TimePoint | None = None
    end: TimePoint | None = None


@dataclass(frozen=True, slots=True)
class VaccineGroup:
    """Antigens that are forecast together; `full` means that they are always given together (CDSi 4.6 §9)."""

    name: str
    antigens: tuple[str, ...]
    full: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole schedule. `conflicts[current][previous]` is the conflict of a dose with an earlier one.

    `coded` says which observations a code of another system (SNOMED CT) stands for.
    """

    antigens: dict[str, Antigen]
    vaccine_groups: dict[str, VaccineGroup]
    associations: dict[str, tuple[Association, ...]]
    conflicts: dict[str, dict[str, Conflict]] = field(default_factory=dict)
    coded: dict[str, tuple[str, ...]] = field(default_factory=dict)
