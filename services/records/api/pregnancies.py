"""Pregnancies: notification, confirmation, expected date, checkups, doses, outcome."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from services.records.api.children import NameBody
from services.records.api.wire import (
    Asked,
    Authorization,
    Body,
    Code,
    Day,
    IdempotencyKey,
    Municipality,
    Reason,
    WithReason,
    Words,
)
from services.records.commands import pregnancies as commands
from services.records.commands.pregnancies import STREAM
from services.records.commands.records import Records
from services.records.domain import pregnancy as rules
from services.records.domain.children import ChildWish
from shared.events.records import UrineTest
from shared.runtime import Runtime
from shared.web import answer, api_router


class NotificationBody(Body):
    """A pregnancy; `guardian` is the woman's own id, which staff name and she herself may leave out."""

    guardian: Words | None = None
    municipality: Municipality
    expected_delivery: Day


class NothingBody(Body):
    """No field."""


class ExpectedBody(Body):
    """The expected date of delivery as it should be, and why."""

    expected_delivery: Day
    reason: Reason


class PregnancyCheckupBody(Body):
    """A checkup: weight in kg, blood pressure in mmHg, height of the fundus in cm."""

    done_on: Day
    weight_kg: float | None = None
    systolic_mmhg: int | None = None
    diastolic_mmhg: int | None = None
    fundal_height_cm: float | None = None
    urine_protein: UrineTest | None = None
    urine_sugar: UrineTest | None = None
    result: Literal["normal", "watch", "treat"] | None = None


class MaternalDoseBody(Body):
    """A dose against RSV."""

    given_on: Day
    product: Words | None = None
    lot: Code | None = None


class PregnancyCheckupCorrectionBody(PregnancyCheckupBody):
    """The checkup as it should be, and why."""

    reason: Reason


class MaternalDoseCorrectionBody(MaternalDoseBody):
    """The dose as it should be, and why."""

    reason: Reason


class NewbornBody(Body):
    """A child that was born; weight in grams."""

    sex: Literal["F", "M", "U"]
    name: NameBody
    district: Words | None = None
    birth_weight_g: int | None = None


class OutcomeBody(Body):
    """How it ended: a birth of one or several, or a loss."""

    outcome: Literal["birth", "loss"]
    ended_on: Day
    children: Annotated[list[NewbornBody], Field(max_length=8, default_factory=list)]

    def wish(self, municipality: str) -> rules.EndWish:
        """As the domain takes it."""
        return rules.EndWish(
            outcome=self.outcome,
            ended_on=self.ended_on,
            children=tuple(
                ChildWish(
                    birth_date=self.ended_on,
                    sex=one.sex,
                    family=one.name.family,
                    given=one.name.given,
                    family_kana=one.name.family_kana,
                    given_kana=one.name.given_kana,
                    municipality=municipality,
                    district=one.district,
                    birth_weight_g=one.birth_weight_g,
                )
                for one in self.children
            ),
        )


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of pregnancies."""
    routes = api_router()

    @routes.post("/v1/pregnancies", status_code=201)
    async def notify(
        body: NotificationBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Notify a pregnancy (妊娠届)."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.notify(
            records, asked.caller, body.guardian, body.municipality, body.expected_delivery, command
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/pregnancies/{doc.id}")

    @routes.get("/v1/pregnancies")
    async def listed(request: Request, authorization: Authorization = None) -> JSONResponse:
        """The woman's own pregnancies, or the town's."""
        asked = Asked(runtime, request, authorization)
        return JSONResponse({"items": await commands.listed(records, asked.caller)})

    @routes.get("/v1/pregnancies/{pregnancy}")
    async def read(pregnancy: str, request: Request, authorization: Authorization = None) -> JSONResponse:
        """One pregnancy."""
        asked = Asked(runtime, request, authorization)
        return JSONResponse(await commands.read(records, asked.caller, pregnancy))

    @routes.post("/v1/pregnancies/{pregnancy}/confirmation")
    async def confirm(
        pregnancy: str,
        request: Request,
        body: NothingBody | None = None,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """The town confirms what a woman notified."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.confirm(found, asked.caller),
            command,
            {"id": pregnancy},
            verb="confirm_pregnancy",
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/expected-delivery")
    async def correct(
        pregnancy: str,
        body: ExpectedBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Put the expected date of delivery right."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.correct(found, body.expected_delivery, body.reason, asked.caller, records.today),
            command,
            {"id": pregnancy},
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/checkups", status_code=201)
    async def checkup(
        pregnancy: str,
        body: PregnancyCheckupBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record a checkup (妊婦健診)."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        wish = rules.CheckupWish(**body.model_dump())
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.record_checkup(found, wish, asked.caller, checkup_id=command.id, today=records.today),
            command,
            {"id": command.id},
        )
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/pregnancies/{pregnancy}/doses", status_code=201)
    async def dose(
        pregnancy: str,
        body: MaternalDoseBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record a maternal dose (母子免疫ワクチン)."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.record_dose(
                found,
                body.given_on,
                body.product,
                body.lot,
                asked.caller,
                dose_id=command.id,
                today=records.today,
                now=records.now,
            ),
            command,
            {"id": command.id},
        )
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/pregnancies/{pregnancy}/outcome", status_code=201)
    async def outcome(
        pregnancy: str,
        body: OutcomeBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record how it ended; a birth opens the children's records."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        found = await commands.read(records, asked.caller, pregnancy)
        wish = body.wish(found["municipality"])
        given, doc = await commands.end(records, asked.caller, pregnancy, wish, command)
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/pregnancies/{pregnancy}/checkups/{checkup}/correction")
    async def correct_checkup(
        pregnancy: str,
        checkup: str,
        body: PregnancyCheckupCorrectionBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Put a checkup right."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        wish = rules.CheckupWish(**body.model_dump(exclude={"reason"}))
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.correct_checkup(found, checkup, wish, body.reason, asked.caller, today=records.today),
            command,
            {"id": checkup},
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/checkups/{checkup}/retraction")
    async def retract_checkup(
        pregnancy: str,
        checkup: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Withdraw a checkup that was entered in error."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.retract_checkup(found, checkup, body.reason, asked.caller),
            command,
            {"id": checkup},
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/doses/{dose}/correction")
    async def correct_dose(
        pregnancy: str,
        dose: str,
        body: MaternalDoseCorrectionBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Put a dose right."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.correct_dose(
                found, dose, body.given_on, body.product, body.lot, body.reason, asked.caller, today=records.today
            ),
            command,
            {"id": dose},
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/doses/{dose}/retraction")
    async def retract_dose(
        pregnancy: str,
        dose: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Withdraw a dose that was entered in error."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.retract_dose(found, dose, body.reason, asked.caller),
            command,
            {"id": dose},
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/outcome/retraction")
    async def take_back(
        pregnancy: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Take back a loss that was told wrongly."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record(
            records,
            asked.caller,
            pregnancy,
            lambda found: rules.take_back_loss(found, body.reason, asked.caller),
            command,
            {"id": pregnancy},
        )
        return answer(doc, STREAM, given)

    return routes
