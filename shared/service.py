"""create_service(): HTTP app, lifespan, health, metrics and tracing, the same for all five services."""

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, Any

import prometheus_client
import uvicorn
from fastapi import APIRouter, FastAPI, Header, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.telemetry import TelemetryConfig
from starlette.types import Scope

from shared import bus, loops, operations
from shared.auth import bearer
from shared.ending import end_all
from shared.outbox import archived
from shared.reconciling import as_lines, heads_of
from shared.runtime import Runtime, collect_seldom
from shared.settings import Settings
from shared.store import StoreError
from shared.telemetry import start_logging, start_tracing
from shared.web import Frame, SignedOnly, StrictRoute, api_router, install_problems

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own spans carry path and query, which name children; those of `Frame` carry the route."""


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
        tasks = loops.start(runtime)
        await operations.describe(runtime)
        collect_seldom()
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
        telemetry=NO_TELEMETRY,
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


# Running ----------------------------------------------------------------------------------------------------------


def probe_app(app: FastAPI) -> FastAPI:
    """/livez, /readyz and /metrics, on their own port."""
    probes = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY)

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
