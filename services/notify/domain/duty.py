"""Who is on duty in a town, and how an alarm climbs until somebody takes it (当番・エスカレーション).

A roster has shifts and an `otherwise`; each is a ladder of steps {staff, minutes}: these are called, and unless one of them takes
the alarm within so many minutes, those of the next step are. After the last step it begins again: an alarm never falls silent.

    shift    {days: [0..6, Monday 0], from: "17:15", until: "08:30", steps}; one that ends at or before it begins ends the day after
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.clock import TOKYO
from shared.problems import FieldProblem

Steps = Sequence[Mapping[str, Any]]


def steps_at(roster: Mapping[str, Any], now: datetime) -> Steps:
    """The ladder that is in force at this instant: of the first shift that it falls into, else `otherwise`."""
    here = now.astimezone(TOKYO)
    clock = here.strftime("%H:%M")
    yesterday = (here.weekday() - 1) % 7
    for shift in roster["shifts"]:
        first, last, days = shift["from"], shift["until"], shift["days"]
        if first < last:
            on = here.weekday() in days and first <= clock < last
        else:
            on = (here.weekday() in days and clock >= first) or (yesterday in days and clock < last)
        if on:
            steps: Steps = shift["steps"]
            return steps
    otherwise: Steps = roster["otherwise"]
    return otherwise


def unknown_staff(roster: Mapping[str, Any], staff: Iterable[str]) -> list[FieldProblem]:
    """Everybody on the roster who does not work for the town: a call to them would be heard by nobody."""
    known = frozenset(staff)
    ladders = [("/otherwise", roster["otherwise"])]
    ladders += [(f"/shifts/{number}/steps", shift["steps"]) for number, shift in enumerate(roster["shifts"])]
    return [
        FieldProblem(
            f"{place}/{number}/staff/{which}",
            "staff-unknown",
            "この職員は登録されていません。",
            "Nobody of this town's staff.",
        )
        for place, steps in ladders
        for number, step in enumerate(steps)
        for which, one in enumerate(step["staff"])
        if one not in known
    ]


def ring(state: dict[str, Any], now: datetime, *, step: int, turn: int) -> tuple[str, ...]:
    """Call the people of this step; whom it is. `climbs_at` (milliseconds) is when the next ones are called."""
    steps = state["steps"]
    until = now + timedelta(minutes=steps[step]["minutes"])
    state.update({"step": step, "turn": turn, "climbs_at": int(until.timestamp() * 1000)})
    called = tuple(steps[step]["staff"])
    state["called"] = [*state.get("called", [])[-99:], {"staff": list(called), "at": now.timestamp()}]
    return called


def climb(state: dict[str, Any], now: datetime) -> tuple[str, ...]:
    """Call the next ones if the time of those before is over; nobody when it is not, or the alarm was taken."""
    if state["state"] != "ringing" or state["climbs_at"] > int(now.timestamp() * 1000):
        return ()
    last = state["step"] + 1 >= len(state["steps"])
    return ring(state, now, step=0 if last else state["step"] + 1, turn=state["turn"] + last)


def take(state: dict[str, Any], by: str, now: datetime) -> bool:
    """Somebody takes the alarm; whether it was still ringing."""
    if state["state"] != "ringing":
        return False
    state.update({"state": "taken", "taken_by": by, "taken_at": now.timestamp()})
    state.pop("climbs_at", None)
    return True
