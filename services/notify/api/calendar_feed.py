"""A guardian's calendar feed."""

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from services.notify.commands import calendar_feed as commands
from services.notify.commands.calendar_feed import Calendars
from shared.web import Asking, api_router


class FeedBody(BaseModel):
    """`plain` says only that there is something to do; `full` names it, also on lock screens."""

    model_config = ConfigDict(extra="forbid")

    detail: Literal["plain", "full"] = "plain"


def router(calendars: Calendars) -> APIRouter:
    """The routes of the feed."""
    routes = api_router()

    @routes.post("/v1/calendar-feed", status_code=201)
    async def open_feed(body: FeedBody, asked: Asking) -> JSONResponse:
        """A new secret address; the one before ends."""
        command = asked.command(body)
        return JSONResponse(await commands.open_feed(calendars, asked.principal, body.detail, command), 201)

    @routes.delete("/v1/calendar-feed", status_code=204)
    async def close_feed(asked: Asking) -> Response:
        """The address ends."""
        await commands.close_feed(calendars, asked.principal)
        return Response(status_code=204)

    @routes.get("/v1/calendars/{feed}")
    async def read_feed(feed: str) -> Response:
        """The calendar of whoever knows its address."""
        return Response(await commands.read_feed(calendars, feed), media_type="text/calendar; charset=utf-8")

    return routes
