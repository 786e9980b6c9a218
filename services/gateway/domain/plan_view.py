"""What the gateway knows of a child's plan: the plan as last announced, its reminders, what is overdue, who follows up.

Pure functions on the view's `state`:

    plan          PlanChanged's data without `based_on` and `reminders`, `as_of` kept up by PlanConfirmed
    based_on      records/child:<id> -> revision that the plan has seen (a mark, since stored keys have no dots)
    reminders     id -> {id, kind, series, dose_number, fires_at, state: armed | fired | cancelled, reason?}
    overdue       `<series>:<dose number>` -> day from which it is overdue
    follow_ups    id -> {id, series, dose_number, state, responsible}
"""

from collections.abc import Callable
from typing import Any

from shared.events import schedule as s
from shared.events.base import Event

State = dict[str, Any]
Apply = Callable[[State, Any, int], None]


def _mark(place: str) -> str:
    stream, _, subject = place.partition(":")
    return f"{stream.replace('.', '/')}:{subject}"


def _place(mark: str) -> str:
    stream, _, subject = mark.partition(":")
    return f"{stream.replace('/', '.')}:{subject}"


def based_on(state: State) -> dict[str, int]:
    """`<stream>:<subject>` -> revision that the plan has seen, as the event says it."""
    return {_place(mark): revision for mark, revision in state.get("based_on", {}).items()}


def seen(state: State, stream: str, subject: str) -> int:
    """The revision of that subject that the plan has seen; 0 for none."""
    revision: int = state.get("based_on", {}).get(_mark(f"{stream}:{subject}"), 0)
    return revision


def _changed(state: State, event: s.PlanChanged, revision: int) -> None:
    data = event.model_dump(mode="json", exclude_none=True)
    state["plan"] = {name: value for name, value in data.items() if name not in {"based_on", "reminders"}}
    state["plan_revision"] = revision
    state["based_on"] = {_mark(place): at for place, at in event.based_on.items()}
    reminders = state.setdefault("reminders", {})
    armed = {one["id"]: {**one, "state": "armed"} for one in data.get("reminders", [])}
    for reminder in reminders.values():
        # Its cancellation is an event of its own and says why; it may come a moment later.
        if reminder["state"] == "armed" and reminder["id"] not in armed:
            reminder["state"] = "cancelled"
    reminders.update({key: one for key, one in armed.items() if reminders.get(key, {}).get("state") != "fired"})
    waiting = {f"{item.series}:{item.dose_number}" for item in event.items if item.status == "overdue"}
    overdue = state.get("overdue", {})
    state["overdue"] = {key: since for key, since in overdue.items() if key in waiting}


def _confirmed(state: State, event: s.PlanConfirmed, revision: int) -> None:
    state["based_on"] = {_mark(place): at for place, at in event.based_on.items()}
    if "plan" in state:
        state["plan"] = {**state["plan"], "as_of": event.as_of.isoformat()}


def _cancelled(state: State, event: s.ReminderCancelled, revision: int) -> None:
    reminder = state.get("reminders", {}).get(event.reminder_id)
    if reminder is not None and reminder["state"] != "fired":
        reminder.update(state="cancelled", reason=event.reason)


def _fired(state: State, event: s.ReminderDue, revision: int) -> None:
    known = state.setdefault("reminders", {}).get(event.reminder_id, {})
    state["reminders"][event.reminder_id] = {
        **known,
        "id": event.reminder_id,
        "kind": event.kind,
        "series": event.series,
        "dose_number": event.dose_number,
        "state": "fired",
    }


def _dose_overdue(state: State, event: s.DoseOverdue, revision: int) -> None:
    state.setdefault("overdue", {})[f"{event.series}:{event.dose_number}"] = event.overdue_from.isoformat()


def _checkup_overdue(state: State, event: s.CheckupOverdue, revision: int) -> None:
    state.setdefault("overdue", {})[f"{event.kind}:1"] = event.overdue_from.isoformat()


def _follow_up(state: State, event: s.FollowUpChanged, revision: int) -> None:
    data = event.model_dump(mode="json", exclude={"follow_up_id"})
    state.setdefault("follow_ups", {})[event.follow_up_id] = {"id": event.follow_up_id, **data}


PLAN: dict[type[Event], Apply] = {
    s.PlanChanged: _changed,
    s.PlanConfirmed: _confirmed,
    s.ReminderCancelled: _cancelled,
    s.ReminderDue: _fired,
    s.DoseOverdue: _dose_overdue,
    s.CheckupOverdue: _checkup_overdue,
    s.FollowUpChanged: _follow_up,
}
"""What each event of a plan changes."""


def dose_numbers(state: State) -> dict[str, tuple[str, int]]:
    """Dose id -> (series, number in the series), for the doses that count towards it."""
    found: dict[str, tuple[str, int]] = {}
    for verdict in state.get("plan", {}).get("doses", []):
        if verdict["immunological"] == "valid" and verdict.get("dose_number") is not None:
            found.setdefault(verdict["id"], (verdict["series"], verdict["dose_number"]))
    return found
