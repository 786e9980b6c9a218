"""The internal HTTP of schedule: the gateway calls it on behalf of a principal; it checks again."""

import asyncio
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.schedule.commands.coverage import assign_follow_up, coverage_of, not_yet_list
from services.schedule.commands.planning import Planning
from services.schedule.commands.pre_checks import Question, answer_pre_check, recall_lot
from services.schedule.commands.reading import catch_up_of, plan_is_fresh, plan_on, pregnancy_plan
from shared.cursors import Cursors
from shared.documents import Document, mark
from shared.problems import Busy, invalid
from shared.runtime import Runtime
from shared.vaccines import CVX, vaccines
from shared.web import answer, api_router, command_of

FRESH_WAIT_S = 5.0
Authorization = Annotated[str | None, Header()]
IdempotencyKey = Annotated[str | None, Header()]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)


class Coding(Body):
    """A vaccine in a code system."""

    system: str = Field(min_length=1, max_length=200)
    code: str = Field(min_length=1, max_length=40)


class PreCheckBody(Body):
    """What a clinic asks before the needle; `on` is the day of the dose, today unless said otherwise."""

    child: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    vaccine: Coding | None = None
    cvx: str | None = Field(default=None, pattern=r"^[0-9]{1,3}$")
    product: str | None = Field(default=None, max_length=100)
    lot: str | None = Field(default=None, max_length=40)
    expires_on: date | None = None
    on: date | None = None


class LotRecallBody(Body):
    """A lot that may no longer be given."""

    product: str = Field(min_length=1, max_length=100)
    lot: str = Field(min_length=1, max_length=40)
    reason: str = Field(min_length=1, max_length=500)


class FollowUpBody(Body):
    """How far the follow-up is, and whose it is."""

    state: Literal["unseen", "contacted", "booked", "declined", "done_elsewhere", "moved"]
    responsible: str | None = Field(default=None, max_length=64)


def router(runtime: Runtime, planning: Planning) -> APIRouter:
    """The routes of schedule."""
    routes = api_router()
    keys = runtime.settings.internal_keys.get("private") or {}
    cursors = Cursors(str(keys.get("d", "")))

    @routes.post("/v1/pre-checks", status_code=201)
    async def pre_checks(
        body: PreCheckBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
        hagukumi_revision: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Check a dose before it is given: allow, warn or stop, with reasons."""
        principal = runtime.principal(authorization)
        command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
        plan = await _until_fresh(planning, body.child, hagukumi_revision)
        question = Question(
            child=body.child,
            code=_code(body),
            product=body.product,
            lot=body.lot,
            expires_on=body.expires_on,
            on=body.on or planning.today,
        )
        found, doc = await answer_pre_check(planning, principal, question, command, plan)
        return answer(doc, "schedule.plan", found, status=201)

    @routes.get("/v1/pregnancies/{pregnancy}/plan")
    async def plan_of_pregnancy(pregnancy: str, authorization: Authorization = None) -> JSONResponse:
        """The woman's own plan: doses and checkups of the pregnancy, and hers after the birth."""
        principal = runtime.principal(authorization)
        return JSONResponse(pregnancy_plan(planning, await planning.plans.load(pregnancy), principal))

    @routes.get("/v1/children/{child}/plan")
    async def plan(
        child: str,
        on: Annotated[date | None, Query()] = None,
        authorization: Authorization = None,
        hagukumi_revision: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """The plan as it would be on another day."""
        principal = runtime.principal(authorization)
        doc = await _until_fresh(planning, child, hagukumi_revision)
        return JSONResponse(plan_on(planning, doc, principal, on or planning.today))

    @routes.get("/v1/children/{child}/catch-up")
    async def catch_up(
        child: str,
        ill_until: Annotated[date | None, Query()] = None,
        closed: Annotated[list[date] | None, Query(max_length=100)] = None,
        authorization: Authorization = None,
        hagukumi_revision: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """The fewest visits that complete what is open."""
        principal = runtime.principal(authorization)
        doc = await _until_fresh(planning, child, hagukumi_revision)
        return JSONResponse(catch_up_of(planning, doc, principal, ill_until, closed or []))

    @routes.get("/v1/municipalities/{code}/coverage")
    async def coverage(code: str, authorization: Authorization = None) -> JSONResponse:
        """How the town's children stand for each series."""
        return JSONResponse(await coverage_of(planning, runtime.principal(authorization), code))

    @routes.get("/v1/municipalities/{code}/not-yet")
    async def not_yet(
        code: str,
        kind: Literal["due", "dose", "checkup", "overdue", "closing"] = "due",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        authorization: Authorization = None,
    ) -> JSONResponse:
        """The not-yet list of a municipality."""
        principal = runtime.principal(authorization)
        lines = await not_yet_list(planning, principal, code, kind)
        total = len(lines)
        children = len({line["child"] for line in lines})
        if cursor is not None:
            after = tuple(cursors.open(cursor))
            lines = [line for line in lines if (line["overdue_from"] or "9999-12-31", line["id"]) > after]
        page = lines[:limit]
        body = {"items": page, "total": total, "children": children, "next": None}
        if len(lines) > limit:
            last = page[-1]
            body["next"] = cursors.seal([last["overdue_from"] or "9999-12-31", last["id"]])
        return JSONResponse(body)

    @routes.put("/v1/municipalities/{code}/follow-ups/{line}")
    async def follow_up(code: str, line: str, body: FollowUpBody, authorization: Authorization = None) -> JSONResponse:
        """Say who follows up, and how far they are."""
        principal = runtime.principal(authorization)
        found, doc = await assign_follow_up(planning, principal, code, line, body.state, body.responsible)
        return answer(doc, "schedule.plan", found)

    @routes.post("/v1/lot-recalls", status_code=201)
    async def lot_recalls(
        body: LotRecallBody,
        request: Request,
        authorization: Authorization = None,
        idempotency_key: IdempotencyKey = None,
    ) -> JSONResponse:
        """Recall a lot."""
        principal = runtime.principal(authorization)
        command = command_of(principal, request, idempotency_key, body.model_dump(mode="json"))
        found, doc = await recall_lot(planning, principal, body.product, body.lot, body.reason, command)
        return answer(doc, "schedule.lot", found, status=201)

    return routes


def _code(body: PreCheckBody) -> str:
    """Hagukumi's vaccine code of what was asked; refuses an unknown one."""
    if (body.vaccine is None) == (body.cvx is None):
        raise invalid(
            "/vaccine", "vaccine-missing", "vaccine か cvx のどちらか一方が必要です。", "Give either vaccine or cvx."
        )
    system, code = (body.vaccine.system, body.vaccine.code) if body.vaccine else (CVX, body.cvx or "")
    found = vaccines().find(system, code)
    if found is None:
        where = "/vaccine/code" if body.vaccine else "/cvx"
        raise invalid(
            where, "vaccine-unknown", "このワクチンコードは登録されていません。", "This vaccine code is not known."
        )
    return found.code


async def _until_fresh(planning: Planning, child: str, revision: str | None) -> Document | None:
    """The child's plan, bounded wait, once it has seen what the caller wrote (read your writes); Busy when that does not come."""
    wanted: dict[str, int] = {}
    for part in (revision or "").split(","):
        place, _, number = part.strip().rpartition("=")
        stream, _, subject = place.partition(":")
        if subject == child and stream == "records.child" and number.isdigit():
            wanted[mark(stream, subject)] = int(number)
    pause = 0.01
    waited = 0.0
    while not plan_is_fresh(plan := await planning.plans.load(child), wanted):
        if waited >= FRESH_WAIT_S:
            raise Busy
        await asyncio.sleep(pause)
        waited += pause
        pause = min(pause * 1.5, 0.2)
    return plan
