"""The door: every request passes here before any handler runs, and no answer leaves before its audit row is durable."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.commands.access_tokens import AccessTokens
from services.gateway.commands.limits import Allowance, Bucket, Upload, Uploads
from services.gateway.commands.passage import Admission, Asked, Passage
from services.gateway.domain.routes import Route, Table
from shared.audit import Access, Audit
from shared.auth import bearer
from shared.context import cause
from shared.problems import (
    Busy,
    InProgress,
    KeyRequired,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooMany,
    UnsupportedMedia,
)
from shared.settings import Settings
from shared.web import problem_response

log = structlog.get_logger(__name__)
BODY_WITHIN_S = 10.0
LONGEST_QUERY = 2_000
MOST_HEADERS = 100
MOST_HEADER_BYTES = 32_768
ONCE = ("authorization", "content-type", "idempotency-key", "if-match", "hagukumi-revision")
"""Headers that must not come twice: two readers could each believe another one."""

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class HeadersTooLarge(Problem):
    """More headers, or longer ones, than any client of ours sends."""

    status = 431
    code = "headers-too-large"
    ja = "ヘッダーが大きすぎます。"
    en = "The headers are too large."


class TooSlow(Problem):
    """The body did not arrive in time."""

    status = 408
    code = "too-slow"
    ja = "データの受信に時間がかかりすぎました。"
    en = "The body did not arrive in time."


@dataclass(slots=True)
class Door:
    """What the door decides with."""

    table: Table
    tokens: AccessTokens
    admission: Admission
    audit: Audit
    by_principal: Bucket
    by_address: Bucket
    guesses: Bucket
    guesses_by_address: Bucket
    uploads: Uploads
    in_progress: set[tuple[str, str, str]]


def door_of(settings: Settings, table: Table, tokens: AccessTokens, admission: Admission, audit: Audit) -> Door:
    """The door with this deployment's limits."""
    return Door(
        table,
        tokens,
        admission,
        audit,
        by_principal=Bucket("principal", settings.requests_per_second, settings.requests_at_once),
        by_address=Bucket("address", settings.requests_per_second_address, settings.requests_at_once_address),
        guesses=Bucket("guesses", 1 / 60, 10),
        guesses_by_address=Bucket("guesses-address", 1 / 6, 100),
        uploads=Uploads(settings.upload_bytes_at_once),
        in_progress=set(),
    )


class DoorKeeper:
    """ASGI: find the row, check the token, ask the policy, let one request through, audit it, then answer."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Visit(self._app, self._door, scope, receive, send).run()


class _Visit:
    """One request."""

    def __init__(self, app: ASGIApp, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._door = door
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = Headers(scope=scope)
        self._address = scope["client"][0] if scope.get("client") else ""
        self._passage: Passage | None = None
        self._allowance: Allowance | None = None
        self._body: bytes | None = None
        self._upload: Upload | None = None
        self._started = False
        self._refused = False

    async def run(self) -> None:
        """Every way out of here is an answer."""
        claim: tuple[str, str, str] | None = None
        try:
            row = self._find()
            passage = await self._admit(row)
            claim = self._claim(passage)
            if row.thing != "open":
                passage.body = await self._read_body()
            self._scope.setdefault("state", {})["passage"] = passage
            await self._app(self._scope, self._replay, self._watched)
        except Problem as problem:
            await self._refuse(problem)
        except Exception as error:
            log.error("http.failed", exc_info=error)
            await self._refuse(Problem())
        finally:
            if claim is not None:
                self._door.in_progress.discard(claim)
            if self._upload is not None:
                self._upload.end()

    # The way in ---------------------------------------------------------------------------------------------------

    def _find(self) -> Route:
        if not self._door.by_address.take(self._address).granted:
            raise TooMany(headers={"Retry-After": "1"})
        given = self._scope["headers"]
        size = sum(len(name) + len(value) for name, value in given if name != b"authorization")
        if len(given) > MOST_HEADERS or size > MOST_HEADER_BYTES:
            raise HeadersTooLarge
        if (
            any(len(self._headers.getlist(name)) > 1 for name in ONCE)
            or len(self._scope["query_string"]) > LONGEST_QUERY
        ):
            raise Malformed
        if b"%" in self._scope.get("raw_path", b"").partition(b"?")[0]:
            raise NotFound  # no path of ours is written in two ways
        found = self._door.table.find(self._scope["method"], self._scope["path"])
        if isinstance(found, set):
            if not found:
                raise NotFound
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(found))})
        row, params = found
        self._scope["route"] = row  # metrics and spans name the route of a refusal too
        self._passage = Passage(row, None, params)
        return row

    async def _admit(self, row: Route) -> Passage:
        passage = self._passage
        if passage is None or row.thing == "open":
            return passage or Passage(row, None, {})
        signed_in = self._door.tokens.verify(bearer(self._headers.get("authorization")))
        passage.principal, passage.expires_at = signed_in.principal, signed_in.expires_at
        self._allowance = self._door.by_principal.take(f"{passage.who.role}:{passage.who.subject}")
        if not self._allowance.granted:
            raise TooMany(headers={"Retry-After": str(self._allowance.wait_s)})
        await self._door.admission.admit(
            passage,
            Asked(
                query=self._scope["query_string"].decode("latin-1"),
                revisions=self._headers.get("hagukumi-revision", ""),
                body=self._json_body,
            ),
        )
        if row.guarded and not (
            self._door.guesses.take(passage.who.subject, 0).granted
            and self._door.guesses_by_address.take(self._address, 0).granted
        ):
            raise TooMany(headers={"Retry-After": "60"})
        self._check_media(row)
        if row.creates and not _is_key(self._headers.get("idempotency-key")):
            raise KeyRequired
        return passage

    def _check_media(self, row: Route) -> None:
        """A body is JSON or what its row accepts, and not packed: nothing here grows when it is opened."""
        if not self._has_body():
            return
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if row.method in {"GET", "HEAD"} or kind not in row.accepts:
            raise UnsupportedMedia(headers={"Accept": ", ".join(row.accepts)})
        if self._headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMedia(headers={"Accept-Encoding": "identity"})

    def _has_body(self) -> bool:
        return self._headers.get("content-length", "0") != "0" or "transfer-encoding" in self._headers

    def _claim(self, passage: Passage) -> tuple[str, str, str] | None:
        """The same key again while the first is being worked on: 409, not a second try (contracts, section 2)."""
        key = self._headers.get("idempotency-key")
        if key is None or passage.principal is None:
            return None
        claim = (passage.principal.subject, f"{self._scope['method']} {self._scope['path']}", key)
        if claim in self._door.in_progress:
            raise InProgress
        self._door.in_progress.add(claim)
        return claim

    async def _json_body(self) -> bytes:
        self._check_media(self._passage.row) if self._passage else None
        return await self._read_body()

    async def _read_body(self) -> bytes:
        if self._body is None:
            row = self._passage.row if self._passage else None
            try:
                async with asyncio.timeout(row.within_s if row is not None else BODY_WITHIN_S):
                    self._body = await self._received(large=row is not None and bool(row.max_body))
            except TimeoutError:
                raise TooSlow from None
        return self._body

    async def _received(self, *, large: bool) -> bytes:
        parts: list[bytes] = []
        if large and self._passage is not None:
            self._upload = self._door.uploads.begin(self._passage.who.subject)
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Malformed
            part = message.get("body", b"")
            if self._upload is not None:
                self._upload.grow(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _replay(self) -> Message:
        """The body that was read here, then whatever comes (a client that goes away)."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()

    # The way out --------------------------------------------------------------------------------------------------

    async def _watched(self, message: Message) -> None:
        """Hold the first byte of the answer until its audit row is durable."""
        if self._refused:
            return
        if message["type"] == "http.response.start":
            status = int(message["status"])
            self._count_guess(status)
            try:
                await self._keep(status)
            except Busy as problem:
                self._refused = True
                await self._answer(problem)
                return
            self._started = True
            message = {**message, "headers": [*message["headers"], *self._limit_headers()]}
        await self._send(message)

    def _count_guess(self, status: int) -> None:
        passage = self._passage
        if passage is not None and passage.row.guarded and passage.principal is not None and 400 <= status < 500:
            self._door.guesses.take(passage.who.subject)
            self._door.guesses_by_address.take(self._address)

    async def _refuse(self, problem: Problem) -> None:
        """A refusal is audited like an answer, once it is known who asked."""
        if self._started or self._refused:
            return
        self._refused = True
        try:
            await self._keep(problem.status)
        except Busy as busy:
            problem = busy
        await self._answer(problem)

    async def _answer(self, problem: Problem) -> None:
        answer = problem_response(problem, self._headers.get("accept-language", ""))
        answer.raw_headers += self._limit_headers()
        await answer(self._scope, self._receive, self._send)

    async def _keep(self, status: int) -> None:
        passage = self._passage
        if passage is None or passage.principal is None or status in {401, 429}:
            return
        who = passage.principal
        await self._door.audit.write(
            Access(
                who=who.subject,
                role=who.role,
                organisation=who.organisation or who.municipality,
                action=passage.row.action,
                whose=tuple(dict.fromkeys(passage.whose)),
                purpose=passage.purpose,
                outcome="done" if status < 400 else "refused" if status < 500 else "failed",
                status=status,
                route=f"{passage.row.method} {passage.row.path}",
                correlation=cause().correlation,
            )
        )

    def _limit_headers(self) -> list[tuple[bytes, bytes]]:
        if self._allowance is None:
            return []
        bucket = self._door.by_principal
        return [
            (b"ratelimit-policy", bucket.policy.encode()),
            (b"ratelimit", f'"{bucket.name}";r={self._allowance.left};t={self._allowance.wait_s}'.encode()),
        ]


def _is_key(value: str | None) -> bool:
    return value is not None and 0 < len(value) <= 255 and value.isprintable()


def passage_of(request: Any) -> Passage:
    """The passage of a request that the door let in."""
    found: Passage = request.state.passage
    return found
