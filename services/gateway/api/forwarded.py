"""What owners answer: the request goes on as it came, signed for its principal; the answer comes back as it is."""

import asyncio
from urllib.parse import parse_qsl, urlencode

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.gateway import store as kept
from services.gateway.api.door import passage_of
from services.gateway.commands import read_your_writes
from services.gateway.commands.holds import Holds
from services.gateway.commands.holds import losing as losing_of
from services.gateway.commands.passage import Passage
from services.gateway.domain.routes import Table
from shared.auth import Principal
from shared.problems import Busy, Malformed, NotFound
from shared.runtime import Runtime
from shared.web import api_router

SETTLE_HOLDS_EVERY_S = 60.0
log = structlog.get_logger(__name__)
GOES_ON = ("accept-language", "content-type", "idempotency-key", "if-match")
ANYBODY = Principal("anybody", "guardian")
"""For whom the owner of an open route answers: somebody who is bound to no child."""
COMES_BACK = (
    "content-type",
    "content-disposition",
    "content-language",
    "vary",
    "etag",
    "hagukumi-revision",
    "location",
    "link",
    "retry-after",
)


class Forwarder:
    """Acts at the owners for the principals whom the door let in."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._children = runtime.documents(kept.CHILDREN)
        self._holds = Holds(self._children, runtime.clock)
        runtime.background.append(self._settle_holds)

    async def forward(self, request: Request, owner: str) -> Response:
        """The owner's answer. Raises Busy when it has none, NotFound with the same bytes as our own."""
        passage = passage_of(request)
        losing = losing_of(passage) if passage.row.revokes else []
        if not losing:
            return await self._ask(request, passage, owner, losing)
        child = passage.about.id
        hold = await self._holds.put(child, losing)
        try:
            answer = await self._ask(request, passage, owner, losing)
        except NotFound:
            await self._holds.lift(child, hold)
            raise
        # Nobody knows what became of it after a Busy: who may have lost a permission stays out.
        await self._holds.lift(child, hold)
        return answer

    async def _settle_holds(self) -> None:
        await self._holds.settle_all(self._runtime.calls)
        await asyncio.sleep(SETTLE_HOLDS_EVERY_S)

    async def _ask(self, request: Request, passage: Passage, owner: str, losing: list[str]) -> Response:
        path = passage.row.path.format(**passage.params)
        query = _query(request)
        answer = await self._runtime.calls.act(
            owner,
            passage.row.method,
            f"{path}?{query}" if query else path,
            passage.principal or ANYBODY,
            body=passage.body or None,
            within_s=passage.row.within_s,
            headers={
                **{name: request.headers[name] for name in GOES_ON if name in request.headers},
                **_at_least_as_fresh(passage),
            },
        )
        if answer.status_code == 404:
            raise NotFound
        if answer.status_code == 401 or answer.status_code >= 500:
            # The principal was checked here: if the owner does not accept our signature, that is our fault.
            log.warning("owner.failed", owner=owner, status=answer.status_code)
            raise Busy
        if passage.row.relates and answer.is_success:
            revision = answer.headers.get("hagukumi-revision", "")
            await read_your_writes.in_force(passage, self._children, revision, losing)
        headers = {name: answer.headers[name] for name in COMES_BACK if name in answer.headers}
        return Response(answer.content, answer.status_code, headers)


def routes(table: Table, forwarder: Forwarder) -> APIRouter:
    """A route for each row that has an owner."""
    router = api_router()

    def answers(owner: str) -> object:
        async def forwarded(request: Request) -> Response:
            return await forwarder.forward(request, owner)

        return forwarded

    for row in table.rows:
        if row.owner is not None:
            router.add_api_route(row.path, answers(row.owner), methods=[row.method])  # type: ignore[arg-type]
    return router


def _at_least_as_fresh(passage: Passage) -> dict[str, str]:
    """What the owner's view must have seen: what the caller wrote, and what the door itself knew when it let them in.

    Otherwise a consent that the door knows already would be unknown to the owner for some milliseconds more.
    """
    wanted = dict(passage.fresh)
    if passage.record is not None:
        place = ("records.child", passage.record.id)
        wanted[place] = max(wanted.get(place, 0), passage.record.read_to(*place))
    if not wanted:
        return {}
    return {"hagukumi-revision": ",".join(f"{stream}:{subject}={n}" for (stream, subject), n in wanted.items())}


def _query(request: Request) -> str:
    """The query, written anew: nothing that two readers could read in two ways goes on."""
    try:
        given = parse_qsl(
            request.scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict"
        )
    except ValueError:
        raise Malformed from None
    return urlencode(given)
