"""A family, two clinics and a desk: the service on the real store, asked as the gateway asks it; no Kafka is needed."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.store import LocalStore
from services.questionnaire.app import create_app
from services.questionnaire.domain.forms import Form
from services.questionnaire.store import CHILDREN, RESPONSES, Library, load_library
from services.questionnaire.subscribers import children_view
from shared.auth import InternalTokens, Principal
from shared.bus import envelope_of
from shared.documents import Document
from shared.events import records
from shared.events.base import Envelope, Event
from shared.events.records import Actor, ChildFacts, Dose, PersonName
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings
from shared.testing.plugin import empty

NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
"""Noon of 2026-11-23 in Tokyo."""
TODAY = date(2026, 11, 23)
BORN = date(2026, 9, 20)

MOTHER = Principal("mother-1", "guardian")
FATHER = Principal("father-1", "guardian")
STRANGER = Principal("mother-2", "guardian")
CLINIC = Principal("doctor-1", "clinic", organisation="clinic-1")
OTHER_CLINIC = Principal("doctor-2", "clinic", organisation="clinic-2")
STAFF = Principal("nurse-1", "staff", municipality="131016")
INTAKE = Principal("intake", "system", municipality="131016")
OPERATOR = Principal("operator-1", "operator")

CHILD = "child-1"
FORM = "yoshinhyo-infant"


@pytest.fixture(scope="session")
def library() -> Library:
    return load_library()


@pytest.fixture
def yoshinhyo(library: Library) -> Form:
    found = library.find(FORM, None, TODAY)
    assert found is not None
    return found


def healthy(**changes: Any) -> dict[str, Any]:
    """The answers of a healthy child on its way to its first hepatitis B dose; `changes` by link id, None takes one away."""
    answers: dict[str, Any] = {
        "dose_number": 1,
        "address": "東京都千代田区一番町1",
        "guardian_name": "育美 花子",
        "phone": "03-0000-0000",
        "temperature": 36.6,
        "q1_explanation_read": True,
        "q2_birth_weight": 3012,
        "q2_delivery_abnormal": False,
        "q2_newborn_abnormal": False,
        "q2_checkup_abnormal": False,
        "q3_unwell_today": False,
        "q4_ill_last_month": False,
        "q5_contact_last_month": False,
        "q6_vaccinated_last_month": False,
        "q7_special_disease": False,
        "q8_seizure": False,
        "q9_allergy": False,
        "q10_family_immunodeficiency": False,
        "q11_reaction": False,
        "q12_family_reaction": False,
        "q14_questions": False,
        "hepb_mother_to_child": False,
        "guardian_consent": "agree",
        **changes,
    }
    return {link_id: value for link_id, value in answers.items() if value is not None}


def body_of(answers: dict[str, Any]) -> dict[str, Any]:
    return {"answers": [{"link_id": link_id, "value": value} for link_id, value in answers.items()]}


class Records:
    """Tells questionnaire about children as records does: events of one subject in order."""

    def __init__(self, runtime: Runtime) -> None:
        self._view = children_view(runtime.documents(CHILDREN))
        self._heads: dict[str, int] = {}
        self._clock = runtime.clock

    def event(self, child: str, event: Event) -> Envelope:
        doc = Document(id=child, heads={f"records/child:{child}": self._heads.get(child, 0)})
        self._heads[child] = doc.emit(event, self._clock.now())
        return envelope_of(doc.outgoing[0], "records")

    async def tells(self, child: str, *events: Event) -> None:
        rejected = await self._view.apply([self.event(child, event) for event in events])
        assert rejected == []

    async def arrives(self, *envelopes: Envelope) -> None:
        await self._view.apply(envelopes)


def born(*guardians: str, municipality: str = "131016", birth_date: date = BORN) -> records.ChildRegistered:
    name = PersonName(family="育美", given="さくら", family_kana="イクミ", given_kana="サクラ")
    return records.ChildRegistered(
        child=ChildFacts(birth_date=birth_date, sex="F", name=name, municipality=municipality),
        guardians=guardians,
        by=Actor(subject="intake", role="system", organisation=municipality),
    )


def consent(organisation: str, until: date | None = None) -> records.ConsentGiven:
    by = Actor(subject="mother-1", role="guardian")
    return records.ConsentGiven(organisation=organisation, kind="clinic", purpose="care", until=until, by=by)


def consent_withdrawn(organisation: str) -> records.ConsentWithdrawn:
    return records.ConsentWithdrawn(organisation=organisation, by=Actor(subject="mother-1", role="guardian"))


def dose(code: str, given_on: date = TODAY) -> records.DoseRecorded:
    by = Actor(subject="doctor-1", role="clinic", organisation="clinic-1")
    one = Dose(id="dose-1", given_on=given_on, code=code, provenance="clinic", recorded_at=NOON)
    return records.DoseRecorded(dose=one, by=by)


class Door:
    """Calls the service for a principal, with the token that the gateway would sign."""

    def __init__(self, http: httpx.AsyncClient, tokens: InternalTokens) -> None:
        self.http = http
        self._tokens = tokens

    async def call(
        self, who: Principal | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["authorization"] = f"Bearer {self._tokens.sign('questionnaire', 'act', who)}"
        if method == "POST":
            sent.setdefault("Idempotency-Key", new_id())
        return await self.http.request(method, path, json=body, headers=sent)

    async def begins(self, who: Principal = MOTHER, **wanted: Any) -> dict[str, Any]:
        body = {"child": CHILD, "form": FORM, "vaccine": "hepb", "clinic": "clinic-1", **wanted}
        answer = await self.call(who, "POST", "/v1/responses", body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def answers(self, response: str, who: Principal = MOTHER, **changes: Any) -> httpx.Response:
        etag = (await self.call(who, "GET", f"/v1/responses/{response}")).headers.get("ETag", '"1"')
        return await self.call(who, "PUT", f"/v1/responses/{response}", body_of(healthy(**changes)), If_Match=etag)

    async def submits(self, response: str, who: Principal = MOTHER) -> httpx.Response:
        return await self.call(who, "POST", f"/v1/responses/{response}/submission", {})

    async def submitted(self, who: Principal = MOTHER, answers: dict[str, Any] | None = None, **wanted: Any) -> str:
        """The id of a response that was begun, answered and submitted."""
        response = (await self.begins(who, **wanted))["id"]
        saved = await self.answers(response, who, **(answers or {}))
        assert saved.status_code == 200, saved.text
        done = await self.submits(response, who)
        assert done.status_code == 200, done.text
        return str(response)

    async def decides(self, response: str, who: Principal = CLINIC, **body: Any) -> httpx.Response:
        wanted = {"decision": "go_ahead", "explained": True, **body}
        return await self.call(who, "POST", f"/v1/responses/{response}/decision", wanted)

    async def withdraws(self, response: str, who: Principal = MOTHER) -> httpx.Response:
        return await self.call(who, "POST", f"/v1/responses/{response}/withdrawal", {})


@pytest.fixture(scope="session")
async def wired(local_store: LocalStore, keys: dict[str, Path]) -> AsyncIterator[Runtime]:
    """The wired service, once for the run: wiring it and making its indexes takes longer than most tests."""
    app = create_app(
        Settings(
            service="questionnaire",
            environment="development",
            mongo_url=local_store.url,
            mongo_database=f"t{new_id()[:12]}",
            internal_keys_file=keys["questionnaire"],
            kafka_user="questionnaire",
        )
    )
    found: Runtime = app.state.runtime
    found.app = app  # type: ignore[attr-defined]
    for begin in found.on_start:
        await begin()
    yield found
    await found.calls.close()
    await found.store.close()


@pytest.fixture
async def runtime(wired: Runtime) -> AsyncIterator[Runtime]:
    """The service, its clock at noon, on an empty database. Its loops do not run: events stay in the outbox."""
    wired.clock.move_to(NOON)
    yield wired
    await empty(wired.store)


@pytest.fixture
async def door(runtime: Runtime, tokens: InternalTokens) -> AsyncIterator[Door]:
    transport = httpx.ASGITransport(app=runtime.app, raise_app_exceptions=False)  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=transport, base_url="http://questionnaire") as http:
        yield Door(http, tokens)


@pytest.fixture
async def told(runtime: Runtime) -> Records:
    """records has told of a child with two guardians, who let clinic-1 read."""
    found = Records(runtime)
    await found.tells(CHILD, born("mother-1", "father-1"), consent("clinic-1"))
    return found


async def announced(runtime: Runtime, response: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a response that wait in its outbox: (name, data)."""
    doc = await runtime.store.get(RESPONSES, response)
    assert doc is not None
    return [(row["type"].split(".")[-2], json.loads(row["data"])) for row in doc["outbox"]]
