"""HTTP in, the same for all: strict bodies, commands and answers of writes, problem+json, one frame around every request."""

import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from opentelemetry import propagate, trace
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import metrics
from shared.auth import InternalTokens, Principal, bearer
from shared.context import Cause, set_cause
from shared.documents import Command, Document
from shared.ids import new_id
from shared.internal_calls import CORRELATION
from shared.problems import (
    Busy,
    Invalid,
    KeyRequired,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    UnsupportedMedia,
    field_problems,
    language_of,
)
from shared.runtime import Runtime
from shared.store import Doc, StoreError
from shared.strict_json import BadJson, loads
from shared.telemetry import trace_id

log = structlog.get_logger(__name__)
tracer = trace.get_tracer("hagukumi.http")
_REVISION = re.compile(r"\s*([a-z.]{1,60}):([A-Za-z0-9_-]{1,64})=([0-9]{1,9})\s*")


class StrictRequest(Request):
    """A request whose JSON body is read strictly; raises Problem as HTTP exceptions would be lost."""

    async def json(self) -> Any:
        try:
            return loads(await self.body())
        except BadJson as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class StrictRoute(APIRoute):
    """A route that reads bodies strictly."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def api_router(**options: Any) -> APIRouter:
    """A router whose routes read bodies strictly."""
    return APIRouter(route_class=StrictRoute, **options)


def command_of(principal: Principal, request: Request, key: str | None, body: Any) -> Command:
    """The command of this request; a creating POST without an Idempotency-Key is refused."""
    if not key or len(key) > 255 or not key.isprintable():
        raise KeyRequired
    return Command.of(principal.subject, key, f"{request.method} {request.url.path}", body)


def revisions_of(header: str) -> dict[tuple[str, str], int]:
    """What a reader has written before, from Hagukumi-Revision: (stream, subject) -> revision."""
    found: dict[tuple[str, str], int] = {}
    for part in header[:4_000].split(",")[:50]:
        match = _REVISION.fullmatch(part)
        if match is not None:
            place = (match[1], match[2])
            found[place] = max(found.get(place, 0), int(match[3]))
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: for whom the gateway acts, under which key, in which language, having read which version."""

    principal: Principal
    if_match: str | None
    wished_language: str | None
    _request: Request
    _key: str | None
    _seen: str

    @classmethod
    async def of(
        cls,
        request: Request,
        authorization: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
        if_match: Annotated[str | None, Header(max_length=100)] = None,
        accept_language: Annotated[str | None, Header()] = None,
        hagukumi_revision: Annotated[str | None, Header(max_length=1000)] = None,
    ) -> Self:
        """A dependency of the handlers, so nobody's body is looked at before the caller. FastAPI runs what is no coroutine in a thread."""
        runtime: Runtime = request.app.state.runtime
        return cls(
            principal=runtime.principal(authorization),
            if_match=if_match,
            wished_language=language_of(accept_language) if accept_language else None,
            _request=request,
            _key=idempotency_key,
            _seen=hagukumi_revision or "",
        )

    @property
    def language(self) -> str:
        """In what the answer is written."""
        return self.wished_language or language_of("")

    def command(self, body: BaseModel | str | None = None) -> Command:
        """The command of a creating call with this body (a file's is its digest); raises KeyRequired."""
        said = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
        return command_of(self.principal, self._request, self._key, said)

    def optional_command(self, body: BaseModel | str | None = None) -> Command | None:
        """The command of a call that creates nothing: a key is welcome and not needed."""
        return self.command(body) if self._key is not None else None

    def seen(self, stream: str, subject: str) -> int:
        """The revision of this subject that the caller has seen (Hagukumi-Revision), or 0."""
        return revisions_of(self._seen).get((stream, subject), 0)


Asking = Annotated[Asked, Depends(Asked.of)]


def answer(doc: Document, stream: str, body: Doc, *, status: int = 200, location: str | None = None) -> JSONResponse:
    """A write's answer: ETag is the version, Hagukumi-Revision what a later read may wait for."""
    head = doc.heads.get(f"{stream.replace('.', '/')}:{doc.id}", 0)
    headers = {"ETag": f'"{doc.version}"', "Hagukumi-Revision": f"{stream}:{doc.id}={head}"}
    if location is not None:
        headers["Location"] = location
    return JSONResponse(body, status, headers)


class Frame:
    """ASGI: one span per request, the cause of everything it commits, a bound on the body, a histogram, headers of every answer."""

    def __init__(
        self,
        app: ASGIApp,
        max_body: int,
        trust_correlation: bool,
        answer_headers: Mapping[str, str] | None = None,
        larger_body: Callable[[Scope], int] | None = None,
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._larger_body = larger_body or (lambda _: 0)
        self._trust = trust_correlation
        self._answer_headers = {name.lower().encode(): value.encode() for name, value in (answer_headers or {}).items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        correlation = headers.get(CORRELATION, "") if self._trust else ""
        set_cause(Cause(correlation=correlation[:64] or new_id()))
        status = 500
        started = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                added = [(name, value) for name, value in self._answer_headers.items() if name not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        parent = propagate.extract({"traceparent": headers.get("traceparent", "")}) if self._trust else None
        with tracer.start_as_current_span(
            f"HTTP {scope['method']}", context=parent, kind=trace.SpanKind.SERVER
        ) as span:
            try:
                declared, limit = int(headers.get("content-length") or 0), self._max_body
                if declared > limit:
                    # Only who says how much is coming may send more than is usual: photos and files to import.
                    limit = max(limit, self._larger_body(scope))
                if declared > limit:
                    await problem_response(TooLarge(), headers.get("accept-language", ""))(scope, receive, watched)
                else:
                    await self._app(scope, _bounded(receive, limit), watched)
            except ValueError:
                await problem_response(Malformed(), headers.get("accept-language", ""))(scope, receive, watched)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.response.status_code", status)
                metrics.http_seconds.labels(route, scope["method"], str(status)).observe(time.perf_counter() - started)


class SignedOnly:
    """ASGI: a service behind the gateway reads nothing of a public call (`/v1/`) that the gateway did not sign."""

    def __init__(self, app: ASGIApp, tokens: InternalTokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            try:
                Principal.from_claims(self._tokens.verify(bearer(headers.get("authorization")), "act"))
            except Problem as problem:
                await problem_response(problem, headers.get("accept-language", ""))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _bounded(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLarge
        return message

    return counted


def problem_response(problem: Problem, accept_language: str) -> JSONResponse:
    """The problem as problem+json. Not there and not yours are the same bytes: a 404 carries no trace id."""
    language = language_of(accept_language)
    return JSONResponse(
        problem.body(language, "" if problem.status == 404 else trace_id()),
        problem.status,
        {**problem.headers, "Content-Language": language, "Cache-Control": "no-store"},
        media_type="application/problem+json",
    )


def install_problems(app: FastAPI) -> None:
    """Every error of this app becomes problem+json; none quotes the input, none shows a trace."""

    def respond(request: Request, problem: Problem) -> JSONResponse:
        return problem_response(problem, request.headers.get("accept-language", ""))

    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> JSONResponse:
        return respond(request, problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = list(error.errors())
        if any(one["type"] == "json_invalid" for one in found):
            return respond(request, Malformed())
        return respond(request, Invalid(errors=field_problems(_relative(found))))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        problem: Problem = NotFound()
        if isinstance(error.__cause__, Problem):
            problem = error.__cause__
        elif error.status_code == 405:
            problem = MethodNotAllowed(headers=dict(error.headers or {}))
        elif error.status_code == 415:
            problem = UnsupportedMedia()
        elif error.status_code == 413:
            problem = TooLarge()
        elif error.status_code == 400:
            problem = Malformed()
        return respond(request, problem)

    @app.exception_handler(StoreError)
    async def on_store(request: Request, error: StoreError) -> JSONResponse:
        log.warning("http.store_failed", error=type(error).__name__)
        return respond(request, Busy())

    @app.exception_handler(TimeoutError)
    async def on_timeout(request: Request, error: TimeoutError) -> JSONResponse:
        return respond(request, Busy())

    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> JSONResponse:
        log.error("http.failed", exc_info=error)
        return respond(request, Problem())


def _relative(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """Body errors point into the body; others name where they were: `/query/limit`."""
    found = []
    for error in errors:
        location = tuple(error["loc"])
        found.append({**error, "loc": location[1:] if location and location[0] == "body" else location})
    return found
