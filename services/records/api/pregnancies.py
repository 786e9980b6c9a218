"""Pregnancies: notification, confirmation, expected date, checkups, doses, outcome."""

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from services.records.api.children import NameBody
from services.records.api.family import Organisation
from services.records.api.wire import (
    Asked,
    Asking,
    Body,
    Code,
    Day,
    Municipality,
    Reason,
    WithReason,
    Words,
)
from services.records.commands import pregnancies as commands
from services.records.commands.pregnancies import STREAM
from services.records.commands.records import Records
from services.records.domain import pregnancy as rules
from services.records.domain import pregnancy_care as care
from services.records.domain.access import Verb
from services.records.domain.children import ChildWish
from shared.documents import Command
from shared.events.records import UrineTest
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


class PregnancyMoveBody(Body):
    """Where the woman lives from now on."""

    to_municipality: Municipality


class LendingBody(Body):
    """Until which day (inclusive) a clinic or another town reads and writes."""

    until: Day


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


def router(records: Records) -> APIRouter:
    """The routes of pregnancies."""
    routes = api_router()

    async def told(
        asked: Asked,
        pregnancy: str,
        command: Command | None,
        facts: commands.Facts,
        *,
        entry: str | None = None,
        status: int = 200,
        verb: Verb = "follow_pregnancy",
    ) -> JSONResponse:
        """What becomes of a pregnancy when these facts are told of it."""
        answered = {"id": entry or pregnancy}
        given, doc = await commands.record(records, asked.caller, pregnancy, facts, command, answered, verb=verb)
        return answer(doc, STREAM, given, status=status)

    @routes.post("/v1/pregnancies", status_code=201)
    async def notify(body: NotificationBody, asked: Asking) -> JSONResponse:
        """Notify a pregnancy (妊娠届)."""
        command = asked.command(body)
        given, doc = await commands.notify(
            records, asked.caller, body.guardian, body.municipality, body.expected_delivery, command
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/pregnancies/{doc.id}")

    @routes.get("/v1/pregnancies")
    async def listed(asked: Asking) -> JSONResponse:
        """The woman's own pregnancies, the town's, or those lent to the clinic."""
        return JSONResponse({"items": await commands.listed(records, asked.caller)})

    @routes.get("/v1/pregnancies/{pregnancy}")
    async def read(pregnancy: str, asked: Asking) -> JSONResponse:
        """One pregnancy."""
        return JSONResponse(await commands.read(records, asked.caller, pregnancy))

    @routes.post("/v1/pregnancies/{pregnancy}/confirmation")
    async def confirm(pregnancy: str, asked: Asking, body: NothingBody | None = None) -> JSONResponse:
        """The town confirms what a woman notified; the new town that she lives there now."""
        command = asked.command(body)
        return await told(
            asked, pregnancy, command, lambda found: rules.confirm(found, asked.caller), verb="confirm_pregnancy"
        )

    @routes.post("/v1/pregnancies/{pregnancy}/move")
    async def move(pregnancy: str, body: PregnancyMoveBody, asked: Asking) -> JSONResponse:
        """Say where the woman lives from now on; the new town confirms it."""
        command = asked.command(body)
        given, doc = await commands.announce_move(records, asked.caller, pregnancy, body.to_municipality, command)
        return answer(doc, STREAM, given)

    @routes.post("/v1/pregnancies/{pregnancy}/move/cancellation")
    async def cancel(pregnancy: str, asked: Asking) -> JSONResponse:
        """Take a move back that no town has confirmed."""
        return await told(asked, pregnancy, asked.command(), lambda found: rules.cancel_move(found, asked.caller))

    @routes.put("/v1/pregnancies/{pregnancy}/consents/{organisation}")
    async def lend(pregnancy: str, organisation: Organisation, body: LendingBody, asked: Asking) -> JSONResponse:
        """Lend the record to a clinic or a town until a day."""
        command = asked.optional_command(body)
        given, doc = await commands.lend(records, asked.caller, pregnancy, organisation, body.until, command)
        return answer(doc, STREAM, given)

    @routes.delete("/v1/pregnancies/{pregnancy}/consents/{organisation}")
    async def take_consent_back(pregnancy: str, organisation: Organisation, asked: Asking) -> JSONResponse:
        """Take that back."""
        return await told(
            asked,
            pregnancy,
            asked.optional_command(),
            lambda found: rules.take_back_consent(found, organisation, asked.caller),
            verb="lend_pregnancy",
        )

    @routes.post("/v1/pregnancies/{pregnancy}/expected-delivery")
    async def correct(pregnancy: str, body: ExpectedBody, asked: Asking) -> JSONResponse:
        """Put the expected date of delivery right."""
        return await told(
            asked,
            pregnancy,
            asked.command(body),
            lambda found: rules.correct(found, body.expected_delivery, body.reason, asked.caller, records.today),
        )

    @routes.post("/v1/pregnancies/{pregnancy}/outcome", status_code=201)
    async def outcome(pregnancy: str, body: OutcomeBody, asked: Asking) -> JSONResponse:
        """Record how it ended; a birth opens the children's records."""
        given, doc = await commands.end(records, asked.caller, pregnancy, body.wish, asked.command(body))
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/pregnancies/{pregnancy}/outcome/retraction")
    async def take_back(pregnancy: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Take back a loss that was told wrongly."""
        return await told(
            asked, pregnancy, asked.command(body), lambda found: rules.take_back_loss(found, body.reason, asked.caller)
        )

    @routes.post("/v1/pregnancies/{pregnancy}/checkups", status_code=201)
    async def checkup(pregnancy: str, body: PregnancyCheckupBody, asked: Asking) -> JSONResponse:
        """Record a checkup (妊婦健診)."""
        command, wish = asked.command(body), care.CheckupWish(**body.model_dump())
        return await told(
            asked,
            pregnancy,
            command,
            lambda found: care.record_checkup(found, wish, asked.caller, checkup_id=command.id, today=records.today),
            entry=command.id,
            status=201,
            verb="treat_pregnancy",
        )

    @routes.post("/v1/pregnancies/{pregnancy}/checkups/{checkup}/correction")
    async def correct_checkup(
        pregnancy: str, checkup: str, body: PregnancyCheckupCorrectionBody, asked: Asking
    ) -> JSONResponse:
        """Put a checkup right."""
        wish = care.CheckupWish(**body.model_dump(exclude={"reason"}))
        return await told(
            asked,
            pregnancy,
            asked.command(body),
            lambda found: care.correct_checkup(found, checkup, wish, body.reason, asked.caller, today=records.today),
            entry=checkup,
            verb="treat_pregnancy",
        )

    @routes.post("/v1/pregnancies/{pregnancy}/checkups/{checkup}/retraction")
    async def retract_checkup(pregnancy: str, checkup: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a checkup that was entered in error."""
        return await told(
            asked,
            pregnancy,
            asked.command(body),
            lambda found: care.retract_checkup(found, checkup, body.reason, asked.caller, today=records.today),
            entry=checkup,
            verb="treat_pregnancy",
        )

    @routes.post("/v1/pregnancies/{pregnancy}/doses", status_code=201)
    async def dose(pregnancy: str, body: MaternalDoseBody, asked: Asking) -> JSONResponse:
        """Record a maternal dose (母子免疫ワクチン)."""
        command = asked.command(body)
        return await told(
            asked,
            pregnancy,
            command,
            lambda found: care.record_dose(
                found,
                body.given_on,
                body.product,
                body.lot,
                asked.caller,
                dose_id=command.id,
                today=records.today,
                now=records.now,
            ),
            entry=command.id,
            status=201,
            verb="treat_pregnancy",
        )

    @routes.post("/v1/pregnancies/{pregnancy}/doses/{dose}/correction")
    async def correct_dose(pregnancy: str, dose: str, body: MaternalDoseCorrectionBody, asked: Asking) -> JSONResponse:
        """Put a dose right."""
        return await told(
            asked,
            pregnancy,
            asked.command(body),
            lambda found: care.correct_dose(
                found, dose, body.given_on, body.product, body.lot, body.reason, asked.caller, today=records.today
            ),
            entry=dose,
            verb="treat_pregnancy",
        )

    @routes.post("/v1/pregnancies/{pregnancy}/doses/{dose}/retraction")
    async def retract_dose(pregnancy: str, dose: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a dose that was entered in error."""
        return await told(
            asked,
            pregnancy,
            asked.command(body),
            lambda found: care.retract_dose(found, dose, body.reason, asked.caller, today=records.today),
            entry=dose,
            verb="treat_pregnancy",
        )

    return routes
