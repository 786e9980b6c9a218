"""Who a notice is for: conditions on the children and pregnancies of a town, composed with all, any and not.

The recipients are the guardians. An audience is data (services/notify/audience.schema.json): it is checked, then turned into
one function once and asked of every family, so that a town of 50,000 is counted while its clerk waits.
"""

import bisect
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from services.notify.domain.notices import LANGUAGES

MAX_DEPTH = 6
MAX_PARTS = 50
AGES = ("age_years", "age_months", "age_days")
RANGES = (*AGES, "pregnancy_week")
PREDICATES = frozenset({"all", "any", "not", "municipality", "district", "due", "language", "attribute", *RANGES})
DUE_STATUSES = frozenset(
    {"due", "overdue", "upcoming", "done", "window_closed", "not_recommended", "contraindicated", "needs_person"}
)
ATTRIBUTES = frozenset({"twin", "preterm", "low_birth_weight"})
"""Of one birth with another child; born before 37 completed weeks; born with less than 2,500 g (WHO ICD-10, vol. 2, 5.7.1)."""
TERM_DAYS, LOW_BIRTH_WEIGHT_G = 259, 2_500
PREGNANCY_DAYS = 280
"""From the first day of the last period to the expected date of delivery (分娩予定日)."""
GROWN_UP_MONTHS = 216
"""Children of the handbook are under 18 years old."""
USUAL_LANGUAGE = "ja"


class Family(NamedTuple):
    """What audiences may ask of a child, or of a pregnancy (`expected` and no `birth_date`); never a name."""

    child: str
    birth_date: date | None
    district: str | None
    guardians: Sequence[str]
    due: str = ""
    """What the plan says of each series, as `due_line` writes it: a town's worth of mappings would take seconds to build."""
    attributes: str = ""
    expected: date | None = None


def due_line(due: Mapping[str, str]) -> str:
    """`;bcg=done;mr1=overdue;`: found in without being taken apart."""
    return f";{';'.join(f'{series}={status}' for series, status in sorted(due.items()))};" if due else ""


class Contact(NamedTuple):
    """How a guardian is reached beside the inbox, and the language that was asked for."""

    language: str = USUAL_LANGUAGE
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Town:
    """The families of a town, and what is known of how their guardians are reached."""

    families: Sequence[Family]
    contacts: Mapping[str, Contact] = field(default_factory=dict)

    def language(self, guardian: str) -> str:
        """The language that this guardian reads."""
        known = self.contacts.get(guardian)
        return known.language if known is not None else USUAL_LANGUAGE


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom an audience reaches: guardians, each once and in a fixed order, and through how many children and pregnancies."""

    guardians: list[str]
    children: int
    pregnancies: int
    families: Sequence[Family] = ()

    def by_channel(self, town: Town) -> dict[str, int]:
        """How many of them each channel reaches; the inbox reaches all."""
        found = Counter(
            channel for guardian in self.guardians if (c := town.contacts.get(guardian)) for channel in c.channels
        )
        return {"inbox": len(self.guardians), **{name: found[name] for name in sorted(found.keys() | {"web_push"})}}

    def by_language(self, town: Town) -> dict[str, int]:
        """How many of them read each language."""
        return dict(sorted(Counter(town.language(guardian) for guardian in self.guardians).items()))

    def fallback(self, town: Town, languages: Collection[str]) -> dict[str, int]:
        """How many of them read Japanese instead of their own language, when a text has these."""
        return {name: number for name, number in self.by_language(town).items() if name not in {"ja", *languages}}


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
        elif name in RANGES:
            _check_range(value, place)
        elif name == "municipality":
            if value != town:
                raise AudienceError(place, "municipality-foreign")
        elif name == "district":
            if not isinstance(value, str) or not 0 < len(value) <= 100:
                raise AudienceError(place, "text-needed")
        elif name in {"language", "attribute"}:
            if not isinstance(value, str) or value not in (LANGUAGES if name == "language" else ATTRIBUTES):
                raise AudienceError(place, f"{name}-unknown")
        else:
            _check_due(value, place)


def _check_range(value: Any, place: str) -> None:
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


Condition = Callable[[Family, str], bool]
"""Whether it holds for a family and the language of one of its guardians."""


def condition(audience: Mapping[str, Any], on: date) -> Condition:
    """The audience of this day as a function; an object without conditions is everybody."""
    parts = [_condition(name, value, on) for name, value in audience.items()]
    return parts[0] if len(parts) == 1 else _every(parts)


def _condition(name: str, value: Any, on: date) -> Condition:
    if name in {"all", "any"}:
        parts = [condition(part, on) for part in value]
        return _every(parts) if name == "all" else _some(parts)
    if name == "not":
        inner = condition(value, on)
        return lambda family, language: not inner(family, language)
    if name == "district":
        return lambda family, _: family.district == value
    if name == "due":
        wanted = [f";{value['series']}={status};" for status in value.get("status") or ("due", "overdue")]
        return _some([_within_due(part) for part in wanted])
    if name == "language":
        return lambda _, language: language == value
    if name == "attribute":
        return lambda family, _: value in family.attributes.split()
    if name == "pregnancy_week":
        return _in_week(value, on)
    if name in AGES:
        return _of_age(name, value, on)
    # The municipality: `check` let it be the own one only, whose families these are.
    return lambda _family, _language: True


def _within_due(part: str) -> Condition:
    return lambda family, _: part in family.due


def _every(parts: list[Condition]) -> Condition:
    def every(family: Family, language: str) -> bool:
        # A loop, since a generator for each of 50,000 families takes twice as long.
        for part in parts:  # noqa: SIM110
            if not part(family, language):
                return False
        return True

    return every


def _some(parts: list[Condition]) -> Condition:
    def some(family: Family, language: str) -> bool:
        for part in parts:  # noqa: SIM110
            if part(family, language):
                return True
        return False

    return some


def _of_age(name: str, bounds: Mapping[str, int], on: date) -> Condition:
    """An age is a range of birth dates: found once, so that no age has to be counted for each child."""
    last = _born_by(name, bounds.get("from", 0), on)
    first = _born_by(name, bounds["under"], on) if "under" in bounds else date.min
    return lambda family, _: family.birth_date is not None and first < family.birth_date <= last


def _born_by(name: str, age: int, on: date) -> date:
    """The last birth date whose bearers have reached this age on this day; a day before all others when there is none."""
    days = range(1, on.toordinal() + 2)
    place = bisect.bisect_left(days, 1, key=lambda day: _age(name, date.fromordinal(day), on) < age)
    return date.fromordinal(max(place, 1))


def _age(name: str, birth: date, on: date) -> int:
    """Completed days, months or years since birth; below 0 before it."""
    if name == "age_days":
        return (on - birth).days
    months = months_old(birth, on)
    return months if name == "age_months" else months // 12


def months_old(birth: date, on: date) -> int:
    """Completed months since birth (満月齢); below 0 before it."""
    return (on.year - birth.year) * 12 + on.month - birth.month - (on.day < birth.day)


def _in_week(bounds: Mapping[str, int], on: date) -> Condition:
    """Completed weeks of pregnancy (妊娠満週数), counted back from the expected date of delivery."""
    term = on + timedelta(days=PREGNANCY_DAYS)
    last = term - timedelta(weeks=bounds.get("from", 0))
    first = term - timedelta(weeks=bounds.get("under", 10_000))
    return lambda family, _: family.expected is not None and first < family.expected <= last


def matches(audience: Mapping[str, Any], family: Family, on: date, language: str = USUAL_LANGUAGE) -> bool:
    """Whether this family, with a guardian of this language, belongs to the audience on this day."""
    return condition(audience, on)(family, language)


def reach(audience: Mapping[str, Any], town: Town, on: date) -> Reach:
    """Whom it reaches on this day. Preview and sending are this."""
    holds = condition(audience, on)
    asks_language = _asks_language(audience)
    guardians: set[str] = set()
    children = pregnancies = 0
    found: list[Family] = []
    for family in town.families:
        if asks_language:
            reached = [one for one in family.guardians if holds(family, town.language(one))]
            if not reached:
                continue
            guardians.update(reached)
        elif holds(family, USUAL_LANGUAGE):
            guardians.update(family.guardians)
        else:
            continue
        found.append(family)
        if family.birth_date is not None:
            children += 1
        else:
            pregnancies += 1
    return Reach(sorted(guardians), children, pregnancies, found)


def _asks_language(audience: Mapping[str, Any]) -> bool:
    if "language" in audience or ("not" in audience and _asks_language(audience["not"])):
        return True
    return any(_asks_language(part) for name in ("all", "any") for part in audience.get(name, ()))


def is_everyone(audience: Mapping[str, Any], town: Town, on: date) -> bool:
    """Whether it leaves out no child: none of the town, nor one of any other age or language that might live there.

    So "under six" is not everyone in a town whose children all are, while "under a hundred" and "not in a district
    where nobody lives" are.
    """
    holds = condition(audience, on)
    births = (on, *(_months_before(on, months) for months in range(GROWN_UP_MONTHS)))
    if not all(holds(Family("", birth, None, ()), language) for birth in births for language in LANGUAGES):
        return False
    languages = LANGUAGES if _asks_language(audience) else (USUAL_LANGUAGE,)
    return all(
        holds(family, language) for family in town.families if family.birth_date is not None for language in languages
    )


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, 1)
