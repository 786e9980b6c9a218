"""What schedule listens to."""

from collections.abc import Sequence

from services.schedule import store as kept
from services.schedule.commands.planning import Planning
from services.schedule.commands.recounting import recount
from shared.clock import tokyo_day
from shared.documents import Document
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events.base import Envelope
from shared.runtime import Runtime
from shared.views import Rejected, View

RELEVANT = frozenset(
    cls.event_type()
    for cls in (
        r.ChildRegistered,
        r.ChildCorrected,
        r.DoseRecorded,
        r.DoseCorrected,
        r.DoseRetracted,
        r.CheckupRecorded,
        r.CheckupCorrected,
        r.CheckupRetracted,
        r.ConditionRecorded,
        r.ConditionRetracted,
        r.ChildMoved,
        r.GuardianCutOff,
        r.CutOffLifted,
        r.ChildDied,
        r.DeathRetracted,
        r.ChildrenUnmerged,
        r.MergedAway,
        r.ChildRetracted,
        r.PregnancyRegistered,
        r.PregnancyCorrected,
        r.PregnancyMoved,
        r.PregnancyCheckupRecorded,
        r.PregnancyCheckupCorrected,
        r.PregnancyCheckupRetracted,
        r.MaternalDoseRecorded,
        r.MaternalDoseCorrected,
        r.MaternalDoseRetracted,
        r.PregnancyEnded,
        r.PregnancyLossRetracted,
    )
)
"""The facts after which a plan is counted anew and announced or confirmed."""


def subscribe(runtime: Runtime, planning: Planning) -> View:
    """Wire every subscription; the plan view comes back."""

    def finish(doc: Document, done: Sequence[Envelope]) -> None:
        if any(envelope.type in RELEVANT for envelope in done):
            recount(planning, doc, after_events=True)

    plans = View(
        planning.plans,
        {
            r.ChildRegistered: child_registered,
            r.ChildCorrected: child_corrected,
            r.DoseRecorded: dose_recorded,
            r.DoseCorrected: dose_recorded,
            r.DoseRetracted: dose_retracted,
            r.CheckupRecorded: checkup_recorded,
            r.CheckupCorrected: checkup_recorded,
            r.CheckupRetracted: checkup_retracted,
            r.ConditionRecorded: condition_recorded,
            r.ConditionRetracted: condition_retracted,
            r.AllergyRecorded: allergy_recorded,
            r.AllergyRetracted: allergy_retracted,
            r.AdverseReactionRecorded: reaction_recorded,
            r.AdverseReactionCorrected: reaction_recorded,
            r.AdverseReactionRetracted: reaction_retracted,
            r.GuardianAdded: guardian_added,
            r.GuardianRemoved: guardian_removed,
            r.GuardianCutOff: guardian_cut_off,
            r.CutOffLifted: cut_off_lifted,
            r.AccessGranted: access_granted,
            r.AccessRevoked: access_revoked,
            r.ConsentGiven: consent_given,
            r.ConsentWithdrawn: consent_withdrawn,
            r.ChildMoved: child_moved,
            r.ChildDied: child_died,
            r.PregnancyRegistered: pregnancy_registered,
            r.PregnancyCorrected: pregnancy_corrected,
            r.PregnancyMoved: pregnancy_moved,
            r.PregnancyCheckupRecorded: pregnancy_checkup_recorded,
            r.PregnancyCheckupCorrected: pregnancy_checkup_recorded,
            r.PregnancyCheckupRetracted: checkup_retracted,
            r.MaternalDoseRecorded: dose_recorded,
            r.MaternalDoseCorrected: dose_recorded,
            r.MaternalDoseRetracted: dose_retracted,
            r.PregnancyEnded: pregnancy_ended,
            r.PregnancyLossRetracted: pregnancy_loss_retracted,
            r.DeathRetracted: death_retracted,
            r.ChildrenUnmerged: children_unmerged,
            r.MergedAway: merged_away,
            r.ChildRetracted: merged_away,
        },
        finish=finish,
        derived=kept.PLAN_DERIVED,
        owns="reminders that fired, follow-ups and the stream schedule.plan",
    )
    consents = View(
        runtime.documents(kept.CONSENTS),
        {
            q.QuestionnaireSubmitted: questionnaire_submitted,
            q.ConsentDecided: consent_decided,
            q.ResponseWithdrawn: withdrawn,
        },
        derived=kept.CONSENT_DERIVED,
    )
    runtime.follow(r.ChildEvent.topic(), plans)
    runtime.follow(r.PregnancyEvent.topic(), plans)
    runtime.follow(q.ResponseEvent.topic(), consents)
    return plans


def child_registered(doc: Document, event: r.ChildRegistered, envelope: Envelope) -> None:
    doc.tenant = event.child.municipality
    doc.state.update({"child": _facts(event.child), "guardians": dict.fromkeys(event.guardians, True)})


def child_corrected(doc: Document, event: r.ChildCorrected, envelope: Envelope) -> None:
    doc.tenant = event.child.municipality
    doc.state["child"] = _facts(event.child)


def _facts(child: r.ChildFacts) -> dict[str, object]:
    """What the rules need; names stay with records."""
    return {
        "birth_date": child.birth_date.isoformat(),
        "sex": child.sex,
        "municipality": child.municipality,
        "gestation_days": child.gestation_days,
    }


def dose_recorded(
    doc: Document,
    event: r.DoseRecorded | r.DoseCorrected | r.MaternalDoseRecorded | r.MaternalDoseCorrected,
    envelope: Envelope,
) -> None:
    _known(doc)
    dose = event.dose
    doc.state.setdefault("doses", {})[dose.id] = {
        "given_on": dose.given_on.isoformat(),
        "code": dose.code,
        "product": dose.product,
        "lot": dose.lot,
        "expires_on": dose.expires_on.isoformat() if dose.expires_on else None,
        "provenance": dose.provenance,
        "superseded_by": dose.superseded_by,
    }


def dose_retracted(doc: Document, event: r.DoseRetracted | r.MaternalDoseRetracted, envelope: Envelope) -> None:
    doc.state.get("doses", {}).pop(event.dose_id, None)


def checkup_recorded(doc: Document, event: r.CheckupRecorded, envelope: Envelope) -> None:
    _known(doc)
    doc.state.setdefault("checkups", {})[event.checkup_id] = {"kind": event.kind, "done_on": event.done_on.isoformat()}


def checkup_retracted(
    doc: Document, event: r.CheckupRetracted | r.PregnancyCheckupRetracted, envelope: Envelope
) -> None:
    doc.state.get("checkups", {}).pop(event.checkup_id, None)


def condition_recorded(doc: Document, event: r.ConditionRecorded, envelope: Envelope) -> None:
    _known(doc)
    doc.state.setdefault("conditions", {})[event.condition_id] = {
        "code": event.code,
        "since": event.since.isoformat() if event.since else None,
    }


def condition_retracted(doc: Document, event: r.ConditionRetracted, envelope: Envelope) -> None:
    doc.state.get("conditions", {}).pop(event.condition_id, None)


def allergy_recorded(doc: Document, event: r.AllergyRecorded, envelope: Envelope) -> None:
    _known(doc)
    doc.state.setdefault("allergies", {})[event.allergy_id] = {
        "substance": event.substance,
        "grave": event.criticality == "high",
        "sure": event.provenance != "guardian",
    }


def allergy_retracted(doc: Document, event: r.AllergyRetracted, envelope: Envelope) -> None:
    doc.state.get("allergies", {}).pop(event.allergy_id, None)


def reaction_recorded(
    doc: Document, event: r.AdverseReactionRecorded | r.AdverseReactionCorrected, envelope: Envelope
) -> None:
    _known(doc)
    doc.state.setdefault("reactions", {})[event.reaction_id] = {
        "dose": event.dose_id,
        "symptom": event.symptom,
        "began_on": tokyo_day(event.began_at).isoformat(),
        "sure": event.provenance != "guardian",
    }


def reaction_retracted(doc: Document, event: r.AdverseReactionRetracted, envelope: Envelope) -> None:
    doc.state.get("reactions", {}).pop(event.reaction_id, None)


def guardian_added(doc: Document, event: r.GuardianAdded, envelope: Envelope) -> None:
    doc.state.setdefault("guardians", {})[event.guardian] = True


def guardian_removed(doc: Document, event: r.GuardianRemoved, envelope: Envelope) -> None:
    doc.state.get("guardians", {}).pop(event.guardian, None)
    doc.state.get("cut_off", {}).pop(event.guardian, None)


def guardian_cut_off(doc: Document, event: r.GuardianCutOff, envelope: Envelope) -> None:
    """The guardian goes on reading when doses are due, and from nothing in it where the child lives (支援措置)."""
    doc.state.setdefault("cut_off", {})[event.guardian] = True


def cut_off_lifted(doc: Document, event: r.CutOffLifted, envelope: Envelope) -> None:
    doc.state.get("cut_off", {}).pop(event.guardian, None)


def access_granted(doc: Document, event: r.AccessGranted, envelope: Envelope) -> None:
    if "plan" in event.sections:
        until = event.until.isoformat()
        doc.state.setdefault("grants", {})[event.grant_id] = {"relative": event.relative, "until": until}


def access_revoked(doc: Document, event: r.AccessRevoked, envelope: Envelope) -> None:
    doc.state.get("grants", {}).pop(event.grant_id, None)


def consent_given(doc: Document, event: r.ConsentGiven, envelope: Envelope) -> None:
    doc.state.setdefault("consents", {})[event.organisation] = {
        "kind": event.kind,
        "until": event.until.isoformat() if event.until else None,
    }


def consent_withdrawn(doc: Document, event: r.ConsentWithdrawn, envelope: Envelope) -> None:
    doc.state.get("consents", {}).pop(event.organisation, None)


def child_moved(doc: Document, event: r.ChildMoved, envelope: Envelope) -> None:
    _known(doc)
    doc.tenant = event.to_municipality
    doc.state["child"]["municipality"] = event.to_municipality


def children_unmerged(doc: Document, event: r.ChildrenUnmerged, envelope: Envelope) -> None:
    for family in ("doses", "checkups", "conditions", "allergies", "reactions"):
        for key in event.removed.get(family, ()):
            doc.state.get(family, {}).pop(key, None)


def merged_away(doc: Document, event: r.MergedAway | r.ChildRetracted, envelope: Envelope) -> None:
    """Another record's plan counts everything, or there never was a child: this one is nobody's, and nothing of it is left."""
    doc.state.update(silenced=True, guardians={}, consents={}, grants={}, doses={}, checkups={}, conditions={})
    for family in ("allergies", "reactions", "cut_off"):
        doc.state.pop(family, None)
    if "child" in doc.state:
        doc.state["child"] = {"municipality": doc.state["child"]["municipality"]}


def child_died(doc: Document, event: r.ChildDied, envelope: Envelope) -> None:
    doc.state["silenced"] = True


def death_retracted(doc: Document, event: r.DeathRetracted, envelope: Envelope) -> None:
    doc.state.pop("silenced", None)


def pregnancy_registered(doc: Document, event: r.PregnancyRegistered, envelope: Envelope) -> None:
    """The woman has a plan of her own, counted from the expected date of delivery."""
    doc.tenant = event.municipality
    doc.state.update(
        {
            "child": {
                "birth_date": None,
                "sex": "F",
                "municipality": event.municipality,
                "expected_delivery": event.expected_delivery.isoformat(),
            },
            "guardians": {event.guardian: True},
        }
    )


def pregnancy_corrected(doc: Document, event: r.PregnancyCorrected, envelope: Envelope) -> None:
    _known(doc)
    doc.state["child"]["expected_delivery"] = event.expected_delivery.isoformat()


def pregnancy_moved(doc: Document, event: r.PregnancyMoved, envelope: Envelope) -> None:
    _known(doc)
    doc.tenant = event.to_municipality
    doc.state["child"]["municipality"] = event.to_municipality


def pregnancy_checkup_recorded(doc: Document, event: r.PregnancyCheckupRecorded, envelope: Envelope) -> None:
    _known(doc)
    done = {"kind": "pregnancy_checkup", "done_on": event.done_on.isoformat()}
    doc.state.setdefault("checkups", {})[event.checkup_id] = done


def pregnancy_ended(doc: Document, event: r.PregnancyEnded, envelope: Envelope) -> None:
    """After a birth her own checkups (産婦健診) count from that day; after a loss nothing is said any more.

    The expected day stays: a dose against RSV is judged by it, not by a birth that came sooner or later.
    """
    _known(doc)
    if event.outcome == "loss":
        doc.state["silenced"] = True
    else:
        doc.state["child"] |= {"delivered_on": event.ended_on.isoformat(), "born": True}


def pregnancy_loss_retracted(doc: Document, event: r.PregnancyLossRetracted, envelope: Envelope) -> None:
    doc.state.pop("silenced", None)


def _known(doc: Document) -> None:
    if "child" not in doc.state:
        raise Rejected("child-unknown")


def questionnaire_submitted(doc: Document, event: q.QuestionnaireSubmitted, envelope: Envelope) -> None:
    doc.state.update({"child": event.child, "vaccine": event.vaccine})


def consent_decided(doc: Document, event: q.ConsentDecided, envelope: Envelope) -> None:
    doc.state.update({"child": event.child, "vaccine": event.vaccine, "consent": event.consent})


def withdrawn(doc: Document, event: q.ResponseWithdrawn, envelope: Envelope) -> None:
    doc.state.update({"consent": None})
