"""A child's record: its facts, doses, checkups, reactions, allergies, milestones, and how they are shown."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from services.gateway.api.bodies.common import Answer, Body, Created, Municipality, Name100, Token, Why500, Words
from shared.events.records import CheckupResult, Criticality, ReactionOutcome


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
