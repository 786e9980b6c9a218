"""Whose plan changes when the rules change, and how: to be read before a rule set goes live (規則改定の影響)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.schedule.domain.history import History
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.rule_set import RuleSet

_SHOWN = ("dose_number", "status", "earliest", "recommended", "overdue_from", "free_until", "latest", "vaccines")
_VERDICT = ("legal", "immunological")


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one item or verdict of a child's plan, before and after; None where there was no item."""

    child: str
    what: str
    field: str
    before: Any
    after: Any


def plan_changes(old: RuleSet, new: RuleSet, children: Iterable[tuple[str, History]], on: date) -> Iterator[Change]:
    """Every difference between the plans of the children under two rule sets on a day, child by child.

    The wording of reasons is not compared: dates, states, vaccines and verdicts are.
    """
    for child, history in children:
        before = _facts(plan_to_json(make_plan(old, history, on)))
        after = _facts(plan_to_json(make_plan(new, history, on)))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield Change(child, key[0], key[1], before.get(key), after.get(key))


def _facts(plan: dict[str, Any]) -> dict[tuple[str, str], Any]:
    facts: dict[tuple[str, str], Any] = {}
    for item in plan["items"]:
        for field in _SHOWN:
            facts[item["series"], field] = item[field]
    for verdict in plan["doses"]:
        for field in _VERDICT:
            facts[f"dose {verdict['id']} in {verdict['series']}", field] = verdict[field]
    return facts
