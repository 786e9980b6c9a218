"""Reads the topics of all municipalities; each keeps its own order and none waits for another (protocol R3, R6)."""

import asyncio
import contextlib
import time
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.gateway.commands.intake import Intake
from services.gateway.domain.intake import TOPICS, Received
from shared import bus, metrics
from shared.ending import closed, end_all
from shared.problems import Busy
from shared.runtime import Runtime
from shared.store import StoreError

log = structlog.get_logger(__name__)

GROUP = "municipal"
NEW_TOPICS_SEEN_MS = 2_000
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
AT_ONCE = 100

Row: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """One consumer of all municipal topics, with one worker for each partition that has something to do."""

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        self._runtime = runtime
        self._intake = intake
        self._workers: dict[TopicPartition, asyncio.Task[None]] = {}
        self._consumer: Any = None

    async def run(self) -> None:
        """Read until cancelled."""
        self._consumer = AIOKafkaConsumer(
            **bus.client_options(self._runtime.settings),
            client_id=f"hagukumi-{self._runtime.settings.service}-intake",
            group_id=f"{self._runtime.settings.service}.{GROUP}",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            metadata_max_age_ms=NEW_TOPICS_SEEN_MS,
            max_poll_interval_ms=120_000,
        )
        self._consumer.subscribe(pattern=TOPICS, listener=self)
        try:
            await asyncio.wait_for(self._consumer.start(), 30.0)
            while True:
                for place, rows in (await self._poll()).items():
                    # While its worker is busy a partition is not fetched: memory stays bounded, the others go on.
                    self._consumer.pause(place)
                    self._workers[place] = asyncio.create_task(self._work(place, rows), name=f"intake {place.topic}")
                metrics.last_poll.labels(GROUP).set(time.time())
        finally:
            await self._end(list(self._workers))
            await closed(self._consumer.stop(), "intake", within=5.0)

    async def _poll(self) -> dict[TopicPartition, list[Row]]:
        """What has arrived. A record that the client cannot decode is stepped over, and takes nothing of other towns with it."""
        try:
            found: dict[TopicPartition, list[Row]] = await self._consumer.getmany(timeout_ms=200, max_records=AT_ONCE)
        except UnicodeDecodeError:
            await self._end(list(self._workers))
            self._consumer.resume(*self._consumer.assignment())
            await bus.rewind(self._consumer)
            for place in sorted(self._consumer.assignment()):
                while (row := await bus.next_of(self._consumer, place)) is not None:
                    await self._settle(row)
                    await self._consumer.commit({place: row.offset + 1})
            return {}
        return found

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """What is half done the new owner does again: effects have derived keys."""
        await self._end(list(revoked))

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Reading goes on at the committed offset."""

    async def _end(self, places: list[TopicPartition]) -> None:
        ending = [task for place in places if (task := self._workers.pop(place, None)) is not None]
        await end_all(ending)

    async def _work(self, place: TopicPartition, rows: list[Row]) -> None:
        """Settle these records in their order, each with its offset; then let the partition be fetched again."""
        for row in rows:
            await self._settle(row)
            with contextlib.suppress(KafkaError):
                # A refused commit means a rebalance: the new owner reads it again and gives the same reply.
                await self._consumer.commit({place: row.offset + 1})
        if place in self._consumer.assignment():
            self._consumer.resume(place)

    async def _settle(self, row: Row) -> None:
        received = Received(row.topic, row.partition, row.offset, row.key, row.value, tuple(row.headers))
        pause, attempt = FIRST_PAUSE_S, 1
        while True:
            try:
                await self._intake.settle(received, attempt=attempt)
                return
            except (Busy, StoreError, TimeoutError, OSError) as error:
                log.info("intake.waiting", topic=row.topic, error=type(error).__name__, attempt=attempt)
            except Exception as error:
                # Not the message's fault as far as we know: it waits, is seen in the log, and blocks only its own topic.
                log.error("intake.failed", topic=row.topic, offset=row.offset, exc_info=error)
            await asyncio.sleep(pause)
            pause, attempt = min(pause * 2, LONGEST_PAUSE_S), attempt + 1


def follow_municipalities(runtime: Runtime, intake: Intake) -> None:
    """Read every municipality's topic beside the service."""
    runtime.background.append(lambda: Reader(runtime, intake).run())
