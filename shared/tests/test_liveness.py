"""A consumer that has something to read and is handed nothing makes its process not alive (aiokafka #1037, #575)."""

from functools import partial
from typing import Any

import httpx
import pytest

from deploy.local.broker import LocalKafka
from deploy.local.store import LocalStore
from shared import bus, delivery, loops
from shared.clock import Clock
from shared.delivery import Each
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.records import GuardianAdded
from shared.ids import new_id
from shared.runtime import Runtime
from shared.service import create_service, probe_app
from shared.testing.plugin import service_settings
from shared.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]
WITHIN_S = 60.0


async def test_a_reader_that_goes_silent_is_not_alive_until_it_reads_again(
    local_kafka: LocalKafka, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(delivery, "NOT_ALIVE_AFTER_S", 5.0)
    settings = service_settings("questionnaire", local_kafka, local_store, f"t{new_id()[:12]}")
    runtime = Runtime(settings)
    seen: list[str] = []
    beside: list[str] = []

    async def see(batch: Any) -> list[tuple[Envelope, str]]:
        seen.extend(event.subject for event in batch)
        return []

    async def see_beside(batch: Any) -> list[tuple[Envelope, str]]:
        beside.extend(event.subject for event in batch)
        return []

    mark = new_id()[:8]
    runtime.follow("records.child.v1", Each("seen", see), group=f"records.child.{mark}")
    # Another group of the same topic reads on: it must not speak for the one that is silent.
    runtime.follow("records.child.v1", Each("beside", see_beside), group=f"records.child-beside.{mark}")
    app = create_service(runtime, [], title="reader")
    producer = bus.Producer(service_settings("records", local_kafka, local_store, "unused"))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(probe_app(app)), base_url="http://probes") as probes,
    ):

        async def read(subject: str, by: list[str] = seen) -> bool:
            return subject in by

        async def lives(status: int) -> bool:
            return (await probes.get("/livez")).status_code == status

        async def happens() -> str:
            doc = Document(id=new_id())
            doc.emit(GuardianAdded(guardian="g1", proven_by="code"), Clock().now())
            assert await producer.send([bus.to_message(entry, "records") for entry in doc.outgoing]) == [None]
            return doc.id

        first = await happens()
        assert await until(partial(read, first), WITHIN_S)
        subscribers: list[Any] = list(runtime.broker.subscribers)
        consumer = next(one.consumer for one in subscribers if one.group_id.endswith(f"child.{mark}"))
        consumer.pause(*consumer.assignment())
        second = await happens()
        assert await until(partial(read, second, beside), WITHIN_S)
        assert await until(partial(lives, 503), WITHIN_S)
        assert second not in seen
        consumer.resume(*consumer.assignment())
        assert await until(partial(lives, 200), WITHIN_S)
        assert await until(partial(read, second), WITHIN_S)
    await producer.stop()
