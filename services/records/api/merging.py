"""Records that may be of one child, merging them, and undoing that."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from services.records.api.wire import Asking, Body, Reason, Token, WithReason
from services.records.commands import merging as commands
from services.records.commands.records import STREAM, Records
from shared.web import answer, api_router

Town = Annotated[str, Path(pattern=r"^[0-9]{6}$")]


class MergeBody(Body):
    """The record that is to become part of this one, and why."""

    other: Token
    reason: Reason


def router(records: Records) -> APIRouter:
    """The routes of merging."""
    routes = api_router()

    @routes.get("/v1/municipalities/{code}/duplicates")
    async def duplicates(code: Town, asked: Asking) -> JSONResponse:
        """Pairs of records that may be of one child, surest first."""
        return JSONResponse({"items": await commands.candidates(records, asked.caller, code)})

    @routes.post("/v1/municipalities/{code}/duplicates/{pair}/dismissal")
    async def dismiss(code: Town, pair: str, asked: Asking) -> JSONResponse:
        """Say that these are two children."""
        asked.command()
        await commands.tell_apart(records, asked.caller, code, pair)
        return JSONResponse({"id": pair})

    @routes.post("/v1/children/{child}/merges")
    async def merge(child: str, body: MergeBody, asked: Asking) -> JSONResponse:
        """Make one record of two."""
        command = asked.command(body)
        given, doc = await commands.merge(records, asked.caller, child, body.other, body.reason, command)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/merges/{other}/undo")
    async def undo(child: str, other: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Undo a merge."""
        command = asked.command(body)
        given, doc = await commands.separate(records, asked.caller, child, other, body.reason, command)
        return answer(doc, STREAM, given)

    return routes
