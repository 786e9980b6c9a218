"""The two kinds of internal HTTP: the gateway acting for a principal, and healing from an owner's archive (contracts 6)."""

import json
import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, NamedTuple

import httpx
from opentelemetry import propagate

from shared.auth import InternalTokens, Principal
from shared.context import cause
from shared.events.base import Envelope
from shared.problems import Busy
from shared.settings import Settings

TIMEOUT_S = 10.0
CONNECTIONS = 128
POOLS = 32
CORRELATION = "hagukumi-correlation"


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that a certificate may come from: read once, since it takes longer than all else that a client needs."""
    return httpx.create_ssl_context(trust_env=False)


class Head(NamedTuple):
    """How far an owner's subject is: the last revision that was announced for certain, and the last that was committed.

    What lies between may be on its topic already: published, acknowledged, and not cleared from its outbox yet.
    """

    subject: str
    announced: int
    committed: int


class _Pools(httpx.AsyncBaseTransport):
    """A few connections in each of many small pools, the least busy of which is asked.

    httpcore looks at every connection of its pool, and at the socket of each, when a request begins and when it ends.
    """

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS // POOLS, max_keepalive_connections=CONNECTIONS // POOLS)
        self._pools = [httpx.AsyncHTTPTransport(verify=_trusted(), limits=limits) for _ in range(POOLS)]
        self._busy = [0] * POOLS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask by the least busy pool."""
        place = self._busy.index(min(self._busy))
        self._busy[place] += 1
        try:
            return await self._pools[place].handle_async_request(request)
        finally:
            self._busy[place] -= 1

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.aclose()


class InternalCalls:
    """Signed, bounded calls to the other services."""

    def __init__(self, settings: Settings, tokens: InternalTokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            transport=_Pools(),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def act(
        self,
        service: str,
        method: str,
        path: str,
        principal: Principal,
        *,
        body: bytes | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        within_s: float = TIMEOUT_S,
    ) -> httpx.Response:
        """Do this at the owner on behalf of the principal; the owner checks again. Raises Busy when it cannot be reached."""
        sent = {
            "authorization": f"Bearer {self._tokens.sign(service, 'act', principal)}",
            CORRELATION: cause().correlation,
            **(headers or {}),
        }
        if body is not None:
            sent.setdefault("content-type", "application/json")
        propagate.inject(sent)
        try:
            return await self._http.request(
                method,
                f"{self._settings.url_of(service)}{path}",
                content=body,
                params=params,
                headers=sent,
                timeout=within_s,
            )
        except httpx.HTTPError as error:
            raise Busy from error

    async def events_after(self, service: str, stream: str, subject: str, after: int) -> tuple[int, list[Envelope]]:
        """(the owner's head of that subject, its archived events after a revision in order); raises Busy."""
        try:
            answer = await self._http.get(
                f"{self._settings.url_of(service)}/internal/events",
                params={"stream": stream, "subject": subject, "after": str(after)},
                headers={"authorization": f"Bearer {self._tokens.sign(service, 'heal')}"},
            )
            if answer.status_code == 422:
                # No stream and subject of ours looks like that: nobody ever announced it.
                return after, []
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found["head"], [Envelope(**{**event, "data": event["data"].encode()}) for event in found["events"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Busy from error

    async def heads(self, service: str, stream: str) -> AsyncIterator[Head]:
        """Every subject of an owner's stream with its head, as they arrive; raises Busy, also when it ends too early."""
        try:
            async with self._http.stream(
                "GET",
                f"{self._settings.url_of(service)}/internal/heads",
                params={"stream": stream},
                headers={"authorization": f"Bearer {self._tokens.sign(service, 'heal')}"},
            ) as answer:
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    head = json.loads(line)
                    if head is None:
                        return
                    yield Head(*head)
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise Busy from error
        raise Busy
