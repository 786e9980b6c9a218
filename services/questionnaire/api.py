"""HTTP in: the paths and bodies of the public API, called by the gateway for a signed-in principal."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from services.questionnaire import commands
from services.questionnaire.commands import Beginning, Desk, Sight
from services.questionnaire.domain.access import Caller
from services.questionnaire.domain.answers import MAX_ANSWERS
from services.questionnaire.domain.fhir import to_fhir_questionnaire
from services.questionnaire.domain.shown import form_json, form_line, response_json
from shared.auth import Principal
from shared.clock import wire_instant
from shared.cursors import Cursors
from shared.documents import Command
from shared.problems import NotFound, invalid, language_of
from shared.runtime import Runtime
from shared.vaccines import vaccines
from shared.web import answer, api_router, command_of

STREAM = "questionnaire.response"
FHIR_JSON = "application/fhir+json"

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
PathId = Annotated[str, Path(max_length=64)]
Authorization = Annotated[str | None, Header()]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
Match = Annotated[str | None, Header(alias="If-Match")]
Language = Annotated[str | None, Header(alias="Accept-Language")]
Revision = Annotated[str | None, Header(alias="Hagukumi-Revision", max_length=1000)]


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
    cursors = Cursors(str((runtime.settings.internal_keys.get("private") or {}).get("d", "")))

    def principal(authorization: str | None) -> Principal:
        return runtime.principal(authorization)

    def shown(sight: Sight, language: str | None) -> dict[str, Any]:
        return response_json(
            sight.id, sight.response, sight.form, sight.child, today=desk.today, language=_language(language)
        )

    @router.get("/v1/forms")
    async def forms(authorization: Authorization = None, accept_language: Language = None) -> JSONResponse:
        """The forms with which a response may begin today."""
        principal(authorization)
        language = _language(accept_language)
        items = [form_line(form, language) for form in desk.library.current(desk.today)]
        return JSONResponse({"items": items}, headers={"Content-Language": language, "Vary": "Accept-Language"})

    @router.get("/v1/forms/{form_id}")
    async def form(
        form_id: PathId,
        version: Annotated[str | None, Query(max_length=20)] = None,
        format: Literal["hagukumi", "fhir"] = "hagukumi",  # noqa: A002 - the public name of the parameter
        authorization: Authorization = None,
        accept_language: Language = None,
    ) -> JSONResponse:
        """A whole form: ours, or as a FHIR R4 Questionnaire."""
        principal(authorization)
        found = desk.library.find(form_id, version, desk.today)
        if found is None:
            raise NotFound
        headers = {"ETag": f'"{desk.library.digests[(found.id, found.version)][:32]}"'}
        if format == "fhir":
            return JSONResponse(to_fhir_questionnaire(found), headers=headers, media_type=FHIR_JSON)
        language = _language(accept_language)
        headers |= {"Content-Language": language, "Vary": "Accept-Language"}
        return JSONResponse(form_json(found, language), headers=headers)

    @router.post("/v1/responses", status_code=201)
    async def begin(
        body: NewResponse,
        request: Request,
        authorization: Authorization = None,
        key: Key = None,
        accept_language: Language = None,
        revision: Revision = None,
    ) -> JSONResponse:
        """Begin a response: a draft, prefilled with what the family said last time."""
        who = principal(authorization)
        command = command_of(who, request, key, body.model_dump(mode="json"))
        wanted = Beginning(
            child=body.child,
            form=body.form,
            version=body.version,
            vaccine=_vaccine(body.vaccine),
            clinic=body.clinic,
            answers=_pairs(body.answers) if body.answers is not None else None,
        )
        caller = _caller(who)
        seen = _revision_of(revision, body.child)
        found, doc = await commands.begin(desk, caller, wanted, _language(accept_language), command, seen)
        return answer(doc, STREAM, found, status=201, location=f"/v1/responses/{doc.id}")

    @router.get("/v1/responses/{response_id}")
    async def read(
        response_id: PathId, authorization: Authorization = None, accept_language: Language = None
    ) -> JSONResponse:
        """One response, with its answers as they were asked."""
        caller = _caller(principal(authorization))
        sight, doc = await commands.see(desk, caller, response_id)
        return answer(doc, STREAM, shown(sight, accept_language))

    @router.put("/v1/responses/{response_id}")
    async def write(
        response_id: PathId,
        body: Answers,
        authorization: Authorization = None,
        if_match: Match = None,
        accept_language: Language = None,
    ) -> JSONResponse:
        """Replace a draft's answers."""
        caller = _caller(principal(authorization))
        found, doc = await commands.answer(
            desk, caller, response_id, _pairs(body.answers), _language(accept_language), if_match
        )
        return answer(doc, STREAM, found)

    @router.post("/v1/responses/{response_id}/submission")
    async def submit(
        response_id: PathId,
        request: Request,
        body: Nothing | None = None,
        authorization: Authorization = None,
        key: Key = None,
        accept_language: Language = None,
    ) -> JSONResponse:
        """Hand it in; what is missing is named by its place: `/answers/<link id>`."""
        who = principal(authorization)
        caller = _caller(who)
        language = language_of(accept_language) if accept_language else None
        found, doc = await commands.submit(desk, caller, response_id, language, _command(who, request, key, None))
        return answer(doc, STREAM, found)

    @router.post("/v1/responses/{response_id}/decision")
    async def decide(
        response_id: PathId,
        body: DecisionBody,
        request: Request,
        authorization: Authorization = None,
        key: Key = None,
        accept_language: Language = None,
    ) -> JSONResponse:
        """The doctor's decision on a submitted response."""
        who = principal(authorization)
        caller = _caller(who)
        found, doc = await commands.decide(
            desk,
            caller,
            response_id,
            verdict=body.decision,
            explained=body.explained,
            note_code=body.note_code,
            temperature_c=body.temperature_c,
            language=_language(accept_language),
            command=_command(who, request, key, body),
        )
        return answer(doc, STREAM, found)

    @router.post("/v1/responses/{response_id}/withdrawal")
    async def withdraw(
        response_id: PathId,
        request: Request,
        body: WithdrawalBody | None = None,
        authorization: Authorization = None,
        key: Key = None,
        accept_language: Language = None,
    ) -> JSONResponse:
        """The guardian takes a response back; too late once the dose was given."""
        who = principal(authorization)
        caller = _caller(who)
        body = body or WithdrawalBody()
        found, doc = await commands.withdraw(
            desk, caller, response_id, body.reason, _language(accept_language), _command(who, request, key, body)
        )
        return answer(doc, STREAM, found)

    @router.get("/v1/children/{child}/responses")
    async def of_child(
        child: PathId,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        authorization: Authorization = None,
        accept_language: Language = None,
        revision: Revision = None,
    ) -> JSONResponse:
        """The child's responses that this caller may read, newest first."""
        caller = _caller(principal(authorization))
        found = await commands.see_all(desk, caller, child, _revision_of(revision, child))
        if cursor is not None:
            after = tuple(cursors.open(cursor))
            found = [one for one in found if _place(one) < after]
        page = found[:limit]
        body: dict[str, Any] = {"items": [shown(one, accept_language) for one in page], "next": None}
        headers = {}
        if len(found) > limit:
            body["next"] = cursors.seal(list(_place(page[-1])))
            headers["Link"] = f'</v1/children/{child}/responses?limit={limit}&cursor={body["next"]}>; rel="next"'
        return JSONResponse(body, headers=headers)

    return router


def _caller(principal: Principal) -> Caller:
    return Caller(principal.subject, principal.role, principal.organisation)


def _place(sight: Sight) -> tuple[str, str]:
    """Where a response stands in the list, newest first."""
    return wire_instant(sight.response.begun_on), sight.id


def _language(accept_language: str | None) -> str:
    return language_of(accept_language or "")


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


def _command(principal: Principal, request: Request, key: str | None, body: Body | None) -> Command | None:
    """These POSTs create nothing: a key is welcome and not needed, since each happens at most once anyway."""
    if key is None:
        return None
    return command_of(principal, request, key, body.model_dump(mode="json") if body is not None else None)


_SEEN = re.compile(r"records\.child:([A-Za-z0-9_-]{1,64})=([0-9]{1,9})")


def _revision_of(header: str | None, child: str) -> int:
    """The revision of this child that the caller has seen (Hagukumi-Revision), or 0."""
    return max((int(number) for subject, number in _SEEN.findall(header or "") if subject == child), default=0)
