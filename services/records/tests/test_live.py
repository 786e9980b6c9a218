"""The running service on the real broker: organisations and questionnaires come by Kafka, the child's facts go out by Kafka."""

import asyncio
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.broker import LocalKafka
from deploy.local.client import until
from deploy.local.store import LocalStore
from services.records.app import create_app
from services.records.domain.access import Caller
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import MOTHER, TOWN
from shared import bus
from shared.auth import InternalTokens
from shared.clock import Clock
from shared.documents import Document
from shared.events.base import Envelope, Event
from shared.events.gateway import ClinicRegistered
from shared.events.questionnaire import QuestionnaireSubmitted
from shared.ids import new_id
from shared.native.envelopes import read_envelope
from shared.settings import Settings
from shared.testing.plugin import service_settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def test_a_childs_first_days_over_kafka(
    local_kafka: LocalKafka, local_store: LocalStore, keys: dict[str, Any]
) -> None:
    settings = service_settings("records", local_kafka, local_store, f"t{new_id()[:12]}")
    settings.internal_keys_file = keys["records"]
    gateway = InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"]))
    schedule = InternalTokens(Settings(service="schedule", internal_keys_file=keys["schedule"]))
    clinic = Caller("doctor-1", "clinic", organisation=f"clinic-{new_id()[:8]}")
    app = create_app(settings)

    async def says(service: str, subject: str, event: Event) -> None:
        doc = Document(id=subject)
        doc.emit(event, Clock().now())
        producer = bus.Producer(service_settings(service, local_kafka, local_store, "unused"))
        assert await producer.send([bus.to_message(doc.outgoing[0], service)]) == [None]
        await producer.stop()

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://records") as http,
    ):
        door = Door(app, http, gateway)
        child = await door.born(MOTHER)
        organisation = clinic.organisation or ""
        await says(
            "gateway", organisation, ClinicRegistered(clinic=organisation, name="わかば小児科", municipality=TOWN)
        )
        # The directory is a topic behind: the consent waits for it, and is repeated when that was too long.
        path = f"/v1/children/{child}/consents/{organisation}"

        async def consented() -> bool:
            return (await door.call(MOTHER, "PUT", path, {"purpose": "care"})).is_success

        await until(consented, "the clinic is known", within=30)
        await door.gives(child, by=clinic)
        submitted = QuestionnaireSubmitted(
            child=child,
            form="yoshinhyo-infant",
            form_version="2026.1",
            answers=(),
            submitted_by="mother-1",
            submitted_at=Clock().now(),
        )
        await says("questionnaire", new_id(), submitted)
        heard = await asyncio.wait_for(_heard(local_kafka, child, 5), 30)
        names = [envelope.type.split(".")[-2] for envelope in heard]
        assert names == ["ChildRegistered", "GuardianAdded", "ConsentGiven", "DoseRecorded", "QuestionnaireFiled"]
        assert [envelope.revision for envelope in heard] == [1, 2, 3, 4, 5]
        assert {envelope.tenant for envelope in heard} == {BODY["municipality"]}
        assert all(envelope.causation for envelope in heard[4:])

        told = await door.does(MOTHER, "GET", f"/v1/children/{child}/history")
        assert [line["what"] for line in told["items"]] == names
        healed = await http.get(
            "/internal/events",
            params={"stream": "records.child", "subject": child, "after": "3"},
            headers={"authorization": f"Bearer {schedule.sign('records', 'heal')}"},
        )
        assert [event["revision"] for event in healed.json()["events"]] == [4, 5]


async def _heard(kafka: LocalKafka, child: str, count: int) -> list[Envelope]:
    """The first events of the child, as schedule reads them."""
    reader = AIOKafkaConsumer("records.child.v1", **kafka.client_options("schedule"), auto_offset_reset="earliest")
    await reader.start()
    found: list[Envelope] = []
    try:
        async for record in reader:
            if record.key == child.encode():
                found.append(read_envelope(record.topic, record.key, record.value, record.headers))
            if len(found) == count:
                break
    finally:
        await reader.stop()
    return found
