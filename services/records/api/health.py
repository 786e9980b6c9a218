"""Adverse reactions, allergies, steps of development."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.records.api.wire import (
    Asked,
    Authorization,
    Body,
    Day,
    IdempotencyKey,
    IfMatch,
    Instant,
    Reason,
    Token,
    WithReason,
    Words,
)
from services.records.commands import observations as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.allergies import AllergyWish, record_allergy, retract_allergy
from services.records.domain.milestones import record_milestone, retract_milestone
from services.records.domain.reactions import ReactionWish, correct_reaction, record_reaction, retract_reaction
from shared.events.records import Criticality, ReactionOutcome
from shared.runtime import Runtime
from shared.web import answer, api_router


class ReactionBody(Body):
    """What was seen after a dose; `symptom` and `outcome` are of value sets."""

    dose: Token
    symptom: Token
    text: Words | None = None
    began_at: Instant
    serious: bool = False
    outcome: ReactionOutcome = "unknown"

    def wish(self) -> ReactionWish:
        """As the domain takes it."""
        return ReactionWish(
            dose_id=self.dose,
            symptom=self.symptom,
            text=self.text,
            began_at=self.began_at,
            serious=self.serious,
            outcome=self.outcome,
        )


class ReactionCorrectionBody(ReactionBody):
    """The reaction as it should be, and why."""

    reason: Reason


class AllergyBody(Body):
    """To what, and how dangerous the next contact would be."""

    substance: Token
    criticality: Criticality = "unknown"
    since: Day | None = None
    text: Words | None = None


class MilestoneBody(Body):
    """What the child did first, and when; `about` for a day that is about right."""

    milestone: Token
    reached_on: Day
    about: bool = False


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of what else is kept of a child's health."""
    routes = api_router()

    @routes.post("/v1/children/{child}/reactions", status_code=201)
    async def reaction(
        child: str,
        body: ReactionBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record what was seen after a dose."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record_entry(
            records,
            asked.caller,
            child,
            "record_condition",
            lambda record: record_reaction(
                record, body.wish(), asked.caller, reaction_id=command.id, today=records.today, now=records.now
            ),
            command,
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/reactions/{given['id']}")

    @routes.put("/v1/children/{child}/reactions/{reaction}")
    async def correct(
        child: str,
        reaction: str,
        body: ReactionCorrectionBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Put a reaction right, or tell how it ended; If-Match is the child's ETag."""
        asked = Asked(runtime, request, authorization)
        given, doc = await commands.change_own_entry(
            records,
            asked.caller,
            child,
            reaction,
            "change_condition",
            lambda record: correct_reaction(
                record, reaction, body.wish(), body.reason, asked.caller, today=records.today, now=records.now
            ),
            asked.optional_command(idempotency_key, body),
            if_match,
            match_required=True,
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/reactions/{reaction}/retraction")
    async def retract(
        child: str,
        reaction: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Withdraw a reaction that was entered in error."""
        asked = Asked(runtime, request, authorization)
        given, doc = await commands.change_own_entry(
            records,
            asked.caller,
            child,
            reaction,
            "change_condition",
            lambda record: retract_reaction(record, reaction, body.reason, asked.caller, today=records.today),
            asked.command(idempotency_key, body),
            if_match,
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/allergies", status_code=201)
    async def allergy(
        child: str,
        body: AllergyBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record an allergy."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        wish = AllergyWish(substance=body.substance, criticality=body.criticality, since=body.since, text=body.text)
        given, doc = await commands.record_entry(
            records,
            asked.caller,
            child,
            "record_condition",
            lambda record: record_allergy(record, wish, asked.caller, allergy_id=command.id, today=records.today),
            command,
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/allergies/{given['id']}")

    @routes.post("/v1/children/{child}/allergies/{allergy}/retraction")
    async def no_allergy(
        child: str,
        allergy: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Withdraw an allergy that was entered in error or was outgrown."""
        asked = Asked(runtime, request, authorization)
        given, doc = await commands.change_own_entry(
            records,
            asked.caller,
            child,
            allergy,
            "change_condition",
            lambda record: retract_allergy(record, allergy, body.reason, asked.caller, today=records.today),
            asked.command(idempotency_key, body),
            if_match,
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/milestones", status_code=201)
    async def milestone(
        child: str,
        body: MilestoneBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Record what the child did for the first time."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.record_entry(
            records,
            asked.caller,
            child,
            "measure",
            lambda record: record_milestone(
                record,
                body.milestone,
                body.reached_on,
                asked.caller,
                about=body.about,
                milestone_id=command.id,
                today=records.today,
            ),
            command,
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/milestones/{given['id']}")

    @routes.post("/v1/children/{child}/milestones/{milestone}/retraction")
    async def no_milestone(
        child: str,
        milestone: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Withdraw a step that was entered in error."""
        asked = Asked(runtime, request, authorization)
        given, doc = await commands.change_own_entry(
            records,
            asked.caller,
            child,
            milestone,
            "measure",
            lambda record: retract_milestone(record, milestone, body.reason, asked.caller, today=records.today),
            asked.command(idempotency_key, body),
            if_match,
        )
        return answer(doc, STREAM, given)

    return routes
