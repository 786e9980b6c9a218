"""Live events (SSE): what changed for this principal, ids only."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from services.gateway.api.door import passage_of
from services.gateway.commands.changes import Listener, Listeners
from shared.web import api_router

HEARTBEAT_S = 15.0


def routes(listeners: Listeners) -> APIRouter:
    """The route of live events."""
    router = api_router()

    @router.get("/v1/events")
    async def events(request: Request) -> StreamingResponse:
        """Changes as they come: `event: changed`, `data: {kind, id, revision?}`; ends when the access token does."""
        passage = passage_of(request)
        listener = listeners.join(passage.who)
        return StreamingResponse(
            _stream(listeners, listener, passage.expires_at, request),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    return router


async def _stream(listeners: Listeners, listener: Listener, expires_at: int, request: Request) -> AsyncIterator[str]:
    try:
        yield "retry: 3000\n\n"
        while time.time() < expires_at and not await request.is_disconnected():
            change = None
            with contextlib.suppress(TimeoutError):
                change = await asyncio.wait_for(
                    listener.waiting.get(), max(0.1, min(HEARTBEAT_S, expires_at - time.time()))
                )
            yield ": still here\n\n" if change is None else f"event: changed\ndata: {json.dumps(change)}\n\n"
    finally:
        listeners.leave(listener)
