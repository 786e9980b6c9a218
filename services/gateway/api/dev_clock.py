"""The development platform's clock. The route does not exist in production."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.gateway.commands.clock import DevelopmentClock
from shared.web import api_router


class ClockBody(BaseModel):
    """The instant that the clock is to show, with its offset from UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    now: AwareDatetime = Field(description="For example 2026-12-01T12:00:00+09:00; earlier or later than the present")


def routes(clock: DevelopmentClock) -> APIRouter:
    """The route of the development clock."""
    router = api_router()

    @router.put("/dev/clock")
    async def move(body: ClockBody) -> JSONResponse:
        """Move the clock of every service, forward or back; it runs on from there."""
        return JSONResponse(await clock.move_to(body.now))

    return router
