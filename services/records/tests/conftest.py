"""The service on the real store, asked as the gateway asks it; no Kafka is needed, events stay in the outbox."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy.local.store import LocalStore
from services.records.app import create_app
from services.records.domain.access import Caller
from services.records.store.collections import CHILDREN, ORGANISATIONS
from services.records.subscribers import clinic_listed, municipality_opened
from services.records.tests.families import BORN, CLINIC, MOTHER, NOON, NURSE, OTHER_CLINIC, OTHER_TOWN, TOWN
from shared.auth import InternalTokens, Principal
from shared.bus import envelope_of
from shared.documents import Document
from shared.events.gateway import ClinicRegistered, MunicipalityOpened
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings
from shared.testing.plugin import empty
from shared.views import View

BODY: dict[str, Any] = {
    "birth_date": BORN.isoformat(),
    "sex": "F",
    "name": {"family": "若葉", "given": "ひかり", "family_kana": "わかば", "given_kana": "ﾋｶﾘ"},
    "municipality": TOWN,
    "gestation_days": 275,
}


class Door:
    """Calls the service for a caller, with the token that the gateway would sign."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, tokens: InternalTokens) -> None:
        self.app = app
        self.runtime: Runtime = app.state.runtime
        self.http = http
        self.tokens = tokens

    def token(self, who: Caller, audience: str = "records") -> str:
        principal = Principal(who.subject, who.role, who.organisation, who.municipality)
        return f"Bearer {self.tokens.sign(audience, 'act', principal)}"

    async def call(
        self, who: Caller | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """One call; a body of bytes is sent as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            sent["authorization"] = self.token(who)
        if method == "POST":
            sent.setdefault("Idempotency-Key", new_id())
        if isinstance(body, bytes):
            sent.setdefault("content-type", "application/json")
            return await self.http.request(method, path, content=body, headers=sent)
        return await self.http.request(method, path, json=body, headers=sent)

    async def does(self, who: Caller, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The body of a call that must succeed."""
        answer = await self.call(who, method, path, body, **headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def born(self, by: Caller = NURSE, **changes: Any) -> str:
        """The id of a registered child."""
        found = await self.does(by, "POST", "/v1/children", {**BODY, **changes})
        return str(found["id"])

    async def family(self) -> str:
        """A child whom the town registered, bound to mother-1, readable for clinic-1."""
        child = await self.born()
        codes = await self.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes")
        await self.does(MOTHER, "POST", "/v1/guardian-links", {"code": codes["codes"][0]["code"]})
        await self.trusts(child)
        return child

    async def trusts(self, child: str, clinic: Caller = CLINIC) -> None:
        path = f"/v1/children/{child}/consents/{clinic.organisation}"
        await self.does(MOTHER, "PUT", path, {"purpose": "care"})

    async def gives(self, child: str, cvx: str = "08", by: Caller = CLINIC, **more: Any) -> str:
        """The id of a recorded dose."""
        body = {"given_on": "2026-07-02", "cvx": cvx, **more}
        return str((await self.does(by, "POST", f"/v1/children/{child}/doses", body))["id"])

    async def document(self, child: str) -> dict[str, Any]:
        """The child's document as the store holds it."""
        found = await self.runtime.store.get(CHILDREN, child)
        assert found is not None
        return found

    async def announced(self, child: str) -> list[tuple[int, str, dict[str, Any]]]:
        """The events that wait in the child's outbox: (revision, name, data)."""
        doc = await self.document(child)
        return [(row["revision"], row["type"].split(".")[-2], json.loads(row["data"])) for row in doc["outbox"]]

    async def etag(self, child: str) -> str:
        return f'"{(await self.document(child))["version"]}"'


@pytest.fixture(scope="session")
async def records_app(local_store: LocalStore, keys: dict[str, Any]) -> AsyncIterator[FastAPI]:
    """The wired service, once for the run: wiring it and making its indexes takes longer than most tests."""
    app = create_app(
        Settings(
            service="records",
            environment="development",
            mongo_url=local_store.url,
            mongo_database=f"t{new_id()[:12]}",
            internal_keys_file=keys["records"],
            kafka_user="records",
        )
    )
    runtime: Runtime = app.state.runtime
    for begin in runtime.on_start:
        await begin()
    yield app
    await runtime.calls.close()
    await runtime.store.close()


@pytest.fixture
async def door(records_app: FastAPI, tokens: InternalTokens) -> AsyncIterator[Door]:
    """The service on an empty database, its clock at noon, two clinics and two towns in its directory."""
    runtime: Runtime = records_app.state.runtime
    runtime.clock.move_to(NOON)
    await list_organisations(runtime)
    transport = httpx.ASGITransport(app=records_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://records") as http:
        yield Door(records_app, http, tokens)
    await empty(runtime.store)


async def list_organisations(runtime: Runtime) -> None:
    """The gateway has told of two clinics and two towns."""
    view = View(
        runtime.documents(ORGANISATIONS), {ClinicRegistered: clinic_listed, MunicipalityOpened: municipality_opened}
    )
    told = []
    for clinic in (CLINIC, OTHER_CLINIC):
        doc = Document(id=clinic.organisation or "")
        doc.emit(ClinicRegistered(clinic=doc.id, name="わかば小児科", municipality=TOWN), NOON)
        told.append(envelope_of(doc.outgoing[0], "gateway"))
    for code in (TOWN, OTHER_TOWN):
        doc = Document(id=code)
        doc.emit(MunicipalityOpened(code=code, name="若葉市"), NOON)
        told.append(envelope_of(doc.outgoing[0], "gateway"))
    assert await view.apply(told) == []
