"""The plan as the gateway keeps it: the last one announced, its reminders, and what it has seen."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.gateway.domain import plan_view
from shared.events import schedule as s

CHILD = "c1"
WHY = s.Why(rule="hepb-1", sentence="生後2か月から", sentence_en="From 2 months", source="予防接種法施行令")


def armed(reminder: str, number: int = 1) -> s.ArmedReminder:
    """A reminder of the eve."""
    return s.ArmedReminder(
        id=reminder, kind="eve", series="hepb", dose_number=number, fires_at=datetime(2026, 11, 22, 9, tzinfo=UTC)
    )


def changed(*reminders: s.ArmedReminder, seen: int = 1, status: str = "due") -> s.PlanChanged:
    """A plan with one item and these reminders."""
    item = s.PlanItem(series="hepb", dose_number=1, status=status, why=WHY)
    return s.PlanChanged(
        rule_set="jp-2026.1",
        as_of=date(2026, 11, 23),
        municipality="139912",
        items=(item,),
        doses=(),
        reminders=reminders,
        based_on={f"records.child:{CHILD}": seen},
    )


@pytest.fixture
def state() -> dict[str, Any]:
    """A plan with two armed reminders."""
    return after({}, changed(armed("a"), armed("b")))


def after(state: dict[str, Any], *events: s.PlanEvent) -> dict[str, Any]:
    """The state after these events."""
    for revision, event in enumerate(events, state.get("plan_revision", 0) + 1):
        plan_view.PLAN[type(event)](state, event, revision)
    return state


def states(state: dict[str, Any]) -> dict[str, str]:
    """Reminder -> its state."""
    return {key: one["state"] for key, one in state["reminders"].items()}


def test_a_plan_arrives_with_its_reminders_armed(state: dict[str, Any]) -> None:
    assert states(state) == {"a": "armed", "b": "armed"}
    assert plan_view.based_on(state) == {f"records.child:{CHILD}": 1}


def test_a_cancelled_reminder_says_why(state: dict[str, Any]) -> None:
    after(state, changed(armed("c", 2), seen=2), s.ReminderCancelled(reminder_id="a", reason="done"))
    assert states(state) == {"a": "cancelled", "b": "cancelled", "c": "armed"}
    assert state["reminders"]["a"]["reason"] == "done"


def test_a_fired_reminder_stays_fired(state: dict[str, Any]) -> None:
    due = s.ReminderDue(reminder_id="a", kind="eve", series="hepb", dose_number=1)
    after(state, due, changed(armed("a")), s.ReminderCancelled(reminder_id="a", reason="changed"))
    assert states(state)["a"] == "fired"


def test_a_confirmed_plan_has_seen_more_and_is_the_same(state: dict[str, Any]) -> None:
    before = dict(state["plan"])
    after(state, s.PlanConfirmed(as_of=date(2026, 11, 24), based_on={f"records.child:{CHILD}": 5}))
    assert plan_view.seen(state, "records.child", CHILD) == 5
    assert state["plan"] == {**before, "as_of": "2026-11-24"}


def test_an_overdue_mark_goes_when_the_plan_no_longer_says_so(state: dict[str, Any]) -> None:
    overdue = s.DoseOverdue(series="hepb", dose_number=1, overdue_from=date(2027, 2, 22))
    after(state, changed(status="overdue"), overdue)
    assert state["overdue"] == {"hepb:1": "2027-02-22"}
    after(state, changed(status="done"))
    assert state["overdue"] == {}


def test_only_doses_that_count_have_a_number() -> None:
    verdicts = [
        {"id": "d1", "series": "hepb", "dose_number": 1, "legal": "valid", "immunological": "valid"},
        {"id": "d2", "series": "hepb", "dose_number": 2, "legal": "not_valid", "immunological": "not_valid"},
        {"id": "d3", "series": "hepb", "dose_number": 2, "legal": "valid", "immunological": "valid"},
    ]
    assert plan_view.dose_numbers({"plan": {"doses": verdicts}}) == {"d1": ("hepb", 1), "d3": ("hepb", 2)}
