"""Adverse reactions, allergies, steps of development."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.records.api.wire import (
    Asking,
    Body,
    Day,
    Instant,
    Reason,
    Token,
    WithReason,
    Words,
)
from services.records.commands.records import STREAM, Records, add_entry, change_entry
from services.records.domain.allergies import AllergyWish, record_allergy, retract_allergy
from services.records.domain.milestones import record_milestone, retract_milestone
from services.records.domain.reactions import ReactionWish, correct_reaction, record_reaction, retract_reaction
from shared.events.records import Criticality, ReactionOutcome
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


def router(records: Records) -> APIRouter:
    """The routes of what else is kept of a child's health."""
    routes = api_router()

    @routes.post("/v1/children/{child}/reactions", status_code=201)
    async def reaction(child: str, body: ReactionBody, asked: Asking) -> JSONResponse:
        """Record what was seen after a dose."""
        command = asked.command(body)
        given, doc = await add_entry(
            records,
            asked.caller,
            "record_condition",
            child,
            lambda record: record_reaction(
                record, body.wish(), asked.caller, reaction_id=command.id, today=records.today, now=records.now
            ),
            command,
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/reactions/{given['id']}")

    @routes.put("/v1/children/{child}/reactions/{reaction}")
    async def correct(child: str, reaction: str, body: ReactionCorrectionBody, asked: Asking) -> JSONResponse:
        """Put a reaction right, or tell how it ended; If-Match is the child's ETag."""
        given, doc = await change_entry(
            records,
            asked.caller,
            "change_condition",
            child,
            lambda record: correct_reaction(
                record, reaction, body.wish(), body.reason, asked.caller, today=records.today, now=records.now
            ),
            {"id": reaction},
            asked.optional_command(body),
            if_match=asked.if_match,
            match_required=True,
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/reactions/{reaction}/retraction")
    async def retract(child: str, reaction: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a reaction that was entered in error."""
        given, doc = await change_entry(
            records,
            asked.caller,
            "change_condition",
            child,
            lambda record: retract_reaction(record, reaction, body.reason, asked.caller, today=records.today),
            {"id": reaction},
            asked.command(body),
            if_match=asked.if_match,
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/allergies", status_code=201)
    async def allergy(child: str, body: AllergyBody, asked: Asking) -> JSONResponse:
        """Record an allergy."""
        command = asked.command(body)
        wish = AllergyWish(substance=body.substance, criticality=body.criticality, since=body.since, text=body.text)
        given, doc = await add_entry(
            records,
            asked.caller,
            "record_condition",
            child,
            lambda record: record_allergy(record, wish, asked.caller, allergy_id=command.id, today=records.today),
            command,
        )
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{child}/allergies/{given['id']}")

    @routes.post("/v1/children/{child}/allergies/{allergy}/retraction")
    async def no_allergy(child: str, allergy: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw an allergy that was entered in error or was outgrown."""
        given, doc = await change_entry(
            records,
            asked.caller,
            "change_condition",
            child,
            lambda record: retract_allergy(record, allergy, body.reason, asked.caller, today=records.today),
            {"id": allergy},
            asked.command(body),
            if_match=asked.if_match,
        )
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/milestones", status_code=201)
    async def milestone(child: str, body: MilestoneBody, asked: Asking) -> JSONResponse:
        """Record what the child did for the first time."""
        command = asked.command(body)
        given, doc = await add_entry(
            records,
            asked.caller,
            "measure",
            child,
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
    async def no_milestone(child: str, milestone: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Withdraw a step that was entered in error."""
        given, doc = await change_entry(
            records,
            asked.caller,
            "measure",
            child,
            lambda record: retract_milestone(record, milestone, body.reason, asked.caller, today=records.today),
            {"id": milestone},
            asked.command(body),
            if_match=asked.if_match,
        )
        return answer(doc, STREAM, given)

    return routes
