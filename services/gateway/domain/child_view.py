"""What the gateway knows of a child, built from the record's events and from answered questionnaires.

Everything here is a pure function on the view's `state` (plain JSON values, dates as text):

    facts            birth_date, sex, name, municipality, district, gestation_days, birth_weight_g, twin_group
    facts_revision   revision of the last change of what a clinic sees of the child itself
    guardians        sorted list of opaque ids
    proofs           guardian -> how they were proven
    cut_off          those of them from whom address and whereabouts are hidden (支援措置)
    grants           id -> {relative, relation, sections, until}
    stays            id -> {municipality, clinics, since, until, begun}
    merged           closed records that this one stands for
    residences       the towns that it left: [{municipality, since, until, name as it was then}]
    move             an announced move: {move_id, to_municipality, effective_on, confirmed}
    held, held_at    who is being refused while a permission of theirs is taken away: primary data, see holds.py
    consents         organisation -> {kind, purpose, until, revision, feed}; `feed`: the clinic had a topic when it was given
    doses            id -> dose as in the event, and `revision` of its last change
    retracted_doses  the same, of doses that were entered in error
    checkups, growth, conditions, reactions, allergies, milestones, responses   id -> the fact
    questionnaires   response id -> what a clinic's feed needs of it, and the doctor's decision
    answers          response id -> its answers, kept only until the named clinic has them
    feeds            clinic -> {open, sent: {thing -> version}}: primary data, see clinic_feed.py
    municipality     the town of residence
    alive, died_on
    plan_relevant    revision of the last event that can change the plan
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from services.gateway.domain import residence
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events.base import Event

State = dict[str, Any]
Apply = Callable[[State, Any, int], None]


def known(state: State) -> bool:
    """Whether the record itself has arrived; a questionnaire may come before it."""
    return "facts" in state


def in_force(consent: State, today: date) -> bool:
    """Whether the consent holds on this day; its last day is part of it."""
    until = consent.get("until")
    return until is None or date.fromisoformat(until) >= today


def consented(state: State, organisation: str, today: date) -> bool:
    """Whether the organisation has this child's consent in force."""
    consent = state.get("consents", {}).get(organisation)
    return consent is not None and in_force(consent, today)


def readers(state: State) -> dict[str, str | None]:
    """Who may find this child in a list: `guardian:<id>`, `clinic:<id>`, `municipality:<code>` -> last day, if any."""
    if not known(state):
        return {}
    found: dict[str, str | None] = {}
    for grant in state.get("grants", {}).values():
        reader = f"guardian:{grant['relative']}"
        found[reader] = max(grant["until"], found.get(reader) or "")
    found |= {f"guardian:{guardian}": None for guardian in state["guardians"]}
    for organisation, consent in state.get("consents", {}).items():
        found[f"{consent['kind']}:{organisation}"] = consent.get("until")
    found[f"municipality:{state['municipality']}"] = None
    if state.get("move"):
        found[f"arriving:{state['move']['to_municipality']}"] = None
    return found


def refused_now(state: State) -> frozenset[str]:
    """The readers of whom a permission is being taken away: refused before it is known whether the owner took it away."""
    return frozenset(one["reader"] for one in state.get("held", ()))


def sections_of(state: State, relative: str, today: date) -> frozenset[str]:
    """The sections that a relative may read today."""
    return frozenset(
        section
        for grant in state.get("grants", {}).values()
        if grant["relative"] == relative and in_force(grant, today)
        for section in grant["sections"]
    )


# The record -------------------------------------------------------------------------------------------------------


def _registered(state: State, event: r.ChildRegistered, revision: int) -> None:
    state["guardians"] = sorted({*state.get("guardians", ()), *event.guardians})
    state["alive"] = True
    if event.restored_from is not None:
        state["merged"] = [event.restored_from]
    if event.residences:
        state["residences"] = [one.model_dump(mode="json") for one in event.residences]
    _facts(state, event.child, revision)


def _corrected(state: State, event: r.ChildCorrected, revision: int) -> None:
    _facts(state, event.child, revision)


def _facts(state: State, child: r.ChildFacts, revision: int) -> None:
    state["facts"] = child.model_dump(mode="json", exclude_none=True)
    state["municipality"] = child.municipality
    state["facts_revision"] = revision


def _move_announced(state: State, event: r.MoveAnnounced, revision: int) -> None:
    state["move"] = {**event.model_dump(mode="json", exclude={"by"}), "confirmed": not event.to_be_confirmed}


def _move_confirmed(state: State, event: r.MoveConfirmed, revision: int) -> None:
    if state.get("move"):
        state["move"]["confirmed"] = True


def _move_cancelled(state: State, event: r.MoveCancelled, revision: int) -> None:
    state.pop("move", None)


def _stay_planned(state: State, event: r.StayPlanned, revision: int) -> None:
    stay = event.model_dump(mode="json", exclude={"by", "stay_id"})
    state.setdefault("stays", {})[event.stay_id] = {**stay, "begun": False}


def _stay_started(state: State, event: r.StayStarted, revision: int) -> None:
    if event.stay_id in state.get("stays", {}):
        state["stays"][event.stay_id]["begun"] = True


def _stay_ended(state: State, event: r.StayEnded, revision: int) -> None:
    state.get("stays", {}).pop(event.stay_id, None)


def _moved(state: State, event: r.ChildMoved, revision: int) -> None:
    state.pop("move", None)
    residence.left(state, event.from_municipality, event.effective_on)
    state["municipality"] = event.to_municipality
    if known(state):
        state["facts"] = {**state["facts"], "municipality": event.to_municipality}


def _merged(state: State, event: r.ChildrenMerged, revision: int) -> None:
    state.setdefault("merged", []).append(event.other)


def _unmerged(state: State, event: r.ChildrenUnmerged, revision: int) -> None:
    state.setdefault("restored", {})[event.other] = event.restored_as
    state["merged"] = [one for one in state.get("merged", ()) if one != event.other]
    for response, one in list(state.get("questionnaires", {}).items()):
        if one.get("came_with") == event.other:
            del state["questionnaires"][response]
            state.get("answers", {}).pop(response, None)
    for dose_id in event.removed.get("doses", ()):
        dose = state.get("doses", {}).pop(dose_id, None)
        if dose is not None:
            # To the clinics it was entered in error here; they are told of it again under the other child.
            retracted = {**dose, "revision": revision, "reason": "unmerged"}
            state.setdefault("retracted_doses", {})[dose_id] = retracted
    for owners, ours in (
        ("checkups", "checkups"),
        ("growth", "growth"),
        ("conditions", "conditions"),
        ("reactions", "reactions"),
        ("allergies", "allergies"),
        ("milestones", "milestones"),
        ("questionnaires", "responses"),
    ):
        for key in event.removed.get(owners, ()):
            state.get(ours, {}).pop(key, None)


def _merged_away(state: State, event: r.MergedAway, revision: int) -> None:
    """No consent and no guardian is left; what the clinics' feeds need to end is, until they have ended (see `close`)."""
    state.update(merged_into=event.into, guardians=[], consents={}, grants={}, cut_off=[])
    state.pop("move", None)


def close(state: State) -> None:
    """A tombstone: which record it became part of, how far the clinics were told, and the questionnaires begun for it."""
    names = ("merged_into", "merged", "restored", "feeds", "held", "held_at", "questionnaires", "answers")
    kept: State = {name: state[name] for name in names if name in state}
    state.clear()
    state.update(kept)


def take_over(state: State, closed: State, came_with: str) -> bool:
    """Let the record that stands for a closed one have its questionnaires; whether there was anything new.

    What clinics were told of them under the closed record they know: a withdrawal is told to them, nothing twice.
    """
    mine = state.setdefault("questionnaires", {})
    fresh = {
        response: one
        for response, one in closed.get("questionnaires", {}).items()
        if response not in mine or _age(mine[response]) < _age(one)
    }
    for response, one in fresh.items():
        mine[response] = {**one, "came_with": came_with}
        state.setdefault("answers", {}).pop(response, None)
        if response in closed.get("answers", {}):
            state["answers"][response] = closed["answers"][response]
        for clinic, feed in closed.get("feeds", {}).items():
            for thing in (f"answers:{response}", f"decision:{response}"):
                if thing in feed["sent"]:
                    own = state.setdefault("feeds", {}).setdefault(clinic, {"open": False, "sent": {}})
                    own["sent"].setdefault(thing, feed["sent"][thing])
    return bool(fresh)


def _age(filed: State) -> int:
    return max(int(filed.get("revision", 0)), int(filed.get("decision", {}).get("revision", 0)))


def _died(state: State, event: r.ChildDied, revision: int) -> None:
    state.update(alive=False, died_on=event.died_on.isoformat(), facts_revision=revision)


def _death_retracted(state: State, event: r.DeathRetracted, revision: int) -> None:
    state.update(alive=True, facts_revision=revision)
    state.pop("died_on", None)


def _retracted(state: State, event: r.ChildRetracted, revision: int) -> None:
    """Nothing is left but what the feeds have sent: a clinic that was told is told no more."""
    feeds = state.get("feeds")
    state.clear()
    state.update(alive=False, **({"feeds": feeds} if feeds else {}))


def _dose(state: State, event: r.DoseRecorded | r.DoseCorrected, revision: int) -> None:
    dose = event.dose
    state.setdefault("doses", {})[dose.id] = {**dose.model_dump(mode="json", exclude_none=True), "revision": revision}


def _dose_retracted(state: State, event: r.DoseRetracted, revision: int) -> None:
    dose = state.get("doses", {}).pop(event.dose_id, None)
    if dose is not None:
        state.setdefault("retracted_doses", {})[event.dose_id] = {**dose, "revision": revision, "reason": event.reason}


def _checkup(state: State, event: r.CheckupRecorded, revision: int) -> None:
    _keep(state, "checkups", event.checkup_id, event, revision, "checkup_id")


def _checkup_corrected(state: State, event: r.CheckupCorrected, revision: int) -> None:
    _keep(state, "checkups", event.checkup_id, event, revision, "checkup_id", "reason")


def _checkup_retracted(state: State, event: r.CheckupRetracted, revision: int) -> None:
    state.get("checkups", {}).pop(event.checkup_id, None)


def _reaction(state: State, event: r.AdverseReactionRecorded, revision: int) -> None:
    _keep(state, "reactions", event.reaction_id, event, revision, "reaction_id", "reason")


def _allergy(state: State, event: r.AllergyRecorded, revision: int) -> None:
    _keep(state, "allergies", event.allergy_id, event, revision, "allergy_id")


def _milestone(state: State, event: r.MilestoneRecorded, revision: int) -> None:
    _keep(state, "milestones", event.milestone_id, event, revision, "milestone_id")


def _reaction_retracted(state: State, event: r.AdverseReactionRetracted, revision: int) -> None:
    state.get("reactions", {}).pop(event.reaction_id, None)


def _allergy_retracted(state: State, event: r.AllergyRetracted, revision: int) -> None:
    state.get("allergies", {}).pop(event.allergy_id, None)


def _milestone_retracted(state: State, event: r.MilestoneRetracted, revision: int) -> None:
    state.get("milestones", {}).pop(event.milestone_id, None)


def _growth(state: State, event: r.GrowthMeasured, revision: int) -> None:
    _keep(state, "growth", event.measurement_id, event, revision, "measurement_id")


def _growth_retracted(state: State, event: r.GrowthRetracted, revision: int) -> None:
    state.get("growth", {}).pop(event.measurement_id, None)


def _condition(state: State, event: r.ConditionRecorded, revision: int) -> None:
    _keep(state, "conditions", event.condition_id, event, revision, "condition_id")


def _condition_retracted(state: State, event: r.ConditionRetracted, revision: int) -> None:
    state.get("conditions", {}).pop(event.condition_id, None)


def _filed(state: State, event: r.QuestionnaireFiled, revision: int) -> None:
    _keep(state, "responses", event.response_id, event, revision, "response_id")


def _keep(state: State, family: str, key: str, event: Event, revision: int, *without: str) -> None:
    fact = event.model_dump(mode="json", exclude_none=True, exclude={*without, "by"})
    state.setdefault(family, {})[key] = {**fact, "id": key, "revision": revision}


def _guardian_added(state: State, event: r.GuardianAdded, revision: int) -> None:
    state["guardians"] = sorted({*state.get("guardians", ()), event.guardian})
    # A list, not a map: a subject comes from outside and is no key for the store.
    proof = {"guardian": event.guardian, "proven_by": event.proven_by, "invited": event.invited_by is not None}
    state["proofs"] = [*(one for one in state.get("proofs", ()) if one["guardian"] != event.guardian), proof]


def _guardian_removed(state: State, event: r.GuardianRemoved, revision: int) -> None:
    state["guardians"] = [one for one in state.get("guardians", ()) if one != event.guardian]
    state["proofs"] = [one for one in state.get("proofs", ()) if one["guardian"] != event.guardian]
    state["cut_off"] = [one for one in state.get("cut_off", ()) if one != event.guardian]
    _no_longer_held(state, f"guardian:{event.guardian}")


def _cut_off(state: State, event: r.GuardianCutOff, revision: int) -> None:
    state["cut_off"] = sorted({*state.get("cut_off", ()), event.guardian})
    _no_longer_held(state, f"guardian:{event.guardian}")


def _cut_off_lifted(state: State, event: r.CutOffLifted, revision: int) -> None:
    state["cut_off"] = [one for one in state.get("cut_off", ()) if one != event.guardian]


def _granted(state: State, event: r.AccessGranted, revision: int) -> None:
    state.setdefault("grants", {})[event.grant_id] = event.model_dump(mode="json", exclude={"grant_id", "by"})


def _revoked(state: State, event: r.AccessRevoked, revision: int) -> None:
    state.get("grants", {}).pop(event.grant_id, None)
    _no_longer_held(state, f"guardian:{event.relative}")


def _no_longer_held(state: State, reader: str) -> None:
    """What the hold waited for is here."""
    hold(state, [one for one in state.get("held", ()) if one["reader"] != reader])


def hold(state: State, held: list[State]) -> None:
    """These holds and no others; `held_at` is how those that were left behind are found."""
    if held:
        state.update(held=held, held_at=min(one["at"] for one in held))
    else:
        state.pop("held", None)
        state.pop("held_at", None)


def _consent_given(state: State, event: r.ConsentGiven, revision: int) -> None:
    state.setdefault("consents", {})[event.organisation] = {
        "kind": event.kind,
        "purpose": event.purpose,
        "until": event.until.isoformat() if event.until else None,
        "revision": revision,
        **({"stay": event.stay} if event.stay else {}),
    }


def _consent_withdrawn(state: State, event: r.ConsentWithdrawn, revision: int) -> None:
    consent = state.get("consents", {}).pop(event.organisation, None)
    if consent is not None:
        _no_longer_held(state, f"{consent['kind']}:{event.organisation}")


RECORD: dict[type[Event], Apply] = {
    r.ChildRegistered: _registered,
    r.ChildCorrected: _corrected,
    r.ChildMoved: _moved,
    r.MoveAnnounced: _move_announced,
    r.MoveConfirmed: _move_confirmed,
    r.MoveCancelled: _move_cancelled,
    r.StayPlanned: _stay_planned,
    r.StayStarted: _stay_started,
    r.StayEnded: _stay_ended,
    r.ChildrenMerged: _merged,
    r.ChildrenUnmerged: _unmerged,
    r.MergedAway: _merged_away,
    r.ChildDied: _died,
    r.DeathRetracted: _death_retracted,
    r.ChildRetracted: _retracted,
    r.DoseRecorded: _dose,
    r.DoseCorrected: _dose,
    r.DoseRetracted: _dose_retracted,
    r.CheckupRecorded: _checkup,
    r.CheckupCorrected: _checkup_corrected,
    r.CheckupRetracted: _checkup_retracted,
    r.AdverseReactionRecorded: _reaction,
    r.AdverseReactionCorrected: _reaction,
    r.AdverseReactionRetracted: _reaction_retracted,
    r.AllergyRecorded: _allergy,
    r.AllergyRetracted: _allergy_retracted,
    r.MilestoneRecorded: _milestone,
    r.MilestoneRetracted: _milestone_retracted,
    r.GrowthMeasured: _growth,
    r.GrowthCorrected: _growth,
    r.GrowthRetracted: _growth_retracted,
    r.ConditionRecorded: _condition,
    r.ConditionRetracted: _condition_retracted,
    r.QuestionnaireFiled: _filed,
    r.GuardianAdded: _guardian_added,
    r.GuardianRemoved: _guardian_removed,
    r.GuardianCutOff: _cut_off,
    r.CutOffLifted: _cut_off_lifted,
    r.AccessGranted: _granted,
    r.AccessRevoked: _revoked,
    r.ConsentGiven: _consent_given,
    r.ConsentWithdrawn: _consent_withdrawn,
}
"""What each event of the record changes."""

PLAN_RELEVANT: frozenset[type[Event]] = frozenset(
    {
        r.ChildRegistered,
        r.ChildCorrected,
        r.ChildMoved,
        r.ChildDied,
        r.DeathRetracted,
        r.ChildrenUnmerged,
        r.ChildRetracted,
        r.DoseRecorded,
        r.DoseCorrected,
        r.DoseRetracted,
        r.CheckupRecorded,
        r.CheckupCorrected,
        r.CheckupRetracted,
        r.ConditionRecorded,
        r.ConditionRetracted,
    }
)
"""After these the schedule counts anew and says so: a read of the plan may wait for it."""


# Questionnaires ---------------------------------------------------------------------------------------------------


def _submitted(state: State, event: q.QuestionnaireSubmitted, revision: int, response: str) -> None:
    before = state.setdefault("questionnaires", {}).get(response, {})
    state["questionnaires"][response] = {
        **before,
        "form": event.form,
        "form_version": event.form_version,
        "clinic": event.clinic,
        "submitted_at": event.model_dump(mode="json")["submitted_at"],
        "revision": revision,
        "status": "submitted",
        "again": before.get("status") == "submitted",
    }
    if event.clinic is not None:
        state.setdefault("answers", {})[response] = [
            answer.model_dump(mode="json", exclude_none=True, exclude={"asked_as"}) for answer in event.answers
        ]


def _decided(state: State, event: q.TriageDecided, revision: int, response: str) -> None:
    filed = state.setdefault("questionnaires", {}).setdefault(response, {"status": "unknown", "clinic": None})
    filed["decision"] = {
        **event.model_dump(
            mode="json", include={"organisation", "decision", "explained", "decided_at", "temperature_c"}
        ),
        "revision": revision,
    }


def _response_withdrawn(state: State, event: q.ResponseWithdrawn, revision: int, response: str) -> None:
    filed = state.get("questionnaires", {}).get(response)
    if filed is not None:
        filed.update(status="withdrawn", revision=revision)
    state.get("answers", {}).pop(response, None)


RESPONSES: dict[type[Event], Callable[[State, Any, int, str], None]] = {
    q.QuestionnaireSubmitted: _submitted,
    q.TriageDecided: _decided,
    q.ResponseWithdrawn: _response_withdrawn,
}
"""What each event of a questionnaire changes in its child's document."""


def apply_record(state: State, event: Event, revision: int) -> None:
    """Apply one event of the record, in its order."""
    RECORD[type(event)](state, event, revision)
    if type(event) in PLAN_RELEVANT:
        state["plan_relevant"] = revision


def apply_response(state: State, event: Event, revision: int, response: str) -> None:
    """Apply one event of a questionnaire, in that response's order."""
    RESPONSES[type(event)](state, event, revision, response)
