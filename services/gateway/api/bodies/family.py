"""Family, consent, moves and stays, merges, and who looked."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from services.gateway.api.bodies.common import Answer, Body, Municipality, Token, Why500, Words
from shared.events.records import Relation, Section


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
