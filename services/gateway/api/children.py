"""What the gateway answers itself, from its own views: children, today's plan, reminders, and who looked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from services.gateway import store as kept
from services.gateway.api.door import passage_of
from services.gateway.api.forwarded import Forwarder
from services.gateway.commands import read_your_writes
from services.gateway.commands.history import history_of
from services.gateway.commands.passage import Admission
from services.gateway.domain import as_it_was as past
from services.gateway.domain import child_view, residence, shown
from shared.audit import accesses_of
from shared.auth import Principal
from shared.cursors import Cursors
from shared.documents import Document
from shared.problems import Invalid, NotFound, invalid
from shared.runtime import Runtime
from shared.web import api_router

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=400)]


def routes(runtime: Runtime, admission: Admission, forwarder: Forwarder, cursors: Cursors) -> APIRouter:
    """The routes of reads from the gateway's views."""
    router = api_router()
    children, plans = runtime.documents(kept.CHILDREN), kept.plans_of(runtime)
    ledgers = kept.load_ledgers()

    @router.get("/v1/children")
    async def listed(request: Request, limit: Limit = 50, cursor: Cursor = None) -> JSONResponse:
        """The caller's children: a guardian's own, a clinic's with consent, a town's residents."""
        passage = passage_of(request)
        reader = reader_of(passage.who)
        after = _opened(cursors, cursor, reader)
        await read_your_writes.fresh_list(
            passage, children, lambda record: admission.allows_child(passage.who, "readChild", record)
        )
        ids = await kept.children_of(runtime.store, reader, runtime.clock.today(), after, limit)
        page = ids[:limit]
        found = await children.load_many(page)
        # The rows may be a moment older than the record: what binds is asked of the record itself.
        mine = [one for one in page if admission.allows_child(passage.who, "readChild", found.get(one))]
        if passage.who.role != "guardian":
            passage.whose += mine
        following = cursors.seal([reader, page[-1]]) if len(ids) > limit else None
        body = {"items": [shown.line_json(one, found[one].state, passage.who) for one in mine], "next": following}
        return JSONResponse(body, headers=_next("/v1/children", limit, following))

    @router.get("/v1/children/{child}")
    async def record(request: Request) -> JSONResponse:
        """The record."""
        passage = passage_of(request)
        if "at" in request.query_params:
            return await as_it_was(request)
        body = shown.child_json(passage.about.id, passage.about.state, passage.who, runtime.clock.today())
        return JSONResponse(body, headers=_read_marks(passage.about))

    async def as_it_was(request: Request) -> JSONResponse:
        """The record as it stood at an instant, for those who may read it now."""
        about, who = passage_of(request).about, passage_of(request).who
        at = past.instant_of(request.query_params["at"], runtime.clock.now())
        was = past.as_it_was(await history_of(runtime.calls, about.id), at)
        body = shown.child_json(about.id, past.seen_today(was, about.state), who, runtime.clock.today())
        return JSONResponse({**body, "at": at.isoformat()})

    @router.get("/v1/children/{child}/kept")
    async def kept_after_move(request: Request) -> JSONResponse:
        """What this town keeps of a child who moved away: its own ledgers, as long as they have to be kept."""
        passage = passage_of(request)
        about, town = passage.about, passage.who.municipality or ""
        found = residence.kept(about.state, town, ledgers, runtime.clock.today())
        if not found:
            raise NotFound
        return JSONResponse(shown.kept_json(about.id, about.state, town, found))

    @router.get("/v1/children/{child}/family")
    async def family(request: Request) -> JSONResponse:
        """Guardians and how they are proven, relatives and what is shared with them."""
        passage = passage_of(request)
        about = passage.about
        return JSONResponse(shown.family_json(about.id, about.state, passage.who, runtime.clock.today()))

    @router.get("/v1/municipalities/{code}/arrivals")
    async def arrivals(request: Request, limit: Limit = 50, cursor: Cursor = None) -> JSONResponse:
        """Children whose move to this town was announced and has not taken effect."""
        passage = passage_of(request)
        reader = f"arriving:{passage.params['code']}"
        ids = await kept.children_of(
            runtime.store, reader, runtime.clock.today(), _opened(cursors, cursor, reader), limit
        )
        found = await children.load_many(ids[:limit])
        coming = [
            doc for doc in found.values() if f"arriving:{passage.params['code']}" in child_view.readers(doc.state)
        ]
        passage.whose += [doc.id for doc in coming]
        following = cursors.seal([reader, ids[limit - 1]]) if len(ids) > limit else None
        body = {"items": [shown.arrival_json(doc.id, doc.state) for doc in coming], "next": following}
        return JSONResponse(body, headers=_next(request.url.path, limit, following))

    @router.get("/v1/children/{child}/plan")
    async def plan(request: Request) -> Response:
        """Today's plan; with `on`, the plan as it would be on that day (counted by the schedule)."""
        passage = passage_of(request)
        if "on" in request.query_params:
            return await forwarder.forward(request, "schedule")
        doc = await read_your_writes.fresh_plan(passage, plans)
        hat = shown.seen_as(passage.about.state, passage.who)
        return JSONResponse(
            shown.plan_json(passage.about.id, doc.state["plan"], hat),
            headers={"ETag": f'"r{doc.state.get("plan_revision", 0)}"'},
        )

    @router.get("/v1/children/{child}/reminders")
    async def reminders(request: Request) -> JSONResponse:
        """Reminders: armed, fired, cancelled."""
        doc = await read_your_writes.fresh_plan(passage_of(request), plans)
        return JSONResponse({"items": shown.reminders_json(doc.state)})

    @router.get("/v1/children/{child}/accesses")
    async def accesses(request: Request, limit: Limit = 50, cursor: Cursor = None) -> JSONResponse:
        """Who looked at this record or changed it, newest first."""
        passage = passage_of(request)
        child = passage.about.id
        before = _place(cursors, cursor, child)
        # Who looked at a record that became part of this one looked at this child.
        found = {
            (row["at"], row["_id"]): row
            for name in await kept.names_of(children, passage.about)
            for row in await accesses_of(runtime.store, name, before, limit + 1)
        }
        rows = [found[place] for place in sorted(found, reverse=True)]
        page = rows[:limit]
        following = cursors.seal([child, page[-1]["at"], page[-1]["_id"]]) if len(rows) > limit else None
        body = {"items": [shown.access_json(row, passage.who) for row in page], "next": following}
        return JSONResponse(body, headers=_next(f"/v1/children/{child}/accesses", limit, following))

    return router


def reader_of(who: Principal) -> str:
    """Under which name the access rows know this principal."""
    if who.role == "clinic":
        return f"clinic:{who.organisation}"
    return f"municipality:{who.municipality}" if who.role in {"staff", "system"} else f"guardian:{who.subject}"


def _read_marks(record: Document) -> dict[str, str]:
    """What a correction needs (If-Match: the revision) and what a later read may wait for."""
    revision = record.read_to("records.child", record.id)
    return {"ETag": f'"r{revision}"', "Hagukumi-Revision": f"records.child:{record.id}={revision}"}


def _opened(cursors: Cursors, cursor: str | None, reader: str) -> str:
    if cursor is None:
        return ""
    place = cursors.open(cursor)
    if len(place) != 2 or place[0] != reader:
        raise _another_list()
    return str(place[1])


def _place(cursors: Cursors, cursor: str | None, child: str) -> tuple[str, str] | None:
    if cursor is None:
        return None
    place = cursors.open(cursor)
    if len(place) != 3 or place[0] != child:
        raise _another_list()
    return str(place[1]), str(place[2])


def _another_list() -> Invalid:
    return invalid(
        "/query/cursor", "cursor-unknown", "カーソルが正しくありません。", "This cursor is for another list."
    )


def _next(path: str, limit: int, following: str | None) -> dict[str, Any]:
    return {"Link": f'<{path}?limit={limit}&cursor={following}>; rel="next"'} if following else {}
