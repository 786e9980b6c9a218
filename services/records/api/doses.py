"""Doses: record, put right, withdraw."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from services.records.api.wire import (
    Asking,
    Body,
    Code,
    Day,
    Name,
    Reason,
    Token,
    Uri,
    WithReason,
)
from services.records.commands import doses as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.doses import DoseWish
from shared.events.records import VaccineCode
from shared.web import answer, api_router


class Coding(Body):
    """A vaccine in a code system: CVX, MEDIS HOT or Hagukumi's own."""

    system: Uri
    code: Code


class DoseBody(Body):
    """One administered dose; either `vaccine` or `cvx` names the vaccine. Volume in mL."""

    given_on: Day
    vaccine: Coding | None = None
    cvx: Code | None = Field(default=None, description="CVX code")
    product: Name | None = None
    lot: Name | None = Field(default=None, description="製造番号; kept in half-width capitals")
    expires_on: Day | None = None
    site: Name | None = None
    route: Token | None = Field(default=None, description="接種経路: a code of the value set")
    dose_ml: float | None = None
    hot: Code | None = Field(default=None, description="HOT9 or HOT13 of the product, beside `cvx`")
    performer: Name | None = None

    def wish(self) -> DoseWish:
        """As the domain takes it."""
        return DoseWish(
            given_on=self.given_on,
            vaccine=VaccineCode(system=self.vaccine.system, code=self.vaccine.code) if self.vaccine else None,
            cvx=self.cvx,
            product=self.product,
            lot=self.lot,
            expires_on=self.expires_on,
            site=self.site,
            route=self.route,
            dose_ml=self.dose_ml,
            hot=self.hot,
            performer=self.performer,
        )


class DoseCorrectionBody(DoseBody):
    """The dose as it should be, and why."""

    reason: Reason


def router(records: Records) -> APIRouter:
    """The routes of doses."""
    routes = api_router()

    @routes.post("/v1/children/{child}/doses", status_code=201)
    async def record(child: str, body: DoseBody, asked: Asking) -> JSONResponse:
        """Record a dose."""
        command = asked.command(body)
        given, doc = await commands.record_dose(records, asked.caller, child, body.wish(), command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/doses/{given['id']}")

    @routes.put("/v1/children/{child}/doses/{dose}")
    async def correct(child: str, dose: str, body: DoseCorrectionBody, asked: Asking) -> JSONResponse:
        """Put a recorded dose right; If-Match is the child's ETag."""
        command = asked.optional_command(body)
        given, doc = await commands.correct_dose(
            records, asked.caller, child, dose, body.wish(), body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/doses/{dose}/retraction")
    async def retract(child: str, dose: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a dose that was entered in error."""
        command = asked.command(body)
        given, doc = await commands.retract_dose(
            records, asked.caller, child, dose, body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    return routes
