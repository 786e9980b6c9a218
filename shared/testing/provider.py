"""What the simulated providers share: a server on loopback (HTTP/1.1 and HTTP/2), requests as they came, and answers on demand."""

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(slots=True)
class Received:
    """One request; `problem` is what the provider found wrong with it, `status` what it answered."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    problem: str | None
    status: int
    version: str = "1.1"


@dataclass(slots=True)
class Scripted:
    """An answer to give to a good request for an address: one of the provider's documented errors, or silence.

    `times` often, then as usual; `accepts` says that the message reached its address although the answer says otherwise.
    """

    code: str = ""
    retry_after: int | None = None
    after: float = 0.0
    times: int | None = None
    accepts: bool = False


@dataclass(slots=True)
class Verdict:
    """What to answer."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


class Provider:
    """A provider; an async context manager. Subclasses say what their published protocol asks and answers."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.origin = f"http://127.0.0.1:{self.port}"
        self.requests: list[Received] = []
        self.delivered: deque[tuple[str, dict[str, Any]]] = deque()
        """(address, message) of what was accepted, once each."""
        self.scripts: dict[str, Scripted] = {}
        """By address; `*` stands for every other one."""
        self._closing = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def judge(self, request: Request, body: bytes) -> Verdict:
        """The verdict on a request."""
        raise NotImplementedError

    def script(self, address: str) -> Scripted | None:
        """The scripted answer for an address, used up once."""
        found = self.scripts.get(address) or self.scripts.get("*")
        if found is None or found.times == 0:
            return None
        if found.times is not None:
            found.times -= 1
        return found

    async def silence(self, seconds: float) -> None:
        """Say nothing for so long, or until the provider closes."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    async def __aenter__(self) -> Self:
        app = Starlette(routes=[Route("/{path:path}", self._receive, methods=["GET", "POST", "PUT", "DELETE"])])
        config = Config()
        config.bind = [f"127.0.0.1:{self.port}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 1.0
        self._serving = asyncio.create_task(serve(app, config, shutdown_trigger=self._closing.wait))  # type: ignore[arg-type]
        for _ in range(500):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return self
            await asyncio.sleep(0.01)
        raise RuntimeError(f"{self.origin} does not listen")

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        if self._serving is not None:
            await self._serving

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        verdict = await self.judge(request, body)
        try:
            told = json.loads(body)
        except ValueError:
            told = {"raw": body.decode("utf-8", "replace")}
        headers = {name.lower(): value for name, value in request.headers.items()}
        version = str(request.scope["http_version"])
        self.requests.append(Received(request.url.path, headers, told, verdict.problem, verdict.status, version))
        content = json.dumps(verdict.body).encode() if verdict.body else b""
        return Response(content, verdict.status, {"Content-Type": "application/json", **verdict.headers})
