"""Notices: preview, publish, correct, recall, ledger."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.commands import announcements as commands
from services.notify.commands import approval, attachments, corrections
from services.notify.commands.announcements import Notice, Notices
from services.notify.commands.ledger import ledger
from shared.cursors import Cursors
from shared.runtime import Runtime
from shared.web import Asking, answer, api_router

Texts = dict[str, Annotated[str, Field(max_length=10_000)]]
State = Literal["awaiting_approval", "scheduled", "published", "recalled", "to_review"]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class LinkBody(Body):
    """A video or an article elsewhere, with its title per language."""

    url: str = Field(min_length=1, max_length=1_000)
    title: Texts


class AttachmentBody(Body):
    """A PDF, as base64; at most 180 kB."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/\\\x7f]+$")
    content: str = Field(min_length=1)


class PreviewBody(Body):
    """An audience to count; its schema is services/notify/audience.schema.json. `languages`: those that the text has."""

    audience: dict[str, Any]
    languages: list[Annotated[str, Field(max_length=10)]] = Field(default_factory=list, max_length=10)


class AnnouncementBody(Body):
    """A notice; texts per language (ja needed; ja-Hrkt, en, zh, vi, pt, ne), `confirm` the number asked for."""

    title: Texts
    body: Texts
    audience: dict[str, Any]
    urgency: Literal["info", "important", "emergency"] = "info"
    publish_at: datetime | None = None
    expires_at: datetime | None = None
    confirm: Annotated[int, Field(ge=0, strict=True)] | None = None
    links: list[LinkBody] = Field(default_factory=list)
    attachments: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list)
    safety_check: bool = False


class CorrectionBody(Body):
    """The text as it should have been, and why."""

    title: Texts
    body: Texts
    reason: str = Field(min_length=1, max_length=500)


class RecallBody(Body):
    """Why: the notice was wrong, or no second person could be waited for."""

    reason: str = Field(min_length=1, max_length=500)


def router(runtime: Runtime, notices: Notices) -> APIRouter:
    """The routes of notices."""
    routes = api_router()
    cursors = Cursors(runtime.settings.own_secret, "deliveries")

    @routes.post("/v1/announcements/preview")
    async def preview(body: PreviewBody, asked: Asking) -> JSONResponse:
        """How many a notice would reach."""
        return JSONResponse(await commands.preview(notices, asked.principal, body.audience, body.languages))

    @routes.post("/v1/announcements", status_code=202)
    async def publish(body: AnnouncementBody, asked: Asking) -> JSONResponse:
        """Publish a notice, now or later."""
        command = asked.command(body)
        notice = Notice(
            body.title,
            body.body,
            body.audience,
            body.urgency,
            body.publish_at,
            body.expires_at,
            body.confirm,
            [link.model_dump() for link in body.links],
            body.attachments,
            body.safety_check,
        )
        found, doc = await commands.publish(notices, asked.principal, notice, command)
        return answer(doc, "notify.announcement", found, status=202, location=f"/v1/announcements/{doc.id}")

    @routes.get("/v1/announcements")
    async def listed(asked: Asking, state: State | None = None) -> JSONResponse:
        """The town's notices, newest first."""
        return JSONResponse({"items": await approval.listed(notices, asked.principal, state)})

    @routes.post("/v1/announcements/{announcement}/approval")
    async def approve(announcement: str, asked: Asking) -> JSONResponse:
        """The second person approves an emergency."""
        command = asked.optional_command()
        found, doc = await approval.approve(notices, asked.principal, announcement, command)
        return answer(doc, "notify.announcement", found)

    @routes.post("/v1/announcements/{announcement}/break-glass")
    async def break_glass(announcement: str, body: RecallBody, asked: Asking) -> JSONResponse:
        """Send an emergency without a second person."""
        command = asked.optional_command(body)
        found, doc = await approval.break_glass(notices, asked.principal, announcement, body.reason, command)
        return answer(doc, "notify.announcement", found)

    @routes.post("/v1/attachments", status_code=201)
    async def attach(body: AttachmentBody, asked: Asking) -> JSONResponse:
        """Keep a PDF for a notice to come."""
        command = asked.command(body)
        found = await attachments.attach(notices.store, asked.principal, body.name, body.content, command)
        return JSONResponse(found, 201)

    @routes.get("/v1/announcements/{announcement}/attachments/{attachment}")
    async def attachment(announcement: str, attachment: str, asked: Asking) -> Response:
        """A notice's PDF."""
        name, pdf = await attachments.read_attachment(notices.store, asked.principal, announcement, attachment)
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return Response(pdf, media_type="application/pdf", headers={"Content-Disposition": disposition})

    @routes.get("/v1/announcements/{announcement}")
    async def show(announcement: str, asked: Asking) -> JSONResponse:
        """One notice."""
        doc = await commands.the_notice(notices, asked.principal, announcement)
        return answer(doc, "notify.announcement", commands.shown(doc))

    @routes.put("/v1/announcements/{announcement}")
    async def correct(announcement: str, body: CorrectionBody, asked: Asking) -> JSONResponse:
        """Put the text right."""
        found, doc = await corrections.correct(
            notices, asked.principal, announcement, body.title, body.body, body.reason, asked.if_match
        )
        return answer(doc, "notify.announcement", found)

    @routes.post("/v1/announcements/{announcement}/recall")
    async def recall(announcement: str, body: RecallBody, asked: Asking) -> JSONResponse:
        """Recall a wrong notice."""
        command = asked.optional_command(body)
        found, doc = await corrections.recall(notices, asked.principal, announcement, body.reason, command)
        return answer(doc, "notify.announcement", found)

    @routes.get("/v1/announcements/{announcement}/deliveries")
    async def deliveries(
        announcement: str,
        asked: Asking,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """The ledger of a notice."""
        first = int(cursors.open(cursor)[0]) if cursor is not None else 0
        found, more = await ledger(notices, asked.principal, announcement, first, limit)
        sealed = cursors.seal([more]) if more is not None else None
        path = f"/v1/announcements/{announcement}/deliveries"
        headers = {"Link": f'<{path}?limit={limit}&cursor={sealed}>; rel="next"'} if sealed else {}
        return JSONResponse({**found, "next": sealed}, headers=headers)

    return routes
