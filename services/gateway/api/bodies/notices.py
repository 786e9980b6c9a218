"""Notices, their audience, and what staff do with them: safety, shelters, duty, training."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.api.bodies.common import Body, Created, Municipality, Name100, Token, Why500


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


class NoticeChanged(Created):
    """A notice as it is after this, and from when its readers hear of it."""

    state: str
    pushed_from: datetime | None = Field(
        default=None,
        description="It goes out in the quiet hours (22:00 to 7:00 in Tokyo): inboxes have it at once, pushes wait until then",
    )


class Announced(NoticeChanged):
    """A notice that was published, waits for its hour, or for a second person."""

    recipients: int
    fallback: dict[str, int] = Field(
        default_factory=dict, description="How many read Japanese instead of their own language"
    )


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


class CallBody(BaseModel):
    """What became of a call: `reached`, `no-answer` or `wrong-number`."""

    model_config = ConfigDict(extra="allow")

    outcome: str
