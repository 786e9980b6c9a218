"""Measurements, and how a child grows."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from services.records.api.wire import Asked, Authorization, Body, Day, IdempotencyKey, Token
from services.records.commands import growth as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.growth import GrowthWish
from services.records.domain.growth_sets import Measure
from shared.runtime import Runtime
from shared.web import answer, api_router


class GrowthBody(Body):
    """A measurement: weight in kg, lengths in cm, at least one of them."""

    measured_on: Day
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of growth."""
    routes = api_router()

    @routes.post("/v1/children/{child}/growth", status_code=201)
    async def measured(
        child: str,
        body: GrowthBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record a measurement."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        wish = GrowthWish(
            measured_on=body.measured_on,
            weight_kg=body.weight_kg,
            length_cm=body.length_cm,
            head_cm=body.head_cm,
            chest_cm=body.chest_cm,
        )
        given, doc = await commands.measure(records, asked.caller, child, wish, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/growth/{given['id']}")

    @routes.get("/v1/children/{child}/growth")
    async def growth(child: str, request: Request, authorization: Authorization = None) -> JSONResponse:
        """How the child grows: each measurement on the curves of its day and of today, velocity, the curves."""
        asked = Asked(runtime, request, authorization)
        return JSONResponse(await commands.read(records, asked.caller, child))

    @routes.get("/v1/children/{child}/growth.svg")
    async def chart(
        child: str,
        request: Request,
        measure: Annotated[Measure, Query()] = "weight_kg",
        set_id: Annotated[str | None, Query(alias="set", max_length=40)] = None,
        beside: Annotated[list[Token] | None, Query(max_length=3)] = None,
        authorization: Authorization = None,
    ) -> Response:
        """The same as a chart; `beside` names brothers and sisters to be drawn into it (twins side by side)."""
        asked = Asked(runtime, request, authorization)
        found = await commands.drawn(records, asked.caller, child, measure, set_id, beside or [])
        return Response(found, media_type="image/svg+xml")

    return routes
