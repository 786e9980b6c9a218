"""The gateway's Kafka side on the real broker: clinics read their feeds, municipalities are answered, nobody waits for another."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI

from deploy.local.broker import LocalKafka
from deploy.local.client import until
from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from services.gateway import store as kept
from services.gateway.app import create_app
from services.gateway.commands.directory import Directory
from services.gateway.subscribers import Subscriptions, subscribe
from services.gateway.tests.feeds.conftest import Owners
from services.gateway.tests.feeds.family import DOCTOR, GUARDIAN, dose, facts, submitted
from services.gateway.tests.feeds.test_intake_reading import BIRTH, HEADERS
from shared import bus
from shared.audit import Access
from shared.auth import Principal
from shared.clock import Clock
from shared.documents import Command, Document
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events.base import Event
from shared.ids import new_id
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings
from shared.testing.plugin import service_settings
from shared.testing.undecodable import send_undecodable

pytestmark = [pytest.mark.integration, pytest.mark.slow]

OPERATOR = Principal("operator-1", "operator")
TOWN, OTHER_TOWN = "139912", "139921"


@dataclass(slots=True)
class Gateway:
    """A gateway process on the real broker and store."""

    runtime: Runtime
    views: Subscriptions
    directory: Directory
    app: FastAPI
    accesses: list[Access] = field(default_factory=list)


@pytest.fixture
def settings(local_kafka: LocalKafka, local_store: LocalStore, gateway_keys: Path) -> Settings:
    """The gateway's settings on the run's broker and an empty database."""
    found = service_settings("gateway", local_kafka, local_store, f"t{new_id()[:12]}")
    found.kafka_admin_user = "gateway-admin"
    found.kafka_admin_password_file = local_kafka.secrets.password_file("gateway-admin")
    found.internal_keys_file = gateway_keys
    found.url_records, found.url_notify = "http://records", "http://notify"
    return found


@pytest.fixture
def begin(settings: Settings, connected: Callable[[Runtime], Runtime]) -> Callable[[], Gateway]:
    """Wires a gateway; its lifespan starts it."""

    def wire() -> Gateway:
        runtime = connected(Runtime(settings))
        accesses: list[Access] = []

        async def keep(access: Access) -> None:
            accesses.append(access)

        views = subscribe(runtime, keep)
        directory = Directory(runtime)
        return Gateway(runtime, views, directory, create_service(runtime, [], title="gateway"), accesses)

    return wire


@pytest.fixture
async def gateway(begin: Callable[[], Gateway]) -> AsyncIterator[Gateway]:
    """A running gateway."""
    found = begin()
    async with found.app.router.lifespan_context(found.app):
        yield found


def command() -> Command:
    """Another wish of the operator."""
    return Command.of(OPERATOR.subject, new_id(), "POST /v1/clinics", {})


class Town:
    """records and questionnaire as the gateway hears them."""

    def __init__(self, kafka: LocalKafka, store: LocalStore) -> None:
        self._producers = {
            name: bus.Producer(service_settings(name, kafka, store, "unused")) for name in ("records", "questionnaire")
        }
        self._told: dict[str, Document] = {}

    async def tells(self, subject: str, *events: Event) -> int:
        """The next events of one subject; its last revision."""
        told = self._told.setdefault(subject, Document(id=subject))
        revision = 0
        for event in events:
            revision = told.emit(event, Clock().now())
        owner = events[0].stream.split(".")[0]
        for entry in told.outgoing:
            assert await self._producers[owner].send([bus.to_message(entry, owner)]) == [None]
        told.outgoing = []
        return revision

    async def stop(self) -> None:
        for producer in self._producers.values():
            await producer.stop()


@pytest.fixture
async def town(local_kafka: LocalKafka, local_store: LocalStore) -> AsyncIterator[Town]:
    """records and questionnaire."""
    found = Town(local_kafka, local_store)
    yield found
    await found.stop()


async def feed(
    kafka: dict[str, Any], count: int, *, group: str | None = None, within: float = 30
) -> list[tuple[str, int, str, dict[str, Any], dict[str, str]]]:
    """(key, sequence, what happened, resource, headers) of so many records, as the clinic's own client reads them."""
    consumer = AIOKafkaConsumer(
        kafka["topic"],
        **connection(kafka),
        group_id=f"{kafka['group_prefix']}{group or new_id()[:6]}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    found: list[tuple[str, int, str, dict[str, Any], dict[str, str]]] = []
    try:
        async with asyncio.timeout(within):
            while len(found) < count:
                record = await consumer.getone()
                names = {name: raw.decode() for name, raw in record.headers}
                kind = names["ce_type"].split(".")[-2]
                found.append((record.key.decode(), int(names["ce_sequence"]), kind, json.loads(record.value), names))
        await consumer.commit()
    finally:
        await consumer.stop()
    return found


def connection(kafka: dict[str, Any]) -> dict[str, Any]:
    """aiokafka's options out of what the operator was told."""
    return {
        "bootstrap_servers": kafka["bootstrap"],
        "security_protocol": kafka["security_protocol"],
        "sasl_mechanism": kafka["sasl_mechanism"],
        "sasl_plain_username": kafka["user"],
        "sasl_plain_password": kafka["password"],
    }


async def opened(gateway: Gateway, code: str) -> dict[str, Any]:
    """A municipality with its Kafka user; opened again in another database it gets a new password."""
    answer, _ = await gateway.directory.open_municipality(code, "若葉市 (架空)", command())
    found: dict[str, Any] = answer["kafka"]
    return found


async def clinics(gateway: Gateway, *names: str) -> list[dict[str, Any]]:
    """Registered clinics with ids of their own."""
    await opened(gateway, TOWN)
    found = []
    for name in names:
        answer, _ = await gateway.directory.register_clinic(f"{name}-{new_id()[:6]}", name, TOWN, command())
        found.append({"id": answer["id"], **answer["kafka"]})
    return found


async def test_what_kafka_lost_of_an_organisation_is_made_again(gateway: Gateway, local_kafka: LocalKafka) -> None:
    [clinic] = await clinics(gateway, "wakaba")
    topic, admin = f"clinic.{clinic['id']}.v1", local_kafka.admin()
    assert topic in await admin.topics()
    await admin.delete_topics([topic])
    assert await gateway.directory.restore() == [clinic["id"]]
    assert topic in await admin.topics()
    assert await gateway.directory.restore() == []


async def test_a_clinic_reads_its_patients_in_order_until_the_end_marker(gateway: Gateway, town: Town) -> None:
    wakaba, aozora = await clinics(gateway, "wakaba", "aozora")
    child = new_id()
    consent = r.ConsentGiven(organisation=wakaba["id"], kind="clinic", purpose="care", by=GUARDIAN)
    await town.tells(
        child,
        r.ChildRegistered(child=facts(), guardians=("mother-1",), by=GUARDIAN),
        r.DoseRecorded(dose=dose("d1"), by=DOCTOR),
        consent,
    )
    response = new_id()
    named = submitted(wakaba["id"]).model_copy(update={"child": child})
    await town.tells(response, named)
    first = await feed(wakaba, 3, group="ehr")
    assert [(key, number) for key, number, *_ in first] == [(child, 1), (child, 2), (child, 3)]
    assert [kind for _, _, kind, *_ in first] == ["PatientShared", "ImmunizationRecorded", "QuestionnaireSubmitted"]
    names = first[1][4]
    assert names["content-type"] == "application/fhir+json"
    assert "ce_tenant" not in names

    # Meanwhile the EHR is stopped.
    await town.tells(child, r.DoseCorrected(dose=dose("d1", lot="GB0002"), reason="読み違い", by=DOCTOR))
    await town.tells(
        response,
        q.TriageDecided(
            child=child,
            organisation=wakaba["id"],
            decision="go_ahead",
            explained=True,
            decided_by="doctor-1",
            decided_at=submitted().submitted_at,
        ),
    )
    between = await feed(wakaba, 2, group="ehr")
    assert [number for _, number, *_ in between] == [4, 5]
    assert {kind for _, _, kind, *_ in between} == {"ImmunizationCorrected", "TriageDecided"}
    revision = await town.tells(child, r.ConsentWithdrawn(organisation=wakaba["id"], by=GUARDIAN))

    async def ended() -> bool:
        doc = await gateway.views.children.documents.load(child)
        return doc is not None and kept.feed_ended(doc, wakaba["id"], revision=revision)

    await until(ended, "the end marker is on the topic")
    await town.tells(child, r.DoseRecorded(dose=dose("d2"), by=DOCTOR))
    await town.tells(child, consent)
    later = await feed(wakaba, 4, group="ehr")
    assert [number for _, number, *_ in later] == [6, 7, 8, 9]
    kinds = [kind for _, _, kind, *_ in later]
    assert kinds == ["ConsentEnded", "PatientShared", "ImmunizationRecorded", "ImmunizationRecorded"]
    with pytest.raises(TimeoutError):
        await feed(aozora, 1, within=2)


async def test_a_password_is_told_once_and_can_be_replaced(gateway: Gateway) -> None:
    await opened(gateway, TOWN)
    wish = command()
    name = f"hidamari-{new_id()[:6]}"
    first, _ = await gateway.directory.register_clinic(name, "ひだまり", TOWN, wish)
    again, _ = await gateway.directory.register_clinic(name, "ひだまり", TOWN, wish)
    assert first["kafka"]["password"]
    assert again == {**first, "kafka": {**first["kafka"], "password": None}}
    wish = command()
    fresh, _ = await gateway.directory.new_credentials("clinic", name, wish)
    once_more, _ = await gateway.directory.new_credentials("clinic", name, wish)
    assert once_more["kafka"]["password"] is None
    assert fresh["kafka"]["password"] not in {None, first["kafka"]["password"]}
    docs = json.dumps(await gateway.runtime.store.find(kept.DIRECTORY, {}), default=str)
    assert first["kafka"]["password"] not in docs
    signed_in = AIOKafkaProducer(**connection(fresh["kafka"]))
    await signed_in.start()
    await signed_in.stop()


async def send(kafka: dict[str, Any], *, event_id: str, data: Any, structured: bool = False) -> None:
    """Publish one message as a municipal system does."""
    producer = AIOKafkaProducer(**connection(kafka), acks="all")
    await producer.start()
    headers = {**HEADERS, "ce_id": event_id}
    value = json.dumps(data, ensure_ascii=False)
    if structured:
        attributes = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")}
        value = json.dumps({**attributes, "data": data}, ensure_ascii=False)
        headers = {"content-type": "application/cloudevents+json"}
    try:
        await producer.send_and_wait(
            kafka["topic"], value.encode(), key=event_id.encode(), headers=[(k, v.encode()) for k, v in headers.items()]
        )
    finally:
        await producer.stop()


async def replies(kafka: dict[str, Any], ids: set[str], within: float = 30) -> dict[str, tuple[str, dict[str, Any]]]:
    """Message id -> (kind, data), as the municipal system reads them."""
    consumer = AIOKafkaConsumer(
        kafka["replies_topic"],
        **connection(kafka),
        group_id=f"{kafka['group_prefix']}{new_id()[:6]}",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    try:
        async with asyncio.timeout(within):
            while not ids <= found.keys():
                record = await consumer.getone()
                names = {name: raw.decode() for name, raw in record.headers}
                data = json.loads(record.value)
                found[data["message_id"]] = (names["ce_type"].split(".")[-2], data)
    finally:
        await consumer.stop()
    return found


async def test_a_municipality_is_answered_and_none_waits_for_another(gateway: Gateway, owners: Owners) -> None:
    kafka, other = await opened(gateway, TOWN), await opened(gateway, OTHER_TOWN)
    binary, structured, broken, late, waiting, behind = (new_id() for _ in range(6))
    await send(kafka, event_id=binary, data=BIRTH)
    await send(kafka, event_id=structured, data=BIRTH, structured=True)
    await send(kafka, event_id=broken, data={**BIRTH, "birth_date": "2026-13-01", "municipality": OTHER_TOWN})
    found = await replies(kafka, {binary, structured, broken})
    assert {found[one][0] for one in (binary, structured)} == {"MessageAccepted"}
    assert found[broken][0] == "MessageRefused"
    assert {one["pointer"] for one in found[broken][1]["errors"]} == {"/birth_date", "/municipality"}

    owners.down.add(TOWN)
    await send(kafka, event_id=waiting, data=BIRTH)
    await send(kafka, event_id=behind, data=BIRTH)
    await send(other, event_id=late, data={**BIRTH, "municipality": OTHER_TOWN})
    assert (await replies(other, {late}))[late][0] == "MessageAccepted"
    owners.down.clear()
    answered = await replies(kafka, {waiting, behind})
    assert list(answered)[-2:] == [waiting, behind], "in the order in which they were sent"
    assert {access.outcome for access in gateway.accesses} == {"accepted", "refused"}


async def test_a_record_that_no_client_can_decode_holds_up_no_town(gateway: Gateway, owners: Owners) -> None:
    kafka, other = await opened(gateway, TOWN), await opened(gateway, OTHER_TOWN)
    mine, behind, theirs = (new_id() for _ in range(3))
    await send(kafka, event_id=mine, data=BIRTH)
    await send_undecodable(connection(kafka), kafka["topic"])
    await send(kafka, event_id=behind, data=BIRTH)
    await send(other, event_id=theirs, data={**BIRTH, "municipality": OTHER_TOWN})
    assert (await replies(other, {theirs}))[theirs][0] == "MessageAccepted"
    answered = await replies(kafka, {mine, behind})
    assert [answered[one][0] for one in (mine, behind)] == ["MessageAccepted", "MessageAccepted"]


async def test_the_operator_opens_a_town_through_the_door_and_moves_the_clock(
    settings: Settings, tmp_path: Path
) -> None:
    settings.issuer_key_file = SecretFiles(tmp_path).signing_key("issuer")
    app = create_app(settings)
    runtime: Runtime = app.state.runtime
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):

        async def call(role: str, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
            wish = {"subject": f"{role}-1", "role": role}
            token = (await http.post("/dev/token", json=wish)).json()["access_token"]
            sent = {"authorization": f"Bearer {token}", "idempotency-key": key or new_id()}
            return await http.request(method, path, json=body, headers=sent)

        key = new_id()
        body = {"code": TOWN, "name": "若葉市 (架空)"}
        opened_here = await call("operator", "POST", "/v1/municipalities", body, key)
        assert opened_here.status_code == 201, opened_here.text
        kafka = opened_here.json()["kafka"]
        assert kafka["password"]
        assert opened_here.headers["hagukumi-revision"] == f"gateway.directory:{TOWN}=1"
        again = await call("operator", "POST", "/v1/municipalities", body, key)
        assert (again.status_code, again.json()["kafka"]["password"]) == (201, None)
        assert (await call("operator", "POST", "/v1/municipalities", body)).status_code == 409
        reused = await call("operator", "POST", "/v1/municipalities", {**body, "name": "別の市"}, key)
        assert reused.status_code == 422
        wrong = await call("operator", "POST", "/v1/municipalities", {"code": "139913", "name": "若葉市"})
        assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "municipality-code")
        nowhere = await call("operator", "POST", "/v1/clinics", {"name": "わかば小児科", "municipality": OTHER_TOWN})
        assert (nowhere.status_code, nowhere.json()["errors"][0]["pointer"]) == (422, "/municipality")
        assert (await call("guardian", "POST", "/v1/clinics", body)).status_code == 403

        clinic = await call("operator", "POST", "/v1/clinics", {"name": "わかば小児科", "municipality": TOWN})
        assert clinic.json()["kafka"]["topic"] == f"clinic.{clinic.json()['id']}.v1"
        nurse = {"subject": "nurse-1", "municipality": TOWN, "profession": "public_health_nurse"}
        assert (await call("operator", "POST", "/v1/staff", nurse)).json() == nurse
        listed = await call("guardian", "GET", "/v1/clinics")
        assert listed.json()["items"] == [{"id": clinic.json()["id"], "name": "わかば小児科", "municipality": TOWN}]
        replaced = await call("operator", "POST", f"/v1/municipalities/{TOWN}/credentials")
        assert replaced.json()["kafka"]["password"] not in {None, kafka["password"]}
        assert (await call("operator", "POST", "/v1/clinics/nowhere/credentials")).status_code == 404

        moved = await call("operator", "PUT", "/dev/clock", {"now": "2027-03-01T12:00:00+09:00"})
        assert moved.status_code == 200, moved.text
        assert runtime.clock.today().isoformat() == "2027-03-01"
        assert (await call("operator", "PUT", "/dev/clock", {"now": "2027-03-01T12:00:00"})).status_code == 422
        await call("operator", "PUT", "/dev/clock", {"now": Clock().now().isoformat()})
