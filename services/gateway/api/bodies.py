"""Bodies and answers as the OpenAPI document describes them. Owners check them; here they are words for programmers."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.gateway.api.dev_clock import ClockBody
from services.gateway.api.dev_token import TokenWish
from services.gateway.api.directory import ClinicBody, MunicipalityBody, StaffBody
from services.gateway.api.places import PlaceBody
from shared.events.records import CheckupResult, Criticality, ReactionOutcome, Relation, Section, UrineTest
from shared.events.schedule import Reason, Why

Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Municipality = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
First = Literal[
    "smile",
    "laugh",
    "head_up",
    "roll_over",
    "sit",
    "crawl",
    "stand_holding",
    "cruise",
    "walk",
    "tooth",
    "solid_food",
    "word",
    "name",
    "wave",
    "sleep_through",
    "haircut",
    "shoes",
    "nursery",
    "toilet",
    "weaned",
    "other",
]
Why500 = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name100 = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer: fields may be added in later releases."""

    model_config = ConfigDict(extra="allow")


# Bodies -----------------------------------------------------------------------------------------------------------


class NameBody(Body):
    """A name as written and as read (フリガナ)."""

    family: Name100
    given: Name100
    family_kana: Name100
    given_kana: Name100


class ChildBody(Body):
    """A child's own facts. Gestation in completed days, weight in grams."""

    birth_date: date
    sex: Literal["F", "M", "U"]
    name: NameBody
    municipality: Municipality = Field(description="全国地方公共団体コード: 6 digits with check digit")
    district: Words | None = None
    gestation_days: int | None = Field(default=None, ge=140, le=320)
    birth_weight_g: int | None = Field(default=None, ge=200, le=8_000)
    twin_group: Token | None = None


class ChildCorrectionBody(ChildBody):
    """All of the child's own facts as they should be, and why."""

    reason: Why500


class Coding(Body):
    """A vaccine in a code system: CVX, MEDIS HOT9 or HOT13, or Hagukumi's own."""

    system: Words
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class DoseBody(Body):
    """One administered dose (接種記録); either `vaccine` or `cvx`. Volume in mL."""

    given_on: date
    vaccine: Coding | None = None
    cvx: str | None = None
    product: Name100 | None = None
    lot: Name100 | None = None
    expires_on: date | None = None
    site: Name100 | None = Field(default=None, description="A code (JAMI, HL7 v3-ActSite), or words")
    route: Literal["intramuscular", "subcutaneous", "intradermal", "percutaneous", "oral", "nasal"] | None = None
    dose_ml: float | None = None
    hot: str | None = Field(default=None, description="HOT9 or HOT13 of the product, beside `cvx`")
    performer: Name100 | None = None


class DoseCorrectionBody(DoseBody):
    """The dose as it should be, and why."""

    reason: Why500


class ReasonBody(Body):
    """Why something is withdrawn."""

    reason: Why500


class CheckupFindingBody(Body):
    """What was found (所見): a code of the value set, and words."""

    code: Token
    text: Words | None = None


class CheckupBody(Body):
    """A checkup that took place (健康診査), what was measured (kg, cm) and found, and what follows from it."""

    kind: Token
    done_on: date
    result: CheckupResult | None = None
    findings: list[CheckupFindingBody] = Field(default=[], max_length=30)
    follow_up: Why500 | None = None
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None


class CheckupCorrectionBody(CheckupBody):
    """The checkup as it should be, and why."""

    reason: Why500


class GrowthBody(Body):
    """A measurement: kg and cm, at least one."""

    measured_on: date
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None


class ConditionBody(Body):
    """A disease had, a contraindication or a certificate."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
    since: date | None = None


class ReactionBody(Body):
    """What was seen after a dose and may come from it (副反応疑い)."""

    dose: Token
    symptom: Token
    text: Words | None = None
    began_at: datetime
    serious: bool = False
    outcome: ReactionOutcome = "unknown"


class ReactionCorrectionBody(ReactionBody):
    """The reaction as it should be, and why."""

    reason: Why500


class AllergyBody(Body):
    """To what the child is allergic, and how dangerous the next contact would be."""

    substance: Token
    criticality: Criticality = "unknown"
    since: date | None = None
    text: Words | None = None


class MilestoneBody(Body):
    """What the child did first (できたよ), and when; `about` for a day that is about right."""

    milestone: Token
    reached_on: date
    about: bool = False


class DeathBody(Body):
    """On which day the child died; with the answer every cheerful message stops."""

    died_on: date


class PregnancyBody(Body):
    """A pregnancy; `guardian` is the woman's own id, which staff name and she herself may leave out."""

    guardian: Words | None = None
    municipality: Municipality
    expected_delivery: date


class ExpectedDeliveryBody(Body):
    """The expected date of delivery as it should be, and why."""

    expected_delivery: date
    reason: Why500


class PregnancyCheckupBody(Body):
    """A checkup: weight in kg, blood pressure in mmHg, height of the fundus in cm."""

    done_on: date
    weight_kg: float | None = Field(default=None, ge=25, le=250)
    systolic_mmhg: int | None = Field(default=None, ge=50, le=260)
    diastolic_mmhg: int | None = Field(default=None, ge=20, le=180)
    fundal_height_cm: float | None = Field(default=None, ge=5, le=60)
    urine_protein: UrineTest | None = None
    urine_sugar: UrineTest | None = None
    result: Literal["normal", "watch", "treat"] | None = None


class MaternalDoseBody(Body):
    """A dose against RSV (母子免疫ワクチン)."""

    given_on: date
    product: Words | None = None
    lot: str | None = None


class PregnancyCheckupCorrectionBody(PregnancyCheckupBody):
    """The checkup as it should be, and why."""

    reason: Why500


class MaternalDoseCorrectionBody(MaternalDoseBody):
    """The dose as it should be, and why."""

    reason: Why500


class NewbornBody(Body):
    """A child that was born; weight in grams."""

    sex: Literal["F", "M", "U"]
    name: NameBody
    district: Words | None = None
    birth_weight_g: int | None = Field(default=None, ge=200, le=8_000)


class OutcomeBody(Body):
    """How a pregnancy ended: a birth of one or several, or a loss."""

    outcome: Literal["birth", "loss"]
    ended_on: date
    children: list[NewbornBody] = []


class CodesBody(Body):
    """How many one-time codes to issue."""

    count: int = Field(default=1, ge=1, le=4)


class InvitationBody(Body):
    """Whom to invite: the other guardian, or a relative to some sections of the record until a day (inclusive)."""

    relation: Relation | Literal["guardian"]
    sections: list[Section] | None = Field(default=None, min_length=1, max_length=5)
    until: date | None = None


class LinkBody(Body):
    """A one-time code as it was handed over."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ConsentBody(Body):
    """What the organisation may read for, and until which day (inclusive)."""

    purpose: Words
    until: date | None = None
    kind: Literal["clinic", "municipality"] | None = None


class DiaryEntryBody(Body):
    """A day of the diary (育児日記): words, a first (できたよ記念日), and who of the family may read it."""

    on: date
    text: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = None
    first: First | None = None
    shared_with: Literal["author", "guardians", "family"] = "family"


class MoveBody(Body):
    """Where the child lives from which day on (転出・転入)."""

    to_municipality: Municipality
    effective_on: date


class StayBody(Body):
    """Where the child stays, which clinics there treat it, the first and the last day (里帰り)."""

    municipality: Municipality
    clinics: list[Token] = Field(default_factory=list, max_length=5)
    since: date
    until: date


class MergeBody(Body):
    """The record that is to become part of this one, and why."""

    other: Token
    reason: Why500


class PreCheckBody(Body):
    """What a clinic asks before the needle; `on` is the day of the dose, today unless said otherwise."""

    child: Token
    vaccine: Coding | None = None
    cvx: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")] | None = None
    product: Name100 | None = None
    lot: Annotated[str, StringConstraints(max_length=40)] | None = None
    expires_on: date | None = None
    on: date | None = None


class FollowUpBody(Body):
    """How far the follow-up is, and whose it is."""

    state: Literal["unseen", "contacted", "booked", "declined", "done_elsewhere", "moved"]
    responsible: Annotated[str, StringConstraints(max_length=64)] | None = None


class LotRecallBody(Body):
    """A lot that may no longer be given."""

    product: Name100
    lot: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    reason: Why500


class AnswerBody(Body):
    """One answer of a form."""

    link_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    value: Any = None


class ResponseBody(Body):
    """A response to begin. `vaccine`: Hagukumi's code, a CVX code, or a coding."""

    child: Token
    form: Token
    version: Annotated[str, StringConstraints(max_length=20)] | None = None
    vaccine: Annotated[str, StringConstraints(min_length=1, max_length=40)] | Coding | None = None
    clinic: Token | None = None
    answers: list[AnswerBody] | None = None


class AnswersBody(Body):
    """All answers of a draft."""

    answers: list[AnswerBody]


class NothingBody(Body):
    """No fields."""


class WithdrawalBody(Body):
    """Why the guardian takes it back: a code."""

    reason: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "withdrawn-by-guardian"


class DecisionBody(Body):
    """The doctor's decision (接種の可否)."""

    decision: Literal["go_ahead", "postpone", "never"]
    explained: bool
    note_code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] | None = None
    temperature_c: float | None = Field(default=None, ge=33.0, le=43.0)


class RangeBody(BaseModel):
    """`from` is inclusive, `under` exclusive; one of them at least."""

    from_: int | None = Field(default=None, alias="from", ge=0, le=10_000)
    under: int | None = Field(default=None, ge=0, le=10_000)


class DueBody(BaseModel):
    """What the plan says of a vaccine series or checkup; due or overdue where no status is given."""

    series: str
    status: list[str] = Field(default_factory=list)


class AudienceBody(BaseModel):
    """Whom a notice is for; every condition given must hold, and none at all is every family of the town."""

    model_config = ConfigDict(extra="allow")

    all: "list[AudienceBody] | None" = None
    any: "list[AudienceBody] | None" = None
    not_: "AudienceBody | None" = Field(default=None, alias="not")
    municipality: Municipality | None = None
    district: str | None = None
    age_years: RangeBody | None = None
    age_months: RangeBody | None = None
    age_days: RangeBody | None = None
    pregnancy_week: RangeBody | None = Field(default=None, description="Completed weeks (妊娠満週数)")
    due: DueBody | None = None
    language: Literal["ja", "ja-Hrkt", "en", "zh", "vi", "pt", "ne"] | None = None
    attribute: Literal["twin", "preterm", "low_birth_weight"] | None = None


class PreviewBody(Body):
    """How many would get it."""

    audience: AudienceBody
    languages: list[str] = Field(default_factory=list, description="Those of the text: who reads another is counted")


class LinkedBody(Body):
    """A video or an article elsewhere (https), with its title per language."""

    url: str
    title: dict[str, str]


class AttachmentBody(Body):
    """A PDF without active content, as base64; at most 180 kB."""

    name: Name100
    content: str


class AnnouncementBody(BaseModel):
    """A notice, in each language that it is written in: ja always; ja-Hrkt (やさしい日本語, readings as 漢字《かんじ》), en, zh, vi, pt, ne.

    An emergency waits for a second person's approval. {{town}}, {{published_on}} and {{expires_on}} are filled in.
    """

    model_config = ConfigDict(extra="allow")

    title: dict[str, str]
    body: dict[str, str]
    audience: AudienceBody
    urgency: Literal["info", "important", "emergency"] = "info"
    publish_at: datetime | None = None
    expires_at: datetime | None = None
    links: list[LinkedBody] = Field(default_factory=list)
    attachments: list[str] = Field(default_factory=list, description="Ids of POST /v1/attachments")
    safety_check: bool = Field(default=False, description="Ask whether the families are safe")
    confirm: int | None = Field(default=None, description="The number that the preview gave")


class AnnouncementCorrectionBody(BaseModel):
    """The text as it should be, and why."""

    model_config = ConfigDict(extra="allow")

    title: dict[str, str]
    body: dict[str, str]
    reason: Why500


class SafetyBody(Body):
    """How the family is, where (`home`, `elsewhere`, `shelter:<id>`), and what it needs."""

    state: Literal["safe", "needs_help", "injured"]
    place: str = "home"
    needs: list[str] = Field(default_factory=list)
    note: str = ""


class FoundBody(SafetyBody):
    """The same, of a child or pregnancy that staff found."""

    child: str


class ShelterBody(Body):
    """A shelter and its supplies: pieces, and litres of water."""

    name: Name100
    address: str = ""
    latitude: float
    longitude: float
    capacity: int
    for_infants: bool = False
    open: bool = True
    supplies: dict[str, int] = Field(default_factory=dict)


class StepBody(Body):
    """Who is called, and after how many minutes the next ones are."""

    staff: list[str]
    minutes: int


class ShiftBody(Body):
    """Days (Monday is 0) and hours in Tokyo (HH:MM); one that ends at or before it begins ends the day after."""

    days: list[int]
    from_: str = Field(alias="from")
    until: str
    steps: list[StepBody]


class RosterBody(Body):
    """The first shift that fits is on duty, and `otherwise` when none does."""

    shifts: list[ShiftBody] = Field(default_factory=list)
    otherwise: list[StepBody]


class AlarmBody(Body):
    """What it is about: a kind, an opaque id, and words that may stand on a lock screen."""

    kind: str
    about: Token
    words: Name100


class QuizBody(Body):
    """The place of the chosen answer of each question, in their order."""

    answers: list[int]


class CalendarFeedBody(Body):
    """`plain` says only that there is something to do; `full` names vaccines and checkups, also on lock screens."""

    detail: Literal["plain", "full"] = "plain"


class PushSubscriptionBody(BaseModel):
    """A PushSubscription as the browser gives it (W3C Push API)."""

    model_config = ConfigDict(extra="allow")

    endpoint: str
    keys: dict[str, str]


class AddressBody(BaseModel):
    """An address at which the guardian wants messages: `line` (a user id), `sms` (a mobile number) or `mail`. A code is sent there."""

    model_config = ConfigDict(extra="allow")

    channel: str
    address: str


class CallBody(BaseModel):
    """What became of a call: `reached`, `no-answer` or `wrong-number`."""

    model_config = ConfigDict(extra="allow")

    outcome: str


class ProofBody(BaseModel):
    """The six digits that were sent to the address."""

    model_config = ConfigDict(extra="allow")

    code: str


class PreferencesBody(BaseModel):
    """Language, the ways (push, line, sms, mail) by topic (notices, reminders, library), and whether information comes once a day."""

    model_config = ConfigDict(extra="allow")

    language: str = "ja"
    digest: bool = False
    topics: dict[str, list[str]] = {}


class DeviceBody(BaseModel):
    """An app's token: `fcm` (a registration token) or `apns` (a device token in hexadecimal)."""

    model_config = ConfigDict(extra="allow")

    channel: str
    token: str


# Answers ----------------------------------------------------------------------------------------------------------


class FieldProblem(Answer):
    """One broken rule at one place."""

    pointer: str = Field(description="JSON Pointer into the body, or /query/<name>")
    code: str
    detail: str


class ProblemAnswer(Answer):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldProblem] | None = None
    trace_id: str | None = None


class Created(Answer):
    """What was made; later reads may wait for it with the header Hagukumi-Revision."""

    id: str


class SimilarChild(Answer):
    """A resident who may be the same child."""

    child: str
    strength: Literal["sure", "likely"]


class ChildCreated(Created):
    """A record was opened; `similar` is told to staff and to the town's own system only."""

    similar: list[SimilarChild] | None = None


class Line(Answer):
    """A child in a list; no town for one from whom it is hidden, nor for a relative."""

    id: str
    birth_date: date
    sex: str
    name: NameBody
    municipality: str | None = None


class Children(Answer):
    """Children in a stable order."""

    items: list[Line]
    next: str | None


class DoseShown(Answer):
    """A recorded dose; `organisation` and `performer` as far as the reader may know them."""

    id: str
    given_on: date
    code: str
    provenance: Literal["clinic", "municipality", "guardian"]
    recorded_at: datetime


class Child(Line):
    """The record, as the reader's role may see it; a relative is given the sections that are shared."""

    doses: list[DoseShown] | None = None
    checkups: list[dict[str, Any]] | None = None
    growth: list[dict[str, Any]] | None = None
    conditions: list[dict[str, Any]] | None = None
    reactions: list[dict[str, Any]] | None = None
    allergies: list[dict[str, Any]] | None = None
    milestones: list[dict[str, Any]] | None = None
    responses: list[dict[str, Any]] | None = None
    died_on: date | None = None
    at: datetime | None = Field(default=None, description="The instant that was asked for, in Tokyo's time")
    silenced: bool | None = Field(default=None, description="After a death: nothing cheerful is to be shown")


class KeptLine(Answer):
    """A fact of a town's own ledger, by which rule it is kept, and the day from which it is no longer."""

    ledger: Literal["doses", "checkups"]
    name: str
    source: str
    kept_until: date
    fact: dict[str, Any]


class Kept(Answer):
    """What a town keeps of a child who moved away; the name is the one of that time."""

    id: str
    birth_date: date
    sex: str
    names: list[NameBody]
    items: list[KeptLine]


class PlanItemShown(Answer):
    """One dose or checkup that is due, was due or will be."""

    series: str
    dose_number: int
    status: str
    earliest: date | None = None
    recommended: date | None = None
    overdue_from: date | None = None
    free_until: date | None = None
    latest: date | None = None
    why: Why


class DoseVerdictShown(Answer):
    """Both verdicts on one dose."""

    id: str
    series: str
    given_on: date | None = None
    dose_number: int | None = None
    legal: str
    immunological: str
    legal_because: Why | None = None
    immunological_because: Why | None = None
    reasons: list[Reason] = []


class Plan(Answer):
    """The plan of one child."""

    rule_set: str
    as_of: date
    items: list[PlanItemShown]
    doses: list[DoseVerdictShown]


class Verdict(Answer):
    """The answer before the needle."""

    verdict: Literal["allow", "warn", "stop"]
    reasons: list[dict[str, Any]]


class PhotoShown(Answer):
    """A photo of an entry; width and height in pixels."""

    id: str
    width: int
    height: int
    bytes: int


class DiaryEntry(Answer):
    """An entry of the diary; `yours`: whether the reader wrote it."""

    id: str
    on: date
    text: str | None = None
    first: First | None = None
    shared_with: Literal["author", "guardians", "family"]
    yours: bool
    written_at: datetime
    changed_at: datetime
    photos: list[PhotoShown]


class Diary(Answer):
    """Entries, newest first."""

    items: list[DiaryEntry]
    next: str | None


class ImportBegun(Answer):
    """A file was accepted: how many rows it has."""

    id: str
    rows: int


class Import(Answer):
    """How far an import is. `counts`: rows_new, rows_known, rows_refused, children_new, children_similar (new ones that may be
    another record's child), doses_new, children_undone."""

    id: str
    dry_run: bool
    state: Literal["working", "done", "undoing", "undone", "failed"]
    rows: int
    rows_done: int
    counts: dict[str, int]
    begun_at: datetime
    ended_at: datetime | None = None


class Imports(Answer):
    """Newest first."""

    items: list[Import]


class RowProblem(Answer):
    """A rule that a row breaks."""

    field: str
    code: str
    detail: str


class SimilarRow(Answer):
    """Who may be the same child: one on record, or one in another row of the file."""

    strength: Literal["sure", "likely"]
    child: str | None = None
    row: int | None = None


class ImportRow(Answer):
    """What became of a row; the heading is row 1."""

    row: int
    outcome: Literal["new", "known", "refused"]
    child: str | None = None
    similar: list[SimilarRow] | None = None
    errors: list[RowProblem] | None = None


class ImportRows(Answer):
    """In the file's order."""

    items: list[ImportRow]
    next: str | None


class GrowthWarning(Answer):
    """Something unlikely in a measurement, which is kept all the same."""

    pointer: str
    code: Literal["unusual-for-age", "smaller-than-before", "sudden-change"]
    ja: str
    en: str


class Measured(Created):
    """A measurement that was recorded, and what is unlikely in it."""

    warnings: list[GrowthWarning]


class GrowthSetShown(Answer):
    """A set of curves and the days on which handbooks carried it."""

    id: str
    name: str
    name_en: str
    source: str
    confidence: Literal["high", "medium", "low"]
    effective_from: date
    effective_to: date | None
    values_held: bool


class StandingShown(Answer):
    """What one set says of a value: z-score and percentile where it gives them, else between which percentiles."""

    set: str
    in_use_then: bool = Field(description="On the day of the measurement")
    in_use_now: bool
    values_held: bool
    band: str | None = Field(default=None, description="below_p3, p3_to_p50, …, above_p97")
    z: float | None = None
    percentile: float | None = None


class ValueShown(Answer):
    """One value of a measurement, in kg or cm."""

    value: float
    standings: list[StandingShown]


class MeasurementShown(Answer):
    """A measurement; compared at the corrected age (修正月齢) where the child was born before 37 weeks."""

    id: str
    measured_on: date
    age_days: int
    corrected_age_days: int
    chest_cm: float | None
    values: dict[Literal["weight_kg", "length_cm", "head_cm"], ValueShown]
    warnings: list[GrowthWarning]


class Velocity(Answer):
    """Gain a month between two measurements."""

    measure: Literal["weight_kg", "length_cm", "head_cm"]
    from_: date = Field(alias="from")
    to: date
    days: int
    per_month: float


class Curve(Answer):
    """The lines of one set for this child's sex: [age in days, a value for each percentile]."""

    set: str
    measure: Literal["weight_kg", "length_cm", "head_cm"]
    percentiles: list[int]
    points: list[list[float]]


class Growth(Answer):
    """How a child grows."""

    child: str
    birth_date: date
    sex: Literal["F", "M", "U"]
    corrected_by_days: int
    sets: list[GrowthSetShown]
    measurements: list[MeasurementShown]
    velocity: list[Velocity]
    curves: list[Curve]


class Items(Answer):
    """A list."""

    items: list[dict[str, Any]]


class AccessLine(Answer):
    """Who looked, or tried to."""

    at: datetime
    role: str
    action: str
    outcome: str
    yourself: bool
    organisation: str | None = None
    purpose: str | None = None


class Accesses(Answer):
    """Newest first."""

    items: list[AccessLine]
    next: str | None


class Invitation(Answer):
    """A one-time code to hand over."""

    code: str
    expires_at: datetime


class Family(Answer):
    """Who is bound to the child and how that was proven; what is shared with whom until when."""

    guardians: list[dict[str, Any]]
    grants: list[dict[str, Any]]
    stays: list[dict[str, Any]]
    move: dict[str, Any] | None


class TokenAnswer(Answer):
    """An access token."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class Anything(Answer):
    """An object whose fields its owner describes."""


BODIES: dict[str, type[BaseModel]] = {
    "POST /v1/children": ChildBody,
    "PUT /v1/children/{child}": ChildCorrectionBody,
    "POST /v1/children/{child}/doses": DoseBody,
    "PUT /v1/children/{child}/doses/{dose}": DoseCorrectionBody,
    "POST /v1/children/{child}/doses/{dose}/retraction": ReasonBody,
    "POST /v1/children/{child}/checkups": CheckupBody,
    "PUT /v1/children/{child}/checkups/{checkup}": CheckupCorrectionBody,
    "POST /v1/children/{child}/checkups/{checkup}/retraction": ReasonBody,
    "POST /v1/children/{child}/growth": GrowthBody,
    "POST /v1/children/{child}/reactions": ReactionBody,
    "PUT /v1/children/{child}/reactions/{reaction}": ReactionCorrectionBody,
    "POST /v1/children/{child}/reactions/{reaction}/retraction": ReasonBody,
    "POST /v1/children/{child}/allergies": AllergyBody,
    "POST /v1/children/{child}/allergies/{allergy}/retraction": ReasonBody,
    "POST /v1/children/{child}/milestones": MilestoneBody,
    "POST /v1/children/{child}/milestones/{milestone}/retraction": ReasonBody,
    "POST /v1/children/{child}/conditions": ConditionBody,
    "POST /v1/children/{child}/conditions/{condition}/retraction": ReasonBody,
    "POST /v1/children/{child}/death": DeathBody,
    "POST /v1/children/{child}/death/retraction": ReasonBody,
    "POST /v1/children/{child}/guardian-codes": CodesBody,
    "POST /v1/children/{child}/invitations": InvitationBody,
    "POST /v1/children/{child}/guardians/{guardian}/removal": ReasonBody,
    "POST /v1/guardian-links": LinkBody,
    "PUT /v1/children/{child}/consents/{organisation}": ConsentBody,
    "POST /v1/children/{child}/move": MoveBody,
    "POST /v1/children/{child}/diary": DiaryEntryBody,
    "PUT /v1/children/{child}/diary/{entry}": DiaryEntryBody,
    "POST /v1/children/{child}/move/confirmation": NothingBody,
    "POST /v1/children/{child}/move/cancellation": NothingBody,
    "POST /v1/children/{child}/stays": StayBody,
    "POST /v1/children/{child}/stays/{stay}/end": NothingBody,
    "POST /v1/children/{child}/merges": MergeBody,
    "POST /v1/children/{child}/merges/{other}/undo": ReasonBody,
    "POST /v1/municipalities/{code}/duplicates/{pair}/dismissal": NothingBody,
    "POST /v1/pregnancies": PregnancyBody,
    "POST /v1/pregnancies/{pregnancy}/confirmation": NothingBody,
    "POST /v1/pregnancies/{pregnancy}/expected-delivery": ExpectedDeliveryBody,
    "POST /v1/pregnancies/{pregnancy}/checkups": PregnancyCheckupBody,
    "POST /v1/pregnancies/{pregnancy}/doses": MaternalDoseBody,
    "POST /v1/pregnancies/{pregnancy}/outcome": OutcomeBody,
    "POST /v1/pregnancies/{pregnancy}/checkups/{checkup}/correction": PregnancyCheckupCorrectionBody,
    "POST /v1/pregnancies/{pregnancy}/checkups/{checkup}/retraction": ReasonBody,
    "POST /v1/pregnancies/{pregnancy}/doses/{dose}/correction": MaternalDoseCorrectionBody,
    "POST /v1/pregnancies/{pregnancy}/doses/{dose}/retraction": ReasonBody,
    "POST /v1/pregnancies/{pregnancy}/outcome/retraction": ReasonBody,
    "POST /v1/pre-checks": PreCheckBody,
    "PUT /v1/municipalities/{code}/follow-ups/{follow_up}": FollowUpBody,
    "POST /v1/lot-recalls": LotRecallBody,
    "POST /v1/responses": ResponseBody,
    "PUT /v1/responses/{response}": AnswersBody,
    "POST /v1/responses/{response}/submission": NothingBody,
    "POST /v1/responses/{response}/withdrawal": WithdrawalBody,
    "POST /v1/responses/{response}/decision": DecisionBody,
    "POST /v1/announcements/preview": PreviewBody,
    "POST /v1/announcements": AnnouncementBody,
    "PUT /v1/announcements/{announcement}": AnnouncementCorrectionBody,
    "POST /v1/announcements/{announcement}/recall": ReasonBody,
    "POST /v1/announcements/{announcement}/break-glass": ReasonBody,
    "POST /v1/attachments": AttachmentBody,
    "POST /v1/calendar-feed": CalendarFeedBody,
    "POST /v1/training/{course}/completions": QuizBody,
    "PUT /v1/municipalities/{code}/places/{place}": PlaceBody,
    "PUT /v1/municipalities/{code}/duty-roster": RosterBody,
    "POST /v1/alarms": AlarmBody,
    "POST /v1/inbox/{item}/safety": SafetyBody,
    "POST /v1/announcements/{announcement}/safety": FoundBody,
    "PUT /v1/municipalities/{code}/shelters/{shelter}": ShelterBody,
    "PUT /v1/push-subscriptions/{subscription}": PushSubscriptionBody,
    "PUT /v1/devices/{device}": DeviceBody,
    "PUT /v1/contacts/{contact}": AddressBody,
    "PUT /v1/announcements/{announcement}/calls/{recipient}": CallBody,
    "POST /v1/contacts/{contact}/proof": ProofBody,
    "PUT /v1/preferences": PreferencesBody,
    "POST /v1/municipalities": MunicipalityBody,
    "POST /v1/clinics": ClinicBody,
    "POST /v1/staff": StaffBody,
    "POST /dev/token": TokenWish,
    "PUT /dev/clock": ClockBody,
}

ANSWERS: dict[str, tuple[int, type[BaseModel]]] = {
    "POST /v1/children": (201, ChildCreated),
    "GET /v1/children": (200, Children),
    "GET /v1/children/{child}": (200, Child),
    "GET /v1/children/{child}/kept": (200, Kept),
    "POST /v1/children/{child}/doses": (201, Created),
    "POST /v1/children/{child}/checkups": (201, Created),
    "POST /v1/children/{child}/growth": (201, Measured),
    "GET /v1/children/{child}/growth": (200, Growth),
    "POST /v1/children/{child}/conditions": (201, Created),
    "POST /v1/children/{child}/reactions": (201, Created),
    "POST /v1/children/{child}/allergies": (201, Created),
    "POST /v1/children/{child}/milestones": (201, Created),
    "POST /v1/children/{child}/death": (201, Created),
    "POST /v1/children/{child}/guardian-codes": (201, Anything),
    "POST /v1/children/{child}/invitations": (201, Invitation),
    "GET /v1/children/{child}/family": (200, Family),
    "POST /v1/guardian-links": (201, Anything),
    "GET /v1/children/{child}/plan": (200, Plan),
    "GET /v1/children/{child}/reminders": (200, Items),
    "GET /v1/children/{child}/accesses": (200, Accesses),
    "GET /v1/children/{child}/history": (200, Items),
    "GET /v1/children/{child}/responses": (200, Items),
    "POST /v1/children/{child}/diary": (201, Created),
    "GET /v1/children/{child}/diary": (200, Diary),
    "GET /v1/children/{child}/diary/{entry}": (200, DiaryEntry),
    "PUT /v1/children/{child}/diary/{entry}": (200, Created),
    "DELETE /v1/children/{child}/diary/{entry}": (200, Created),
    "POST /v1/children/{child}/diary/{entry}/photos": (201, PhotoShown),
    "DELETE /v1/children/{child}/diary/{entry}/photos/{photo}": (200, Created),
    "POST /v1/pregnancies": (201, Created),
    "GET /v1/pregnancies": (200, Items),
    "GET /v1/pregnancies/{pregnancy}": (200, Anything),
    "POST /v1/pregnancies/{pregnancy}/checkups": (201, Created),
    "POST /v1/pregnancies/{pregnancy}/doses": (201, Created),
    "POST /v1/pregnancies/{pregnancy}/outcome": (201, Anything),
    "POST /v1/pre-checks": (201, Verdict),
    "GET /v1/children/{child}/catch-up": (200, Anything),
    "POST /v1/children/{child}/stays": (201, Created),
    "GET /v1/municipalities/{code}/arrivals": (200, Items),
    "GET /v1/municipalities/{code}/duplicates": (200, Items),
    "GET /v1/municipalities/{code}/not-yet": (200, Items),
    "GET /v1/municipalities/{code}/coverage": (200, Items),
    "POST /v1/municipalities/{code}/imports": (202, ImportBegun),
    "GET /v1/municipalities/{code}/imports": (200, Imports),
    "GET /v1/municipalities/{code}/imports/{batch}": (200, Import),
    "GET /v1/municipalities/{code}/imports/{batch}/rows": (200, ImportRows),
    "POST /v1/municipalities/{code}/imports/{batch}/undo": (202, Created),
    "POST /v1/lot-recalls": (201, Anything),
    "GET /v1/forms": (200, Items),
    "POST /v1/responses": (201, Created),
    "POST /v1/announcements": (202, Created),
    "GET /v1/inbox": (200, Items),
    "PUT /v1/contacts/{contact}": (202, Anything),
    "POST /v1/announcements/{announcement}/deliveries/repeat": (202, Anything),
    "GET /v1/municipalities": (200, Items),
    "GET /v1/clinics": (200, Items),
    "POST /v1/municipalities/{code}/credentials": (201, Anything),
    "POST /v1/clinics/{clinic}/credentials": (201, Anything),
    "POST /v1/municipalities": (201, Anything),
    "POST /v1/clinics": (201, Anything),
    "POST /v1/staff": (201, Anything),
    "POST /dev/token": (200, TokenAnswer),
}

FILES: dict[str, tuple[str, ...]] = {
    "GET /v1/children/{child}/handbook": ("application/pdf", "application/json", "application/fhir+json"),
    "GET /v1/children/{child}/diary/{entry}/photos/{photo}": ("image/jpeg",),
    "GET /v1/children/{child}/growth.svg": ("image/svg+xml",),
    "GET /v1/announcements/{announcement}/call-list": ("text/csv",),
    "GET /v1/unsubscriptions/{token}": ("text/plain",),
}
"""Answers that are files."""

WITHOUT_BODY = frozenset(
    {
        "POST /v1/municipalities/{code}/duplicates/{pair}/dismissal",
        "POST /v1/announcements/{announcement}/deliveries/repeat",
        "POST /v1/unsubscriptions/{token}",
        "POST /v1/pregnancies/{pregnancy}/confirmation",
        "POST /v1/children/{child}/move/confirmation",
        "POST /v1/children/{child}/move/cancellation",
        "POST /v1/children/{child}/stays/{stay}/end",
        "POST /v1/children/{child}/guardian-codes",
        "POST /v1/responses/{response}/submission",
        "POST /v1/responses/{response}/withdrawal",
    }
)
"""Their body may be left out."""

_FHIR_PAGES = (
    ("_count", {"type": "integer", "minimum": 1}, "Resources on a page, 100 at most"),
    ("_cursor", {"type": "string", "maxLength": 400}, "From the bundle's link `next`"),
)
QUERIES: dict[str, tuple[tuple[str, dict[str, Any], str], ...]] = {
    "GET /v1/children/{child}/handbook": (
        ("format", {"enum": ["pdf", "json", "fhir", "pack"]}, "pack: signed, to be proven without a network"),
    ),
    "POST /v1/municipalities/{code}/imports": (
        ("dry_run", {"type": "boolean"}, "Say what would become of each row, and change nothing"),
    ),
    "GET /v1/municipalities/{code}/imports/{batch}/rows": (
        ("outcome", {"enum": ["new", "known", "refused"]}, "Only the rows with this outcome"),
    ),
    "GET /v1/children/{child}/growth.svg": (
        ("measure", {"enum": ["weight_kg", "length_cm", "head_cm"]}, "What is drawn; the weight unless said otherwise"),
        ("set", {"type": "string", "maxLength": 40}, "The set of curves; today's Japanese one, or the WHO's"),
        ("beside", {"type": "string"}, "A brother or sister to be drawn into it; may be repeated, three at most"),
    ),
    "GET /v1/children/{child}/diary": (("firsts", {"type": "boolean"}, "Only the firsts (できたよ記念日)"),),
    "GET /v1/children/{child}/diary/{entry}/photos/{photo}": (
        ("small", {"type": "boolean"}, "The thumbnail, 360 pixels at its longer side"),
    ),
    "GET /v1/clinics": (("municipality", {"type": "string", "pattern": "^[0-9]{6}$"}, "Those of this municipality"),),
    "GET /fhir/R4/Patient": _FHIR_PAGES,
    "GET /fhir/R4/Observation": _FHIR_PAGES,
    "GET /fhir/R4/Immunization": (
        *_FHIR_PAGES,
        ("status", {"enum": ["completed", "entered-in-error"]}, "Those that count, unless said otherwise"),
    ),
    "GET /v1/children/{child}": (
        ("at", {"type": "string", "format": "date-time"}, "The record as it stood at this instant (with its zone)"),
    ),
    "GET /v1/children/{child}/plan": (("on", {"type": "string", "format": "date"}, "The plan as on this day"),),
    "GET /v1/children/{child}/catch-up": (
        ("ill_until", {"type": "string", "format": "date"}, "No visit before the day after"),
        ("closed", {"type": "string", "format": "date"}, "A day on which the clinic is closed; may be repeated"),
    ),
    "GET /v1/announcements/{announcement}/safety": (
        ("state", {"enum": ["safe", "needs_help", "injured", "unaccounted"]}, "Those in this state"),
    ),
    "GET /v1/municipalities/{code}/places": (
        ("kind", {"type": "string"}, "Those of this kind"),
        ("district", {"type": "string"}, "Those in this district"),
        ("bbox", {"type": "string"}, "west,south,east,north in degrees"),
    ),
    "GET /v1/alarms": (("state", {"enum": ["ringing", "taken"]}, "Those in this state"),),
    "GET /v1/municipalities/{code}/shelters": (
        ("latitude", {"type": "number", "minimum": -90, "maximum": 90}, "From where the distance is counted"),
        ("longitude", {"type": "number", "minimum": -180, "maximum": 180}, "From where the distance is counted"),
        ("need", {"type": "string"}, "Those that have this supply"),
    ),
    "GET /v1/announcements": (
        (
            "state",
            {"enum": ["awaiting_approval", "scheduled", "published", "recalled", "to_review"]},
            "Those in this state; to_review: sent by breaking the glass and not yet reviewed",
        ),
    ),
    "GET /v1/municipalities/{code}/not-yet": (
        ("kind", {"enum": ["due", "dose", "checkup", "overdue", "closing"]}, "Which lines"),
    ),
    "GET /v1/forms/{form}": (
        ("version", {"type": "string", "maxLength": 20}, "The version in force, unless given"),
        ("format", {"enum": ["hagukumi", "fhir"]}, "As ours, or as a FHIR R4 Questionnaire"),
    ),
}

PAGED = frozenset(
    {
        "GET /v1/children",
        "GET /v1/children/{child}/accesses",
        "GET /v1/children/{child}/diary",
        "GET /v1/children/{child}/history",
        "GET /v1/children/{child}/responses",
        "GET /v1/municipalities/{code}/imports/{batch}/rows",
        "GET /v1/municipalities/{code}/not-yet",
        "GET /v1/inbox",
        "GET /v1/announcements/{announcement}/deliveries",
        "GET /v1/announcements/{announcement}/safety",
    }
)
"""Lists with `limit`, `cursor` and Link rel="next"."""
