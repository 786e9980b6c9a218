"""A consumer that has something to read and is handed nothing makes its process not alive (aiokafka #1037, #575); one that has given up is made anew."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

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


Happens = Callable[[], Awaitable[str]]


@pytest_asyncio.fixture
async def happens(local_kafka: LocalKafka, local_store: LocalStore) -> AsyncIterator[Happens]:
    """An owner says something of another child; which."""
    producer = bus.Producer(service_settings("records", local_kafka, local_store, "unused"))

    async def one() -> str:
        doc = Document(id=new_id())
        doc.emit(GuardianAdded(guardian="g1", proven_by="code"), Clock().now())
        assert await producer.send([bus.to_message(entry, "records") for entry in doc.outgoing]) == [None]
        return doc.id

    yield one
    await producer.stop()


async def test_a_reader_that_goes_silent_is_not_alive_until_it_reads_again(
    local_kafka: LocalKafka, local_store: LocalStore, happens: Happens, monkeypatch: pytest.MonkeyPatch
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
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(probe_app(app)), base_url="http://probes") as probes,
    ):

        async def read(subject: str, by: list[str] = seen) -> bool:
            return subject in by

        async def lives(status: int) -> bool:
            return (await probes.get("/livez")).status_code == status

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


async def _sends_where_nobody_is() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.transport.abort()
    await asyncio.sleep(0)
    connection = AIOKafkaConnection("127.0.0.1", 1)
    connection._writer, connection._reader, connection._closed_fut = writer, reader, asyncio.Future()
    connection._read_task = asyncio.create_task(asyncio.sleep(0))
    with pytest.raises(KafkaConnectionError, match="gone"):
        connection.send(ApiVersionRequest())
    assert not connection.connected()
    server.close()


def test_a_connection_that_is_gone_is_a_broken_one_for_the_client_on_the_services_own_loop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_sends_where_nobody_is())


@dataclass(slots=True)
class Reading:
    """A service with one reader, whose events come from an owner."""

    runtime: Runtime
    happens: Happens
    seen: list[str] = field(default_factory=list)

    @property
    def subscriber(self) -> Any:
        """The one that follows."""
        subscribers: list[Any] = list(self.runtime.broker.subscribers)
        (found,) = (one for one in subscribers if one.consumer is not None)
        return found

    async def hears(self) -> bool:
        """Whether what happens now arrives."""
        subject = await self.happens()

        async def arrived() -> bool:
            return subject in self.seen

        return await until(arrived, WITHIN_S)


@pytest_asyncio.fixture
async def reading(
    local_kafka: LocalKafka, local_store: LocalStore, happens: Happens, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Reading]:
    monkeypatch.setattr(loops, "LOOK_EVERY_S", 0.2)
    runtime = Runtime(service_settings("questionnaire", local_kafka, local_store, f"t{new_id()[:12]}"))
    found = Reading(runtime, happens)

    async def see(batch: Any) -> list[tuple[Envelope, str]]:
        found.seen.extend(event.subject for event in batch)
        return []

    runtime.follow("records.child.v1", Each("seen", see), group=f"records.child.{new_id()[:8]}")
    app = create_service(runtime, [], title="reader")
    async with app.router.lifespan_context(app):
        yield found


async def test_a_reader_whose_client_has_given_up_reads_on_with_another(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What coordinates a group in aiokafka ends for good by an error that it did not foresee; each poll fails then."""
    monkeypatch.setattr(delivery, "GIVEN_UP_AFTER", 1)
    assert await reading.hears()
    given_up = reading.subscriber.consumer

    async def fails() -> None:
        raise ValueError("not foreseen")

    async def waits_for_what_it_cancelled() -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(given_up._coordinator, "ensure_coordinator_known", fails)
    monkeypatch.setattr(given_up._fetcher, "close", waits_for_what_it_cancelled)
    given_up._coordinator.coordinator_dead()
    assert await reading.hears()
    assert reading.subscriber.consumer is not given_up
    assert reading.runtime.follower.given_up == set()


async def test_an_offset_that_is_never_acknowledged_holds_up_no_reader(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "COMMIT_WITHIN_S", 0.2)
    assert await reading.hears()
    async with reading.subscriber.consumer._coordinator._commit_lock:
        assert await reading.hears()
        assert await reading.hears()


async def test_an_offset_that_was_not_acknowledged_is_committed_though_nothing_more_is_read(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the group stands still for all who look, and its next owner reads again what it has."""
    monkeypatch.setattr(delivery, "COMMIT_WITHIN_S", 0.2)
    consumer = reading.subscriber.consumer
    assert await reading.hears()
    async with consumer._coordinator._commit_lock:
        assert await reading.hears()
        async with asyncio.timeout(20):
            while not reading.runtime.follower._late:
                await asyncio.sleep(0.05)

    async def all_committed() -> bool:
        for place in consumer.assignment():
            stands = await consumer.position(place)
            if stands and await consumer.committed(place) != stands:
                return False
        return True

    async with asyncio.timeout(20):
        while not await all_committed():
            await asyncio.sleep(0.05)
