"""What happened to a record, as its readers may see it: what, when, by whom, why (記録の履歴)."""

from typing import Any

from services.records.domain.access import Role

CHECKUP = (
    "checkup_id",
    "kind",
    "done_on",
    "result",
    "findings",
    "follow_up",
    "weight_kg",
    "length_cm",
    "head_cm",
    "chest_cm",
    "organisation",
)
GROWTH = ("measurement_id", "measured_on", "weight_kg", "length_cm", "head_cm", "chest_cm")
REACTION = ("reaction_id", "dose_id", "symptom", "text", "began_at", "serious", "outcome", "provenance")
_MEDICAL: dict[str, tuple[str, ...]] = {
    "DoseRecorded": ("dose",),
    "DoseCorrected": ("dose", "reason"),
    "DoseRetracted": ("dose_id", "reason"),
    "CheckupRecorded": CHECKUP,
    "CheckupCorrected": (*CHECKUP, "reason"),
    "CheckupRetracted": ("checkup_id", "reason"),
    "AdverseReactionRecorded": REACTION,
    "AdverseReactionCorrected": (*REACTION, "reason"),
    "AdverseReactionRetracted": ("reaction_id", "reason"),
    "AllergyRecorded": ("allergy_id", "substance", "criticality", "since", "text", "provenance"),
    "AllergyRetracted": ("allergy_id", "reason"),
    "MilestoneRecorded": ("milestone_id", "milestone", "reached_on", "about", "provenance"),
    "MilestoneRetracted": ("milestone_id", "reason"),
    "GrowthMeasured": GROWTH,
    "GrowthCorrected": (*GROWTH, "reason"),
    "GrowthRetracted": ("measurement_id", "reason"),
    "ConditionRecorded": ("condition_id", "code", "since"),
    "ConditionRetracted": ("condition_id", "reason"),
    "QuestionnaireFiled": ("response_id", "form", "form_version", "submitted_at"),
    "ChildDied": ("died_on",),
    "DeathRetracted": ("reason",),
}
_FAMILY: dict[str, tuple[str, ...]] = {
    **_MEDICAL,
    "ChildRegistered": ("child",),
    "ChildCorrected": ("child", "reason"),
    "GuardianAdded": ("proven_by",),
    "GuardianRemoved": ("reason",),
    "AccessGranted": ("grant_id", "relation", "sections", "until"),
    "AccessRevoked": ("grant_id",),
    "ConsentGiven": ("organisation", "kind", "purpose", "until"),
    "ConsentWithdrawn": ("organisation",),
    "ChildrenMerged": ("other", "reason"),
    "ChildrenUnmerged": ("other", "restored_as", "reason"),
    "MoveAnnounced": ("from_municipality", "to_municipality", "effective_on"),
    "MoveConfirmed": (),
    "MoveCancelled": (),
    "StayPlanned": ("stay_id", "municipality", "clinics", "since", "until"),
    "StayStarted": ("stay_id", "municipality", "until"),
    "StayEnded": ("stay_id", "municipality", "ended_on", "reason"),
    "ChildMoved": ("from_municipality", "to_municipality", "effective_on"),
}
# That somebody is cut off (支援措置) is the town's to know: a shared screen must not tell it.
_TOWN: dict[str, tuple[str, ...]] = {**_FAMILY, "GuardianCutOff": (), "CutOffLifted": ()}
SEEN_BY: dict[Role, dict[str, tuple[str, ...]]] = {
    "guardian": _FAMILY,
    "staff": _TOWN,
    "system": _TOWN,
    # A clinic reads what it treats by; who else was trusted, and where the family lived, is not its business.
    "clinic": _MEDICAL,
}
"""Fields of each fact by role; what is not named here is not shown. Subjects of people are shown to nobody."""


def line(role: Role, kind: str, revision: int, at: str, fact: dict[str, Any]) -> dict[str, Any] | None:
    """One line of the history for this role, or None for a fact that it does not see."""
    fields = SEEN_BY.get(role, {}).get(kind)
    if fields is None:
        return None
    by = fact.get("by")
    return {
        "revision": revision,
        "at": at,
        "what": kind,
        "by": {key: by[key] for key in ("role", "organisation") if key in by} if by else None,
        **{name: fact[name] for name in fields if name in fact},
    }
