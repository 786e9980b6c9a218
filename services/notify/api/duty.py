"""The duty roster and its alarms."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import duty as commands
from services.notify.commands.duty import Duty
from shared.web import Asking, answer, api_router

Hour = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Opaque = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class StepBody(Body):
    """Who is called, and after how many minutes the next ones are."""

    staff: list[Opaque] = Field(min_length=1, max_length=20)
    minutes: int = Field(ge=1, le=1_440, strict=True)


class ShiftBody(Body):
    """Days (Monday is 0) and hours in Tokyo; one that ends at or before it begins ends the day after."""

    days: list[Annotated[int, Field(ge=0, le=6, strict=True)]] = Field(min_length=1, max_length=7)
    from_: Hour = Field(alias="from")
    until: Hour
    steps: list[StepBody] = Field(min_length=1, max_length=10)


class RosterBody(Body):
    """The first shift that fits is on duty, and `otherwise` when none does."""

    shifts: list[ShiftBody] = Field(default_factory=list, max_length=50)
    otherwise: list[StepBody] = Field(min_length=1, max_length=10)


class AlarmBody(Body):
    """What it is about: a kind, an opaque id, and words that may stand on a lock screen."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]
    about: Opaque
    words: str = Field(min_length=1, max_length=100)


def router(duty: Duty) -> APIRouter:
    """The routes of duty."""
    routes = api_router()

    @routes.put("/v1/municipalities/{code}/duty-roster")
    async def put_roster(code: str, body: RosterBody, asked: Asking) -> JSONResponse:
        """Say who is on duty."""
        roster: dict[str, Any] = body.model_dump(by_alias=True)
        doc = await commands.put_roster(duty, asked.principal, code, roster, asked.if_match)
        return answer(doc, "notify.delivery", roster)

    @routes.get("/v1/municipalities/{code}/duty-roster")
    async def roster(code: str, asked: Asking) -> JSONResponse:
        """Who is on duty, and who is now."""
        found, doc = await commands.the_roster(duty, asked.principal, code)
        return answer(doc, "notify.delivery", found)

    @routes.post("/v1/alarms", status_code=201)
    async def raise_alarm(body: AlarmBody, asked: Asking) -> JSONResponse:
        """Call whoever is on duty."""
        command = asked.command(body)
        found, doc = await commands.raise_by_hand(duty, asked.principal, body.kind, body.about, body.words, command)
        return answer(doc, "notify.delivery", found, status=201)

    @routes.post("/v1/alarms/{alarm}/acknowledgement")
    async def take(alarm: str, asked: Asking) -> JSONResponse:
        """Somebody takes it."""
        found, doc = await commands.take(duty, asked.principal, alarm)
        return answer(doc, "notify.delivery", found)

    @routes.get("/v1/alarms")
    async def listed(asked: Asking, state: Literal["ringing", "taken"] | None = None) -> JSONResponse:
        """The town's alarms."""
        return JSONResponse({"items": await commands.listed(duty, asked.principal, state)})

    return routes
