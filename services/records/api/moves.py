"""Moves and stays."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from services.records.api.wire import Asking, Body, Day, Municipality, Token
from services.records.commands import moves as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.moves import MoveWish
from services.records.domain.stays import StayWish
from shared.web import answer, api_router


class MoveBody(Body):
    """Where the child lives from which day on."""

    to_municipality: Municipality
    effective_on: Day


class StayBody(Body):
    """Where the child stays, which clinics there treat it, and the first and the last day."""

    municipality: Municipality
    clinics: list[Token] = Field(default_factory=list, max_length=5)
    since: Day
    until: Day


def router(records: Records) -> APIRouter:
    """The routes of moves and stays."""
    routes = api_router()

    @routes.post("/v1/children/{child}/move")
    async def move(child: str, body: MoveBody, asked: Asking) -> JSONResponse:
        """Announce that the child moves."""
        command = asked.command(body)
        wish = MoveWish(to_municipality=body.to_municipality, effective_on=body.effective_on)
        given, doc = await commands.announce_move(records, asked.caller, child, wish, command, asked.if_match)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/move/confirmation")
    async def confirm(child: str, asked: Asking) -> JSONResponse:
        """Confirm, as the new town, that the child comes."""
        command = asked.command()
        given, doc = await commands.settle_move(records, asked.caller, child, command)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/move/cancellation")
    async def cancel(child: str, asked: Asking) -> JSONResponse:
        """Take an announced move back, as one of the two towns."""
        command = asked.command()
        given, doc = await commands.settle_move(records, asked.caller, child, command, cancel=True)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/stays", status_code=201)
    async def stay(child: str, body: StayBody, asked: Asking) -> JSONResponse:
        """Lend the record to another town and its clinics for a time."""
        command = asked.command(body)
        clinics = tuple(dict.fromkeys(body.clinics))
        wish = StayWish(municipality=body.municipality, clinics=clinics, since=body.since, until=body.until)
        given, doc = await commands.plan_stay(records, asked.caller, child, wish, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/stays/{given['id']}")

    @routes.post("/v1/children/{child}/stays/{stay}/end")
    async def end(child: str, stay: str, asked: Asking) -> JSONResponse:
        """End a stay before its last day."""
        command = asked.command()
        given, doc = await commands.end_stay(records, asked.caller, child, stay, command)
        return answer(doc, STREAM, given)

    return routes
