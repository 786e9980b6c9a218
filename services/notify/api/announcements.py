"""Notices: preview, publish, correct, recall, ledger."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.api.pages import cursors_of
from services.notify.commands import announcements as commands
from services.notify.commands import approval, attachments, corrections
from services.notify.commands.announcements import Notice, Notices
from services.notify.commands.ledger import ledger
from shared.runtime import Runtime
from shared.web import answer, api_router, command_of

Texts = dict[str, Annotated[str, Field(max_length=10_000)]]
Authorization = Annotated[str | None, Header()]
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
    cursors = cursors_of(runtime, "deliveries")

    @routes.post("/v1/announcements/preview")
    async def preview(body: PreviewBody, authorization: Authorization = None) -> JSONResponse:
        """How many a notice would reach."""
        principal = runtime.principal(authorization)
        return JSONResponse(await commands.preview(notices, principal, body.audience, body.languages))

    @routes.post("/v1/announcements", status_code=202)
    async def publish(
        body: AnnouncementBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Publish a notice, now or later."""
        principal = runtime.principal(authorization)
        command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
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
        found, doc = await commands.publish(notices, principal, notice, command)
        return answer(doc, "notify.announcement", found, status=202, location=f"/v1/announcements/{doc.id}")

    @routes.get("/v1/announcements")
    async def listed(
        state: State | None = None,
        authorization: Authorization = None,
    ) -> JSONResponse:
        """The town's notices, newest first."""
        return JSONResponse({"items": await approval.listed(notices, runtime.principal(authorization), state)})

    @routes.post("/v1/announcements/{announcement}/approval")
    async def approve(
        announcement: str,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """The second person approves an emergency."""
        principal = runtime.principal(authorization)
        command = command_of(principal, request, idempotency_key, {}) if idempotency_key is not None else None
        found, doc = await approval.approve(notices, principal, announcement, command)
        return answer(doc, "notify.announcement", found)

    @routes.post("/v1/announcements/{announcement}/break-glass")
    async def break_glass(
        announcement: str,
        body: RecallBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Send an emergency without a second person."""
        principal = runtime.principal(authorization)
        command = None
        if idempotency_key is not None:
            command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
        found, doc = await approval.break_glass(notices, principal, announcement, body.reason, command)
        return answer(doc, "notify.announcement", found)

    @routes.post("/v1/attachments", status_code=201)
    async def attach(
        body: AttachmentBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Keep a PDF for a notice to come."""
        principal = runtime.principal(authorization)
        command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
        found = await attachments.attach(notices.store, principal, body.name, body.content, command)
        return JSONResponse(found, 201)

    @routes.get("/v1/announcements/{announcement}/attachments/{attachment}")
    async def attachment(announcement: str, attachment: str, authorization: Authorization = None) -> Response:
        """A notice's PDF."""
        principal = runtime.principal(authorization)
        name, pdf = await attachments.read_attachment(notices.store, principal, announcement, attachment)
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return Response(pdf, media_type="application/pdf", headers={"Content-Disposition": disposition})

    @routes.get("/v1/announcements/{announcement}")
    async def show(announcement: str, authorization: Authorization = None) -> JSONResponse:
        """One notice."""
        doc = await commands.the_notice(notices, runtime.principal(authorization), announcement)
        return answer(doc, "notify.announcement", commands.shown(doc))

    @routes.put("/v1/announcements/{announcement}")
    async def correct(
        announcement: str,
        body: CorrectionBody,
        authorization: Authorization = None,
        if_match: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Put the text right."""
        found, doc = await corrections.correct(
            notices, runtime.principal(authorization), announcement, body.title, body.body, body.reason, if_match
        )
        return answer(doc, "notify.announcement", found)

    @routes.post("/v1/announcements/{announcement}/recall")
    async def recall(
        announcement: str,
        body: RecallBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Recall a wrong notice."""
        principal = runtime.principal(authorization)
        command = None
        if idempotency_key is not None:
            command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
        found, doc = await corrections.recall(notices, principal, announcement, body.reason, command)
        return answer(doc, "notify.announcement", found)

    @routes.get("/v1/announcements/{announcement}/deliveries")
    async def deliveries(
        announcement: str,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        authorization: Authorization = None,
    ) -> JSONResponse:
        """The ledger of a notice."""
        principal = runtime.principal(authorization)
        first = int(cursors.open(cursor)[0]) if cursor is not None else 0
        found, more = await ledger(notices, principal, announcement, first, limit)
        sealed = cursors.seal([more]) if more is not None else None
        path = f"/v1/announcements/{announcement}/deliveries"
        headers = {"Link": f'<{path}?limit={limit}&cursor={sealed}>; rel="next"'} if sealed else {}
        return JSONResponse({**found, "next": sealed}, headers=headers)

    return routes
