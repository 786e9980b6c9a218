"""What notify listens to."""

from functools import partial
from typing import Any

from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.contacts import Contacts, follow_families
from services.notify.commands.fanout import PAGES_AT_ONCE, expand_pages, push_pages
from services.notify.commands.reminders import Reminders, deliver_reminders, push_reminders
from services.notify.domain.audience import LOW_BIRTH_WEIGHT_G, TERM_DAYS
from shared.delivery import Each
from shared.documents import Document
from shared.events import gateway as g
from shared.events import records as r
from shared.events import schedule as s
from shared.events.base import Envelope
from shared.events.notify import FanoutPage, UrgentFanoutPage
from shared.runtime import Runtime
from shared.views import Rejected, View

TO_DO = frozenset({"due", "overdue", "upcoming"})


def subscribe(runtime: Runtime, notices: Notices, reminders: Reminders, contacts: Contacts) -> View:
    """Wire every subscription; the view of families comes back."""
    families = View(
        reminders.families,
        {
            r.ChildRegistered: child_registered,
            r.ChildCorrected: child_corrected,
            r.GuardianAdded: guardian_added,
            r.GuardianRemoved: guardian_removed,
            r.GuardianCutOff: guardian_cut_off,
            r.CutOffLifted: cut_off_lifted,
            r.ChildMoved: child_moved,
            r.ChildDied: child_died,
            r.DeathRetracted: death_retracted,
            r.MergedAway: merged_away,
            r.ChildRetracted: merged_away,
            s.PlanChanged: plan_changed,
        },
        derived=kept.FAMILY_DERIVED,
    )
    pregnancies = View(
        runtime.documents(kept.PREGNANCIES),
        {
            r.PregnancyRegistered: pregnancy_registered,
            r.PregnancyCorrected: pregnancy_corrected,
            r.PregnancyMoved: pregnancy_moved,
            r.PregnancyEnded: pregnancy_ended,
            r.PregnancyLossRetracted: pregnancy_loss_retracted,
        },
        derived=kept.FAMILY_DERIVED,
    )
    towns = View(
        runtime.documents(kept.TOWNS),
        {
            g.MunicipalityOpened: municipality_opened,
            g.StaffAssigned: staff_assigned,
            g.StaffRemoved: staff_removed,
        },
    )
    runtime.follow(g.DirectoryEvent.topic(), towns)
    known = Each("contacts", partial(follow_families, contacts))
    runtime.follow(r.ChildEvent.topic(), families, known)
    runtime.follow(r.PregnancyEvent.topic(), pregnancies, known)
    # The families first: a reminder is for the guardians that are known by then.
    runtime.follow(
        s.PlanEvent.topic(), families, Each("reminders", partial(deliver_reminders, reminders)), patient=True
    )
    runtime.follow(
        s.PlanEvent.topic(),
        Each("reminder-pushes", partial(push_reminders, reminders)),
        group="plan-push",
        patient=True,
    )
    for lane in (FanoutPage, UrgentFanoutPage):
        inbox = Each(f"{lane.stream}.inbox", partial(expand_pages, notices))
        pushes = Each(f"{lane.stream}.push", partial(push_pages, notices))
        runtime.follow(lane.topic(), inbox, max_records=PAGES_AT_ONCE)
        runtime.follow(lane.topic(), pushes, group=f"{lane.stream}-push", max_records=1)
    return families


def municipality_opened(doc: Document, event: g.MunicipalityOpened, envelope: Envelope) -> None:
    doc.state["name"] = event.name


def staff_assigned(doc: Document, event: g.StaffAssigned, envelope: Envelope) -> None:
    staff_removed(doc, event, envelope)
    doc.state["staff"].append({"subject": event.staff, "profession": event.profession})


def staff_removed(doc: Document, event: g.StaffRemoved | g.StaffAssigned, envelope: Envelope) -> None:
    doc.state["staff"] = [one for one in doc.state.get("staff", ()) if one["subject"] != event.staff]


def child_registered(doc: Document, event: r.ChildRegistered, envelope: Envelope) -> None:
    _is(doc, event.child)
    doc.state["guardians"] = dict.fromkeys(event.guardians, True)


def child_corrected(doc: Document, event: r.ChildCorrected, envelope: Envelope) -> None:
    _is(doc, event.child)


def _is(doc: Document, child: r.ChildFacts) -> None:
    """What audiences ask for; names stay with records."""
    attributes = {
        "twin": child.twin_group is not None,
        "preterm": child.gestation_days is not None and child.gestation_days < TERM_DAYS,
        "low_birth_weight": child.birth_weight_g is not None and child.birth_weight_g < LOW_BIRTH_WEIGHT_G,
    }
    facts = {
        "birth_date": child.birth_date.isoformat(),
        "municipality": child.municipality,
        "district": child.district,
        "attributes": sorted(name for name, holds in attributes.items() if holds),
    }
    _lives(doc, "child", facts)


def _lives(doc: Document, kind: str, facts: dict[str, Any]) -> None:
    """Keep the facts, and the towns that it has left: its line there has to be emptied."""
    before, now = doc.state.get(kind, facts)["municipality"], facts["municipality"]
    if before != now or "left" in doc.state:
        doc.state["left"] = sorted({*doc.state.get("left", ()), before} - {now})
    doc.state[kind] = facts


def guardian_added(doc: Document, event: r.GuardianAdded, envelope: Envelope) -> None:
    doc.state.setdefault("guardians", {})[event.guardian] = True


def guardian_removed(doc: Document, event: r.GuardianRemoved, envelope: Envelope) -> None:
    doc.state.get("cut_off", {}).pop(event.guardian, None)
    doc.state.get("guardians", {}).pop(event.guardian, None)


def guardian_cut_off(doc: Document, event: r.GuardianCutOff, envelope: Envelope) -> None:
    """Whoever hears of this child's town or dates could find it: nothing more reaches this guardian (支援措置)."""
    if doc.state.setdefault("guardians", {}).pop(event.guardian, None):
        doc.state.setdefault("cut_off", {})[event.guardian] = True


def cut_off_lifted(doc: Document, event: r.CutOffLifted, envelope: Envelope) -> None:
    if doc.state.get("cut_off", {}).pop(event.guardian, None):
        doc.state.setdefault("guardians", {})[event.guardian] = True


def child_moved(doc: Document, event: r.ChildMoved, envelope: Envelope) -> None:
    if "child" not in doc.state:
        raise Rejected("child-unknown")
    # The new town's register will say which of its districts it is.
    _lives(doc, "child", {**doc.state["child"], "municipality": event.to_municipality, "district": None})


def merged_away(doc: Document, event: r.MergedAway | r.ChildRetracted, envelope: Envelope) -> None:
    """Nothing is left of it but where its lines have to be emptied; guardians are told as those of the other record."""
    towns = {*doc.state.get("left", ()), *([doc.state["child"]["municipality"]] if "child" in doc.state else ())}
    doc.state = {"silenced": True, "left": sorted(towns)}


def child_died(doc: Document, event: r.ChildDied, envelope: Envelope) -> None:
    doc.state["silenced"] = True


def death_retracted(doc: Document, event: r.DeathRetracted, envelope: Envelope) -> None:
    doc.state.pop("silenced", None)


def pregnancy_registered(doc: Document, event: r.PregnancyRegistered, envelope: Envelope) -> None:
    _lives(doc, "pregnancy", {"expected": event.expected_delivery.isoformat(), "municipality": event.municipality})
    doc.state["guardians"] = {event.guardian: True}


def pregnancy_corrected(doc: Document, event: r.PregnancyCorrected, envelope: Envelope) -> None:
    if "pregnancy" not in doc.state:
        raise Rejected("pregnancy-unknown")
    doc.state["pregnancy"] = {**doc.state["pregnancy"], "expected": event.expected_delivery.isoformat()}


def pregnancy_moved(doc: Document, event: r.PregnancyMoved, envelope: Envelope) -> None:
    if "pregnancy" not in doc.state:
        raise Rejected("pregnancy-unknown")
    _lives(doc, "pregnancy", {**doc.state["pregnancy"], "municipality": event.to_municipality})


def pregnancy_ended(doc: Document, event: r.PregnancyEnded, envelope: Envelope) -> None:
    # After a loss nothing cheerful follows; after a birth the child has a line of its own.
    # Of the mother's own checkups she is still reminded, unless there was a loss.
    doc.state.update(silenced=True, lost=event.outcome == "loss")


def pregnancy_loss_retracted(doc: Document, event: r.PregnancyLossRetracted, envelope: Envelope) -> None:
    doc.state.pop("silenced", None)
    doc.state.pop("lost", None)


def plan_changed(doc: Document, event: s.PlanChanged, envelope: Envelope) -> None:
    # Of two lines of one series (a season's two doses) the later one is still to do.
    doc.state["due"] = {item.series: item.status for item in event.items}
    doc.state["dates"] = [
        item.model_dump(mode="json", include={"series", "dose_number", "recommended", "free_until"})
        for item in event.items
        if item.status in TO_DO and (item.recommended or item.free_until)
    ]
    doc.state["to_do"] = sorted(f"{i.series}:{i.dose_number}" for i in event.items if i.status in TO_DO)
