"""What municipal systems send and are answered. Writers: municipalities, each on its own topic; answered by the gateway.

Each class is strict: no unknown field, no value of another type, civil days as YYYY-MM-DD (never 和暦).
"""

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared.events.base import Data
from shared.events.records import Sex

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: Any) -> date:
    """A civil day exactly as YYYY-MM-DD; a number or an instant is none."""
    if isinstance(value, date):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("date_parsing", "A civil day is written YYYY-MM-DD")


Day = Annotated[date, BeforeValidator(_day)]
ChildId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$", description="The id that MessageAccepted gave")]
MunicipalityCode = Annotated[
    str, Field(pattern=r"^[0-9]{6}$", description="全国地方公共団体コード, 6 digits with check digit")
]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Wording = Annotated[
    dict[str, str],
    Field(min_length=1, max_length=10, description="Language tag -> text; `ja` is what others fall back to"),
]


class Inbound(BaseModel):
    """What an outsider sends: strict, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class InboundName(Inbound):
    """A name as written and as read; the reading (フリガナ) in full-width katakana."""

    family: str = Field(min_length=1, max_length=100)
    given: str = Field(min_length=1, max_length=100)
    family_kana: str = Field(min_length=1, max_length=100)
    given_kana: str = Field(min_length=1, max_length=100)


class BirthNotified(Inbound):
    """A birth from the resident register (出生): the body of POST /v1/children and how many guardian codes to issue."""

    birth_date: Day
    sex: Sex
    name: InboundName
    municipality: MunicipalityCode = Field(description="Must be the municipality whose topic this is")
    district: Text | None = None
    gestation_days: int | None = Field(default=None, ge=140, le=320, description="Completed days of gestation at birth")
    birth_weight_g: int | None = Field(default=None, ge=200, le=8000)
    twin_group: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The same opaque id on children of one birth"
    )
    guardian_codes: int = Field(default=1, ge=0, le=4, description="One-time codes to issue for the guardians")


class InboundCoding(Inbound):
    """A vaccine in a code system: CVX, MEDIS HOT or Hagukumi's own."""

    system: Text
    code: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")


class PastDose(Inbound):
    """A dose that a municipality has on file from before; either `vaccine` or `cvx` names the vaccine."""

    given_on: Day
    vaccine: InboundCoding | None = None
    cvx: str | None = Field(default=None, pattern=r"^[0-9]{1,3}$")
    product: str | None = Field(default=None, min_length=1, max_length=100)
    lot: str | None = Field(default=None, min_length=1, max_length=40)


class PastDosesReported(Inbound):
    """Past doses of one child, taken over from the municipality's own system: all of them, or none when one is refused."""

    child: ChildId
    doses: list[PastDose] = Field(min_length=1, max_length=200)


class MoveNotified(Inbound):
    """A child moved out of this municipality into another one (転出)."""

    child: ChildId
    to_municipality: MunicipalityCode
    effective_on: Day


class NoticeRequested(Inbound):
    """A notice that the municipality's own system asks to publish: the body of POST /v1/announcements."""

    title: Wording
    body: Wording
    audience: dict[str, Any]
    urgency: Literal["info", "important", "emergency"] = "info"
    confirm: int | None = Field(
        default=None, ge=0, description="How many it reaches: needed for everybody ({}), or if it reaches nobody"
    )


class ClosureReported(Inbound):
    """A place closes for a time (kindergarten, clinic, class); families with children under six are told."""

    place: Text = Field(description="The sender's id of the place")
    place_name: Text
    closed_from: Day
    closed_to: Day = Field(description="The last day on which it is closed")
    reason: Text


INBOUND: dict[str, type[Inbound]] = {
    f"jp.hagukumi.municipal.{cls.__name__}.v1": cls
    for cls in (BirthNotified, PastDosesReported, MoveNotified, NoticeRequested, ClosureReported)
}


class FieldError(Data):
    """One refused field: JSON Pointer into the data, stable code, plain sentence in Japanese."""

    pointer: str
    code: str
    detail: str


class MessageAccepted(Data):
    """The message was taken: what it created, and one-time codes for the guardians. A repeat carries the same ce_id."""

    message_id: str
    subject: str
    guardian_codes: tuple[str, ...] = ()


class MessageRefused(Data):
    """The message was refused and nothing of it stands; every broken rule is named. A repeat carries the same ce_id."""

    message_id: str
    errors: tuple[FieldError, ...]
