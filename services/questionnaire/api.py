"""HTTP in: the paths and bodies of the public API, called by the gateway for a signed-in principal."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from services.questionnaire import commands
from services.questionnaire.commands import Beginning, Desk, Sight
from services.questionnaire.domain.access import Caller
from services.questionnaire.domain.answers import MAX_ANSWERS
from services.questionnaire.domain.fhir import to_fhir_questionnaire
from services.questionnaire.domain.shown import form_json, form_line, response_json
from shared.clock import wire_instant
from shared.cursors import Cursors
from shared.problems import NotFound, invalid
from shared.runtime import Runtime
from shared.vaccines import vaccines
from shared.web import Asked, Asking, answer, api_router

STREAM = "questionnaire.response"
FHIR_JSON = "application/fhir+json"

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
PathId = Annotated[str, Path(max_length=64)]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AnswerBody(Body):
    """One answer; null takes an answer away."""

    link_id: str = Field(min_length=1, max_length=64)
    value: Any = Field(default=None, description="boolean, an option's code, text, a number, or a date YYYY-MM-DD")


class Coding(Body):
    """A vaccine in a code system."""

    system: str = Field(min_length=1, max_length=200)
    code: str = Field(min_length=1, max_length=40)


class NewResponse(Body):
    """A response to begin. `vaccine`: Hagukumi's code, a CVX code, or a coding."""

    child: Id
    form: Id
    version: Annotated[str, Field(max_length=20)] | None = None
    vaccine: Annotated[str, Field(min_length=1, max_length=40)] | Coding | None = None
    clinic: Id | None = None
    answers: Annotated[tuple[AnswerBody, ...], Field(max_length=MAX_ANSWERS)] | None = None


class Answers(Body):
    """All answers of a draft; what is left out is not answered."""

    answers: Annotated[tuple[AnswerBody, ...], Field(max_length=MAX_ANSWERS)]


class Nothing(Body):
    """A body without fields."""


class DecisionBody(Body):
    """The doctor's decision (接種の可否), and whether it was explained. `temperature_c`: measured again at the clinic."""

    decision: Literal["go_ahead", "postpone", "never"]
    explained: StrictBool
    note_code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] | None = None
    temperature_c: Annotated[float, Field(strict=True, ge=33.0, le=43.0)] | None = None


class WithdrawalBody(Body):
    """Why the guardian takes it back: a code, no story."""

    reason: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")] = "withdrawn-by-guardian"


def routes(runtime: Runtime, desk: Desk) -> APIRouter:
    """Every route of questionnaire."""
    router = api_router()
    cursors = Cursors(runtime.settings.own_secret, "responses")

    def shown(asked: Asked, sight: Sight) -> dict[str, Any]:
        return response_json(
            sight.id, sight.response, sight.form, sight.child, today=desk.today, language=asked.language
        )

    @router.get("/v1/forms")
    async def forms(asked: Asking) -> JSONResponse:
        """The forms with which a response may begin today."""
        items = [form_line(form, asked.language) for form in desk.library.current(desk.today)]
        return JSONResponse({"items": items}, headers=_in_language(asked))

    @router.get("/v1/forms/{form_id}")
    async def form(
        form_id: PathId,
        asked: Asking,
        version: Annotated[str | None, Query(max_length=20)] = None,
        format: Literal["hagukumi", "fhir"] = "hagukumi",  # noqa: A002 - the public name of the parameter
    ) -> JSONResponse:
        """A whole form: ours, or as a FHIR R4 Questionnaire."""
        found = desk.library.find(form_id, version, desk.today)
        if found is None:
            raise NotFound
        headers = {"ETag": f'"{desk.library.digests[(found.id, found.version)][:32]}"'}
        if format == "fhir":
            return JSONResponse(to_fhir_questionnaire(found), headers=headers, media_type=FHIR_JSON)
        return JSONResponse(form_json(found, asked.language), headers=headers | _in_language(asked))

    @router.post("/v1/responses", status_code=201)
    async def begin(body: NewResponse, asked: Asking) -> JSONResponse:
        """Begin a response: a draft, prefilled with what the family said last time."""
        wanted = Beginning(
            child=body.child,
            form=body.form,
            version=body.version,
            vaccine=_vaccine(body.vaccine),
            clinic=body.clinic,
            answers=_pairs(body.answers) if body.answers is not None else None,
        )
        seen = asked.seen("records.child", body.child)
        found, doc = await commands.begin(desk, _caller(asked), wanted, asked.language, asked.command(body), seen)
        return answer(doc, STREAM, found, status=201, location=f"/v1/responses/{doc.id}")

    @router.get("/v1/responses/{response_id}")
    async def read(response_id: PathId, asked: Asking) -> JSONResponse:
        """One response, with its answers as they were asked."""
        sight, doc = await commands.see(desk, _caller(asked), response_id)
        return answer(doc, STREAM, shown(asked, sight))

    @router.put("/v1/responses/{response_id}")
    async def write(response_id: PathId, body: Answers, asked: Asking) -> JSONResponse:
        """Replace a draft's answers."""
        found, doc = await commands.answer(
            desk, _caller(asked), response_id, _pairs(body.answers), asked.language, asked.if_match
        )
        return answer(doc, STREAM, found)

    @router.post("/v1/responses/{response_id}/submission")
    async def submit(response_id: PathId, asked: Asking, body: Nothing | None = None) -> JSONResponse:
        """Hand it in; what is missing is named by its place: `/answers/<link id>`."""
        found, doc = await commands.submit(
            desk, _caller(asked), response_id, asked.wished_language, asked.optional_command()
        )
        return answer(doc, STREAM, found)

    @router.post("/v1/responses/{response_id}/decision")
    async def decide(response_id: PathId, body: DecisionBody, asked: Asking) -> JSONResponse:
        """The doctor's decision on a submitted response."""
        found, doc = await commands.decide(
            desk,
            _caller(asked),
            response_id,
            verdict=body.decision,
            explained=body.explained,
            note_code=body.note_code,
            temperature_c=body.temperature_c,
            language=asked.language,
            command=asked.optional_command(body),
        )
        return answer(doc, STREAM, found)

    @router.post("/v1/responses/{response_id}/withdrawal")
    async def withdraw(response_id: PathId, asked: Asking, body: WithdrawalBody | None = None) -> JSONResponse:
        """The guardian takes a response back; too late once the dose was given."""
        body = body or WithdrawalBody()
        found, doc = await commands.withdraw(
            desk, _caller(asked), response_id, body.reason, asked.language, asked.optional_command(body)
        )
        return answer(doc, STREAM, found)

    @router.get("/v1/children/{child}/responses")
    async def of_child(
        child: PathId,
        asked: Asking,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
    ) -> JSONResponse:
        """The child's responses that this caller may read, newest first."""
        found = await commands.see_all(desk, _caller(asked), child, asked.seen("records.child", child))
        if cursor is not None:
            after = tuple(cursors.open(cursor))
            found = [one for one in found if _place(one) < after]
        page = found[:limit]
        body: dict[str, Any] = {"items": [shown(asked, one) for one in page], "next": None}
        headers = {}
        if len(found) > limit:
            body["next"] = cursors.seal(list(_place(page[-1])))
            headers["Link"] = f'</v1/children/{child}/responses?limit={limit}&cursor={body["next"]}>; rel="next"'
        return JSONResponse(body, headers=headers)

    return router


def _caller(asked: Asked) -> Caller:
    return Caller(asked.principal.subject, asked.principal.role, asked.principal.organisation)


def _in_language(asked: Asked) -> dict[str, str]:
    return {"Content-Language": asked.language, "Vary": "Accept-Language"}


def _place(sight: Sight) -> tuple[str, str]:
    """Where a response stands in the list, newest first."""
    return wire_instant(sight.response.begun_on), sight.id


def _vaccine(given: str | Coding | None) -> str | None:
    """Hagukumi's code of a coding; a bare name is looked up later."""
    if not isinstance(given, Coding):
        return given
    found = vaccines().find(given.system, given.code)
    if found is None:
        raise invalid(
            "/vaccine/code", "unknown", "このワクチンのコードは知られていません。", "This vaccine code is not known."
        )
    return found.code


def _pairs(answers: tuple[AnswerBody, ...]) -> tuple[tuple[str, Any], ...]:
    return tuple((one.link_id, one.value) for one in answers)
