"""What notify listens to."""

from functools import partial

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.fanout import expand_pages, push_pages
from services.notify.commands.reminders import Reminders, deliver_reminders, push_reminders
from shared.delivery import Each
from shared.documents import Document
from shared.events import records as r
from shared.events import schedule as s
from shared.events.base import Envelope
from shared.events.notify import FanoutPage, UrgentFanoutPage
from shared.service import Runtime
from shared.views import Rejected, View

TO_DO = frozenset({"due", "overdue", "upcoming"})


def subscribe(runtime: Runtime, notices: Notices, reminders: Reminders) -> View:
    """Wire every subscription; the view of families comes back."""
    families = View(
        reminders.families,
        {
            r.ChildRegistered: child_registered,
            r.ChildCorrected: child_corrected,
            r.GuardianAdded: guardian_added,
            r.GuardianRemoved: guardian_removed,
            r.ChildMoved: child_moved,
            r.ChildDied: child_died,
            s.PlanChanged: plan_changed,
        },
        derived=kept.FAMILY_DERIVED,
    )
    runtime.follow(r.ChildEvent.topic(), families)
    # The families first: a reminder is for the guardians that are known by then.
    runtime.follow(s.PlanEvent.topic(), families, Each("reminders", partial(deliver_reminders, reminders)))
    runtime.follow(s.PlanEvent.topic(), Each("reminder-pushes", partial(push_reminders, reminders)), group="plan-push")
    for lane in (FanoutPage, UrgentFanoutPage):
        inbox = Each(f"{lane.stream}.inbox", partial(expand_pages, notices))
        pushes = Each(f"{lane.stream}.push", partial(push_pages, notices))
        runtime.follow(lane.topic(), inbox, max_records=4)
        runtime.follow(lane.topic(), pushes, group=f"{lane.stream}-push", max_records=1)
    return families


def child_registered(doc: Document, event: r.ChildRegistered, envelope: Envelope) -> None:
    doc.state["child"] = _facts(event.child)
    doc.state["guardians"] = dict.fromkeys(event.guardians, True)


def child_corrected(doc: Document, event: r.ChildCorrected, envelope: Envelope) -> None:
    doc.state["child"] = _facts(event.child)


def _facts(child: r.ChildFacts) -> dict[str, object]:
    """What audiences ask for; names stay with records."""
    return {
        "birth_date": child.birth_date.isoformat(),
        "municipality": child.municipality,
        "district": child.district,
    }


def guardian_added(doc: Document, event: r.GuardianAdded, envelope: Envelope) -> None:
    doc.state.setdefault("guardians", {})[event.guardian] = True


def guardian_removed(doc: Document, event: r.GuardianRemoved, envelope: Envelope) -> None:
    doc.state.get("guardians", {}).pop(event.guardian, None)


def child_moved(doc: Document, event: r.ChildMoved, envelope: Envelope) -> None:
    if "child" not in doc.state:
        raise Rejected("child-unknown")
    # The new town's register will say which of its districts it is.
    doc.state["child"] |= {"municipality": event.to_municipality, "district": None}


def child_died(doc: Document, event: r.ChildDied, envelope: Envelope) -> None:
    doc.state["silenced"] = True


def plan_changed(doc: Document, event: s.PlanChanged, envelope: Envelope) -> None:
    # Of two lines of one series (a season's two doses) the later one is still to do.
    doc.state["due"] = {item.series: item.status for item in event.items}
    doc.state["to_do"] = sorted(f"{i.series}:{i.dose_number}" for i in event.items if i.status in TO_DO)
