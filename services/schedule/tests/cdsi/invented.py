"""Invented rules and patients, as small as a rule's test needs them."""

from datetime import date
from typing import Any

from services.schedule.domain.engine import Assessment, assess
from services.schedule.domain.patient import Administered, Chart, Observed, Patient
from services.schedule.domain.rules import (
    Age,
    Antigen,
    Association,
    Condition,
    Conflict,
    Interval,
    Rules,
    Series,
    SeriesKind,
    Skip,
    SkipSet,
    TargetDose,
    VaccineGroup,
    VaccineRule,
)
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import DoseStatus, Reason
from services.schedule.rule_files.cdsi_reading import offset

BORN = date(2020, 1, 10).toordinal()


def day(text: str) -> int:
    """The ordinal of an ISO day."""
    return date.fromisoformat(text).toordinal()


def age(**points: Any) -> Age:
    """Ages written as lengths of time: `age(minimum="6 weeks")`."""
    return Age(ref="age", **_read(points))


def interval(**points: Any) -> Interval:
    """An interval, from the previous dose unless another origin is named."""
    origins = {"from_target", "from_most_recent", "from_observation"}
    return Interval(ref="interval", from_previous=not origins & points.keys(), **_read(points))


def skip_if(*conditions: Condition, needs_all: bool = True) -> tuple[Skip, ...]:
    """One skip with one set."""
    return (Skip((SkipSet(conditions, needs_all),), needs_all=False),)


def target(number: int = 1, vaccines: str = "red", **rules: Any) -> TargetDose:
    """A target dose that prefers the vaccines named (space between them) at any age."""
    preferable = rules.pop("preferable", tuple(VaccineRule(name) for name in vaccines.split()))
    return TargetDose(number=number, ref=f"dose {number}", preferable=preferable, **rules)


def series(*doses: TargetDose, name: str = "series", antigen: str = "redness", **rules: Any) -> Series:
    """A standard series of series group 1."""
    given = {"kind": SeriesKind.STANDARD, "group": "1", "vaccine_group": antigen, **rules}
    return Series(name=name, antigen=antigen, doses=doses, **given)


def rules_of(*antigens: Antigen, **more: Any) -> Rules:
    """Rules in which each antigen has a vaccine group of its own.

    The vaccine red is for redness, blue for blueness, purple for both.
    """
    named = {antigen.name: antigen for antigen in antigens}
    return Rules(
        antigens=named,
        vaccine_groups=more.pop("groups", {name: VaccineGroup(name, (name,)) for name in named}),
        associations={
            "red": (Association("redness"),),
            "pink": (Association("redness"),),
            "blue": (Association("blueness"),),
            "purple": (Association("redness"), Association("blueness")),
            **more.pop("associations", {}),
        },
        **more,
    )


def doses(*given: str) -> tuple[Administered, ...]:
    """Doses written as "red 2020-03-01"."""
    return tuple(
        Administered(str(number), day(text.split()[1]), text.split()[0]) for number, text in enumerate(given, 1)
    )


def patient(*given: str, observations: tuple[Observed, ...] = (), **more: Any) -> Patient:
    """Somebody born on 10 January 2020 with these doses."""
    return Patient(birth=more.pop("birth", BORN), doses=doses(*given), observations=observations, **more)


def walk(made: Series, *given: str, on: str = "2030-01-01", **more: Any) -> Walk:
    """A walk along the series that has not begun."""
    conflicts: dict[str, dict[str, Conflict]] = more.pop("conflicts", {})
    rules = rules_of(Antigen(made.antigen, (made,)), conflicts=conflicts)
    return Walk(made, Chart(rules, patient(*given, **more), day(on)))


def assessed(made: Rules, *given: str, on: str, **more: Any) -> Assessment:
    """The whole assessment on a day."""
    return assess(made, patient(*given, **more), day(on))


def judged(found: Assessment) -> dict[str, tuple[dict[int, DoseStatus], dict[int, tuple[Reason, ...]]]]:
    """What is said of each dose, by series."""
    return {
        each.series.name: (each.walk.statuses, each.walk.reasons)
        for antigen in found.antigens.values()
        for each in antigen.relevant
    }


def _read(points: dict[str, Any]) -> dict[str, Any]:
    """Lengths of time as offsets; effective days as ordinals; everything else as it is."""
    read: dict[str, Any] = {}
    for name, value in points.items():
        if name in {"effective", "cessation"}:
            read[name] = day(value)
        elif name.startswith("from_") or not isinstance(value, str):
            read[name] = value
        else:
            read[name] = offset(value)
    return read
