"""Recounting plans: after events, at the turn of the day, and beside what is stored."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import date

import orjson

from services.schedule import store as kept
from services.schedule.commands.planning import Planning
from services.schedule.domain.plan import OPEN, make_plan, plan_to_json
from services.schedule.domain.reminders import DueItem, overdue, reminders_for, why_cancelled
from shared.clock import tokyo_day, tokyo_time, wire_instant
from shared.documents import Document
from shared.events.schedule import (
    ArmedReminder,
    CheckupOverdue,
    DoseOverdue,
    DoseVerdict,
    NationwidePlan,
    PlanChanged,
    PlanConfirmed,
    PlanItem,
    ReminderCancelled,
)
from shared.ids import derived_id
from shared.store import Doc

_COMPARED = ("rule_set", "items", "doses", "nationwide")
"""What makes a plan another one; the day on which it was counted does not."""


def recount(planning: Planning, doc: Document, *, after_events: bool) -> None:
    """Make the plan anew from the whole history; announce it when it differs, and what it means for reminders.

    The day only moves forward (protocol R2): a plan made for a later day is not made again for an earlier one.
    """
    state = doc.state
    if "child" not in state:
        return
    before = state.get("plan")
    today = _day(planning, state)
    plan = _counted(planning, state, today)
    state["plan"] = plan if before is None or _differs(before, plan) else before
    state["plan_digest"] = _digest(plan)
    items = _due_items(plan)
    armed, cancelled = _rearm(planning, doc, items)
    if state["plan"] is not before or armed or cancelled:
        doc.emit(
            PlanChanged(
                rule_set=plan["rule_set"],
                as_of=plan["as_of"],
                municipality=state["child"]["municipality"],
                items=tuple(PlanItem.model_validate(item) for item in plan["items"]),
                doses=tuple(DoseVerdict.model_validate(verdict) for verdict in plan["doses"]),
                nationwide=NationwidePlan.model_validate(plan["nationwide"]) if "nationwide" in plan else None,
                reminders=tuple(
                    ArmedReminder(
                        id=reminder_id,
                        kind=one["kind"],
                        series=one["series"],
                        dose_number=one["dose_number"],
                        fires_at=one["fires_at"],
                    )
                    for reminder_id, one in sorted(state["reminders"].items())
                    if one["state"] == "armed"
                ),
                based_on=kept.stream_marks(doc),
            ),
            planning.now,
        )
        for reminder_id, reason in cancelled:
            doc.emit(ReminderCancelled(reminder_id=reminder_id, reason=reason), planning.now)
    elif after_events:
        doc.emit(PlanConfirmed(as_of=today, based_on=kept.stream_marks(doc)), planning.now)
    _tell_overdue(planning, doc, items, today)


def stands(planning: Planning, doc: Document) -> bool:
    """Whether a recount would leave everything as it is; the document has no more than kept.COUNTED, and is spoilt after."""
    state = doc.state
    if "child" not in state:
        return True
    plan = _counted(planning, state, planning.today)
    if state.get("plan_digest") != _digest(plan):
        return False
    items = _due_items(plan)
    armed, cancelled = _rearm(planning, doc, items)
    _tell_overdue(planning, doc, items, planning.today)
    return not (armed or cancelled or doc.outgoing)


async def plans_and_recounts(planning: Planning) -> AsyncIterator[tuple[str, bool]]:
    """Every child and whether its plan is what its history gives today (promise G4)."""
    for bucket in range(kept.BUCKETS):
        for child in await kept.in_bucket(planning.plans.store, bucket):
            doc = await planning.plans.load(child)
            if doc is None or "child" not in doc.state or doc.state.get("silenced"):
                continue
            plan = _counted(planning, doc.state, _day(planning, doc.state))
            yield doc.id, "plan" in doc.state and not _differs(doc.state["plan"], plan)


def _day(planning: Planning, state: Doc) -> date:
    """The day to count for: today, or that of the plan that stands, where another replica's clock is ahead of midnight."""
    standing = kept.day(state["plan"]["as_of"]) if "plan" in state else None
    return max(planning.today, standing) if standing is not None else planning.today


def _counted(planning: Planning, state: Doc, today: date) -> Doc:
    if state.get("silenced"):
        return {"rule_set": planning.rules.id, "as_of": today.isoformat(), "items": [], "doses": []}
    plan: Doc = plan_to_json(make_plan(planning.rules, kept.history_of(state), today))
    if state.get("cut_off") and planning.rules.of(state["child"]["municipality"]) is not planning.rules:
        nationwide = plan_to_json(make_plan(planning.rules, kept.history_of(state, of_no_town=True), today))
        plan["nationwide"] = {part: nationwide[part] for part in ("items", "doses")}
    if state["child"].get("born"):
        # The pregnancy is over: what is left are the mother's own checkups.
        plan["items"] = [item for item in plan["items"] if item["series"].startswith("postnatal_")]
    return plan


def _differs(before: Doc, plan: Doc) -> bool:
    return any(before.get(part) != plan.get(part) for part in _COMPARED)


def _digest(plan: Doc) -> str:
    """The same for two plans that do not differ."""
    return hashlib.blake2b(orjson.dumps([plan[part] for part in _COMPARED if part in plan]), digest_size=16).hexdigest()


def _due_items(plan: Doc) -> list[DueItem]:
    """What is waiting in the plan: reminders are of nothing else."""
    return [
        DueItem(
            item["series"],
            item["dose_number"],
            item["status"],
            kept.day(item.get("earliest")),
            kept.day(item.get("recommended")),
            kept.day(item.get("overdue_from")),
            kept.day(item.get("free_until")),
        )
        for item in plan["items"]
        if item["status"] in OPEN
    ]


def _rearm(planning: Planning, doc: Document, items: Sequence[DueItem]) -> tuple[int, list[tuple[str, str]]]:
    """Arm what the plan asks for, cancel what lost its reason; fired ones stay fired.

    Gives how many were armed, and which were cancelled for what reason.
    """
    reminders: Doc = doc.state.setdefault("reminders", {})
    now = planning.now
    today = tokyo_day(now)
    wanted = {
        derived_id("reminder", doc.id, key): (key, reminder)
        for key, reminder in reminders_for(items, today).items()
        if reminder.day > today or tokyo_time(reminder.day, reminder.hour) > now
    }
    cancelled: list[tuple[str, str]] = []
    for reminder_id, known in list(reminders.items()):
        if known["state"] == "armed" and reminder_id not in wanted:
            reason = "silenced" if doc.state.get("silenced") else why_cancelled(known["key"], items)
            if reason == "changed" and known["fires_at"] <= wire_instant(now):
                # Its time has come and its dose is still waiting: it fires, however late the platform was.
                continue
            known["state"] = "cancelled"
            cancelled.append((reminder_id, reason))
    armed = 0
    for reminder_id, (key, reminder) in wanted.items():
        known = reminders.get(reminder_id)
        if known is None or known["state"] == "cancelled":
            armed += 1
            reminders[reminder_id] = {
                "key": key,
                "kind": reminder.kind,
                "series": reminder.series,
                "dose_number": reminder.dose_number,
                "fires_at": wire_instant(tokyo_time(reminder.day, reminder.hour)),
                "state": "armed",
            }
    return armed, cancelled


def _tell_overdue(planning: Planning, doc: Document, items: Sequence[DueItem], today: date) -> None:
    """Announce each dose or checkup once when it becomes overdue; forget it when it no longer is."""
    told: Doc = doc.state.setdefault("told", {})
    late = overdue(items, today)
    for name, since in late.items():
        if name in told:
            continue
        told[name] = since.isoformat()
        series, _, number = name.partition(":")
        if series.startswith("checkup_"):
            doc.emit(CheckupOverdue(kind=series, overdue_from=since), planning.now)
        else:
            doc.emit(DoseOverdue(series=series, dose_number=int(number), overdue_from=since), planning.now)
    for name in set(told) - set(late):
        del told[name]
