"""What a service process has, started and stopped in order: `app.py` makes one and hands it to the rest."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

import structlog

from shared import bus, faults
from shared.auth import InternalTokens, Principal, bearer
from shared.clock import Clock
from shared.delivery import Follower, Sink
from shared.documents import Documents
from shared.ending import closed
from shared.healing import Healer
from shared.ids import new_id
from shared.internal_calls import InternalCalls
from shared.outbox import Relay
from shared.rebuilding import Rebuilder
from shared.reconciling import Reconciler
from shared.settings import Settings
from shared.store import Store
from shared.views import View

log = structlog.get_logger(__name__)
READY_WAIT_S = 60.0
COLLECT_AFTER = 20_000
"""Objects beyond those that were freed. A batch holds some ten thousand at a time, all of which go without being looked for."""

Check = Callable[[], AsyncIterator[tuple[str, bool]]]
"""Goes over everything that it checks: (an opaque id, whether it is as it should be)."""


def collect_seldom() -> None:
    """What start-up made stays until the end, and the collector need not walk through it, nor through each batch dozens of times (ADR 79)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


class Runtime:
    """What a service process has: settings, clock, store, relay, reader, tokens. `app.py` hands it to the rest."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(timedelta(seconds=settings.clock_skew_s))
        self.store = Store.connect(
            settings.mongo_url,
            settings.mongo_database,
            driver=settings.mongo_driver,
            timeout_ms=settings.mongo_timeout_ms,
        )
        self.producer = bus.Producer(settings)
        self.relay = Relay(
            self.store,
            self.producer,
            settings.service,
            sweep_after_ms=settings.sweep_after_ms,
            max_depth=settings.outbox_depth_service,
        )
        self.router = bus.router()
        self.name = new_id()
        self.follower = Follower(settings, self.router, self.producer, self.store)
        self.tokens = InternalTokens(settings)
        self.calls = InternalCalls(settings, self.tokens)
        self.healer = Healer(settings.service, self.store, self.calls)
        self.reconciler = Reconciler(settings.service, self.store, self.calls, self.relay.collections)
        self.rebuilder = Rebuilder(self.store, self.reconciler, self.healer)
        self.broker = bus.broker(settings)
        self.checks: dict[str, Check] = {}
        self.background: list[Callable[[], Awaitable[None]]] = []
        self.on_start: list[Callable[[], Awaitable[None]]] = []
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        self.on_clock: list[Callable[[], Awaitable[None]]] = []
        self.details: dict[str, Callable[[], Any]] = {}
        """What readiness tells beside its checks; none of it makes a service unready."""
        self._collections: dict[str, Documents] = {}

    def documents(self, collection: str, max_depth: int | None = None, as_text: Iterable[str] = ()) -> Documents:
        """The documents of one collection, known to the relay; `max_depth` events may wait in one, or as many as settings say.

        `as_text` names the parts of a state that the store keeps as one text (ADR 76).
        """
        if collection not in self._collections:
            self._collections[collection] = Documents(
                self.store,
                collection,
                relay=self.relay,
                clock=self.clock,
                max_depth=max_depth or self.settings.outbox_depth_document,
                as_text=frozenset(as_text),
            )
            self.relay.collections.append(collection)
        return self._collections[collection]

    def follow(self, topic: str, *sinks: Sink, **options: Any) -> None:
        """Read a topic into these sinks."""
        self.follower.follow(topic, *sinks, **options)

    def principal(self, authorization: str | None) -> Principal:
        """The principal for whom the gateway acts in this call; raises Unauthenticated."""
        return Principal.from_claims(self.tokens.verify(bearer(authorization), "act"))

    async def start(self) -> None:
        """Wait for the store, create indexes, start relay and reader; raises after a minute without a store."""
        faults.arm(self.settings.crash_at)
        await _until(self.store.ping, "store")
        await self.follow_generations()
        for documents in self._collections.values():
            await documents.ensure_indexes()
        await self.relay.start()
        for sink in self.follower.sinks:
            if isinstance(sink, View):
                await sink.ensure_indexes()
        for begin in self.on_start:
            await begin()
        self.broker.include_router(self.router)
        await _until(self.broker.start, "kafka")

    async def follow_generations(self) -> None:
        """Learn which generation of each view is read, also where no batch comes by (protocol R8)."""
        for sink in self.follower.sinks:
            if isinstance(sink, View) and not sink.owns:
                await sink.follow_pointer()

    async def stop(self) -> None:
        """Reader first, then the relay, then the producer (`broker.stop()` would not wait for it); each bounded."""
        await closed(self.broker.stop(), "readers", within=8.0)
        for finish in self.on_stop:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(finish(), 4.0)
        await self.relay.stop()
        await self.producer.stop()
        await self.calls.close()
        await self.store.close()


async def _until(attempt: Callable[[], Awaitable[Any]], what: str) -> None:
    deadline = time.monotonic() + READY_WAIT_S
    while True:
        try:
            await asyncio.wait_for(attempt(), READY_WAIT_S)
            return
        except Exception as error:
            log.info("start.waiting", what=what, error=type(error).__name__)
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
