"""What every service does beside its requests: heal, reconcile, watch its lag, follow the development clock."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from shared import bus, metrics, operations
from shared.events.gateway import ClockMoved
from shared.outbox import take_lease
from shared.problems import Busy
from shared.runtime import Runtime
from shared.views import View

log = structlog.get_logger(__name__)
LOOK_EVERY_S = 5.0


def start(runtime: Runtime) -> list[asyncio.Task[None]]:
    """Start all of them; the tasks run until they are cancelled."""
    found: list[Callable[[], Awaitable[None]]] = [
        *runtime.background,
        lambda: _heal(runtime),
        lambda: _count_parked(runtime),
        lambda: _reconcile(runtime),
        runtime.follow_generations,
        lambda: operations.work(runtime),
        lambda: _watch_lag(runtime),
    ]
    if runtime.settings.development and runtime.settings.service != "gateway":
        found.append(lambda: follow_clock(runtime))
    return [asyncio.create_task(_forever(loop)) for loop in found]


async def _forever(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a background loop; a failure is logged and it starts again after a pause."""
    while True:
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.warning("background.failed", exc_info=error)
        await asyncio.sleep(1.0)


async def _heal(runtime: Runtime) -> None:
    """Read missing events from their owners' archives and apply them by the same code (protocol R1)."""
    await runtime.healer.heal(runtime.follower.sinks)


async def _reconcile(runtime: Runtime) -> None:
    """Compare every view with its owners' heads now and then, in one replica (protocol R4); what is behind the healer gets."""
    every = runtime.settings.reconcile_every_s
    await asyncio.sleep(every)
    if not await take_lease(runtime.store, "reconciler", runtime.name, seconds=int(2 * every) + 60):
        return
    for stream, sink in runtime.follower.readings:
        if isinstance(sink, View):
            try:
                await runtime.reconciler.compare(stream, sink)
            except Busy:
                log.warning("reconciler.owner_away", stream=stream)
    metrics.reconciled_at.set(time.time())


async def _count_parked(runtime: Runtime) -> None:
    """Tell how many documents of each view are parked."""
    for sink in runtime.follower.sinks:
        if isinstance(sink, View):
            await sink.count_parked()
    await asyncio.sleep(4.0)


async def _watch_lag(runtime: Runtime) -> None:
    """Tell how far every consumer is behind; the broker is asked, since a consumer that went silent knows of nothing new."""
    await asyncio.sleep(LOOK_EVERY_S)
    subscribers: list[Any] = list(runtime.broker.subscribers)
    behind: Counter[str] = Counter()
    for subscriber in subscribers:
        if subscriber.group_id in runtime.follower.given_up:
            await runtime.follower.begin_again(subscriber)
        consumer = subscriber.consumer
        if consumer is None:
            continue
        waiting: Counter[str] = Counter()
        try:
            ends = await asyncio.wait_for(consumer.end_offsets(consumer.assignment()), 5.0)
            for place in ends.keys() & consumer.assignment():
                position = await asyncio.wait_for(consumer.position(place), 5.0)
                waiting[place.topic] += max(0, ends[place] - position)
        except (KafkaError, TimeoutError):
            continue
        if waiting:
            runtime.follower.look(subscriber.group_id, waiting.total(), time.monotonic())
            behind.update(waiting)
    for topic, count in behind.items():
        metrics.lag.labels(topic).set(count)


async def follow_clock(runtime: Runtime) -> None:
    """Follow the development platform's clock: every process reads the whole topic, so there is no group."""
    consumer = AIOKafkaConsumer(
        ClockMoved.topic(),
        **bus.client_options(runtime.settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async for record in consumer:
            moved = ClockMoved.model_validate_json(record.value or b"")
            runtime.clock.move_to(moved.now, datetime.fromtimestamp(record.timestamp / 1000, UTC))
            for react in runtime.on_clock:
                await react()
    finally:
        await consumer.stop()
