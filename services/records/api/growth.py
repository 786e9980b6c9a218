"""Measurements, and how a child grows."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from services.records.api.wire import Asking, Body, Day, Reason, Token, WithReason
from services.records.commands import growth as commands
from services.records.commands.records import STREAM, Records, change_entry
from services.records.domain.growth import GrowthWish, retract_measurement
from services.records.domain.growth_sets import Measure
from shared.web import answer, api_router


class GrowthBody(Body):
    """A measurement: weight in kg, lengths in cm, at least one of them."""

    measured_on: Day
    weight_kg: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None

    def wish(self) -> GrowthWish:
        """As the domain takes it."""
        return GrowthWish(
            measured_on=self.measured_on,
            weight_kg=self.weight_kg,
            length_cm=self.length_cm,
            head_cm=self.head_cm,
            chest_cm=self.chest_cm,
        )


class GrowthCorrectionBody(GrowthBody):
    """The measurement as it should be, and why."""

    reason: Reason


def router(records: Records) -> APIRouter:
    """The routes of growth."""
    routes = api_router()

    @routes.post("/v1/children/{child}/growth", status_code=201)
    async def measured(child: str, body: GrowthBody, asked: Asking) -> JSONResponse:
        """Record a measurement."""
        given, doc = await commands.measure(records, asked.caller, child, body.wish(), asked.command(body))
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/growth/{given['id']}")

    @routes.put("/v1/children/{child}/growth/{measurement}")
    async def correct(child: str, measurement: str, body: GrowthCorrectionBody, asked: Asking) -> JSONResponse:
        """Put a measurement right; If-Match is the child's ETag."""
        command = asked.optional_command(body)
        given, doc = await commands.correct(
            records, asked.caller, child, measurement, body.wish(), body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/growth/{measurement}/retraction")
    async def retract(child: str, measurement: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a measurement that was entered in error."""
        given, doc = await change_entry(
            records,
            asked.caller,
            "measure",
            child,
            lambda record: retract_measurement(record, measurement, body.reason, asked.caller, today=records.today),
            {"id": measurement},
            asked.command(body),
            if_match=asked.if_match,
        )
        return answer(doc, STREAM, given)

    @routes.get("/v1/children/{child}/growth")
    async def growth(child: str, asked: Asking) -> JSONResponse:
        """How the child grows: each measurement on the curves of its day and of today, velocity, the curves."""
        return JSONResponse(await commands.read(records, asked.caller, child))

    @routes.get("/v1/children/{child}/growth.svg")
    async def chart(
        child: str,
        asked: Asking,
        measure: Annotated[Measure, Query()] = "weight_kg",
        set_id: Annotated[str | None, Query(alias="set", max_length=40)] = None,
        beside: Annotated[list[Token] | None, Query(max_length=3)] = None,
    ) -> Response:
        """The same as a chart; `beside` names brothers and sisters to be drawn into it (twins side by side)."""
        found = await commands.drawn(records, asked.caller, child, measure, set_id, beside or [])
        return Response(found, media_type="image/svg+xml")

    return routes
