"""Children: open, correct, and what happened."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from services.records.api.wire import (
    Asking,
    Body,
    Day,
    Municipality,
    Name,
    Reason,
    Token,
    Words,
)
from services.records.commands import children as commands
from services.records.commands.records import STREAM, Records
from services.records.domain.children import ChildWish
from shared.cursors import Cursors
from shared.problems import invalid
from shared.web import answer, api_router


class NameBody(Body):
    """A name as written and as read; the reading may come in hiragana or half-width and is kept in katakana."""

    family: Name
    given: Name
    family_kana: Name
    given_kana: Name


class ChildBody(Body):
    """A child's own facts. Gestation in completed days, weight in grams."""

    birth_date: Day
    sex: Literal["F", "M", "U"]
    name: NameBody
    municipality: Municipality = Field(description="全国地方公共団体コード, 6 digits with check digit")
    district: Words | None = None
    gestation_days: int | None = None
    birth_weight_g: int | None = None
    twin_group: Token | None = None

    def wish(self) -> ChildWish:
        """As the domain takes it."""
        return ChildWish(
            birth_date=self.birth_date,
            sex=self.sex,
            family=self.name.family,
            given=self.name.given,
            family_kana=self.name.family_kana,
            given_kana=self.name.given_kana,
            municipality=self.municipality,
            district=self.district,
            gestation_days=self.gestation_days,
            birth_weight_g=self.birth_weight_g,
            twin_group=self.twin_group,
        )


class CorrectionBody(ChildBody):
    """All of the child's own facts as they should be, and why."""

    reason: Reason


def router(records: Records) -> APIRouter:
    """The routes of children."""
    routes = api_router()
    cursors = Cursors(records.secret, "children")

    @routes.post("/v1/children", status_code=201)
    async def register(body: ChildBody, asked: Asking) -> JSONResponse:
        """Open a child's record."""
        command = asked.command(body)
        given, doc = await commands.register_child(records, asked.caller, body.wish(), command)
        return answer(doc, STREAM, given, status=201, location=f"/v1/children/{doc.id}")

    @routes.put("/v1/children/{child}")
    async def correct(child: str, body: CorrectionBody, asked: Asking) -> JSONResponse:
        """Put the child's own facts right."""
        command = asked.optional_command(body)
        given, doc = await commands.correct_child(
            records, asked.caller, child, body.wish(), body.reason, command, asked.if_match
        )
        return answer(doc, STREAM, given)

    @routes.get("/v1/children/{child}/history")
    async def history(
        child: str,
        asked: Asking,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """What happened to the record, oldest first, as this caller may see it."""
        after = 0
        if cursor is not None:
            of, after = cursors.open(cursor)
            if of != child:
                raise invalid(
                    "/query/cursor",
                    "cursor-unknown",
                    "カーソルが正しくありません。",
                    "This cursor is for another list.",
                )
        lines, on = await commands.read_history(records, asked.caller, child, after, limit)
        headers = {}
        if on is not None:
            following = cursors.seal([child, on])
            headers["Link"] = f'</v1/children/{child}/history?limit={limit}&cursor={following}>; rel="next"'
        return JSONResponse(
            {"items": lines, "next": cursors.seal([child, on]) if on is not None else None}, 200, headers
        )

    return routes
