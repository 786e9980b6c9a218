"""A child's death, and its correction."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.records.api.wire import Asking, Body, Day, WithReason
from services.records.commands import death as commands
from services.records.commands.records import STREAM, Records
from shared.web import answer, api_router


class DeathBody(Body):
    """On which day the child died."""

    died_on: Day


def router(records: Records) -> APIRouter:
    """The routes of a child's death."""
    routes = api_router()

    @routes.post("/v1/children/{child}/death", status_code=201)
    async def tell(child: str, body: DeathBody, asked: Asking) -> JSONResponse:
        """Say that the child died."""
        command = asked.command(body)
        given, doc = await commands.tell(records, asked.caller, child, body.died_on, command)
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/children/{child}/death/retraction")
    async def take_back(child: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Say that it was told wrongly."""
        command = asked.command(body)
        given, doc = await commands.take_back(records, asked.caller, child, body.reason, command)
        return answer(doc, STREAM, given)

    return routes
