"""Facts about a child's and a pregnancy's record. Owner: records."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from shared.events.base import Data, Event

Sex = Literal["F", "M", "U"]
Provenance = Literal["clinic", "municipality", "guardian"]
Relation = Literal["grandparent", "relative", "friend", "carer"]
Section = Literal["plan", "doses", "growth", "checkups", "diary"]


class PersonName(Data):
    """A name as written and as read; the reading (フリガナ) is in full-width katakana."""

    family: str
    given: str
    family_kana: str
    given_kana: str


class Actor(Data):
    """Who did it: the principal's opaque id, its role, and the organisation it acted for."""

    subject: str
    role: Literal["guardian", "clinic", "staff", "system", "operator"]
    organisation: str | None = None


class ChildFacts(Data):
    """What is known of a child itself. `municipality` is the town of residence (住民票)."""

    birth_date: date
    sex: Sex
    name: PersonName
    municipality: str
    district: str | None = None
    gestation_days: int | None = Field(default=None, description="Completed days of gestation at birth")
    birth_weight_g: int | None = None
    twin_group: str | None = Field(default=None, description="The same opaque id on children of one birth")


class Residence(Data):
    """A town that the child left: since when it lived there (none: from the start), until which day, under which name."""

    municipality: str
    since: date | None = None
    until: date
    name: PersonName


class VaccineCode(Data):
    """A vaccine as coded by its recorder: HOT13, HOT9, YJ, CVX or Hagukumi's own list."""

    system: str
    code: str


class Dose(Data):
    """One administered dose (接種記録). `code` is Hagukumi's vaccine code, `cvx` its CVX bridge."""

    id: str
    given_on: date
    code: str
    cvx: str | None = None
    vaccine: VaccineCode | None = None
    product: str | None = None
    lot: str | None = None
    expires_on: date | None = None
    site: str | None = Field(default=None, description="A code of the value set, or words")
    route: str | None = Field(default=None, description="A code of the value set, e.g. subcutaneous")
    dose_ml: float | None = None
    hot: str | None = Field(default=None, description="MEDIS code of the product (HOT9 or HOT13), where it is known")
    performer: str | None = None
    provenance: Provenance
    organisation: str | None = Field(default=None, description="The clinic or municipality that recorded it")
    recorded_at: datetime
    superseded_by: str | None = Field(default=None, description="The clinic's dose that took the place of a guardian's")


class ChildEvent(Event):
    """A fact about one child, keyed by the child."""

    stream = "records.child"
    readers = ("schedule", "questionnaire", "notify", "gateway")


class ChildRegistered(ChildEvent):
    """A child's record was opened, by a municipality's birth notice, its staff or a guardian."""

    child: ChildFacts
    guardians: tuple[str, ...] = ()
    restored_from: str | None = Field(default=None, description="The closed record that this one stands for again")
    residences: tuple[Residence, ...] = Field(default=(), description="The towns that a restored child had left before")
    by: Actor


class ChildCorrected(ChildEvent):
    """The child's own facts were put right; carries all of them."""

    child: ChildFacts
    reason: str
    by: Actor


class DoseRecorded(ChildEvent):
    """A dose was recorded by a clinic, a municipality or a guardian."""

    dose: Dose
    by: Actor


class DoseCorrected(ChildEvent):
    """A recorded dose was put right; carries the dose as it now stands."""

    dose: Dose
    reason: str
    by: Actor


class DoseRetracted(ChildEvent):
    """A recorded dose was withdrawn (entered in error); it no longer counts."""

    dose_id: str
    reason: str
    by: Actor


CheckupResult = Literal["normal", "watch", "examine", "treat"]


class CheckupFinding(Data):
    """What was found at a checkup (所見): a code of the value set, and words."""

    code: str
    text: str | None = None


class CheckupRecorded(ChildEvent):
    """A checkup was done (健康診査), with what was measured (kg, cm) and found. `kind` is one of schedule's codes, e.g. checkup_18m."""

    checkup_id: str
    kind: str
    done_on: date
    result: CheckupResult | None = None
    findings: tuple[CheckupFinding, ...] = ()
    follow_up: str | None = Field(default=None, description="What is to be done, and where")
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None
    provenance: Provenance | None = None
    organisation: str | None = None
    by: Actor


class CheckupCorrected(CheckupRecorded):
    """A recorded checkup was put right; carries the checkup as it now stands, under whoever recorded it."""

    reason: str


class CheckupRetracted(ChildEvent):
    """A recorded checkup was withdrawn (entered in error): the child is to be examined as if it had not been."""

    checkup_id: str
    reason: str
    by: Actor


class GrowthMeasured(ChildEvent):
    """Weight, length, head or chest were measured. Units: kg and cm."""

    measurement_id: str
    measured_on: date
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None
    provenance: Provenance | None = None
    organisation: str | None = None
    by: Actor


class GrowthCorrected(GrowthMeasured):
    """A measurement was put right (a slip of the pen, another day); carries it as it now stands, under whoever measured."""

    reason: str


class GrowthRetracted(ChildEvent):
    """A measurement was withdrawn (entered in error): it stands on no curve any more."""

    measurement_id: str
    reason: str
    by: Actor


class ConditionRecorded(ChildEvent):
    """A disease had, a contraindication or another observation that rules may ask for (CDSi observation)."""

    condition_id: str
    code: str
    since: date | None = None
    by: Actor


class ConditionRetracted(ChildEvent):
    """A recorded condition was entered in error."""

    condition_id: str
    reason: str
    by: Actor


ReactionOutcome = Literal["resolved", "recovering", "ongoing", "resolved_with_sequelae", "fatal", "unknown"]
Criticality = Literal["low", "high", "unknown"]


class AdverseReactionRecorded(ChildEvent):
    """What was seen after a dose and may come from it (副反応疑い); by the clinic, the town or a guardian. `symptom` is of the value set."""

    reaction_id: str
    dose_id: str
    symptom: str
    text: str | None = None
    began_at: datetime
    serious: bool = Field(description="In hospital, in danger of life, or with lasting harm")
    outcome: ReactionOutcome
    provenance: Provenance
    organisation: str | None = None
    by: Actor


class AdverseReactionCorrected(AdverseReactionRecorded):
    """A recorded reaction was put right; carries it as it now stands, under whoever recorded it."""

    reason: str


class AdverseReactionRetracted(ChildEvent):
    """A recorded reaction was withdrawn (entered in error)."""

    reaction_id: str
    reason: str
    by: Actor


class AllergyRecorded(ChildEvent):
    """An allergy was recorded; `substance` is of the value set. Schedule's pre-check looks whether a vaccine holds it."""

    allergy_id: str
    substance: str
    criticality: Criticality
    since: date | None = None
    text: str | None = None
    provenance: Provenance
    organisation: str | None = None
    by: Actor


class AllergyRetracted(ChildEvent):
    """A recorded allergy was withdrawn: entered in error, or outgrown."""

    allergy_id: str
    reason: str
    by: Actor


class MilestoneRecorded(ChildEvent):
    """The child did something for the first time (できたよ): a step of development that the handbook's pages ask for."""

    milestone_id: str
    milestone: str
    reached_on: date
    about: bool = Field(default=False, description="The day is about right (頃)")
    provenance: Provenance
    organisation: str | None = None
    by: Actor


class MilestoneRetracted(ChildEvent):
    """A recorded step was withdrawn (entered in error)."""

    milestone_id: str
    reason: str
    by: Actor


class QuestionnaireFiled(ChildEvent):
    """A submitted questionnaire was filed in the child's record; the answers stay with questionnaire."""

    response_id: str
    form: str
    form_version: str
    submitted_at: datetime


class GuardianAdded(ChildEvent):
    """A guardian was bound to the child. `proven_by` says how (one-time code, registration); `invited_by` whose code it was."""

    guardian: str
    proven_by: Literal["code", "registration", "staff"]
    invited_by: str | None = Field(default=None, description="The guardian whose invitation the code was, if any")


class GuardianRemoved(ChildEvent):
    """A guardian is no longer bound to the child."""

    guardian: str
    reason: str


class GuardianCutOff(ChildEvent):
    """The municipality hides address and whereabouts from this guardian (支援措置); why is known to nobody but the town."""

    guardian: str
    by: Actor


class CutOffLifted(ChildEvent):
    """The municipality ended the measure: the guardian reads as every other one does."""

    guardian: str
    by: Actor


class AccessGranted(ChildEvent):
    """A guardian lets a relative read these sections until a day (inclusive); it is in force once the one-time code was used."""

    grant_id: str
    relative: str
    relation: Relation
    sections: tuple[Section, ...]
    until: date
    by: Actor


class AccessRevoked(ChildEvent):
    """A relative's permission was taken back."""

    grant_id: str
    relative: str
    by: Actor


class ConsentGiven(ChildEvent):
    """The guardian let an organisation read this child's record for a purpose, for a time."""

    organisation: str
    kind: Literal["clinic", "municipality"]
    purpose: str
    until: date | None = None
    stay: str | None = Field(default=None, description="The stay (里帰り) that lends the record, to write as well")
    by: Actor


class ConsentWithdrawn(ChildEvent):
    """The guardian took the permission back: nothing later of this child reaches that organisation (G12)."""

    organisation: str
    by: Actor


class MoveAnnounced(ChildEvent):
    """The town of residence announced a move (転出); the new town confirms it if it is on the platform."""

    move_id: str
    from_municipality: str
    to_municipality: str
    effective_on: date
    to_be_confirmed: bool
    by: Actor


class MoveConfirmed(ChildEvent):
    """The new town confirmed a move (転入); ChildMoved follows on its day."""

    move_id: str
    by: Actor


class MoveCancelled(ChildEvent):
    """One of the two towns took an announced move back."""

    move_id: str
    by: Actor


class StayPlanned(ChildEvent):
    """The record will be lent to another town and its clinics from the first to the last day (里帰り)."""

    stay_id: str
    municipality: str
    clinics: tuple[str, ...]
    since: date
    until: date
    by: Actor


class StayStarted(ChildEvent):
    """A stay began: the consents that lend the record follow, and carry its id."""

    stay_id: str
    municipality: str
    until: date


class StayEnded(ChildEvent):
    """A stay ended, on its day, earlier, or because the child moved there; its consents are withdrawn with it."""

    stay_id: str
    municipality: str
    ended_on: date
    reason: Literal["over", "ended", "moved"]


class ChildMoved(ChildEvent):
    """The child's residence changed (転出・転入)."""

    from_municipality: str
    to_municipality: str
    effective_on: date
    by: Actor


class ChildrenMerged(ChildEvent):
    """Another record of the same child became part of this one; what it held follows as this child's own facts.

    `carried` names it by family. The other record closes with MergedAway, and its id is never used again.
    """

    other: str
    other_revision: int = Field(description="The last revision of the other record before it closed")
    carried: dict[str, tuple[str, ...]]
    reason: str
    by: Actor


class MergedAway(ChildEvent):
    """This record became part of another one: nothing comes after this event, and nothing is left to read here."""

    into: str
    by: Actor


class ChildrenUnmerged(ChildEvent):
    """A merge was a mistake: the entries `removed` are not this child's; they stand in the new record `restored_as`."""

    other: str
    restored_as: str
    removed: dict[str, tuple[str, ...]]
    reason: str
    by: Actor


class ChildRetracted(ChildEvent):
    """The record was opened in error (an import that was undone): whoever shows it shows nothing of it any more."""

    reason: str
    by: Actor


class ChildDied(ChildEvent):
    """The child died: a guardian, or the town of residence, says so; every cheerful message stops everywhere."""

    died_on: date
    by: Actor


class DeathRetracted(ChildEvent):
    """The death was told wrongly and is taken back, by the town or by a guardian whose family told it: all goes on as before."""

    reason: str
    by: Actor


class PregnancyEvent(Event):
    """A fact about one pregnancy, keyed by the pregnancy."""

    stream = "records.pregnancy"
    readers = ("schedule", "notify", "gateway")


class PregnancyRegistered(PregnancyEvent):
    """A pregnancy was notified (妊娠届) to the town, by the woman herself or at its desk, and the town has confirmed it."""

    guardian: str
    municipality: str
    expected_delivery: date
    by: Actor


class PregnancyCorrected(PregnancyEvent):
    """The expected date of delivery was put right."""

    expected_delivery: date
    reason: str
    by: Actor


class PregnancyMoved(PregnancyEvent):
    """The woman lives in another town, which has confirmed it: notices and checkups are that town's from now on."""

    from_municipality: str
    to_municipality: str
    by: Actor


class PregnancyConsentGiven(PregnancyEvent):
    """The woman lends the pregnancy's record to a clinic or another town (里帰り), to read and to write, until a day (inclusive)."""

    organisation: str
    kind: Literal["clinic", "municipality"]
    until: date
    by: Actor


class PregnancyConsentWithdrawn(PregnancyEvent):
    """The woman took that back: the organisation reads and writes no more."""

    organisation: str
    by: Actor


UrineTest = Literal["negative", "trace", "1+", "2+", "3+"]


class PregnancyCheckupRecorded(PregnancyEvent):
    """A checkup of the pregnancy (妊婦健診) took place; by the woman from her paper, the town, or a clinic that she trusts."""

    checkup_id: str
    done_on: date
    weight_kg: float | None = None
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    fundal_height_cm: float | None = None
    urine_protein: UrineTest | None = None
    urine_sugar: UrineTest | None = None
    result: Literal["normal", "watch", "treat"] | None = None
    organisation: str | None = None
    by: Actor


class PregnancyCheckupCorrected(PregnancyCheckupRecorded):
    """A recorded checkup was put right; carries it as it now stands, under whoever recorded it."""

    reason: str


class PregnancyCheckupRetracted(PregnancyEvent):
    """A recorded checkup was withdrawn (entered in error)."""

    checkup_id: str
    reason: str
    by: Actor


class MaternalDoseRecorded(PregnancyEvent):
    """The woman was vaccinated for the child's sake (母子免疫); by the woman or the town, for schedule."""

    dose: Dose
    by: Actor


class MaternalDoseCorrected(PregnancyEvent):
    """A recorded dose of the woman's was put right; carries the dose as it now stands."""

    dose: Dose
    reason: str
    by: Actor


class MaternalDoseRetracted(PregnancyEvent):
    """A recorded dose of the woman's was withdrawn (entered in error); it no longer counts."""

    dose_id: str
    reason: str
    by: Actor


class PregnancyEnded(PregnancyEvent):
    """The pregnancy ended: in a birth, or in a loss that silences every cheerful message."""

    outcome: Literal["birth", "loss"]
    ended_on: date
    children: tuple[str, ...] = ()
    by: Actor


class PregnancyLossRetracted(PregnancyEvent):
    """A loss was told wrongly and is taken back: the pregnancy goes on as if nothing had been said, and messages with it."""

    reason: str
    by: Actor
