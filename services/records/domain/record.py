"""One child's record (母子健康手帳の記録), and how each fact changes it.

The record is nothing but its facts applied in order: today's from the store, any earlier one from the archive.
"""

import copy
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Literal, TypeVar

from shared.events.base import Event
from shared.events.records import (
    AccessGranted,
    AccessRevoked,
    AdverseReactionRecorded,
    AdverseReactionRetracted,
    AllergyRecorded,
    AllergyRetracted,
    CheckupRecorded,
    CheckupRetracted,
    ChildCorrected,
    ChildDied,
    ChildEvent,
    ChildFacts,
    ChildMoved,
    ChildRegistered,
    ChildrenMerged,
    ChildrenUnmerged,
    ConditionRecorded,
    ConditionRetracted,
    ConsentGiven,
    ConsentWithdrawn,
    CutOffLifted,
    DeathRetracted,
    Dose,
    DoseCorrected,
    DoseRecorded,
    DoseRetracted,
    GrowthMeasured,
    GrowthRetracted,
    GuardianAdded,
    GuardianCutOff,
    GuardianRemoved,
    MilestoneRecorded,
    MilestoneRetracted,
    MoveAnnounced,
    MoveCancelled,
    MoveConfirmed,
    QuestionnaireFiled,
    Relation,
    Residence,
    Section,
    StayEnded,
    StayPlanned,
    StayStarted,
)

E = TypeVar("E", bound=Event)
Proof = Literal["code", "registration", "staff"]


@dataclass(frozen=True, slots=True)
class Share:
    """What an invited relative may read, and until which day (inclusive)."""

    relation: Relation
    sections: tuple[Section, ...]
    until: date


@dataclass(frozen=True, slots=True)
class GuardianCode:
    """A one-time code that was issued for this child, known here by its hash only.

    `issued_by` is the guardian whose invitation it is, none for a municipality's; with `share` it binds a relative.
    """

    expires_at: datetime
    used_by: str | None = None
    issued_by: str | None = None
    share: Share | None = None


@dataclass(slots=True)
class Record:
    """What is known of one child. Retracted doses are kept: what was once written stays to be seen."""

    facts: ChildFacts
    confirmed_by_register: bool = False
    guardians: dict[str, Proof] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    grants: dict[str, AccessGranted] = field(default_factory=dict)
    doses: dict[str, Dose] = field(default_factory=dict)
    retracted_doses: dict[str, Dose] = field(default_factory=dict)
    checkups: dict[str, CheckupRecorded] = field(default_factory=dict)
    retracted_checkups: dict[str, CheckupRecorded] = field(default_factory=dict)
    reactions: dict[str, AdverseReactionRecorded] = field(default_factory=dict)
    retracted_reactions: dict[str, AdverseReactionRecorded] = field(default_factory=dict)
    allergies: dict[str, AllergyRecorded] = field(default_factory=dict)
    retracted_allergies: dict[str, AllergyRecorded] = field(default_factory=dict)
    milestones: dict[str, MilestoneRecorded] = field(default_factory=dict)
    retracted_milestones: dict[str, MilestoneRecorded] = field(default_factory=dict)
    growth: dict[str, GrowthMeasured] = field(default_factory=dict)
    retracted_growth: dict[str, GrowthMeasured] = field(default_factory=dict)
    conditions: dict[str, ConditionRecorded] = field(default_factory=dict)
    retracted_conditions: dict[str, ConditionRecorded] = field(default_factory=dict)
    consents: dict[str, ConsentGiven] = field(default_factory=dict)
    questionnaires: dict[str, QuestionnaireFiled] = field(default_factory=dict)
    stays: dict[str, StayPlanned] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    move: MoveAnnounced | None = None
    move_confirmed: bool = False
    codes: dict[str, GuardianCode] = field(default_factory=dict)
    death: ChildDied | None = None
    lived: list[Residence] = field(default_factory=list)

    @property
    def died_on(self) -> date | None:
        """The day of the child's death, while it is told."""
        return self.death.died_on if self.death is not None else None


def opened(event: ChildRegistered) -> Record:
    """The record as its first fact opens it."""
    record = Record(event.child, confirmed_by_register=event.by.role in {"staff", "system"})
    record.guardians.update(dict.fromkeys(event.guardians, "registration"))
    record.lived = list(event.residences)
    return record


def as_first(cls: type[E], event: E) -> E:
    """The entry as it stands, told as if it had been recorded so: a correction says the whole of it."""
    return event if type(event) is cls else cls.model_validate(event.model_dump())


def copy_of(record: Record) -> Record:
    """Another one, to try facts on."""
    return Record(**{one.name: copy.copy(getattr(record, one.name)) for one in fields(record)})


def apply(record: Record, event: ChildEvent) -> None:
    """Let one fact change the record."""
    match event:
        case ChildCorrected():
            record.facts = event.child
            record.confirmed_by_register |= event.by.role in {"staff", "system"}
        case DoseRecorded() | DoseCorrected():
            record.doses[event.dose.id] = event.dose
        case DoseRetracted():
            record.retracted_doses[event.dose_id] = record.doses.pop(event.dose_id)
        case CheckupRecorded():
            record.checkups[event.checkup_id] = as_first(CheckupRecorded, event)
        case CheckupRetracted():
            record.retracted_checkups[event.checkup_id] = record.checkups.pop(event.checkup_id)
        case AdverseReactionRecorded():
            record.reactions[event.reaction_id] = as_first(AdverseReactionRecorded, event)
        case AdverseReactionRetracted():
            record.retracted_reactions[event.reaction_id] = record.reactions.pop(event.reaction_id)
        case AllergyRecorded():
            record.allergies[event.allergy_id] = event
        case AllergyRetracted():
            record.retracted_allergies[event.allergy_id] = record.allergies.pop(event.allergy_id)
        case MilestoneRecorded():
            record.milestones[event.milestone_id] = event
        case MilestoneRetracted():
            record.retracted_milestones[event.milestone_id] = record.milestones.pop(event.milestone_id)
        case GrowthMeasured():
            record.growth[event.measurement_id] = as_first(GrowthMeasured, event)
        case GrowthRetracted():
            record.retracted_growth[event.measurement_id] = record.growth.pop(event.measurement_id)
        case ConditionRecorded():
            record.conditions[event.condition_id] = event
        case ConditionRetracted():
            record.retracted_conditions[event.condition_id] = record.conditions.pop(event.condition_id)
        case GuardianAdded():
            record.guardians[event.guardian] = event.proven_by
        case GuardianRemoved():
            record.guardians.pop(event.guardian, None)
            record.cut_off.discard(event.guardian)
        case GuardianCutOff():
            record.cut_off.add(event.guardian)
        case CutOffLifted():
            record.cut_off.discard(event.guardian)
        case AccessGranted():
            record.grants[event.grant_id] = event
        case AccessRevoked():
            record.grants.pop(event.grant_id, None)
        case ConsentGiven():
            record.consents[event.organisation] = event
        case ConsentWithdrawn():
            record.consents.pop(event.organisation, None)
        case QuestionnaireFiled():
            record.questionnaires[event.response_id] = event
        case ChildMoved():
            left = Residence(
                municipality=event.from_municipality,
                since=record.lived[-1].until if record.lived else None,
                until=event.effective_on,
                name=record.facts.name,
            )
            record.lived.append(left)
            record.facts = record.facts.model_copy(update={"municipality": event.to_municipality})
            record.move, record.move_confirmed = None, False
        case MoveAnnounced():
            record.move, record.move_confirmed = event, False
        case MoveConfirmed():
            record.move_confirmed = True
        case MoveCancelled():
            record.move, record.move_confirmed = None, False
        case StayPlanned():
            record.stays[event.stay_id] = event
        case StayStarted():
            record.begun.add(event.stay_id)
        case StayEnded():
            record.stays.pop(event.stay_id, None)
            record.begun.discard(event.stay_id)
        case ChildrenMerged():
            pass  # what it brought follows as this record's own facts
        case ChildrenUnmerged():
            for family, keys in event.removed.items():
                for key in keys:
                    getattr(record, family).pop(key, None)
        case ChildDied():
            record.death = event
        case DeathRetracted():
            record.death = None
        case _:
            raise ValueError(f"{event.event_type()} changes no record")
