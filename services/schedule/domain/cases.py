"""One child's history as the rules look at it: doses in order, by the lines whose count they add to, observations."""

from datetime import date
from typing import NamedTuple

from services.schedule.domain.history import PROPOSED, DoseGiven, History, HistoryError
from services.schedule.domain.legal_points import Anchors
from services.schedule.domain.patient import Administered, Chart
from services.schedule.domain.rule_set import RuleSet, Vaccine


class Given(Administered):
    """A dose as the engine walks along it, with what our rules know of it."""

    __slots__ = ("dose", "kind")

    def __init__(self, day: int, vaccine: str, key: str, expires: int | None, kind: Vaccine, dose: DoseGiven) -> None:
        self.key = key
        self.day = day
        self.vaccine = vaccine
        self.maker = None
        self.trade_name = None
        self.volume = None
        self.expires = expires
        self.flawed = False
        self.kind = kind
        self.dose = dose


class Starts(NamedTuple):
    """For one line: the youngest day that counts, and between which days a first dose begins each course."""

    youngest: int
    days: list[tuple[int, int] | None]


class Case(Chart):
    """A history prepared for one rule set and day: what the engine needs of a patient, and what the law needs."""

    __slots__ = (
        "anchors",
        "given",
        "history",
        "law",
        "live",
        "observed",
        "sex",
        "starts",
        "unknown",
        "without_line",
    )

    def __init__(self, rules: RuleSet, history: History, on: int) -> None:
        self.law = rules
        self.history = history
        self.rules = rules.engine
        self.anchors = Anchors(history.birth_date, history.expected_delivery)
        self.birth = self.anchors.birth or self.anchors.expected
        self.assessment = on
        self.sex = None if history.sex == "U" else history.sex
        self.gender = history.sex
        self.country = None
        self.active: set[str] = set()
        self.noted: dict[str, list[int]] = {}
        self.observed = {one.code: one.on.toordinal() if one.on else 0 for one in history.observations}
        if self.observed:
            self._observe()
        self.starts: dict[str, Starts] = {}
        self.unknown: list[DoseGiven] = []
        self.given: tuple[Given, ...] = self._in_order()
        # A Given has every field that the engine reads of a dose; building both would double the work per dose.
        self.doses = self.given
        self.live: list[Given] = []
        self.without_line: list[int] = []
        self.of_antigen: dict[str, list[int]] = {}
        self._by_line()

    def _in_order(self) -> tuple[Given, ...]:
        """The doses of known vaccines in one canonical order: by day, what is only proposed last, vaccine and id."""
        vaccines, codes, birth = self.law.vaccines, self.law.codes, self.anchors.birth
        given: list[Given] = []
        order: list[tuple[int, bool, str, str, int]] = []
        for dose in self.history.doses:
            code = dose.code
            vaccine = vaccines.get(code)
            if vaccine is None:
                code = codes.get(code, "")
                vaccine = vaccines.get(code)
            day = dose.given_on.toordinal()
            if vaccine is None or day < birth:
                self.unknown.append(dose)
            else:
                expires = dose.expires_on
                expiry = None if expires is None else expires.toordinal()
                order.append((day, dose.provenance == PROPOSED, code, dose.id, len(given)))
                given.append(Given(day, code, dose.id, expiry, vaccine, dose))
        order.sort()
        return tuple([given[at] for _, _, _, _, at in order])

    def _by_line(self) -> None:
        """By line, the places of the doses that it counts; the live ones, and those that belong to no line."""
        associations, places, origin = self.rules.associations, self.of_antigen, self.birth
        mother, lines_of = not self.anchors.birth, self.law.lines
        always = self.law.always_in if not mother else {}
        for place, one in enumerate(self.given):
            simply = always.get(one.vaccine)
            if simply is not None:
                for code in simply.lines:
                    places.setdefault(code, []).append(place)
                if simply.live:
                    self.live.append(one)
                continue
            if one.kind.live == "injectable":
                self.live.append(one)
            belongs = False
            for association in associations[one.vaccine]:
                begin, end = association.begin, association.end
                if lines_of[association.antigen].mother is not mother:
                    continue
                if begin is not None and one.day < begin.date_ordinal(origin):
                    continue
                if end is not None and one.day >= end.date_ordinal(origin):
                    continue
                belongs = True
                places.setdefault(association.antigen, []).append(place)
            if not belongs:
                self.without_line.append(place)

    def _observe(self) -> None:
        """What is on file on the day of assessment; immunity that needs several findings counts as one of its own."""
        for code, day in self.observed.items():
            if day <= self.assessment:
                self.active.add(code)
        for line in self.law.lines.values():
            if line.immune_if and line.immune_if <= self.active:
                self.active.add(immunity(line.code))


def immunity(line: str) -> str:
    """The name under which the engine is told that all findings are there that make immune against a line."""
    return f"immune against {line}"


def check_history(rules: RuleSet, history: History) -> None:
    """Raise HistoryError for what cannot be: unknown vaccine, dose before birth, one vaccine twice on a day."""
    if history.birth_date is None and history.expected_delivery is None:
        raise HistoryError("birth_date", "birth_missing", "neither a day of birth nor an expected day of delivery")
    seen: dict[tuple[str, date], int] = {}
    for at, dose in enumerate(history.doses):
        code = rules.codes.get(dose.code)
        if code is None:
            raise HistoryError(f"doses[{at}].code", "unknown_vaccine", f"the vaccine code {dose.code!r} is not known")
        if history.birth_date is not None and dose.given_on < history.birth_date:
            why = f"{dose.given_on} lies before the birth on {history.birth_date}"
            raise HistoryError(f"doses[{at}].given_on", "before_birth", why)
        if (code, dose.given_on) in seen:
            why = f"{code} was already given on {dose.given_on} (doses[{seen[code, dose.given_on]}])"
            raise HistoryError(f"doses[{at}].given_on", "same_day_duplicate", why)
        seen[code, dose.given_on] = at
    for at, observation in enumerate(history.observations):
        if observation.code not in rules.observations:
            raise HistoryError(f"observations[{at}].code", "unknown_observation", f"{observation.code!r} is not known")
        if observation.on is None and any(observation.code in one.observations for one in rules.extensions):
            why = f"{observation.code} needs the day, from which two years are counted"
            raise HistoryError(f"observations[{at}].on", "day_missing", why)
