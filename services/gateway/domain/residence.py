"""Where a child has lived (住所の履歴), and what a town that it left goes on keeping of it (policy/kept_after_move.yaml)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Self

State = dict[str, Any]
Family = Literal["doses", "checkups"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One of a town's own ledgers: which facts, from which day on, for how many years, by which rule."""

    ledger: Family
    name: str
    day: str
    years: int
    source: str
    confidence: Literal["high", "medium", "low"]
    provenance: tuple[str, ...] = ()
    announced: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """As the file has it; raises TypeError for a field that there is not."""
        return cls(**{**row, "provenance": tuple(row.get("provenance", ()))})


def left(state: State, town: str, until: date) -> None:
    """Remember that the child lived there, and under which name; a stay there before is another line."""
    before = state.setdefault("residences", [])
    since = before[-1]["until"] if before else None
    name = state.get("facts", {}).get("name")
    before.append({"municipality": town, "since": since, "until": until.isoformat(), "name": name})


def towns_before(state: Mapping[str, Any]) -> frozenset[str]:
    """The towns that the child has moved away from."""
    return frozenset(one["municipality"] for one in state.get("residences", ()))


def kept(
    state: Mapping[str, Any], town: str, ledgers: Iterable[Ledger], today: date
) -> list[tuple[Ledger, State, date]]:
    """(ledger, fact, the day from which it is no longer kept) of all that the town keeps today, by ledger and day."""
    times = [one for one in state.get("residences", ()) if one["municipality"] == town]
    found = [
        (ledger, fact, end)
        for ledger in ledgers
        for fact in state.get(ledger.ledger, {}).values()
        if any((one["since"] or "") <= fact[ledger.day] < one["until"] for one in times)
        and (not ledger.provenance or fact.get("provenance") in ledger.provenance)
        and not fact.get("superseded_by")
        and (end := _years_after(date.fromisoformat(fact[ledger.day]), ledger.years)) > today
    ]
    return sorted(found, key=lambda one: (one[0].ledger, one[1][one[0].day], one[1]["id"]), reverse=False)


def _years_after(day: date, years: int) -> date:
    """The same day so many years later; 29 February's is 1 March where there is none (民法第143条第2項 counts it to the 28th's end)."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)
