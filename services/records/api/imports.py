"""Imports: a town's file with children and past doses."""

import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.types import Scope

from services.records.api.wire import Asking
from services.records.commands import imports as commands
from services.records.commands.records import Records
from services.records.domain.import_files import KINDS, MAX_BYTES
from shared.cursors import Cursors
from shared.problems import UnsupportedMedia, invalid, language_of
from shared.store import Doc
from shared.web import api_router


def larger_body(scope: Scope) -> int:
    """How many bytes this request may have: a file to import is larger than anything else."""
    return MAX_BYTES if scope["method"] == "POST" and scope["path"].endswith("/imports") else 0


def _told(row: Doc, language: str) -> Doc:
    """A row of the report in the reader's language; never what stands in the row."""
    found: Doc = {name: row[name] for name in ("row", "outcome", "child") if name in row}
    if "similar" in row:
        found["similar"] = [{name: value for name, value in one.items() if value is not None} for one in row["similar"]]
    if "problems" in row:
        found["errors"] = [
            {"field": one["field"], "code": one["code"], "detail": one[language]} for one in row["problems"]
        ]
    return found


def router(records: Records) -> APIRouter:
    """The routes of imports."""
    routes = api_router()
    cursors = Cursors(records.secret, "imports")

    @routes.post("/v1/municipalities/{code}/imports", status_code=202)
    async def begin(code: str, asked: Asking, request: Request, dry_run: bool = False) -> JSONResponse:
        """Hand in a file; the body is the file itself."""
        kind = KINDS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
        if kind is None:
            raise UnsupportedMedia(headers={"Accept": ", ".join(KINDS)})
        data = await request.body()
        digest = hashlib.sha256(data).hexdigest()
        command = asked.command(f"{kind} {dry_run} {digest}")
        given = await commands.begin(records, asked.caller, code, data, kind, dry_run=dry_run, command=command)
        return JSONResponse(given, 202, {"Location": f"/v1/municipalities/{code}/imports/{given['id']}"})

    @routes.get("/v1/municipalities/{code}/imports")
    async def read_all(code: str, asked: Asking) -> JSONResponse:
        """The town's imports, newest first."""
        return JSONResponse({"items": await commands.list_imports(records, asked.caller, code)})

    @routes.get("/v1/municipalities/{code}/imports/{batch}")
    async def read_one(code: str, batch: str, asked: Asking) -> JSONResponse:
        """How far an import is."""
        return JSONResponse(await commands.read_import(records, asked.caller, code, batch))

    @routes.get("/v1/municipalities/{code}/imports/{batch}/rows")
    async def read_rows(
        code: str,
        batch: str,
        asked: Asking,
        request: Request,
        outcome: Literal["new", "known", "refused"] | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """What became of each row, in the file's order."""
        place = [batch, outcome]
        after = 0
        if cursor is not None:
            *where, after = cursors.open(cursor)
            if where != place:
                raise invalid(
                    "/query/cursor",
                    "cursor-unknown",
                    "カーソルが正しくありません。",
                    "This cursor is for another list.",
                )
        rows, more = await commands.read_rows(
            records, asked.caller, code, batch, outcome=outcome, after=after, limit=limit
        )
        language = language_of(request.headers.get("accept-language", ""))
        following = cursors.seal([*place, more]) if more is not None else None
        chosen = f"&outcome={outcome}" if outcome else ""
        path = f"/v1/municipalities/{code}/imports/{batch}/rows?limit={limit}{chosen}&cursor={following}"
        headers = {"Content-Language": language, **({"Link": f'<{path}>; rel="next"'} if following else {})}
        return JSONResponse({"items": [_told(row, language) for row in rows], "next": following}, headers=headers)

    @routes.post("/v1/municipalities/{code}/imports/{batch}/undo", status_code=202)
    async def undo(code: str, batch: str, asked: Asking) -> JSONResponse:
        """Take back what an import brought."""
        command = asked.command()
        return JSONResponse(await commands.begin_undo(records, asked.caller, code, batch, command), 202)

    return routes
