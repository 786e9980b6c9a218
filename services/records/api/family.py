"""Guardians and their codes, and consent to read."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints

from services.records.api.wire import Asked, Authorization, Body, Day, IdempotencyKey, IfMatch, Words
from services.records.commands import family as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.family import MOST_CODES_AT_ONCE
from shared.service import Runtime, answer, api_router

Organisation = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class CodesBody(Body):
    """How many one-time codes to issue."""

    count: int = Field(default=1, ge=1, le=MOST_CODES_AT_ONCE)


class LinkBody(Body):
    """A one-time code as it was handed over; case, spaces and hyphens do not matter."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ConsentBody(Body):
    """What the organisation may read for, and until which day (inclusive)."""

    purpose: Words
    until: Day | None = None
    kind: Literal["clinic", "municipality"] | None = None


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of family and consent."""
    routes = api_router()

    @routes.post("/v1/children/{child}/guardian-codes", status_code=201)
    async def issue(
        child: str,
        request: Request,
        body: CodesBody | None = None,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Issue one-time codes for the child's guardians."""
        asked = Asked(runtime, request, authorization)
        wanted = body or CodesBody()
        command = asked.command(idempotency_key, wanted)
        given, doc = await commands.issue_codes(records, asked.caller, child, wanted.count, command)
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/guardian-links", status_code=201)
    async def link(
        body: LinkBody, request: Request, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Bind the caller to the child of a one-time code."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.link_guardian(records, asked.caller, body.code, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{doc.id}")

    @routes.put("/v1/children/{child}/consents/{organisation}")
    async def give(
        child: str,
        organisation: Organisation,
        body: ConsentBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Let an organisation read the record."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, body)
        given, doc = await commands.give_consent(
            records, asked.caller, child, organisation, body.kind, body.purpose, body.until, command, if_match
        )
        return answer(doc, STREAM, given)

    @routes.delete("/v1/children/{child}/consents/{organisation}")
    async def withdraw(
        child: str,
        organisation: Organisation,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Take an organisation's permission back."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, None)
        given, doc = await commands.withdraw_consent(records, asked.caller, child, organisation, command, if_match)
        return answer(doc, STREAM, given)

    return routes
