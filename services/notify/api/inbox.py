"""A guardian's inbox."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from services.notify.commands.announcements import Notices
from services.notify.commands.inbox import mark_read, read_inbox
from shared.cursors import Cursors
from shared.runtime import Runtime
from shared.web import Asking, api_router


def router(runtime: Runtime, notices: Notices) -> APIRouter:
    """The routes of the inbox."""
    routes = api_router()
    cursors = Cursors(runtime.settings.own_secret, "inbox")

    @routes.get("/v1/inbox")
    async def inbox(
        asked: Asking,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """Items, newest first, with how many are unread."""
        after = None
        if cursor is not None:
            at, item = cursors.open(cursor)
            after = (float(at), str(item))
        items, unread, more = await read_inbox(notices, asked.principal, limit, after)
        sealed = cursors.seal(list(more)) if more is not None else None
        headers = {"Link": f'</v1/inbox?limit={limit}&cursor={sealed}>; rel="next"'} if sealed else {}
        return JSONResponse({"items": items, "unread": unread, "next": sealed}, headers=headers)

    @routes.post("/v1/inbox/{item}/read")
    async def read(item: str, asked: Asking) -> JSONResponse:
        """The guardian opened it."""
        return JSONResponse(await mark_read(notices, asked.principal, item))

    return routes
