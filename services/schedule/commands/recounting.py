"""Recounting plans: after events, at the turn of the day, and beside what is stored."""

from collections.abc import AsyncIterator, Sequence
from datetime import date

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, view_of
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.reminders import DueItem, overdue, reminders_for, why_cancelled
from shared.clock import tokyo_time, wire_instant
from shared.documents import Document
from shared.events.schedule import (
    ArmedReminder,
    CheckupOverdue,
    DoseOverdue,
    DoseVerdict,
    PlanChanged,
    PlanConfirmed,
    PlanItem,
    ReminderCancelled,
)
from shared.ids import derived_id
from shared.store import Doc
from shared.views import View

RECOUNT_AT_ONCE = 500


def recount(planning: Planning, doc: Document, *, after_events: bool) -> None:
    """Make the plan anew from the whole history; announce it when it differs, and what it means for reminders.

    The day only moves forward (protocol R2): a plan made for a later day is not made again for an earlier one.
    """
    state = doc.state
    if "child" not in state:
        return
    before = state.get("plan")
    today = planning.today
    if state.get("silenced"):
        plan: Doc = {"rule_set": planning.rules.id, "as_of": today.isoformat(), "items": [], "doses": []}
    else:
        plan = _counted(planning, state)
    state["plan"] = plan if before is None or _differs(before, plan) else before
    armed, cancelled = _rearm(planning, doc, plan)
    if state["plan"] is not before or armed or cancelled:
        doc.emit(
            PlanChanged(
                rule_set=plan["rule_set"],
                as_of=plan["as_of"],
                municipality=state["child"]["municipality"],
                items=tuple(PlanItem.model_validate(item) for item in plan["items"]),
                doses=tuple(DoseVerdict.model_validate(verdict) for verdict in plan["doses"]),
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
    _tell_overdue(planning, doc, plan, today)


async def plans_and_recounts(planning: Planning) -> AsyncIterator[tuple[str, bool]]:
    """Every child and whether its plan is what its history gives today (promise G4)."""
    async for row in planning.plans.store.each(kept.PLANS, {}, fields=["_id"], batch=100):
        doc = await planning.plans.load(row["_id"])
        if doc is None or "child" not in doc.state or doc.state.get("silenced"):
            continue
        plan = _counted(planning, doc.state)
        yield doc.id, "plan" in doc.state and not _differs(doc.state["plan"], plan)


def _counted(planning: Planning, state: Doc) -> Doc:
    plan: Doc = kept.plain(plan_to_json(make_plan(planning.rules, kept.history_of(state), planning.today)))
    if state["child"].get("born"):
        # The pregnancy is over: what is left are the mother's own checkups.
        plan["items"] = [item for item in plan["items"] if item["series"].startswith("postnatal_")]
    return plan


def _differs(before: Doc, plan: Doc) -> bool:
    return any(before.get(part) != plan.get(part) for part in ("rule_set", "items", "doses"))


def _due_items(plan: Doc) -> list[DueItem]:
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
    ]


def _rearm(planning: Planning, doc: Document, plan: Doc) -> tuple[int, list[tuple[str, str]]]:
    """Arm what the plan asks for, cancel what lost its reason; fired ones stay fired.

    Gives how many were armed, and which were cancelled for what reason.
    """
    reminders: Doc = doc.state.setdefault("reminders", {})
    items = _due_items(plan)
    wanted = {
        derived_id("reminder", doc.id, key): (key, reminder)
        for key, reminder in reminders_for(items, planning.today).items()
        if tokyo_time(reminder.day, reminder.hour) > planning.now
    }
    cancelled: list[tuple[str, str]] = []
    for reminder_id, known in list(reminders.items()):
        if known["state"] == "armed" and reminder_id not in wanted:
            reason = "silenced" if doc.state.get("silenced") else why_cancelled(known["key"], items)
            if reason == "changed" and known["fires_at"] <= wire_instant(planning.now):
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


def _tell_overdue(planning: Planning, doc: Document, plan: Doc, today: date) -> None:
    """Announce each dose or checkup once when it becomes overdue; forget it when it no longer is."""
    told: Doc = doc.state.setdefault("told", {})
    late = overdue(_due_items(plan), today)
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


async def turn_the_day(planning: Planning) -> int:
    """Recount every plan that was not yet recounted today, or under these rule files; how many documents changed."""
    view = view_of(planning)
    today = planning.today.isoformat()
    done = await planning.plans.store.get(kept.DAYS, "last")
    rules = planning.rules.digest
    before = done if done is not None and done["day"] >= today else {}
    if before and rules in {before["rules"], *before.get("superseded", ())}:
        # Of two processes with different rules (a rollout) the newer one's hold: they only move forward (protocol R2).
        return 0
    changed = 0
    batch: list[str] = []
    async for row in planning.plans.store.each(kept.PLANS, {}, fields=["_id"]):
        batch.append(row["_id"])
        if len(batch) == RECOUNT_AT_ONCE:
            changed += await _recount_many(planning, view, batch)
            batch = []
    changed += await _recount_many(planning, view, batch)
    await planning.plans.store.update(
        kept.DAYS,
        {"_id": "last"},
        {
            "$set": {
                "day": today,
                "rules": rules,
                "superseded": [*before.get("superseded", ()), before["rules"]] if before else [],
            }
        },
        upsert=True,
    )
    return changed


async def _recount_many(planning: Planning, view: View, ids: Sequence[str]) -> int:
    waiting = set(ids)
    changed = 0
    while waiting:
        docs = list((await planning.plans.load_many(waiting)).values())
        for doc in docs:
            recount(planning, doc, after_events=False)
            view.mark_derived(doc)
        touched = [doc for doc in docs if doc.outgoing]
        lost = {doc.id for doc in await planning.plans.commit_many(touched)}
        await view.derive([doc for doc in touched if doc.id not in lost])
        changed += len(touched) - len(lost)
        waiting = lost
    return changed
