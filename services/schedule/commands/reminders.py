"""Firing the reminders whose time has come."""

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, view_of
from shared.clock import wire_instant
from shared.documents import Document
from shared.events.schedule import ReminderDue
from shared.store import Doc
from shared.views import View

FIRE_AT_ONCE = 500


async def fire_reminders(planning: Planning) -> int:
    """Fire what is due, bucket by bucket; a guarded commit, so two workers fire it once (protocol D4)."""
    view = view_of(planning)
    fired = 0
    until = kept.milliseconds(planning.now)
    for bucket in range(kept.BUCKETS):
        rows = await planning.plans.store.find(
            kept.REMINDER_TIMES,
            {"bucket": bucket, "fires_at": {"$gte": 0, "$lte": until}},
            limit=FIRE_AT_ONCE,
            fields=["child", "gone"],
        )
        for child in sorted({row["child"] for row in rows if not row["gone"]}):
            answer, doc = await planning.plans.change(child, lambda doc: _fire(planning, view, doc))
            fired += answer["fired"]
            if doc.derive:
                await view.derive([doc])
    return fired


def _fire(planning: Planning, view: View, doc: Document) -> Doc:
    now = planning.now
    items = {(item["series"], item["dose_number"]): item for item in doc.state.get("plan", {}).get("items", [])}
    fired = 0
    for reminder_id, reminder in sorted(doc.state.get("reminders", {}).items()):
        if reminder["state"] != "armed" or reminder["fires_at"] > wire_instant(now):
            continue
        reminder["state"] = "fired"
        fired += 1
        item = items.get((reminder["series"], reminder["dose_number"]), {})
        doc.emit(
            ReminderDue(
                reminder_id=reminder_id,
                kind=reminder["kind"],
                series=reminder["series"],
                dose_number=reminder["dose_number"],
                recommended=kept.day(item.get("recommended")),
                free_until=kept.day(item.get("free_until")),
            ),
            now,
        )
    view.mark_derived(doc)
    return {"fired": fired}
