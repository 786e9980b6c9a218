"""create_service(): HTTP app, lifespan, health, metrics and tracing, the same for all five services."""

import asyncio
import contextlib
import dataclasses
import gc
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import prometheus_client
import structlog
import uvicorn
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from opentelemetry import propagate, trace
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import bus, faults, metrics, operations
from shared.auth import InternalTokens, Principal, bearer
from shared.clock import Clock
from shared.context import Cause, set_cause
from shared.delivery import Follower, Sink
from shared.documents import Command, Document, Documents
from shared.ending import end_all
from shared.events.gateway import ClockMoved
from shared.healing import Healer
from shared.ids import new_id
from shared.internal_calls import CORRELATION, InternalCalls
from shared.outbox import Relay, archived, take_lease
from shared.problems import (
    Busy,
    KeyRequired,
    Malformed,
    NotFound,
    Problem,
    TooLarge,
    UnsupportedMedia,
    field_problems,
    language_of,
)
from shared.rebuilding import Rebuilder
from shared.reconciling import Reconciler, as_lines, heads_of
from shared.settings import Settings
from shared.store import Doc, Store, StoreError
from shared.strict_json import BadJson, loads
from shared.telemetry import start_logging, start_tracing, trace_id
from shared.views import View

log = structlog.get_logger(__name__)
tracer = trace.get_tracer("hagukumi.http")
READY_WAIT_S = 60.0


class Runtime:
    """What a service process has: settings, clock, store, relay, reader, tokens. `app.py` hands it to the rest."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(timedelta(seconds=settings.clock_skew_s))
        self.store = Store.connect(
            settings.mongo_url,
            settings.mongo_database,
            driver=settings.mongo_driver,
            timeout_ms=settings.mongo_timeout_ms,
        )
        self.producer = bus.Producer(settings)
        self.relay = Relay(
            self.store,
            self.producer,
            settings.service,
            sweep_after_ms=settings.sweep_after_ms,
            max_depth=settings.outbox_depth_service,
        )
        self.router = bus.router()
        self.name = new_id()
        self.follower = Follower(settings, self.router, self.producer, self.store)
        self.tokens = InternalTokens(settings)
        self.calls = InternalCalls(settings, self.tokens)
        self.healer = Healer(settings.service, self.store, self.calls)
        self.reconciler = Reconciler(settings.service, self.store, self.calls, self.relay.collections)
        self.rebuilder = Rebuilder(self.store, self.reconciler, self.healer)
        self.broker = bus.broker(settings)
        self.checks: dict[str, operations.Check] = {}
        self.background: list[Callable[[], Awaitable[None]]] = []
        self.on_start: list[Callable[[], Awaitable[None]]] = []
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        self.on_clock: list[Callable[[], Awaitable[None]]] = []
        self.details: dict[str, Callable[[], Any]] = {}
        """What readiness tells beside its checks; none of it makes a service unready."""
        self._collections: dict[str, Documents] = {}

    def documents(self, collection: str) -> Documents:
        """The documents of one collection, known to the relay."""
        if collection not in self._collections:
            self._collections[collection] = Documents(
                self.store,
                collection,
                relay=self.relay,
                clock=self.clock,
                max_depth=self.settings.outbox_depth_document,
            )
            self.relay.collections.append(collection)
        return self._collections[collection]

    def follow(self, topic: str, *sinks: Sink, **options: Any) -> None:
        """Read a topic into these sinks."""
        self.follower.follow(topic, *sinks, **options)

    def principal(self, authorization: str | None) -> Principal:
        """The principal for whom the gateway acts in this call; raises Unauthenticated."""
        return Principal.from_claims(self.tokens.verify(bearer(authorization), "act"))

    async def start(self) -> None:
        """Wait for the store, create indexes, start relay and reader; raises after a minute without a store."""
        faults.arm(self.settings.crash_at)
        await _until(self.store.ping, "store")
        await follow_generations(self)
        for documents in self._collections.values():
            await documents.ensure_indexes()
        await self.relay.start()
        for sink in self.follower.sinks:
            if isinstance(sink, View):
                await sink.ensure_indexes()
        for begin in self.on_start:
            await begin()
        self.broker.include_router(self.router)
        await _until(self.broker.start, "kafka")

    async def stop(self) -> None:
        """Reader first, then the relay, then the producer (`broker.stop()` would not wait for it); each bounded."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.broker.stop(), 8.0)
        for finish in self.on_stop:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(finish(), 4.0)
        await self.relay.stop()
        await self.producer.stop()
        await self.calls.close()
        await self.store.close()


async def _until(attempt: Callable[[], Awaitable[Any]], what: str) -> None:
    deadline = time.monotonic() + READY_WAIT_S
    while True:
        try:
            await asyncio.wait_for(attempt(), READY_WAIT_S)
            return
        except Exception as error:
            log.info("start.waiting", what=what, error=type(error).__name__)
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)


# Requests ---------------------------------------------------------------------------------------------------------


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
        from shared.problems import Invalid

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


class MethodNotAllowed(Problem):
    """This path has no such method."""

    status = 405
    code = "method-not-allowed"
    ja = "この操作には対応していません。"
    en = "This method is not allowed here."


# The app ----------------------------------------------------------------------------------------------------------


def create_service(
    runtime: Runtime,
    routers: Sequence[APIRouter],
    *,
    title: str,
    description: str = "",
    trust_correlation: bool = True,
    middleware: Sequence[Any] = (),
    answer_headers: Mapping[str, str] | None = None,
    larger_body: Callable[[Scope], int] | None = None,
) -> FastAPI:
    """The service's HTTP app; its lifespan starts and stops everything in `runtime`.

    `answer_headers` go on every answer that lacks them; `larger_body` says how many bytes this request may have where
    that is more than the setting.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        start_logging(runtime.settings)
        start_tracing(runtime.settings)
        await runtime.start()
        loops: list[Callable[[], Awaitable[None]]] = [
            *runtime.background,
            lambda: _heal(runtime),
            lambda: _count_parked(runtime),
            lambda: _reconcile(runtime),
            lambda: follow_generations(runtime),
            lambda: operations.work(runtime),
            lambda: _watch_lag(runtime),
        ]
        if runtime.settings.development and runtime.settings.service != "gateway":
            loops.append(lambda: follow_clock(runtime))
        tasks = [asyncio.create_task(_forever(loop)) for loop in loops]
        await operations.describe(runtime)
        # What start-up made stays until the end: a full collection would walk through all of it amid a request.
        gc.collect()
        gc.freeze()
        app.state.ready = True
        try:
            yield
        finally:
            app.state.ready = False
            await end_all(tasks)
            await runtime.stop()

    app = FastAPI(
        title=title,
        description=description,
        version="1.0.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.router.route_class = StrictRoute
    app.state.ready = False
    app.state.runtime = runtime
    install_problems(app)
    for one in middleware:
        app.add_middleware(*one) if isinstance(one, tuple) else app.add_middleware(one)
    if runtime.settings.service != "gateway":
        app.add_middleware(SignedOnly, tokens=runtime.tokens)
    app.add_middleware(
        Frame,
        max_body=runtime.settings.max_body_bytes,
        trust_correlation=trust_correlation,
        answer_headers=answer_headers,
        larger_body=larger_body,
    )
    for router in routers:
        app.include_router(router)
    app.include_router(_archive_router(runtime))
    return app


def _archive_router(runtime: Runtime) -> APIRouter:
    router = api_router()

    @router.get("/internal/events", include_in_schema=False)
    async def events(
        stream: Annotated[str, Query(max_length=100)],
        subject: Annotated[str, Query(max_length=100)],
        after: Annotated[int, Query(ge=0)] = 0,
        authorization: Annotated[str | None, Header()] = None,
    ) -> JSONResponse:
        """Archived events of one subject, for another service that missed them (protocol R1)."""
        runtime.tokens.verify(bearer(authorization), "heal")
        rows = await archived(runtime.store, stream, subject, after)
        found = [dataclasses.asdict(bus.envelope_of(row, runtime.settings.service)) for row in rows]
        for event in found:
            event["data"] = event["data"].decode()
        return JSONResponse({"head": rows[-1]["revision"] if rows else after, "events": found})

    @router.get("/internal/heads", include_in_schema=False)
    async def heads(
        stream: Annotated[str, Query(max_length=100)],
        authorization: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Every subject of one of our streams with its head, a line each, for another service's reconciler (protocol R4)."""
        runtime.tokens.verify(bearer(authorization), "heal")
        lines = as_lines(heads_of(runtime.store, runtime.relay.collections, stream))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    return router


async def _forever(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a background loop; a failure is logged and it starts again after a pause."""
    while True:
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("background.failed", exc_info=error)
        await asyncio.sleep(1.0)


async def _heal(runtime: Runtime) -> None:
    """Read missing events from their owners' archives and apply them by the same code (protocol R1)."""
    await runtime.healer.heal(runtime.follower.sinks)


async def follow_generations(runtime: Runtime) -> None:
    """Learn which generation of each view is read, also where no batch comes by (protocol R8)."""
    for sink in runtime.follower.sinks:
        if isinstance(sink, View) and not sink.owns:
            await sink.follow_pointer()


async def _reconcile(runtime: Runtime) -> None:
    """Compare every view with its owners' heads now and then, in one replica (protocol R4); what is behind the healer gets."""
    every = runtime.settings.reconcile_every_s
    await asyncio.sleep(every)
    if not await take_lease(runtime.store, "reconciler", runtime.name, seconds=int(2 * every) + 60):
        return
    for stream, sink in runtime.follower.readings:
        if isinstance(sink, View):
            try:
                await runtime.reconciler.compare(stream, sink)
            except Busy:
                log.warning("reconciler.owner_away", stream=stream)
    metrics.reconciled_at.set(time.time())


async def _count_parked(runtime: Runtime) -> None:
    """Tell how many documents of each view are parked."""
    for sink in runtime.follower.sinks:
        if isinstance(sink, View):
            await sink.count_parked()
    await asyncio.sleep(4.0)


async def _watch_lag(runtime: Runtime) -> None:
    """Tell how far every consumer is behind; the broker is asked, since a consumer that went silent knows of nothing new."""
    await asyncio.sleep(5.0)
    for subscriber in runtime.broker.subscribers:
        consumer: Any = getattr(subscriber, "consumer", None)
        if consumer is None:
            continue
        behind: dict[str, int] = {}
        try:
            ends = await asyncio.wait_for(consumer.end_offsets(consumer.assignment()), 5.0)
            for place in ends.keys() & consumer.assignment():
                position = await asyncio.wait_for(consumer.position(place), 5.0)
                behind[place.topic] = behind.get(place.topic, 0) + max(0, ends[place] - position)
        except (KafkaError, TimeoutError):
            continue
        for topic, count in behind.items():
            runtime.follower.look(topic, count, time.monotonic())


async def follow_clock(runtime: Runtime) -> None:
    """Follow the development platform's clock: every process reads the whole topic, so there is no group."""
    consumer = AIOKafkaConsumer(
        ClockMoved.topic(),
        **bus.client_options(runtime.settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async for record in consumer:
            moved = ClockMoved.model_validate_json(record.value or b"")
            runtime.clock.move_to(moved.now, datetime.fromtimestamp(record.timestamp / 1000, UTC))
            for react in runtime.on_clock:
                await react()
    finally:
        await consumer.stop()


# Running ----------------------------------------------------------------------------------------------------------


def probe_app(app: FastAPI) -> FastAPI:
    """/livez, /readyz and /metrics, on their own port."""
    probes = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @probes.get("/livez")
    async def livez(response: Response) -> dict[str, str]:
        runtime: Runtime = app.state.runtime
        if silent := runtime.follower.silent:
            response.status_code = 503
            return {"status": f"nothing comes from {', '.join(sorted(silent))} though there is something"}
        return {"status": "ok"}

    @probes.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        runtime: Runtime = app.state.runtime
        checks: dict[str, str] = {"started": "ok" if app.state.ready else "no"}
        if app.state.ready:
            try:
                await asyncio.wait_for(runtime.store.ping(), 3.0)
                checks["store"] = "ok"
            except (StoreError, TimeoutError):
                checks["store"] = "unreachable"
            checks["consumer"] = runtime.follower.stopped or "ok"
        good = all(value == "ok" for value in checks.values())
        response.status_code = 200 if good else 503
        details = {name: tell() for name, tell in runtime.details.items()}
        return {"ready": good, "checks": checks, **({"details": details} if details else {})}

    @probes.get("/metrics")
    async def prometheus() -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    return probes


def _exit_soon(server: uvicorn.Server) -> None:
    server.should_exit = True


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: uvicorn would raise them again at the end, and the exit code would not be 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


async def serve(app: FastAPI, settings: Settings) -> None:
    """Serve the API and the probes until SIGTERM; done within 15 s (G9)."""
    options: dict[str, Any] = {
        "loop": "uvloop",
        "http": "httptools",
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "timeout_graceful_shutdown": 5,
        "h11_max_incomplete_event_size": 65_536,
    }
    main = _Server(uvicorn.Config(app, host=settings.http_host, port=settings.http_port, **options))
    probes = _Server(
        uvicorn.Config(probe_app(app), host=settings.http_host, port=settings.probe_port, lifespan="off", **options)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _exit_soon, main)
    beside = asyncio.create_task(probes.serve())
    try:
        await main.serve()
    finally:
        probes.should_exit = True
        await beside


def run(create_app: Callable[[Settings], FastAPI], service: str) -> None:
    """`python -m services.<name>`: read the settings, build the app, serve."""
    settings = Settings(service=service)
    import uvloop

    uvloop.run(serve(create_app(settings), settings))
