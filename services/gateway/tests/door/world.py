"""The invented world of the door's tests: one family, its neighbours, and owners that answer whatever they are asked."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.gateway.commands.access_tokens import AccessTokens
from shared.auth import InternalTokens, Principal, bearer
from shared.bus import envelope_of
from shared.clock import Clock
from shared.documents import Document
from shared.events import records as r
from shared.events import schedule as s
from shared.events.base import Envelope, Event
from shared.runtime import Runtime
from shared.settings import Settings
from shared.views import View

TOWN, OTHER_TOWN, VISITED_TOWN = "139912", "139921", "139939"
CHILD, NEIGHBOUR, UNKNOWN = "a" * 32, "b" * 32, "0" * 32
CLINIC, EXPIRED_CLINIC, OTHER_CLINIC = "wakaba", "hidamari", "aozora"
TODAY = Clock().today()

PEOPLE: dict[str, Principal | None] = {
    "nobody": None,
    "mother": Principal("mother-1", "guardian"),
    "other_mother": Principal("mother-2", "guardian"),
    "removed": Principal("father-1", "guardian"),
    "cut_off": Principal("father-2", "guardian"),
    "grandmother": Principal("grandmother-1", "guardian"),
    "uncle": Principal("uncle-1", "guardian"),
    "clinic": Principal("doctor-1", "clinic", CLINIC),
    "expired": Principal("doctor-2", "clinic", EXPIRED_CLINIC),
    "other_clinic": Principal("doctor-3", "clinic", OTHER_CLINIC),
    "nurse": Principal("nurse-1", "staff", None, TOWN, "public_health_nurse"),
    "other_nurse": Principal("nurse-2", "staff", None, OTHER_TOWN, "public_health_nurse"),
    "visited": Principal("nurse-3", "staff", None, VISITED_TOWN, "public_health_nurse"),
    "system": Principal("juki-1", "system", None, TOWN),
    "other_system": Principal("juki-2", "system", None, OTHER_TOWN),
    "operator": Principal("operator-1", "operator"),
}
BY = r.Actor(subject="mother-1", role="guardian")


def facts(municipality: str = TOWN) -> r.ChildFacts:
    return r.ChildFacts(
        birth_date=date(2026, 9, 22),
        sex="F",
        name=r.PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ"),
        municipality=municipality,
        district="みどり台",
    )


def dose(dose_id: str, organisation: str | None, **changes: Any) -> r.Dose:
    return r.Dose(
        **{
            "id": dose_id,
            "given_on": TODAY,
            "code": "penta",
            "cvx": "170",
            "lot": "GB0001",
            "performer": "医師 若葉",
            "provenance": "clinic",
            "organisation": organisation,
            "recorded_at": datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
            **changes,
        }
    )


def plan(child: str, seen: int, **changes: Any) -> s.PlanChanged:
    why = s.Why(rule="penta-1", sentence="生後2月から", sentence_en="From 2 months", source="予防接種法施行令")
    item = s.PlanItem(series="penta", dose_number=1, status="due", earliest=TODAY, recommended=TODAY, why=why)
    armed = s.ArmedReminder(
        id="r" * 32, kind="eve", series="penta", dose_number=1, fires_at=datetime.now(UTC) + timedelta(days=1)
    )
    return s.PlanChanged(
        **{
            "rule_set": "jp-2026",
            "as_of": TODAY,
            "municipality": TOWN,
            "items": (item,),
            "doses": (),
            "reminders": (armed,),
            "based_on": {f"records.child:{child}": seen},
            **changes,
        }
    )


FAMILY: tuple[Event, ...] = (
    r.ChildRegistered(child=facts(), guardians=("mother-1",), by=BY),
    r.ChildMoved(from_municipality=OTHER_TOWN, to_municipality=TOWN, effective_on=date(2026, 9, 29), by=BY),
    r.GuardianAdded(guardian="mother-1", proven_by="registration"),
    r.GuardianAdded(guardian="father-1", proven_by="code"),
    r.GuardianRemoved(guardian="father-1", reason="separated"),
    r.GuardianAdded(guardian="father-2", proven_by="code"),
    r.GuardianCutOff(guardian="father-2", by=r.Actor(subject="nurse-1", role="staff", organisation=TOWN)),
    r.AccessGranted(
        grant_id="g1",
        relative="grandmother-1",
        relation="grandparent",
        sections=("plan", "diary", "growth"),
        until=TODAY,
        by=BY,
    ),
    r.AccessGranted(
        grant_id="g2",
        relative="uncle-1",
        relation="relative",
        sections=("plan", "growth"),
        until=TODAY - timedelta(days=1),
        by=BY,
    ),
    r.ConsentGiven(organisation=VISITED_TOWN, kind="municipality", purpose="stay", stay="s1", by=BY),
    r.MoveAnnounced(
        move_id="m1",
        from_municipality=TOWN,
        to_municipality=OTHER_TOWN,
        effective_on=TODAY + timedelta(days=9),
        to_be_confirmed=True,
        by=BY,
    ),
    r.ConsentGiven(organisation=CLINIC, kind="clinic", purpose="care", by=BY),
    r.ConsentGiven(organisation=EXPIRED_CLINIC, kind="clinic", purpose="care", until=TODAY - timedelta(days=1), by=BY),
    r.DoseRecorded(dose=dose("d1", CLINIC), by=BY),
    r.DoseRecorded(dose=dose("d2", EXPIRED_CLINIC), by=BY),
)
NEIGHBOURS: tuple[Event, ...] = (
    r.ChildRegistered(
        child=facts(OTHER_TOWN), guardians=("mother-2",), by=r.Actor(subject="mother-2", role="guardian")
    ),
)


def envelopes(subject: str, events: tuple[Event, ...], *, after: int = 0) -> list[Envelope]:
    """The events of one subject as their owner publishes them."""
    stream = type(events[0]).stream
    doc = Document(id=subject, heads={f"{stream.replace('.', '/')}:{subject}": after})
    for event in events:
        doc.emit(event, datetime.now(UTC))
    return [envelope_of(entry, stream.partition(".")[0]) for entry in doc.outgoing]


class Owners:
    """All owners in one small real HTTP app: checks who signed, remembers what came, answers what it was told to."""

    def __init__(self, settings: Mapping[str, Settings]) -> None:
        self._tokens = {name: InternalTokens(one) for name, one in settings.items()}
        self.calls: list[tuple[str, str, str, Principal, dict[str, str], bytes]] = []
        self.answers: dict[str, Response] = {}
        self.called = asyncio.Event()
        self.app = Starlette()
        self.app.router.default = self._answer

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        service = request.url.hostname or ""
        claims = self._tokens[service].verify(
            bearer(request.headers.get("authorization")), "heal" if "/internal/" in request.url.path else "act"
        )
        if "/internal/" in request.url.path:
            await (self.answers.get(request.url.path) or JSONResponse({"head": 0, "events": []}))(scope, receive, send)
            return
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.calls.append(
            (service, request.method, path, Principal.from_claims(claims), dict(request.headers), await request.body())
        )
        self.called.set()
        found = self.answers.get(request.url.path)
        status = 201 if request.method == "POST" else 200
        await (found or JSONResponse({"id": "made", "by": service}, status))(scope, receive, send)


@dataclass
class World:
    """The gateway's app on the real store, with its views filled and its owners at hand."""

    runtime: Runtime
    http: httpx.AsyncClient
    tokens: AccessTokens
    owners: Owners
    app: Any
    counter: list[int] = field(default_factory=lambda: [0])

    def view(self, name: str) -> View:
        return next(sink for sink in self.runtime.follower.sinks if isinstance(sink, View) and sink.name == name)

    async def tells(self, subject: str, *events: Event, after: int = 0) -> None:
        """The owner announces, the gateway's view has it."""
        name = "plans" if type(events[0]).stream == "schedule.plan" else "children"
        rejected = await self.view(name).apply(envelopes(subject, events, after=after))
        assert not rejected

    def token(self, who: str | Principal) -> str:
        principal = PEOPLE[who] if isinstance(who, str) else who
        assert principal is not None
        return self.tokens.issue(principal)[0]

    async def ask(
        self,
        who: str | Principal | None,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "new",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request of this person; a POST has a key of its own unless told otherwise."""
        sent: dict[str, str] = {"Accept-Language": "en"}
        if who is not None and who != "nobody":
            sent["Authorization"] = f"Bearer {self.token(who)}"
        if method == "POST" and key is not None:
            self.counter[0] += 1
            sent["Idempotency-Key"] = f"key-{self.counter[0]}" if key == "new" else key
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if content is not None:
            sent["Content-Type"] = "application/json"
        return await self.http.request(method, path, content=content, headers={**sent, **(headers or {})})

    async def audit(self, **where: Any) -> list[dict[str, Any]]:
        return await self.runtime.store.find("audit", where, sort=[("seq", 1)])
