"""The running service on the real broker: a child comes from records by Kafka, the submitted 予診票 goes out by Kafka."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.broker import LocalKafka
from deploy.local.store import LocalStore
from services.questionnaire.app import create_app
from shared import bus
from shared.auth import InternalTokens
from shared.clock import Clock
from shared.documents import Document
from shared.ids import new_id
from shared.native.envelopes import read_envelope
from shared.settings import Settings
from shared.testing.plugin import service_settings

from .conftest import FORM, MOTHER, Door, born, consent

pytestmark = [pytest.mark.integration, pytest.mark.slow]


async def test_from_birth_to_submission_over_kafka(
    local_kafka: LocalKafka, local_store: LocalStore, keys: dict[str, Path], tokens: InternalTokens
) -> None:
    child = new_id()
    reader = service_settings("schedule", local_kafka, local_store, "unused")
    settings = service_settings("questionnaire", local_kafka, local_store, f"t{new_id()[:12]}")
    settings.internal_keys_file = keys["questionnaire"]
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        told = Document(id=child)
        now = Clock().now()
        told.emit(born("mother-1"), now)
        told.emit(consent("clinic-1"), now)
        records = bus.Producer(service_settings("records", local_kafka, local_store, "unused"))
        assert await records.send([bus.to_message(entry, "records") for entry in told.outgoing]) == [None, None]
        await records.stop()

        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://questionnaire") as http:
            door = Door(http, tokens)
            begun = await door.call(
                MOTHER,
                "POST",
                "/v1/responses",
                {"child": child, "form": FORM, "vaccine": "hepb"},
                Hagukumi_Revision=f"records.child:{child}=2",
            )
            assert begun.status_code == 201, begun.text
            response = begun.json()["id"]
            await door.answers(response)
            assert (await door.submits(response)).status_code == 200
        heard = await asyncio.wait_for(_heard(reader, response), 30)
    assert [(name, revision) for name, revision, _ in heard] == [
        ("QuestionnaireSubmitted", 1),
        ("ConsentDecided", 2),
    ]
    assert heard[0][2]["child"] == child


async def _heard(settings: Settings, response: str) -> list[tuple[str, int, dict[str, object]]]:
    """The first two events of the response, as any reader of the topic gets them."""
    reader = AIOKafkaConsumer("questionnaire.response.v1", **bus.client_options(settings), auto_offset_reset="earliest")
    await reader.start()
    found: list[tuple[str, int, dict[str, object]]] = []
    try:
        async for record in reader:
            event = read_envelope(record.topic, record.key, record.value, record.headers)
            if event.subject == response:
                found.append((event.type.split(".")[-2], event.revision, json.loads(event.data)))
            if len(found) == 2:
                break
    finally:
        await reader.stop()
    return found
