"""The hand-written table holds at the door; and each rule of the policy, turned to permit, is found by it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from services.gateway.commands.passage import Admission, Asked, Passage
from services.gateway.domain.policy import Policy, PolicyBroken
from services.gateway.domain.routes import ROUTES, Route
from services.gateway.store import POLICY
from services.gateway.subscribers.child_view import ChildView
from services.gateway.tests.door.table import EXPECTED, expected
from services.gateway.tests.door.world import CHILD, FAMILY, PEOPLE, TOWN, UNKNOWN, World, envelopes
from shared.clock import Clock
from shared.documents import Document
from shared.problems import Problem

ROWS = {f"{row.method} {row.path}": row for row in ROUTES}
SCHEMA = (POLICY / "hagukumi.cedarschema").read_text(encoding="utf-8")
FILES = {path.name: path.read_text(encoding="utf-8") for path in sorted(POLICY.glob("*.cedar"))}


def test_every_route_has_its_line_in_the_table() -> None:
    assert EXPECTED.keys() == ROWS.keys()


# The decision alone -----------------------------------------------------------------------------------------------


class OneChild:
    """The view with one child in it."""

    def __init__(self) -> None:
        self._child = Document(id=CHILD, version=1)
        for envelope in envelopes(CHILD, FAMILY):
            _fold(self._child, envelope)

    async def load(self, child: str) -> Document | None:
        return self._child if child == CHILD else None

    def next_commit(self, child: str) -> asyncio.Event:
        return asyncio.Event()


def _fold(child: Document, envelope: Any) -> None:
    from services.gateway.domain.child_view import apply_record
    from shared.views import decode

    event = decode(envelope)
    assert event is not None
    apply_record(child.state, event, envelope.revision)
    child.applied[f"records/child:{CHILD}"] = envelope.revision


async def _decide(admission: Admission, row: Route, person: str, child: str = CHILD) -> int:
    principal = PEOPLE[person]
    if row.thing == "open":
        return 200
    if principal is None:
        return 401
    params = {"child": child, "code": TOWN}

    async def body() -> bytes:
        return f'{{"child": "{child}"}}'.encode()

    passage = Passage(row, principal, params)
    try:
        await admission.admit(passage, Asked(query=f"patient=Patient/{child}", revisions="", body=body))
    except Problem as problem:
        return problem.status
    return 200


async def differences(policy: Policy) -> AsyncIterator[str]:
    """Where this policy decides otherwise than the table says."""
    admission = Admission(policy, OneChild(), Clock(), patience_s=0.0)  # type: ignore[arg-type]
    for route, person, status in expected():
        decided = await _decide(admission, ROWS[route], person)
        if decided != status:
            yield f"{person} {route}: {decided}, not {status}"


async def test_the_policy_decides_as_the_table_says() -> None:
    assert [found async for found in differences(Policy(FILES, SCHEMA))] == []


async def test_an_unknown_child_is_nobodys() -> None:
    admission = Admission(Policy(FILES, SCHEMA), OneChild(), Clock(), patience_s=0.0)  # type: ignore[arg-type]
    for route, person, status in expected():
        row = ROWS[route]
        if row.thing == "child" and status in {200, 404}:
            assert await _decide(admission, row, person, UNKNOWN) == 404


# The proof of the proof -------------------------------------------------------------------------------------------

RULE = re.compile(r'@id\("([a-z-]+)"\)\n(permit|forbid) \((.*?)\)( when \{(.*?)\})?;', re.DOTALL)


def mutations() -> Iterator[tuple[str, dict[str, str]]]:
    """Every policy file with one rule weakened: forbid turned to permit, a condition to true, a role to anybody, or taken away."""
    for name, text in FILES.items():
        for rule in RULE.finditer(text):
            whole, label = rule.group(0), rule.group(1)
            changed = {"taken away": ""}
            if rule.group(2) == "forbid":
                changed = {"permit": whole.replace("forbid (", "permit (", 1)}
            if rule.group(4):
                changed["always"] = whole.replace(rule.group(5), " true ", 1)
            changed["anybody"] = re.sub(r"principal is [A-Za-z]+", "principal", whole, count=1)
            changed["anything"] = re.sub(r"action in \[.*?\]", "action", whole, count=1, flags=re.DOTALL)
            for how, mutated in changed.items():
                if mutated != whole:
                    yield f"{label}: {how}", {**FILES, name: text.replace(whole, mutated, 1)}


def test_every_rule_is_mutated() -> None:
    labels = {label.partition(":")[0] for label, _ in mutations()}
    assert labels == set(re.findall(r'@id\("([a-z-]+)"\)', "".join(FILES.values())))
    assert len(list(mutations())) > 40


SAME = {
    # It names every action that there is for such a thing.
    "staff-own-town: anything",
}
"""Mutations that change no decision, and why."""


@pytest.mark.parametrize(("label", "files"), [pytest.param(*one, id=one[0]) for one in mutations()])
async def test_a_weakened_rule_is_found(label: str, files: dict[str, str]) -> None:
    try:
        policy = Policy(files, SCHEMA)
    except PolicyBroken:
        return  # the app would not start with it
    first = await anext(differences(policy), None)
    assert (first is None) == (label in SAME), f"{label}: nobody noticed"


# Through HTTP -----------------------------------------------------------------------------------------------------

PATHS = {
    "{child}": CHILD,
    "{code}": TOWN,
    "{dose}": "d1",
    "{file}": "page.css",
    "{organisation}": "wakaba",
}
BODIES: dict[str, Any] = {
    "POST /v1/pre-checks": {"child": CHILD, "cvx": "170"},
    "POST /v1/responses": {"child": CHILD, "form": "yoshinhyo-infant"},
    "POST /dev/token": {"subject": "someone", "role": "guardian"},
}
EMPTY = {
    "POST /v1/municipalities",
    "POST /v1/clinics",
    "POST /v1/staff",
    "POST /v1/municipalities/{code}/credentials",
    "POST /v1/clinics/{clinic}/credentials",
    "GET /fhir/R4/Immunization/{immunization}",
    "GET /v1/children/{child}/kept",
    "PUT /dev/clock",
    "PUT /v1/municipalities/{code}/places/{place}",
    "DELETE /v1/municipalities/{code}/places/{place}",
}
"""Asked for nothing in particular here: that they were refused for that shows that the door let them in."""


async def test_the_table_holds_through_http(world: World) -> None:
    places = asyncio.Semaphore(48)

    async def cell(route: str, person: str, status: int) -> str | None:
        method, path = route.split(" ")
        if route == "GET /v1/events" and status == 200:
            return None  # the stream does not end: test_live_events.py
        if route.startswith("GET /internal/"):
            status = 401  # it has tokens of its own
            path += "?stream=gateway.directory&subject=x"
        if ROWS[route].at == "query:patient":
            path += f"?patient=Patient/{CHILD}"
        for name, value in PATHS.items():
            path = path.replace(name, value)
        path = re.sub(r"\{[a-z_]+\}", "x1", path)
        body = BODIES.get(route, {} if method in {"POST", "PUT"} else None)
        async with places:
            accepts = ROWS[route].accepts
            if accepts != ("application/json",):
                body = b"a file"
            answer = await world.ask(person, method, path, body, headers={"Content-Type": accepts[0]} if body else None)
        passed = {200, 201} | ({404, 422} if route in EMPTY else set())
        same = answer.status_code in passed if status == 200 else answer.status_code == status
        return None if same else f"{person} {route}: {answer.status_code}, not {status}: {answer.text[:120]}"

    cells = [cell(*one) for one in expected()]
    wrong = [found for found in await asyncio.gather(*cells) if found is not None]
    assert wrong == []


def test_the_view_is_the_real_one(world: World) -> None:
    assert isinstance(world.view("children"), ChildView)
