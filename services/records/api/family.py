"""Guardians, relatives and their codes, and consent to read."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import Field, StringConstraints

from services.records.api.wire import (
    Asking,
    Body,
    Day,
    WithReason,
    Words,
)
from services.records.commands import family as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.family import MOST_CODES_AT_ONCE
from services.records.domain.findings import Findings
from services.records.domain.record import Share
from shared.events.records import Relation, Section
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

    def share(self) -> Share | None:
        """As the domain takes it; raises Invalid: a relative's has sections and a last day, a guardian's has neither."""
        findings = Findings()
        for name in ("sections", "until"):
            given = getattr(self, name) is not None
            if self.relation == "guardian" and given:
                findings.add(
                    f"/{name}", "not-for-guardians", "保護者には指定できません。", "A guardian reads everything."
                )
            if self.relation != "guardian" and not given:
                findings.add(f"/{name}", "missing", "親族などの招待に必要です。", "A relative's invitation needs it.")
        findings.refuse()
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


def router(records: Records) -> APIRouter:
    """The routes of family and consent."""
    routes = api_router()

    @routes.post("/v1/children/{child}/guardian-codes", status_code=201)
    async def issue(child: str, asked: Asking, body: CodesBody | None = None) -> JSONResponse:
        """Issue one-time codes for the child's guardians."""
        wanted = body or CodesBody()
        command = asked.command(wanted)
        given, doc = await commands.issue_codes(records, asked.caller, child, wanted.count, command)
        return answer(doc, STREAM, given, status=201)

    @routes.post("/v1/guardian-links", status_code=201)
    async def link(body: LinkBody, asked: Asking) -> JSONResponse:
        """Bind the caller to the child of a one-time code."""
        command = asked.command(body)
        given, doc = await commands.link(records, asked.caller, body.code, command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{doc.id}")

    @routes.post("/v1/children/{child}/invitations", status_code=201)
    async def invite(child: str, body: InvitationBody, asked: Asking) -> JSONResponse:
        """Issue a one-time code for the other guardian or a relative."""
        command = asked.command(body)
        given, doc = await commands.invite(records, asked.caller, child, body.share(), command)
        return answer(doc, STREAM, given, status=201)

    @routes.delete("/v1/children/{child}/grants/{grant}")
    async def revoke(child: str, grant: str, asked: Asking) -> JSONResponse:
        """Take a relative's permission back."""
        command = asked.optional_command()
        given, doc = await commands.revoke_grant(records, asked.caller, child, grant, command)
        return answer(doc, STREAM, given)

    @routes.post("/v1/children/{child}/guardians/{guardian}/removal")
    async def remove(child: str, guardian: str, body: WithReason, asked: Asking) -> JSONResponse:
        """Take a guardian out."""
        command = asked.command(body)
        given, doc = await commands.remove_guardian(records, asked.caller, child, guardian, body.reason, command)
        return answer(doc, STREAM, given)

    @routes.put("/v1/children/{child}/cut-offs/{guardian}")
    async def cut_off(child: str, guardian: str, asked: Asking) -> JSONResponse:
        """Hide address and whereabouts from a guardian."""
        command = asked.optional_command()
        given, doc = await commands.cut_off(records, asked.caller, child, guardian, command)
        return answer(doc, STREAM, given)

    @routes.delete("/v1/children/{child}/cut-offs/{guardian}")
    async def lift_cut_off(child: str, guardian: str, asked: Asking) -> JSONResponse:
        """End that."""
        command = asked.optional_command()
        given, doc = await commands.cut_off(records, asked.caller, child, guardian, command, lift=True)
        return answer(doc, STREAM, given)

    @routes.put("/v1/children/{child}/consents/{organisation}")
    async def give(child: str, organisation: Organisation, body: ConsentBody, asked: Asking) -> JSONResponse:
        """Let an organisation read the record."""
        command = asked.optional_command(body)
        given, doc = await commands.give_consent(
            records, asked.caller, child, organisation, body.kind, body.purpose, body.until, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    @routes.delete("/v1/children/{child}/consents/{organisation}")
    async def withdraw(child: str, organisation: Organisation, asked: Asking) -> JSONResponse:
        """Take an organisation's permission back."""
        command = asked.optional_command()
        given, doc = await commands.withdraw_consent(
            records, asked.caller, child, organisation, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    return routes
