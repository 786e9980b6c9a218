"""Records that may be of one child, merging them, and undoing that."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse

from services.records.api.wire import Asked, Authorization, Body, IdempotencyKey, Reason, Token, WithReason
from services.records.commands import merging as commands
from services.records.commands.records import STREAM, Records
from shared.runtime import Runtime
from shared.web import answer, api_router

Town = Annotated[str, Path(pattern=r"^[0-9]{6}$")]


class MergeBody(Body):
    """The record that is to become part of this one, and why."""

    other: Token
    reason: Reason


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of merging."""
    routes = api_router()

    @routes.get("/v1/municipalities/{code}/duplicates")
    async def duplicates(code: Town, request: Request, authorization: Authorization = None) -> JSONResponse:
        """Pairs of records that may be of one child, surest first."""
        asked = Asked(runtime, request, authorization)
        return JSONResponse({"items": await commands.candidates(records, asked.caller, code)})

    @routes.post("/v1/municipalities/{code}/duplicates/{pair}/dismissal")
    async def dismiss(
        code: Town,
        pair: str,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Say that these are two children."""
        asked = Asked(runtime, request, authorization)
        asked.command(idempotency_key, None)
        await commands.tell_apart(records, asked.caller, code, pair)
        return JSONResponse({"id": pair})

    @routes.post("/v1/children/{child}/merges")
    async def merge(
        child: str,
        body: MergeBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Make one record of two."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.merge(records, asked.caller, child, body.other, body.reason, command)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/merges/{other}/undo")
    async def undo(
        child: str,
        other: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Undo a merge."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.separate(records, asked.caller, child, other, body.reason, command)
        return answer(doc, STREAM, given)

    return routes
