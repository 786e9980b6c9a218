"""FHIR R4 for EHRs: reads and searches on the gateway's own views; every error is an OperationOutcome."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import store as kept
from services.gateway.api.children import reader_of
from services.gateway.api.door import passage_of
from services.gateway.commands import read_your_writes
from services.gateway.commands.passage import Admission
from services.gateway.domain import fhir_plan, fhir_record, fhir_server, plan_view
from services.gateway.domain.fhir_codes import FhirJson
from shared.cursors import Cursors
from shared.documents import Document
from shared.problems import NotFound, Problem, invalid
from shared.runtime import Runtime
from shared.web import api_router

ROOT = "/fhir/R4"
LARGEST_PAGE = 100
Count = Annotated[int, Query(alias="_count", ge=1)]
Cursor = Annotated[str | None, Query(alias="_cursor", max_length=400)]
Format = Annotated[str | None, Query(alias="_format", max_length=60)]
_JSON = {None, "json", "application/json", "application/fhir+json"}


class NotAcceptable(Problem):
    """Only JSON is spoken here."""

    status = 406
    code = "not-acceptable"
    ja = "application/fhir+json のみに対応しています。"
    en = "Only application/fhir+json is offered."


def routes(runtime: Runtime, admission: Admission, cursors: Cursors) -> APIRouter:
    """The routes of FHIR."""
    router = api_router()
    children, plans = runtime.documents(kept.CHILDREN), kept.plans_of(runtime)

    @router.get(f"{ROOT}/metadata")
    async def metadata(request: Request, format_: Format = None) -> JSONResponse:
        """What this server can do."""
        _spoken(request, format_)
        return _answer(fhir_server.capabilities(date=runtime.clock.today().isoformat(), base=_base(request)))

    @router.get(f"{ROOT}/Patient/{{child}}")
    async def patient(request: Request, format_: Format = None) -> JSONResponse:
        """One child."""
        _spoken(request, format_)
        return _answer(_patient(passage_of(request).about))

    @router.get(f"{ROOT}/Patient")
    async def patients(
        request: Request, count: Count = 50, cursor: Cursor = None, format_: Format = None
    ) -> JSONResponse:
        """The caller's children, in pages."""
        _spoken(request, format_)
        passage = passage_of(request)
        reader = reader_of(passage.who)
        after = _place(cursors, cursor, "Patient", reader) or ""
        count = min(count, LARGEST_PAGE)
        ids = await kept.children_of(runtime.store, reader, runtime.clock.today(), after, count)
        page = ids[:count]
        found = await children.load_many(page)
        mine = [found[one] for one in page if admission.allows_child(passage.who, "readFhir", found.get(one))]
        passage.whose += [doc.id for doc in mine]
        following = cursors.seal(["Patient", reader, page[-1]]) if len(ids) > count else None
        return _answer(
            fhir_server.searchset(
                [_patient(doc) for doc in mine],
                base=_base(request),
                total=None,
                query={"_count": str(count)},
                kind="Patient",
                next_cursor=following,
            )
        )

    @router.get(f"{ROOT}/Immunization/{{immunization}}")
    async def immunization(immunization: str, request: Request, format_: Format = None) -> JSONResponse:
        """One dose; one that was entered in error says so."""
        _spoken(request, format_)
        passage = passage_of(request)
        child = await kept.child_of_dose(runtime.store, immunization)
        record = await kept.bearer_of_dose(children, child, immunization) if child is not None else None
        if record is None or not admission.allows_child(passage.who, "readFhir", record):
            raise NotFound
        passage.whose.append(record.id)
        dose = {**record.state.get("doses", {}), **record.state.get("retracted_doses", {})}.get(immunization)
        if dose is None:
            raise NotFound
        return _answer(_immunization(record, dose, await plans.load(record.id)))

    @router.get(f"{ROOT}/Immunization")
    async def immunizations(
        request: Request,
        count: Count = 50,
        cursor: Cursor = None,
        status: Annotated[str, Query(pattern="^(completed|entered-in-error)$")] = "completed",
        format_: Format = None,
    ) -> JSONResponse:
        """The child's doses that count, oldest first; those entered in error with `status=entered-in-error`."""
        _spoken(request, format_)
        passage = passage_of(request)
        plan = await plans.load(passage.about.id)
        doses = {**passage.about.state.get("doses", {}), **passage.about.state.get("retracted_doses", {})}
        found = [
            _immunization(passage.about, dose, plan)
            for dose in sorted(doses.values(), key=lambda one: (one["given_on"], one["id"]))
        ]
        matching = [one for one in found if one["status"] == status]
        query = {"patient": passage.about.id} | ({"status": status} if status != "completed" else {})
        return _page(request, cursors, matching, "Immunization", query, count, cursor)

    @router.get(f"{ROOT}/ImmunizationRecommendation")
    async def recommendations(request: Request, format_: Format = None) -> JSONResponse:
        """The child's plan."""
        _spoken(request, format_)
        passage = passage_of(request)
        plan = await read_your_writes.fresh_plan(passage, plans)
        resource = fhir_plan.recommendation(
            passage.about.id, plan.state["plan"], version=plan.state.get("plan_revision", 1)
        )
        # FHIR knows no recommendation without an item: then there is none.
        found = [resource] if resource["recommendation"] else []
        query = {"patient": passage.about.id}
        return _page(request, cursors, found, "ImmunizationRecommendation", query, LARGEST_PAGE, None)

    @router.get(f"{ROOT}/Observation")
    async def observations(
        request: Request, count: Count = 50, cursor: Cursor = None, format_: Format = None
    ) -> JSONResponse:
        """The child's measurements, oldest first."""
        _spoken(request, format_)
        about = passage_of(request).about
        measured = sorted(about.state.get("growth", {}).values(), key=lambda one: (one["measured_on"], one["id"]))
        found = [one for each in measured for one in fhir_record.growth_observations(about.id, each)]
        return _page(request, cursors, found, "Observation", {"patient": about.id}, count, cursor)

    return router


def _patient(record: Document) -> FhirJson:
    state = record.state
    return fhir_record.patient(record.id, state["facts"], version=state["facts_revision"], died_on=state.get("died_on"))


def _immunization(record: Document, dose: dict[str, Any], plan: Document | None) -> FhirJson:
    series, number = plan_view.dose_numbers(plan.state if plan is not None else {}).get(dose["id"], (None, None))
    gone = dose["id"] in record.state.get("retracted_doses", {})
    return fhir_record.immunization(record.id, dose, entered_in_error=gone, series=series, dose_number=number)


def _page(
    request: Request,
    cursors: Cursors,
    found: list[FhirJson],
    kind: str,
    query: dict[str, str],
    count: int,
    cursor: str | None,
) -> JSONResponse:
    """One page of what was found; a child's resources are few, so the place is a number."""
    count = min(count, LARGEST_PAGE)
    start = int(_place(cursors, cursor, kind, query["patient"]) or 0)
    more = len(found) > start + count
    return _answer(
        fhir_server.searchset(
            found[start : start + count],
            base=_base(request),
            total=len(found),
            query={**query, "_count": str(count)},
            kind=kind,
            next_cursor=cursors.seal([kind, query["patient"], start + count]) if more else None,
        )
    )


def _place(cursors: Cursors, cursor: str | None, kind: str, whose: str) -> str | None:
    if cursor is None:
        return None
    place = cursors.open(cursor)
    if len(place) != 3 or place[:2] != [kind, whose]:
        raise invalid(
            "/query/_cursor", "cursor-unknown", "カーソルが正しくありません。", "This cursor is for another list."
        )
    return str(place[2])


def _spoken(request: Request, format_: str | None) -> None:
    accepted = {part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")}
    if format_ not in _JSON or not accepted & {"*/*", "application/*", "application/json", "application/fhir+json"}:
        raise NotAcceptable


def _base(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}{ROOT}"


def _answer(resource: FhirJson) -> JSONResponse:
    version = resource.get("meta", {}).get("versionId")
    headers = {"ETag": f'W/"{version}"'} if version else {}
    return JSONResponse(resource, headers=headers, media_type=fhir_server.CONTENT_TYPE)


class OperationOutcomes:
    """ASGI: a problem of a FHIR path leaves as OperationOutcome, wherever it came from."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold back the answer until it is known whether it is a problem."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{ROOT}/"):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def turned(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            body = json.dumps(
                fhir_server.outcome(start["status"], json.loads(b"".join(parts))), ensure_ascii=False
            ).encode()
            kept_headers = [
                (name, value) for name, value in start["headers"] if name not in {b"content-type", b"content-length"}
            ]
            about = [
                (b"content-type", fhir_server.CONTENT_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
            ]
            await send({**start, "headers": [*kept_headers, *about]})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, turned)


def _is_problem(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"application/problem+json")
        for name, value in message["headers"]
    )
