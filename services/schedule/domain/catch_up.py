"""The fewest visits that complete what is due within the free windows (キャッチアップの計画).

Every dose that is possible on a day of a visit is given then (同時接種); only live vaccines may wait for one another.
In a plan with the fewest visits each visit can be moved forward until one of its doses becomes possible on that very
day, so those days are the only ones that must be looked at. Of the plans with the fewest visits the earliest is taken.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from services.schedule.domain.history import DoseGiven, History
from services.schedule.domain.plan import make_plan
from services.schedule.domain.plan_items import NOW, OPEN, PlanItem
from services.schedule.domain.rule_set import RuleSet
from services.schedule.domain.verdicts import Because

OpenOn = Callable[[date], bool]
_MOST_VISITS: Final = 12
_LONGEST_CLOSURE: Final = 366


@dataclass(frozen=True, slots=True)
class Visit:
    """A day at the clinic with the doses to give, as (series, dose number, vaccine)."""

    day: date
    doses: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class CatchUp:
    """The visits, and what no visit can bring: items with their reasons, for a person to decide.

    `fewest` is False where the search was given up and a plan without that proof is handed out.
    """

    visits: tuple[Visit, ...]
    undecided: tuple[PlanItem, ...]
    fewest: bool


class _GaveUp(Exception):
    """The search took more steps than it may."""


def shown_as(rules: RuleSet, series: str) -> set[str]:
    """The names under which a plan may show what is left of a series: a combined vaccine goes by another name."""
    lines = {code for combination in rules.combinations for code in combination.lines}
    names = {name for code in lines if series in rules.lines[code].shown_as for name in rules.lines[code].shown_as}
    return names | {series}


class _Search:
    def __init__(self, rules: RuleSet, series: frozenset[str], open_on: OpenOn, start: date, steps: int) -> None:
        self.rules, self.series, self.open_on, self.start, self.steps = rules, series, open_on, start, steps
        self.shown = frozenset(name for one in series for name in shown_as(rules, one))

    def open_items(self, history: History, day: date) -> list[PlanItem]:
        """What is still to be given of the wanted series."""
        self.steps -= 1
        if self.steps < 0:
            raise _GaveUp
        plan = make_plan(self.rules, history, day, self.shown)
        return [item for item in plan.items if item.status in OPEN]

    def lost(self, history: History, day: date) -> bool:
        """Whether a wanted series closed before it was complete: shown as closed, or not shown any more."""
        items = make_plan(self.rules, history, day, self.shown).items
        alone = {series for series in self.series if shown_as(self.rules, series) == {series}}
        return any(item.status == "window_closed" for item in items) or not alone <= {item.series for item in items}

    def next_open_day(self, day: date) -> date | None:
        """The first day from this one on which the clinic is open."""
        for _ in range(_LONGEST_CLOSURE):
            if self.open_on(day):
                return day
            day += timedelta(days=1)
        return None

    def days(self, items: list[PlanItem], after: date) -> list[date]:
        """The days worth going: where a dose becomes possible, not after the first last day."""
        latest = min((item.latest for item in items if item.latest is not None), default=None)
        found = set()
        for item in items:
            if item.earliest is None:
                continue
            day = self.next_open_day(max(item.earliest, after, self.start))
            if day is not None and (latest is None or day <= latest):
                found.add(day)
        return sorted(found)

    def given_on(self, history: History, day: date) -> Iterator[list[PlanItem]]:
        """What to give on a day: everything possible; or without the live vaccines where others wait for them."""
        items = self.open_items(history, day)
        possible = [item for item in items if item.earliest is not None and item.earliest <= day]
        possible = [item for item in possible if item.latest is None or day <= item.latest]
        if possible:
            yield possible
        live = [item for item in possible if self._is_live(item)]
        waiting = any(self._is_live(item) for item in items if item not in possible)
        if live and waiting and len(live) < len(possible):
            yield [item for item in possible if item not in live]

    def _is_live(self, item: PlanItem) -> bool:
        return any(self.rules.vaccines[code].live == "injectable" for code in item.vaccines)

    def find(self, history: History, after: date, most: int) -> list[Visit] | None:
        """The earliest plan with at most so many visits from a day on; None where there is none."""
        items = self.open_items(history, after)
        if not items:
            return None if self.lost(history, after) else []
        if most == 0:
            return None
        for day in self.days(items, after):
            for given in self.given_on(history, day):
                following = self.find(with_doses(history, day, given), day + timedelta(days=1), most - 1)
                if following is not None:
                    return [_visit(day, given), *following]
        return None

    def soonest(self, history: History, after: date) -> list[Visit]:
        """A plan that goes whenever something becomes possible: no proof that it is short."""
        visits: list[Visit] = []
        for _ in range(4 * _MOST_VISITS):
            self.steps = 10
            days = self.days(self.open_items(history, after), after)
            given = next(self.given_on(history, days[0]), None) if days else None
            if given is None:
                break
            visits.append(_visit(days[0], given))
            history, after = with_doses(history, days[0], given), days[0] + timedelta(days=1)
        return visits


def with_doses(history: History, day: date, items: Collection[PlanItem]) -> History:
    """The history as it would be after a visit."""
    doses = tuple(DoseGiven(f"planned {item.series} {item.dose_number} {day}", day, item.vaccines[0]) for item in items)
    return replace(history, doses=(*history.doses, *doses))


def _visit(day: date, items: Collection[PlanItem]) -> Visit:
    return Visit(day, tuple((item.series, item.dose_number, item.vaccines[0]) for item in items))


def catch_up(
    rules: RuleSet,
    history: History,
    on: date,
    open_on: OpenOn = lambda _: True,
    ill_until: date | None = None,
    series: Collection[str] | None = None,
    steps: int = 20_000,
) -> CatchUp:
    """The fewest visits from today, or from the day after an illness, that complete the series due then.

    Without `series`, those that are free and due or overdue on the first day; `open_on` says on which days the clinic
    is open. What is closed, contraindicated or for a person to decide comes back as undecided.
    """
    start = on if ill_until is None else max(on, ill_until + timedelta(days=1))
    plan = make_plan(rules, history, start)
    items = [item for item in plan.items if item.vaccines or item.status in {"window_closed", "contraindicated"}]
    wanted = {item.series for item in items if item.status in NOW and item.free_until is not None}
    if series is not None:
        wanted = {item.series for item in items if item.status in OPEN and item.series in series}
    undecided = [
        item
        for item in items
        if item.status in {"needs_person", "window_closed", "contraindicated"}
        and (series is None or item.series in series)
        and not item.series.startswith("checkup")
    ]
    visits: list[Visit] = []
    fewest = True
    while wanted:
        search = _Search(rules.of(history.municipality), frozenset(wanted), open_on, start, steps)
        try:
            found = _fewest(search, history, start)
        except _GaveUp:
            visits, fewest = search.soonest(history, start), False
            break
        if found is not None:
            visits = found
            break
        for item in _hopeless(rules, search, history, start):
            undecided.append(item)
            wanted.discard(item.series)
    return CatchUp(tuple(visits), tuple(undecided), fewest)


def _fewest(search: _Search, history: History, start: date) -> list[Visit] | None:
    for most in range(1, _MOST_VISITS + 1):
        found = search.find(history, start, most)
        if found is not None:
            return found
    return None


def _hopeless(rules: RuleSet, search: _Search, history: History, start: date) -> list[PlanItem]:
    """What cannot be completed even alone; where everything could, what closes first. The rest is planned without."""
    items = search.open_items(history, start)
    alone = []
    for item in items:
        one = _Search(search.rules, frozenset({item.series}), search.open_on, search.start, search.steps)
        if _fewest(one, history, start) is None:
            alone.append(item)
    chosen = alone or [min(items, key=lambda item: (item.latest or date.max, item.series))]
    return [_for_a_person(rules, item) for item in chosen]


def _for_a_person(rules: RuleSet, item: PlanItem) -> PlanItem:
    name = next((fact for key, fact in item.why.facts if key == "name"), item.series)
    last = item.latest.toordinal() if item.latest is not None else 0
    why = Because(item.why.rule, rules.sentences["plan_cannot_complete"], (("name", name), ("last_day", last)))
    return item._replace(status="needs_person", why=why)
