"""Kafka in: what questionnaire learns of children, to know who may answer for them."""

from collections.abc import Callable
from typing import Any

from services.questionnaire.domain.children import GivenDose, KnownChild, full_name
from services.questionnaire.store import child_of, keep_child
from shared.documents import Document, Documents
from shared.events import records
from shared.events.base import Envelope, Event
from shared.events.records import ChildEvent, ChildFacts
from shared.runtime import Runtime
from shared.views import Rejected, View


def subscribe(runtime: Runtime, children: Documents) -> View:
    """Follow records.child.v1 into the view of children."""
    view = children_view(children)
    runtime.follow(ChildEvent.topic(), view, patient=True)
    return view


def children_view(children: Documents) -> View:
    """The view of children: head data, guardians, consents, and the doses that were given."""
    return View(
        children,
        {
            records.ChildRegistered: _registered,
            records.ChildCorrected: _to_child(lambda child, event: _facts(child, event.child)),
            records.ChildMoved: _to_child(_moved),
            records.GuardianAdded: _to_child(lambda child, event: child.guardians.add(event.guardian)),
            records.GuardianRemoved: _to_child(lambda child, event: child.guardians.discard(event.guardian)),
            # Answers name addresses and clinics: one from whom they are hidden (支援措置) reads none, and gives none.
            records.GuardianCutOff: _to_child(lambda child, event: child.guardians.discard(event.guardian)),
            records.CutOffLifted: _to_child(lambda child, event: child.guardians.add(event.guardian)),
            records.ConsentGiven: _to_child(lambda child, event: child.consent_given(event)),
            records.ConsentWithdrawn: _to_child(lambda child, event: child.consents.pop(event.organisation, None)),
            records.ChildrenMerged: _to_child(lambda child, event: child.others.add(event.other)),
            records.ChildrenUnmerged: _to_child(_unmerged),
            records.MergedAway: _to_child(_merged_away),
            records.DoseRecorded: _to_child(_dose),
            records.DoseCorrected: _to_child(_dose),
            records.ChildRetracted: _retracted,
            records.DoseRetracted: _to_child(lambda child, event: child.doses.pop(event.dose_id, None)),
        },
    )


def _to_child(change: Callable[[KnownChild, Any], object]) -> Callable[[Document, Event, Envelope], None]:
    def apply(doc: Document, event: Event, envelope: Envelope) -> None:
        if not doc.state:
            raise Rejected("child-not-registered")
        child = child_of(doc.state)
        change(child, event)
        keep_child(doc, child)

    return apply


def _registered(doc: Document, event: records.ChildRegistered, envelope: Envelope) -> None:
    guardians = set(event.guardians)
    if event.by.role == "guardian":
        guardians.add(event.by.subject)
    name, kana = full_name(event.child.name)
    child = KnownChild(
        event.child.birth_date, event.child.sex, name, kana, event.child.municipality, guardians=guardians
    )
    if event.restored_from is not None:
        child.others.add(event.restored_from)
    keep_child(doc, child)


def _facts(child: KnownChild, facts: ChildFacts) -> None:
    child.birth_date = facts.birth_date
    child.sex = facts.sex
    child.name, child.name_kana = full_name(facts.name)
    child.municipality = facts.municipality


def _moved(child: KnownChild, event: records.ChildMoved) -> None:
    child.municipality = event.to_municipality


def _unmerged(child: KnownChild, event: records.ChildrenUnmerged) -> None:
    child.others.discard(event.other)
    child.restored[event.other] = event.restored_as
    for dose in event.removed.get("doses", ()):
        child.doses.pop(dose, None)


def _merged_away(child: KnownChild, event: records.MergedAway) -> None:
    """Nobody reads or answers here any more; its responses are read with the record that it became part of."""
    child.guardians.clear()
    child.consents.clear()
    child.merged_into = event.into


def _retracted(doc: Document, event: records.ChildRetracted, envelope: Envelope) -> None:
    doc.state.clear()


def _dose(child: KnownChild, event: records.DoseRecorded | records.DoseCorrected) -> None:
    child.doses[event.dose.id] = GivenDose.of(event.dose)
