"""A guardian's calendar feed."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from services.notify.commands import calendar_feed as commands
from services.notify.commands.calendar_feed import Calendars
from shared.runtime import Runtime
from shared.web import api_router, command_of

Authorization = Annotated[str | None, Header()]


class FeedBody(BaseModel):
    """`plain` says only that there is something to do; `full` names it, also on lock screens."""

    model_config = ConfigDict(extra="forbid")

    detail: Literal["plain", "full"] = "plain"


def router(runtime: Runtime, calendars: Calendars) -> APIRouter:
    """The routes of the feed."""
    routes = api_router()

    @routes.post("/v1/calendar-feed", status_code=201)
    async def open_feed(
        body: FeedBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """A new secret address; the one before ends."""
        principal = runtime.principal(authorization)
        command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
        return JSONResponse(await commands.open_feed(calendars, principal, body.detail, command), 201)

    @routes.delete("/v1/calendar-feed", status_code=204)
    async def close_feed(authorization: Authorization = None) -> Response:
        """The address ends."""
        await commands.close_feed(calendars, runtime.principal(authorization))
        return Response(status_code=204)

    @routes.get("/v1/calendars/{feed}")
    async def read_feed(feed: str) -> Response:
        """The calendar of whoever knows its address."""
        return Response(await commands.read_feed(calendars, feed), media_type="text/calendar; charset=utf-8")

    return routes
