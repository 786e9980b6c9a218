"""One patient as the engine sees them: doses in order, per antigen, and observations (CDSi 4.6 §4.1, §4.2)."""

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.schedule.domain.offsets import FIRST_DAY, LAST_DAY
from services.schedule.domain.rules import Rules


@dataclass(slots=True)
class Administered:
    """One dose on record. `key` is the caller's own name for it; `flawed` is the specification's dose condition flag."""

    key: str
    day: int
    vaccine: str
    maker: str | None = None
    trade_name: str | None = None
    volume: float | None = None
    expires: int | None = None
    flawed: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """A finding on file by its code; `day` is when it was made or began, None where nobody noted it."""

    code: str
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """Who is assessed. `gender` is female, male or unknown; `country` is that of birth, None where unknown."""

    birth: int
    gender: str = "unknown"
    doses: tuple[Administered, ...] = ()
    observations: tuple[Observed, ...] = ()
    country: str | None = None


class Chart:
    """A patient prepared for assessment: doses in one canonical order and their places in it per antigen.

    `active` holds the codes of the observations that apply on the day of assessment, `noted` every day on which each
    was noted, the first first.
    """

    __slots__ = (
        "active",
        "assessment",
        "birth",
        "country",
        "doses",
        "gender",
        "noted",
        "of_antigen",
        "patient",
        "rules",
    )

    def __init__(self, rules: Rules, patient: Patient, assessment: int) -> None:
        self.rules = rules
        self.patient = patient
        self.birth = patient.birth
        self.gender = patient.gender
        self.country = patient.country
        self.assessment = assessment
        self.doses: tuple[Administered, ...] = tuple(sorted(patient.doses, key=_place))
        self.of_antigen = _by_antigen(rules, patient.birth, self.doses)
        self.active: set[str] = set()
        self.noted: dict[str, list[int]] = {}
        for observed in patient.observations:
            self._note(observed)

    def _note(self, observed: Observed) -> None:
        if observed.day is None or observed.day <= self.assessment:
            self.active.add(observed.code)
        if observed.day is not None:
            insort(self.noted.setdefault(observed.code, []), observed.day)

    def last_noted(self, code: str, day: int) -> int | None:
        """The last day until `day` on which an observation was noted."""
        days = self.noted.get(code, [])
        until = bisect_right(days, day)
        return days[until - 1] if until else None

    def before(self, place: int) -> "Chart":
        """The chart as it stood on the day of a dose, without this dose and those after it."""
        earlier = replace(self.patient, doses=self.doses[:place])
        return Chart(self.rules, earlier, self.doses[place].day)


def _place(dose: Administered) -> tuple[int, str, str, str, bool, int, float, str]:
    """Doses of one day get an order of their own, so that the order in which they were entered changes nothing."""
    return (
        dose.day,
        dose.vaccine,
        dose.maker or "",
        dose.trade_name or "",
        dose.flawed,
        dose.expires or LAST_DAY,
        dose.volume or 0.0,
        dose.key,
    )


def _by_antigen(rules: Rules, birth: int, doses: Iterable[Administered]) -> dict[str, list[int]]:
    """The places of the doses that count for each antigen, at the age at which they were given (CDSi 4.6 §4.2)."""
    places: dict[str, list[int]] = {}
    for place, dose in enumerate(doses):
        for association in rules.associations.get(dose.vaccine, ()):
            begin, end = association.begin, association.end
            first = begin.date_ordinal(birth) if begin is not None else FIRST_DAY
            too_late = end.date_ordinal(birth) if end is not None else LAST_DAY
            if first <= dose.day < too_late:
                places.setdefault(association.antigen, []).append(place)
    return places
