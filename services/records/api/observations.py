"""Checkups and conditions."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import StringConstraints

from services.records.api.wire import (
    Asked,
    Authorization,
    Body,
    Day,
    IdempotencyKey,
    IfMatch,
    Token,
    WithReason,
)
from services.records.commands import observations as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.checkups import CheckupWish
from services.records.domain.conditions import ConditionWish
from shared.service import Runtime, answer, api_router


class CheckupBody(Body):
    """A checkup that took place; `kind` is a checkup of the schedule, e.g. checkup_18m."""

    kind: Token
    done_on: Day


class ConditionBody(Body):
    """A disease had, a contraindication or a certificate, by the code of the schedule's rules."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
    since: Day | None = None


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of observations."""
    routes = api_router()

    @routes.post("/v1/children/{child}/checkups", status_code=201)
    async def checkup(
        child: str,
        body: CheckupBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record that a checkup was done."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        wish = CheckupWish(kind=body.kind, done_on=body.done_on)
        given, doc = await commands.record_checkup(records, asked.caller, child, wish, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/checkups/{given['id']}")

    @routes.post("/v1/children/{child}/conditions", status_code=201)
    async def condition(
        child: str,
        body: ConditionBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record a condition."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        wish = ConditionWish(code=body.code, since=body.since)
        given, doc = await commands.record_condition(records, asked.caller, child, wish, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/conditions/{given['id']}")

    @routes.post("/v1/children/{child}/conditions/{condition}/retraction")
    async def retract_condition(
        child: str,
        condition: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Withdraw a condition that was entered in error."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.retract_condition(
            records, asked.caller, child, condition, body.reason, command, if_match
        )
        return answer(doc, STREAM, given)

    return routes
