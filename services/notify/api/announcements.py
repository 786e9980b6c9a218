"""Notices: preview, publish, correct, recall, ledger."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.notify.api.pages import cursors_of
from services.notify.commands import announcements as commands
from services.notify.commands.announcements import Notice, Notices
from services.notify.commands.ledger import ledger
from shared.service import Runtime, answer, api_router, command_of

Texts = dict[str, Annotated[str, Field(max_length=10_000)]]
Authorization = Annotated[str | None, Header()]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PreviewBody(Body):
    """An audience to count; its schema is services/notify/audience.schema.json."""

    audience: dict[str, Any]


class AnnouncementBody(Body):
    """A notice; texts per language (ja needed; ja-Hrkt, en, zh, vi, pt, ne), `confirm` the number asked for."""

    title: Texts
    body: Texts
    audience: dict[str, Any]
    urgency: Literal["info", "important", "emergency"] = "info"
    publish_at: datetime | None = None
    expires_at: datetime | None = None
    confirm: Annotated[int, Field(ge=0, strict=True)] | None = None


class CorrectionBody(Body):
    """The text as it should have been, and why."""

    title: Texts
    body: Texts
    reason: str = Field(min_length=1, max_length=500)


class RecallBody(Body):
    """Why the notice was wrong."""

    reason: str = Field(min_length=1, max_length=500)


def router(runtime: Runtime, notices: Notices) -> APIRouter:
    """The routes of notices."""
    routes = api_router()
    cursors = cursors_of(runtime, "deliveries")

    @routes.post("/v1/announcements/preview")
    async def preview(body: PreviewBody, authorization: Authorization = None) -> JSONResponse:
        """How many a notice would reach."""
        return JSONResponse(await commands.preview(notices, runtime.principal(authorization), body.audience))

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
            body.title, body.body, body.audience, body.urgency, body.publish_at, body.expires_at, body.confirm
        )
        found, doc = await commands.publish(notices, principal, notice, command)
        return answer(doc, "notify.announcement", found, status=202, location=f"/v1/announcements/{doc.id}")

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
        found, doc = await commands.correct(
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
        found, doc = await commands.recall(notices, principal, announcement, body.reason, command)
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
