"""An emergency's board, its call list, and failures to repeat."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from services.notify.commands import ladder as commands
from services.notify.commands.announcements import Notices
from services.notify.commands.failures import ask_to_repeat
from shared.runtime import Runtime
from shared.web import api_router, command_of

Authorization = Annotated[str | None, Header()]


class CallBody(BaseModel):
    """What became of a call."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["reached", "no-answer", "wrong-number"]


def router(runtime: Runtime, notices: Notices) -> APIRouter:
    """The routes of the ladder."""
    routes = api_router()

    @routes.get("/v1/announcements/{announcement}/board")
    async def board(announcement: str, authorization: Authorization = None) -> JSONResponse:
        """Reached, waiting, to call."""
        return JSONResponse(await commands.board(notices, runtime.principal(authorization), announcement))

    @routes.get("/v1/announcements/{announcement}/call-list")
    async def call_list(announcement: str, authorization: Authorization = None) -> Response:
        """Those whom a person must call."""
        found = await commands.call_list(notices, runtime.principal(authorization), announcement)
        headers = {"Content-Disposition": 'attachment; filename="call-list.csv"'}
        return Response(found, media_type="text/csv; charset=utf-8", headers=headers)

    @routes.put("/v1/announcements/{announcement}/calls/{recipient}")
    async def called(
        announcement: str, recipient: str, body: CallBody, authorization: Authorization = None
    ) -> JSONResponse:
        """Somebody called."""
        principal = runtime.principal(authorization)
        return JSONResponse(await commands.note_call(notices, principal, announcement, recipient, body.outcome))

    @routes.post("/v1/announcements/{announcement}/deliveries/repeat", status_code=202)
    async def repeat(
        announcement: str,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Send once more what definitely failed."""
        principal = runtime.principal(authorization)
        command_of(principal, request, idempotency_key, None)
        return JSONResponse(await ask_to_repeat(notices, principal, announcement), 202)

    return routes
