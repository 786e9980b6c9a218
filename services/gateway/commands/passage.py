"""Letting a request through: who it is, what it wants, whether it may; the same for every route."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from services.gateway.domain import policy as rules
from services.gateway.domain.policy import Policy, Resource
from services.gateway.domain.routes import SEGMENT, Route
from shared.auth import Principal
from shared.clock import Clock
from shared.documents import Document, Documents
from shared.problems import Busy, Forbidden, Malformed, NotFound, invalid
from shared.strict_json import BadJson, loads
from shared.waiting import FRESH_WAIT_S, until
from shared.web import revisions_of

RELATION_PATIENCE_S = 0.3
"""A relation that was just made may be milliseconds behind in the view. Unknown and not yours wait equally long."""

MOST_BESIDE = 3
PURPOSES = {
    "guardian": "own-family",
    "clinic": "care",
    "staff": "public-health",
    "system": "public-health",
    "operator": "operation",
}


@dataclass(slots=True)
class Passage:
    """A request that was let in: handlers read who it is and which child, and add whose records they showed."""

    row: Route
    principal: Principal | None
    params: Mapping[str, str]
    expires_at: int = 0
    child: str | None = None
    record: Document | None = None
    purpose: str = ""
    whose: list[str] = field(default_factory=list)
    fresh: dict[tuple[str, str], int] = field(default_factory=dict)
    body: bytes = b""

    @property
    def who(self) -> Principal:
        """The principal; every route but the open ones has one."""
        if self.principal is None:
            raise RuntimeError("an open route has no principal")
        return self.principal

    @property
    def about(self) -> Document:
        """The child's document in the gateway's view, on a route about a child."""
        if self.record is None:
            raise RuntimeError("this route is about no child")
        return self.record


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request the decision needs."""

    query: str
    revisions: str
    body: Callable[[], Awaitable[bytes]]


class Admission:
    """Decides with the policy and the gateway's own view of children."""

    def __init__(
        self, policy: Policy, children: Documents, clock: Clock, *, patience_s: float = RELATION_PATIENCE_S
    ) -> None:
        self._policy = policy
        self._children = children
        self._clock = clock
        self._patience_s = patience_s

    async def admit(self, passage: Passage, asked: Asked) -> None:
        """Let it through, or raise Forbidden for the role, NotFound for what is not there or not theirs, Busy for not yet."""
        row, who = passage.row, passage.who
        passage.purpose = PURPOSES[who.role]
        passage.fresh = revisions_of(asked.revisions)
        if not self._policy.role_can(who, row.action, row.thing):
            raise Forbidden
        if row.thing == "child":
            passage.child = await _child_at(row, passage, asked)
            passage.whose.append(passage.child)
            await self._child(passage)
            if row.beside:
                await self._beside(passage, parse_qs(asked.query, max_num_fields=50).get("beside", []))
            return
        resource = Resource(rules.KIND_OF_THING[row.thing])
        if row.thing == "town":
            resource = rules.town_resource(passage.params["code"])
        if not self._policy.allows(who, row.action, resource):
            raise NotFound

    async def _child(self, passage: Passage) -> None:
        """Wait, bounded, until the view has what the caller wrote and what binds them to the child."""
        child = passage.child or ""
        wanted = passage.fresh.get(("records.child", child), 0)
        who = passage.who
        record: Document | None = None
        allowed = False

        async def seen() -> bool:
            nonlocal record, allowed
            record = await self._children.load(child)
            allowed = self.allows_child(who, passage.row.action, record)
            return allowed and record is not None and record.read_to("records.child", child) >= wanted

        there = await until(
            seen, FRESH_WAIT_S if wanted else self._patience_s, lambda: self._children.next_commit(child)
        )
        if not there or record is None:
            raise Busy if allowed else NotFound
        passage.record = record
        consent = record.state.get("consents", {}).get(
            (who.organisation if who.role == "clinic" else who.municipality) or ""
        )
        if consent is not None and record.state["municipality"] != who.municipality:
            passage.purpose = consent["purpose"]

    async def _beside(self, passage: Passage, others: list[str]) -> None:
        """The same for each further child: it is shown, so it is asked about and audited."""
        for other in others[:MOST_BESIDE]:
            record = await self._children.load(other) if re.fullmatch(SEGMENT, other) else None
            if record is None or not self.allows_child(passage.who, passage.row.action, record):
                raise NotFound
            passage.whose.append(other)

    def allows_child(self, who: Principal, action: str, record: Document | None) -> bool:
        """Whether this principal may do this to this child, as the gateway's view knows it."""
        resource = rules.NOBODYS_CHILD
        if record is not None and "facts" in record.state:
            resource = rules.child_resource(record.state, self._clock.today())
        return self._policy.allows(who, action, resource)


async def _child_at(row: Route, passage: Passage, asked: Asked) -> str:
    """The child that the request is about. Raises Malformed, Invalid when it names none."""
    if row.at == "path:child":
        return passage.params["child"]
    if row.at == "query:patient":
        given = parse_qs(asked.query, max_num_fields=50).get("patient", [])
        found = given[0].removeprefix("Patient/") if len(given) == 1 else None
        where = "/query/patient"
    else:
        try:
            value = loads(await asked.body())
        except BadJson:
            raise Malformed from None
        found = value.get("child") if isinstance(value, dict) else None
        where = "/child"
    if not isinstance(found, str):
        raise invalid(where, "missing", "対象のこどもを1人指定してください。", "Name exactly one child.")
    if not re.fullmatch(SEGMENT, found):
        raise invalid(where, "string-pattern-mismatch", "形式が正しくありません。", "This is no id.")
    return found
