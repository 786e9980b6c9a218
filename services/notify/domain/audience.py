"""Who a notice is for: predicates over children, composed with all, any and not; the recipients are their guardians."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

MAX_DEPTH = 6
MAX_PARTS = 50
AGES = ("age_years", "age_months", "age_days")
PREDICATES = frozenset({"all", "any", "not", "municipality", "district", "due", *AGES})
DUE_STATUSES = frozenset(
    {"due", "overdue", "upcoming", "done", "window_closed", "not_recommended", "contraindicated", "needs_person"}
)
GROWN_UP_MONTHS = 216
"""Children of the handbook are under 18 years old."""


@dataclass(frozen=True, slots=True)
class Family:
    """What audiences may ask of a child; never a name."""

    child: str
    birth_date: date
    district: str | None
    guardians: tuple[str, ...]
    due: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AudienceError(Exception):
    """A part of an audience that cannot be understood: JSON Pointer and code."""

    pointer: str
    code: str


def check(audience: Any, town: str) -> None:
    """Raise AudienceError for the first part that is not of the schema (services/notify/audience.schema.json).

    A town's notices reach its own families only: `municipality` may name that town and no other.
    """
    _check(audience, "", MAX_DEPTH, town)


def _check(part: Any, at: str, depth: int, town: str) -> None:
    if depth == 0:
        raise AudienceError(at, "too-deep")
    if not isinstance(part, dict):
        raise AudienceError(at, "object-needed")
    for name, value in part.items():
        place = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in PREDICATES:
            raise AudienceError(place, "predicate-unknown")
        if name in {"all", "any"}:
            if not isinstance(value, list) or not 0 < len(value) <= MAX_PARTS:
                raise AudienceError(place, "list-needed")
            for number, inner in enumerate(value):
                _check(inner, f"{place}/{number}", depth - 1, town)
        elif name == "not":
            _check(value, place, depth - 1, town)
        elif name in AGES:
            _check_age(value, place)
        elif name == "municipality":
            if value != town:
                raise AudienceError(place, "municipality-foreign")
        elif name == "district":
            if not isinstance(value, str) or not 0 < len(value) <= 100:
                raise AudienceError(place, "text-needed")
        else:
            _check_due(value, place)


def _check_age(value: Any, place: str) -> None:
    if not isinstance(value, dict) or not value or not value.keys() <= {"from", "under"}:
        raise AudienceError(place, "from-or-under-needed")
    for name, bound in value.items():
        if isinstance(bound, bool) or not isinstance(bound, int) or not 0 <= bound <= 10_000:
            raise AudienceError(f"{place}/{name}", "number-needed")
    if "from" in value and "under" in value and value["from"] >= value["under"]:
        raise AudienceError(f"{place}/under", "range-empty")


def _check_due(value: Any, place: str) -> None:
    if (
        not isinstance(value, dict)
        or not value.keys() <= {"series", "status"}
        or not isinstance(value.get("series"), str)
    ):
        raise AudienceError(place, "series-needed")
    statuses = value.get("status", [])
    if not isinstance(statuses, list) or not all(isinstance(one, str) and one in DUE_STATUSES for one in statuses):
        raise AudienceError(f"{place}/status", "status-unknown")


def matches(audience: Mapping[str, Any], family: Family, on: date) -> bool:
    """Whether this child belongs to the audience on this day; an object without predicates is everybody."""
    return all(_holds(name, value, family, on) for name, value in audience.items())


def _holds(name: str, value: Any, family: Family, on: date) -> bool:
    if name == "all":
        return all(matches(part, family, on) for part in value)
    if name == "any":
        return any(matches(part, family, on) for part in value)
    if name == "not":
        return not matches(value, family, on)
    if name == "municipality":
        # `check` let it be the own town only, whose families these are.
        return True
    if name == "district":
        return bool(family.district == value)
    if name == "due":
        return bool(family.due.get(value["series"]) in (value.get("status") or ["due", "overdue"]))
    age = _age(name, family.birth_date, on)
    from_, under = int(value.get("from", 0)), int(value.get("under", 1_000_000))
    return from_ <= age < under


def _age(name: str, birth: date, on: date) -> int:
    """Completed days, months or years since birth; below 0 before it."""
    if name == "age_days":
        return (on - birth).days
    months = (on.year - birth.year) * 12 + on.month - birth.month - (on.day < birth.day)
    return months if name == "age_months" else months // 12


def recipients(audience: Mapping[str, Any], families: Iterable[Family], on: date) -> tuple[list[str], int]:
    """(the guardians to tell, each once and in a fixed order; how many children that is). Preview and reach are this."""
    guardians: set[str] = set()
    children = 0
    for family in families:
        if matches(audience, family, on):
            children += 1
            guardians.update(family.guardians)
    return sorted(guardians), children


def is_everyone(audience: Mapping[str, Any], families: Iterable[Family], on: date) -> bool:
    """Whether it leaves out nobody: no family of the town, nor a child of any other age that might live there.

    So "under six" is not everyone in a town whose children all are, while "under a hundred" and "not in a district
    where nobody lives" are.
    """
    births = (on, *(_months_before(on, months) for months in range(GROWN_UP_MONTHS)))
    invented = (Family("", birth, None, ()) for birth in births)
    return all(matches(audience, family, on) for family in (*invented, *families))


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)
