"""Checkups and conditions."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints

from services.records.api.wire import (
    Asking,
    Body,
    Day,
    Reason,
    Token,
    WithReason,
    Words,
)
from services.records.commands import observations as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.checkups import MOST_FINDINGS, CheckupWish
from services.records.domain.conditions import ConditionWish
from shared.events.records import CheckupFinding, CheckupResult
from shared.web import answer, api_router


class FindingBody(Body):
    """What was found: a code of the value set, and words."""

    code: Token
    text: Words | None = None


class CheckupBody(Body):
    """A checkup that took place; `kind` is a checkup of the schedule, e.g. checkup_18m. Measured in kg and cm."""

    kind: Token
    done_on: Day
    result: CheckupResult | None = None
    findings: list[FindingBody] = Field(default=[], max_length=MOST_FINDINGS)
    follow_up: Reason | None = None
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None

    def wish(self) -> CheckupWish:
        """As the domain takes it."""
        return CheckupWish(
            kind=self.kind,
            done_on=self.done_on,
            result=self.result,
            findings=tuple(CheckupFinding(code=one.code, text=one.text) for one in self.findings),
            follow_up=self.follow_up,
            weight_kg=self.weight_kg,
            length_cm=self.length_cm,
            head_cm=self.head_cm,
            chest_cm=self.chest_cm,
        )


class CheckupCorrectionBody(CheckupBody):
    """The checkup as it should be, and why."""

    reason: Reason


class ConditionBody(Body):
    """A disease had, a contraindication or a certificate, by the code of the schedule's rules."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
    since: Day | None = None


def router(records: Records) -> APIRouter:
    """The routes of observations."""
    routes = api_router()

    @routes.post("/v1/children/{child}/checkups", status_code=201)
    async def checkup(child: str, body: CheckupBody, asked: Asking) -> JSONResponse:
        """Record that a checkup was done."""
        command = asked.command(body)
        given, doc = await commands.record_checkup(records, asked.caller, child, body.wish(), command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/checkups/{given['id']}")

    @routes.put("/v1/children/{child}/checkups/{checkup}")
    async def correct_checkup(child: str, checkup: str, body: CheckupCorrectionBody, asked: Asking) -> JSONResponse:
        """Put a recorded checkup right; If-Match is the child's ETag."""
        command = asked.optional_command(body)
        given, doc = await commands.correct_checkup(
            records, asked.caller, child, checkup, body.wish(), body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/checkups/{checkup}/retraction")
    async def retract_checkup(child: str, checkup: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a checkup that was entered in error."""
        command = asked.command(body)
        given, doc = await commands.retract_checkup(
            records, asked.caller, child, checkup, body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/conditions", status_code=201)
    async def condition(child: str, body: ConditionBody, asked: Asking) -> JSONResponse:
        """Record a condition."""
        command = asked.command(body)
        wish = ConditionWish(code=body.code, since=body.since)
        given, doc = await commands.record_condition(records, asked.caller, child, wish, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/conditions/{given['id']}")

    @routes.post("/v1/children/{child}/conditions/{condition}/retraction")
    async def retract_condition(child: str, condition: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a condition that was entered in error."""
        command = asked.command(body)
        given, doc = await commands.retract_condition(
            records, asked.caller, child, condition, body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    return routes
