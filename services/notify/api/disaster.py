"""Disasters: safety check-in, those unaccounted for, shelters."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import disaster as commands
from services.notify.commands.announcements import Notices
from services.notify.commands.disaster import Report
from services.notify.domain.disaster import NEEDS, SUPPLIES
from shared.cursors import Cursors
from shared.problems import invalid
from shared.runtime import Runtime
from shared.web import Asking, api_router

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
State = Literal["safe", "needs_help", "injured"]
Place = Annotated[str, Field(pattern=r"^(home|elsewhere|shelter:[A-Za-z0-9_-]{1,64})$")]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SafetyBody(Body):
    """How the family is, where, and what it needs."""

    state: State
    place: Place = "home"
    needs: list[str] = Field(default_factory=list, max_length=len(NEEDS))
    note: str = Field(default="", max_length=200)


class FoundBody(SafetyBody):
    """The same, of a child or pregnancy that staff found."""

    child: str = Field(min_length=1, max_length=64)


class ShelterBody(Body):
    """A shelter and its supplies: pieces, and litres of water."""

    name: str = Field(min_length=1, max_length=100)
    address: str = Field(default="", max_length=200)
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    capacity: int = Field(ge=0, le=100_000)
    for_infants: bool = False
    open: bool = True
    supplies: dict[str, Annotated[int, Field(ge=0, le=1_000_000, strict=True)]] = Field(default_factory=dict)


def router(runtime: Runtime, notices: Notices) -> APIRouter:
    """The routes of disasters."""
    routes = api_router()
    cursors = Cursors(runtime.settings.own_secret, "safety")

    @routes.post("/v1/inbox/{item}/safety")
    async def report(item: str, body: SafetyBody, asked: Asking) -> JSONResponse:
        """A guardian says how the family is."""
        return JSONResponse(await commands.report(notices, asked.principal, item, _report(body)))

    @routes.post("/v1/announcements/{announcement}/safety")
    async def report_for(announcement: str, body: FoundBody, asked: Asking) -> JSONResponse:
        """Staff found a child or a pregnant woman."""
        return JSONResponse(
            await commands.report_for(notices, asked.principal, announcement, body.child, _report(body))
        )

    @routes.get("/v1/announcements/{announcement}/safety")
    async def board(
        announcement: str,
        asked: Asking,
        state: State | Literal["unaccounted"] | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """Everybody asked: safe, in need, unaccounted for."""
        first = int(cursors.open(cursor)[0]) if cursor is not None else 0
        found, more = await commands.board(notices, asked.principal, announcement, state, first, limit)
        return JSONResponse({**found, "next": cursors.seal([more]) if more is not None else None})

    @routes.put("/v1/municipalities/{code}/shelters/{shelter}")
    async def put_shelter(code: str, shelter: Name, body: ShelterBody, asked: Asking) -> JSONResponse:
        """Where a shelter is and what it has."""
        _known("/supplies", list(body.supplies), SUPPLIES)
        new = await commands.put_shelter(notices, asked.principal, code, shelter, body.model_dump())
        return JSONResponse({"id": shelter}, 201 if new else 200)

    @routes.get("/v1/municipalities/{code}/shelters")
    async def shelters(
        code: str,
        asked: Asking,
        latitude: Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False)] = None,
        longitude: Annotated[float | None, Query(ge=-180, le=180, allow_inf_nan=False)] = None,
        need: Annotated[str | None, Query(max_length=40)] = None,
    ) -> JSONResponse:
        """A town's open shelters, nearest first where a place is given."""
        if need is not None:
            _known("/query/need", [need], SUPPLIES)
        near = (latitude, longitude) if latitude is not None and longitude is not None else None
        return JSONResponse({"items": await commands.shelters(notices, code, near, need)})

    return routes


def _report(body: SafetyBody) -> Report:
    _known("/needs", body.needs, NEEDS)
    return Report(body.state, body.place, body.needs, body.note)


def _known(pointer: str, given: list[str], known: tuple[str, ...]) -> None:
    if not set(given) <= set(known):
        raise invalid(pointer, "unknown", "この品目はありません。", f"One of: {', '.join(known)}.")
