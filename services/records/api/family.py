"""Guardians, relatives and their codes, and consent to read."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints, model_validator

from services.records.api.wire import (
    Asked,
    Authorization,
    Body,
    Day,
    IdempotencyKey,
    IfMatch,
    WithReason,
    Words,
)
from services.records.commands import family as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.family import MOST_CODES_AT_ONCE
from services.records.domain.record import Share
from shared.events.records import Relation, Section
from shared.runtime import Runtime
from shared.web import answer, api_router

Organisation = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class CodesBody(Body):
    """How many one-time codes to issue."""

    count: int = Field(default=1, ge=1, le=MOST_CODES_AT_ONCE)


class InvitationBody(Body):
    """Whom to invite: the other guardian, or a relative to some sections of the record until a day (inclusive)."""

    relation: Relation | Literal["guardian"]
    sections: list[Section] | None = Field(default=None, min_length=1, max_length=5)
    until: Day | None = None

    @model_validator(mode="after")
    def complete(self) -> Self:
        """A relative's needs sections and a last day, a guardian's has neither."""
        if (self.relation == "guardian") != (self.sections is None) or (self.sections is None) != (self.until is None):
            raise ValueError("sections and until belong to a relative's invitation")
        return self

    def share(self) -> Share | None:
        """As the domain takes it."""
        if self.relation == "guardian" or self.sections is None or self.until is None:
            return None
        return Share(self.relation, tuple(dict.fromkeys(self.sections)), self.until)


class LinkBody(Body):
    """A one-time code as it was handed over; case, spaces and hyphens do not matter."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ConsentBody(Body):
    """What the organisation may read for, and until which day (inclusive)."""

    purpose: Words
    until: Day | None = None
    kind: Literal["clinic", "municipality"] | None = None


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of family and consent."""
    routes = api_router()

    @routes.post("/v1/children/{child}/guardian-codes", status_code=201)
    async def issue(
        child: str,
        request: Request,
        body: CodesBody | None = None,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Issue one-time codes for the child's guardians."""
        asked = Asked(runtime, request, authorization)
        wanted = body or CodesBody()
        command = asked.command(idempotency_key, wanted)
        given, doc = await commands.issue_codes(records, asked.caller, child, wanted.count, command)
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/guardian-links", status_code=201)
    async def link(
        body: LinkBody, request: Request, authorization: Authorization = None, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Bind the caller to the child of a one-time code."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.link(records, asked.caller, body.code, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{doc.id}")

    @routes.post("/v1/children/{child}/invitations", status_code=201)
    async def invite(
        child: str,
        body: InvitationBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Issue a one-time code for the other guardian or a relative."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.invite(records, asked.caller, child, body.share(), command)
        return answer(doc, STREAM, given, status=201)

    @routes.delete("/v1/children/{child}/grants/{grant}")
    async def revoke(
        child: str,
        grant: str,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Take a relative's permission back."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, None)
        given, doc = await commands.revoke_grant(records, asked.caller, child, grant, command)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/guardians/{guardian}/removal")
    async def remove(
        child: str,
        guardian: str,
        body: WithReason,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Take a guardian out."""
        asked = Asked(runtime, request, authorization)
        command = asked.command(idempotency_key, body)
        given, doc = await commands.remove_guardian(records, asked.caller, child, guardian, body.reason, command)
        return answer(doc, STREAM, given)

    @routes.put("/v1/children/{child}/cut-offs/{guardian}")
    async def cut_off(
        child: str,
        guardian: str,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Hide address and whereabouts from a guardian."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, None)
        given, doc = await commands.cut_off(records, asked.caller, child, guardian, command)
        return answer(doc, STREAM, given)

    @routes.delete("/v1/children/{child}/cut-offs/{guardian}")
    async def lift_cut_off(
        child: str,
        guardian: str,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """End that."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, None)
        given, doc = await commands.cut_off(records, asked.caller, child, guardian, command, lift=True)
        return answer(doc, STREAM, given)

    @routes.put("/v1/children/{child}/consents/{organisation}")
    async def give(
        child: str,
        organisation: Organisation,
        body: ConsentBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Let an organisation read the record."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, body)
        given, doc = await commands.give_consent(
            records, asked.caller, child, organisation, body.kind, body.purpose, body.until, command, if_match
        )
        return answer(doc, STREAM, given)

    @routes.delete("/v1/children/{child}/consents/{organisation}")
    async def withdraw(
        child: str,
        organisation: Organisation,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        """Take an organisation's permission back."""
        asked = Asked(runtime, request, authorization)
        command = asked.optional_command(idempotency_key, None)
        given, doc = await commands.withdraw_consent(records, asked.caller, child, organisation, command, if_match)
        return answer(doc, STREAM, given)

    return routes
