"""What municipal systems send and are answered. Writers: municipalities, each on its own topic; answered by the gateway."""

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.events.base import Data
from shared.events.records import PersonName, Sex


class Inbound(BaseModel):
    """What an outsider sends: strict, no unknown field."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InboundName(Inbound, PersonName):
    """A name as a municipality sends it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BirthNotified(Inbound):
    """A birth from the resident register: the body of POST /v1/children and how many guardian codes to issue."""

    birth_date: date
    sex: Sex
    name: InboundName
    municipality: str
    district: str | None = None
    gestation_days: int | None = Field(default=None, ge=140, le=320)
    birth_weight_g: int | None = Field(default=None, ge=200, le=8000)
    twin_group: str | None = Field(default=None, max_length=64)
    guardian_codes: int = Field(default=1, ge=0, le=4)


class PastDose(Inbound):
    """A dose that a municipality has on file from before."""

    given_on: date
    vaccine: dict[str, str] | None = None
    cvx: str | None = None
    product: str | None = None
    lot: str | None = None


class PastDosesReported(Inbound):
    """Past doses of one child, taken over from the municipality's own system."""

    child: str
    doses: tuple[PastDose, ...] = Field(min_length=1, max_length=200)


class MoveNotified(Inbound):
    """A child moved into or out of the municipality."""

    child: str
    to_municipality: str
    effective_on: date


class NoticeRequested(Inbound):
    """A notice that the municipality's own system asks to publish."""

    title: dict[str, str]
    body: dict[str, str]
    audience: dict[str, Any]
    urgency: str = "info"


class ClosureReported(Inbound):
    """A place closes for a time (kindergarten, clinic, class)."""

    place: str
    place_name: str
    closed_from: date
    closed_to: date
    reason: str


INBOUND: dict[str, type[Inbound]] = {
    f"jp.hagukumi.municipal.{cls.__name__}.v1": cls
    for cls in (BirthNotified, PastDosesReported, MoveNotified, NoticeRequested, ClosureReported)
}


class FieldError(Data):
    """One refused field: JSON Pointer, stable code, plain sentence."""

    pointer: str
    code: str
    detail: str


class MessageAccepted(Data):
    """The message was taken: what it created, and one-time codes for the guardians."""

    message_id: str
    subject: str
    guardian_codes: tuple[str, ...] = ()


class MessageRefused(Data):
    """The message was refused and nothing was stored; every broken rule is named."""

    message_id: str
    errors: tuple[FieldError, ...]
