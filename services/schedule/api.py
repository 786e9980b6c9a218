"""The internal HTTP of schedule: the gateway calls it on behalf of a principal; it checks again."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from services.schedule.commands.coverage import (
    assign_follow_up,
    coverage_of,
    not_yet_list,
    place_in_list,
    with_refusals,
)
from services.schedule.commands.planning import Planning
from services.schedule.commands.pre_checks import Question, answer_pre_check, recall_lot
from services.schedule.commands.reading import catch_up_of, plan_on, pregnancy_plan
from shared.cursors import Cursors
from shared.documents import Document
from shared.problems import Busy, invalid
from shared.runtime import Runtime
from shared.vaccines import CVX, vaccines
from shared.waiting import FRESH_WAIT_S, until
from shared.web import Asked, Asking, answer, api_router


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
    cursors = Cursors(runtime.settings.own_secret, "not-yet")

    @routes.post("/v1/pre-checks", status_code=201)
    async def pre_checks(body: PreCheckBody, asked: Asking) -> JSONResponse:
        """Check a dose before it is given: allow, warn or stop, with reasons."""
        command = asked.command(body)
        plan = await _until_fresh(planning, body.child, asked)
        question = Question(
            child=body.child,
            code=_code(body),
            product=body.product,
            lot=body.lot,
            expires_on=body.expires_on,
            on=body.on or planning.today,
        )
        found, doc = await answer_pre_check(planning, asked.principal, question, command, plan)
        return answer(doc, "schedule.plan", found, status=201)

    @routes.get("/v1/pregnancies/{pregnancy}/plan")
    async def plan_of_pregnancy(pregnancy: str, asked: Asking) -> JSONResponse:
        """The woman's own plan: doses and checkups of the pregnancy, and hers after the birth."""
        return JSONResponse(pregnancy_plan(planning, await planning.plans.load(pregnancy), asked.principal))

    @routes.get("/v1/children/{child}/plan")
    async def plan(child: str, asked: Asking, on: Annotated[date | None, Query()] = None) -> JSONResponse:
        """The plan as it would be on another day."""
        doc = await _until_fresh(planning, child, asked)
        return JSONResponse(plan_on(planning, doc, asked.principal, on or planning.today))

    @routes.get("/v1/children/{child}/catch-up")
    async def catch_up(
        child: str,
        asked: Asking,
        ill_until: Annotated[date | None, Query()] = None,
        closed: Annotated[list[date] | None, Query(max_length=100)] = None,
    ) -> JSONResponse:
        """The fewest visits that complete what is open."""
        doc = await _until_fresh(planning, child, asked)
        return JSONResponse(catch_up_of(planning, doc, asked.principal, ill_until, closed or []))

    @routes.get("/v1/municipalities/{code}/coverage")
    async def coverage(code: str, asked: Asking) -> JSONResponse:
        """How the town's children stand for each series."""
        return JSONResponse(await coverage_of(planning, asked.principal, code))

    @routes.get("/v1/municipalities/{code}/not-yet")
    async def not_yet(
        code: str,
        asked: Asking,
        kind: Literal["due", "dose", "checkup", "overdue", "closing"] = "due",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """The not-yet list of a municipality."""
        lines = await not_yet_list(planning, asked.principal, code, kind)
        total = len(lines)
        children = len({line["child"] for line in lines})
        if cursor is not None:
            after = tuple(cursors.open(cursor))
            lines = [line for line in lines if place_in_list(line) > after]
        page = await with_refusals(planning, lines[:limit])
        body = {"items": page, "total": total, "children": children, "next": None}
        if len(lines) > limit:
            last = page[-1]
            body["next"] = cursors.seal([*place_in_list(last)])
        return JSONResponse(body)

    @routes.put("/v1/municipalities/{code}/follow-ups/{line}")
    async def follow_up(code: str, line: str, body: FollowUpBody, asked: Asking) -> JSONResponse:
        """Say who follows up, and how far they are."""
        found, doc = await assign_follow_up(planning, asked.principal, code, line, body.state, body.responsible)
        return answer(doc, "schedule.plan", found)

    @routes.post("/v1/lot-recalls", status_code=201)
    async def lot_recalls(body: LotRecallBody, asked: Asking) -> JSONResponse:
        """Recall a lot."""
        command = asked.command(body)
        found, doc = await recall_lot(planning, asked.principal, body.product, body.lot, body.reason, command)
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


async def _until_fresh(planning: Planning, child: str, asked: Asked) -> Document | None:
    """The child's plan, once it has seen what the caller wrote (read your writes); Busy when that does not come."""
    wanted = asked.seen("records.child", child)
    found: Document | None = None

    async def fresh() -> bool:
        nonlocal found
        found = await planning.plans.load(child)
        return (0 if found is None else found.read_to("records.child", child)) >= wanted

    if not await until(fresh, FRESH_WAIT_S, lambda: planning.plans.next_commit(child)):
        raise Busy
    return found
