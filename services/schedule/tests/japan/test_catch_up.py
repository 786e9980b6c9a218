"""The catch-up planner: as few visits as trying everything finds, and each of them lawful."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import combinations

import pytest

from services.schedule.domain.catch_up import CatchUp, catch_up, with_doses
from services.schedule.domain.history import History
from services.schedule.domain.plan import make_plan
from services.schedule.domain.plan_items import OPEN, PlanItem
from services.schedule.opening_days import opening_days
from services.schedule.rule_files import RuleSet
from services.schedule.tests.japan.test_scenarios import SCENARIOS

Child = Callable[..., History]

TODAY = date(2026, 11, 23)
# The other names under which a plan may show what is left of a series once another vaccine takes it over.
SHOWN_AS = {
    "hib": {"hib", "penta"}, "ipv": {"ipv", "dpt_ipv", "penta"}, "dpt": {"dpt", "dpt_ipv", "penta"},
    "dpt_ipv": {"dpt_ipv", "dpt", "ipv", "penta"}, "penta": {"penta", "dpt_ipv", "dpt", "ipv", "hib"},
}  # fmt: skip
# Birth, today, doses on file.
CHILDREN = [
    ("2025-10-10", "2026-11-23", ("penta@2026-01-10", "pcv20@2026-01-10")),
    ("2025-10-10", "2026-11-23", ("penta@2026-01-10", "penta@2026-02-10", "pcv20@2026-01-10", "pcv20@2026-02-10")),
    ("2025-09-01", "2026-11-23", ("penta@2025-11-20", "penta@2025-12-20", "penta@2026-02-20")),
    ("2022-10-10", "2026-11-23", ("mr@2023-11-01", "pcv20@2025-01-10")),
    ("2024-01-31", "2026-11-23", ("mr@2026-11-09",)),
    ("2025-11-30", "2026-11-23", ("pcv20@2026-02-01", "pcv20@2026-03-01", "pcv20@2026-04-01", "penta@2026-02-01",
                                  "penta@2026-03-01", "penta@2026-04-01", "hepb@2026-02-01", "hepb@2026-03-01")),
    ("2020-06-15", "2026-11-23", ("je@2026-11-20", "dpt_ipv@2020-10-01", "dpt_ipv@2020-11-01", "dpt_ipv@2020-12-01")),
]  # fmt: skip


def once_in(days: int) -> Callable[[date], bool]:
    """A clinic that opens so rarely that every choice of its days can be tried."""
    return lambda day: day.toordinal() % days == 3


def completes(
    rules: RuleSet, history: History, series: frozenset[str], days: tuple[date, ...], last: date | None = None
) -> bool:
    """Whether going on exactly these days can complete everything: with and without each possible dose each time.

    A day on which nothing is given is not tried: the same days without it were, when fewer visits were asked about.
    """
    day = days[0] if days else (last or date.min) + timedelta(days=1)
    items = make_plan(rules, history, day, series).items
    if not days:
        return not any(item.status in OPEN or item.status == "window_closed" for item in items)
    waiting = [item for item in items if item.status in OPEN]
    now = [item for item in waiting if item.earliest and item.earliest <= day <= (item.latest or date.max)]
    subsets: list[list[PlanItem]] = [
        [item for at, item in enumerate(now) if not mask >> at & 1] for mask in range(2 ** len(now) - 1)
    ]
    return any(completes(rules, with_doses(history, day, given), series, days[1:], day) for given in subsets)


def every_child() -> dict[str, tuple[History, date]]:
    """Each child of the table of scenarios, on the day it is asked about there and on today; equal ones once."""
    found: dict[tuple[History, date], str] = {}
    for scenario in SCENARIOS:
        child = scenario.history
        if child.birth_date is None:
            continue
        asked = [date.fromisoformat(scenario.asked)] if scenario.kind == "plan" else []
        for on in (*asked, TODAY):
            if on >= child.birth_date:
                found.setdefault((child, on), f"{scenario.id} on {on}")
    return {name: child for child, name in found.items()}


def test_as_few_visits_as_trying_every_choice_of_days(rules: RuleSet) -> None:
    """For every child of the table with one to eight doses due, at a clinic that opens every 77 days."""
    every, tried = once_in(77), 0
    for name, (history, today) in every_child().items():
        found = catch_up(rules, history, today, every)
        for visit in found.visits:
            parts = [line for _, _, code in visit.doses for line in rules.vaccines[code].counts_in]
            assert len(parts) == len({*parts}), ("one part twice on a day", name, visit)
        if not 0 < sum(len(visit.doses) for visit in found.visits) <= 8:
            continue  # nothing is due, or more than can be tried
        planned = frozenset(
            other for visit in found.visits for series, _, _ in visit.doses for other in SHOWN_AS.get(series, {series})
        )
        days = [today + timedelta(days=ahead) for ahead in range(560) if every(today + timedelta(days=ahead))]
        fewest = next(
            (
                count
                for count in range(1, len(found.visits) + 1)
                if any(completes(rules, history, planned, chosen) for chosen in combinations(days, count))
            ),
            None,
        )
        assert (found.fewest, len(found.visits)) == (True, fewest), name
        tried += 1
    assert tried > 150


@pytest.mark.parametrize(("birth", "on", "doses"), CHILDREN)
def test_the_visits_are_lawful_and_on_opening_days(
    rules: RuleSet, child: Child, birth: str, on: str, doses: tuple[str, ...]
) -> None:
    history, today, is_open = child(birth, *doses), date.fromisoformat(on), opening_days(frozenset(range(5)))
    found = catch_up(rules, history, today, is_open)
    assert found.fewest
    before = {verdict.id for verdict in make_plan(rules, history, today).doses}
    for visit in found.visits:
        assert is_open(visit.day)
        plan = make_plan(rules, history, visit.day)
        wanted = {(series, number) for series, number, _ in visit.doses}
        history = with_doses(history, visit.day, [i for i in plan.items if (i.series, i.dose_number) in wanted])
    for verdict in make_plan(rules, history, date(2031, 1, 1)).doses:
        if verdict.id not in before:
            assert (verdict.legal, verdict.immunological) == ("valid", "valid"), verdict


def test_ill_until_moves_the_first_visit(rules: RuleSet, child: Child) -> None:
    history = child("2025-10-10", "penta@2026-01-10")
    ill = catch_up(rules, history, date(2026, 11, 23), ill_until=date(2026, 12, 24))
    assert ill.visits[0].day == date(2026, 12, 25)
    assert catch_up(rules, history, date(2026, 11, 23)).visits[0].day == date(2026, 11, 23)


def test_what_cannot_be_completed_is_left_to_a_person_and_the_rest_is_planned(rules: RuleSet, child: Child) -> None:
    """A week before the first birthday three doses of hepatitis B no longer fit; BCG does."""
    found: CatchUp = catch_up(rules, child("2025-11-30"), date(2026, 11, 24))
    assert ("hepb", "needs_person") in {(item.series, item.status) for item in found.undecided}
    assert "bcg" in {series for series, _, _ in found.visits[0].doses}


def test_holidays_are_closed() -> None:
    is_open = opening_days()
    assert not is_open(date(2026, 11, 23))  # 勤労感謝の日
    assert not is_open(date(2026, 11, 22))  # a Sunday
    assert is_open(date(2026, 11, 24))
    assert not opening_days(closed={date(2026, 11, 24)})(date(2026, 11, 24))
