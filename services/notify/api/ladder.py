"""An emergency's board, its call list, and failures to repeat."""

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from services.notify.commands import ladder as commands
from services.notify.commands.announcements import Notices
from services.notify.commands.failures import ask_to_repeat
from shared.web import Asking, api_router


class CallBody(BaseModel):
    """What became of a call."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["reached", "no-answer", "wrong-number"]


def router(notices: Notices) -> APIRouter:
    """The routes of the ladder."""
    routes = api_router()

    @routes.get("/v1/announcements/{announcement}/board")
    async def board(announcement: str, asked: Asking) -> JSONResponse:
        """Reached, waiting, to call."""
        return JSONResponse(await commands.board(notices, asked.principal, announcement))

    @routes.get("/v1/announcements/{announcement}/call-list")
    async def call_list(announcement: str, asked: Asking) -> Response:
        """Those whom a person must call."""
        found = await commands.call_list(notices, asked.principal, announcement)
        headers = {"Content-Disposition": 'attachment; filename="call-list.csv"'}
        return Response(found, media_type="text/csv; charset=utf-8", headers=headers)

    @routes.put("/v1/announcements/{announcement}/calls/{recipient}")
    async def called(announcement: str, recipient: str, body: CallBody, asked: Asking) -> JSONResponse:
        """Somebody called."""
        return JSONResponse(await commands.note_call(notices, asked.principal, announcement, recipient, body.outcome))

    @routes.post("/v1/announcements/{announcement}/deliveries/repeat", status_code=202)
    async def repeat(announcement: str, asked: Asking) -> JSONResponse:
        """Send once more what definitely failed."""
        asked.command()
        return JSONResponse(await ask_to_repeat(notices, asked.principal, announcement), 202)

    return routes
