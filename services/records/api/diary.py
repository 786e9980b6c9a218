"""The diary: entries, firsts, photos."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import Scope

from services.records.api.wire import Asking, Body, Day, Text
from services.records.commands import diary as commands
from services.records.commands.records import Records
from services.records.domain.diary import EntryWish, First, SharedWith
from services.records.domain.photos import MAX_BYTES, MEDIA_TYPES
from shared.cursors import Cursors
from shared.documents import Document
from shared.problems import UnsupportedMedia, invalid
from shared.store import Doc
from shared.web import api_router


class EntryBody(Body):
    """A day of the diary: words, a first, and who of the family may read it."""

    on: Day
    text: Text | None = None
    first: First | None = None
    shared_with: SharedWith = "family"

    def wish(self) -> EntryWish:
        """As the domain takes it."""
        return EntryWish(on=self.on, text=self.text, first=self.first, shared_with=self.shared_with)


def larger_body(scope: Scope) -> int:
    """How many bytes this request may have: photos are larger than anything else."""
    return MAX_BYTES if scope["method"] == "POST" and scope["path"].endswith("/photos") else 0


def _versioned(doc: Document, body: Doc, status: int = 200, location: str | None = None) -> JSONResponse:
    headers = {"ETag": f'"{doc.version}"'}
    if location is not None:
        headers["Location"] = location
    return JSONResponse(body, status, headers)


def router(records: Records) -> APIRouter:
    """The routes of the diary."""
    routes = api_router()
    cursors = Cursors(records.secret, "diary")

    @routes.post("/v1/children/{child}/diary", status_code=201)
    async def write(child: str, body: EntryBody, asked: Asking) -> JSONResponse:
        """Write an entry."""
        command = asked.command(body)
        given, doc = await commands.write_entry(records, asked.caller, child, body.wish(), command)
        return _versioned(doc, given, 201, f"/v1/children/{child}/diary/{doc.id}")

    @routes.get("/v1/children/{child}/diary")
    async def read_all(
        child: str,
        asked: Asking,
        limit: Annotated[int, Query(ge=1, le=200)] = 30,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        firsts: bool = False,
    ) -> JSONResponse:
        """The diary, newest first; or its firsts only."""
        place = [child, firsts]
        before: str | None = None
        if cursor is not None:
            *where, before = cursors.open(cursor)
            if where != place:
                raise invalid(
                    "/query/cursor",
                    "cursor-unknown",
                    "カーソルが正しくありません。",
                    "This cursor is for another list.",
                )
        items, more = await commands.read_diary(records, asked.caller, child, before=before, limit=limit, firsts=firsts)
        following = cursors.seal([*place, more]) if more is not None else None
        path = f"/v1/children/{child}/diary?limit={limit}&firsts={str(firsts).lower()}&cursor={following}"
        headers = {"Link": f'<{path}>; rel="next"'} if following else {}
        return JSONResponse({"items": items, "next": following}, headers=headers)

    @routes.get("/v1/children/{child}/diary/{entry}")
    async def read_one(child: str, entry: str, asked: Asking) -> JSONResponse:
        """One entry."""
        found, doc = await commands.read_entry(records, asked.caller, child, entry)
        return _versioned(doc, found)

    @routes.put("/v1/children/{child}/diary/{entry}")
    async def rewrite(child: str, entry: str, body: EntryBody, asked: Asking) -> JSONResponse:
        """Write an entry anew."""
        given, doc = await commands.rewrite_entry(records, asked.caller, child, entry, body.wish(), asked.if_match)
        return _versioned(doc, given)

    @routes.delete("/v1/children/{child}/diary/{entry}")
    async def delete(child: str, entry: str, asked: Asking) -> JSONResponse:
        """Delete an entry with its photos."""
        await commands.delete_entry(records, asked.caller, child, entry, asked.if_match)
        return JSONResponse({"id": entry})

    @routes.post("/v1/children/{child}/diary/{entry}/photos", status_code=201)
    async def add_photo(child: str, entry: str, asked: Asking, request: Request) -> JSONResponse:
        """Add a photo; the body is the file itself."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
            raise UnsupportedMedia(headers={"Accept": ", ".join(MEDIA_TYPES)})
        data = await request.body()
        command = asked.command(hashlib.sha256(data).hexdigest())
        given, doc = await commands.add_photo(records, asked.caller, child, entry, data, command)
        location = f"/v1/children/{child}/diary/{entry}/photos/{given['id']}"
        return _versioned(doc, given, 201, location)

    @routes.get("/v1/children/{child}/diary/{entry}/photos/{photo}")
    async def read_photo(child: str, entry: str, photo: str, asked: Asking, small: bool = False) -> Response:
        """The photo as JPEG, large or small."""
        data = await commands.read_photo(records, asked.caller, child, entry, photo, small=small)
        return Response(data, media_type="image/jpeg", headers={"Content-Disposition": 'inline; filename="photo.jpg"'})

    @routes.delete("/v1/children/{child}/diary/{entry}/photos/{photo}")
    async def delete_photo(child: str, entry: str, photo: str, asked: Asking) -> JSONResponse:
        """Delete a photo."""
        given, doc = await commands.delete_photo(records, asked.caller, child, entry, photo, asked.if_match)
        return _versioned(doc, given)

    return routes
