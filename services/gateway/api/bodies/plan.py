"""Plan, pre-check, follow-ups and recalled lots."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from services.gateway.api.bodies.child import Coding
from services.gateway.api.bodies.common import Answer, Body, Name100, Token, Why500
from shared.events.schedule import Reason, Why


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
    reasons: list[Reason] = []  # noqa: RUF012 - pydantic copies it


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
