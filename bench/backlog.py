"""P11, P12: a reader that comes back to a long backlog, and a view that has grown large."""

import asyncio
import multiprocessing
import os
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import uvloop
from aiokafka import AIOKafkaConsumer

from bench.backbone import BATCH, NOW, TOPIC, Silent, add_dose, dose_event, entries, produce, raw_updates
from bench.harness import Row, Stopwatch, peak_rss_mb
from deploy.local.broker import LocalKafka
from deploy.local.store import LocalStore
from shared.bus import envelope_of
from shared.clock import Clock
from shared.documents import Document, Documents
from shared.events.base import Envelope
from shared.events.records import DoseRecorded
from shared.ids import new_id
from shared.runtime import Runtime, collect_seldom
from shared.settings import Settings
from shared.store import Doc, Store
from shared.testing.plugin import service_settings
from shared.views import View

RSS_MB = 300
REVISIONS = 5
SMALL = 10_000
TOUCHED = 1_000
ROUNDS = 5
SEED_BATCH = 2_000
TERMS = f"documents of 1 kB, index pending, j: true, batches of {BATCH}, one process"


class Timed(View):
    """The view, with the time from its first batch until it has all."""

    def __init__(self, documents: Documents, until: int) -> None:
        super().__init__(documents, {DoseRecorded: add_dose})
        self._left, self.watch, self.done = until, Stopwatch(), asyncio.Event()
        self._begun = False

    async def apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        """Apply, and look at the clock."""
        if not self._begun:
            self._begun = True
            self.watch.__enter__()
        rejected = await super().apply(batch)
        self._left -= len(batch)
        if self._left <= 0 and not self.done.is_set():
            self.watch.__exit__()
            self.done.set()
        return rejected


def _drain(settings: Settings, group: str, count: int) -> tuple[float, float, float]:
    """In a process of its own, as a service is: (events a second, CPU microseconds an event, peak memory in MB)."""

    async def read() -> tuple[float, float]:
        runtime = Runtime(settings)
        collect_seldom()
        view = Timed(runtime.documents("views"), count)
        runtime.follow(TOPIC, view, group=group)
        await runtime.start()
        await view.done.wait()
        await runtime.stop()
        await runtime.store.close()
        return count / view.watch.wall, view.watch.cpu / count * 1e6

    rate, cpu = uvloop.run(read())
    return rate, cpu, peak_rss_mb(os.getpid())


async def _begin_here(kafka: LocalKafka, group: str) -> None:
    """Commit the topic's present end for this group: what comes from now on is its backlog."""
    consumer = AIOKafkaConsumer(
        TOPIC, **kafka.client_options("schedule"), group_id=group, auto_offset_reset="latest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=100)
        await consumer.commit(await consumer.end_offsets(consumer.assignment()))
    finally:
        await consumer.stop()


def _view_document(key: str) -> Doc:
    return {
        "_id": key, "version": 1, "revision": 0, "state": {"padding": "x" * 800}, "applied": {}, "outbox": [],
    }  # fmt: skip


async def _seed(store: Store, ids: Sequence[str]) -> None:
    await store.ensure_index("views", ["pending"], where={"pending": {"$gte": 0}})
    for start in range(0, len(ids), SEED_BATCH):
        await store.insert_many("views", [_view_document(key) for key in ids[start : start + SEED_BATCH]])


async def _direct(store: LocalStore, made: Sequence[Envelope]) -> float:
    """P2 on the same events: the view alone, without a broker."""
    client = Store.connect(store.url, f"b{new_id()[:10]}")
    await _seed(client, list(dict.fromkeys(one.subject for one in made)))
    view = View(Documents(client, "views", relay=Silent(), clock=Clock()), {DoseRecorded: add_dose})
    with Stopwatch() as watch:
        for start in range(0, len(made), BATCH):
            await view.apply(made[start : start + BATCH])
    await client.close()
    return len(made) / watch.wall


async def drain(kafka: LocalKafka, store: LocalStore, count: int) -> Row:
    """P11: a backlog read, decoded, folded, stored and committed, against the same view updates alone (P2)."""
    group = f"backlog-{new_id()[:8]}"
    await _begin_here(kafka, f"schedule.{group}")
    waiting = entries(count // REVISIONS, REVISIONS)
    await produce(kafka, store, waiting)
    made = [envelope_of(entry, "records") for entry in waiting]
    alone = [await _direct(store, made)]
    settings = service_settings("schedule", kafka, store, f"b{new_id()[:10]}")
    client = Store.connect(store.url, settings.mongo_database)
    await _seed(client, list(dict.fromkeys(one.subject for one in made)))
    await client.close()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as reader:
        rate, cpu, rss = await asyncio.get_running_loop().run_in_executor(reader, _drain, settings, group, count)
    alone.append(await _direct(store, made))
    ceiling = statistics.mean(alone)
    return Row("P11", f"backlog of {count:,} events drained", "events/s", rate, ceiling, "≥ 0.80 of P2",
               f"{cpu:.0f} µs CPU an event with the driver's; peak memory {rss:.0f} MB", terms=TERMS,
               reached=rate / ceiling >= 0.80 and rss < RSS_MB)  # fmt: skip


async def _rates(store: LocalStore, documents: int) -> tuple[float, float, float]:
    """(events a second of the view, raw guarded updates a second, the middle ratio of the pairs) on documents spread over so many."""
    client = Store.connect(store.url, f"b{new_id()[:10]}", timeout_ms=120_000)
    run = new_id()[:8]
    ids = [f"{run}{number:024x}" for number in range(documents)]
    await _seed(client, ids)
    view = View(Documents(client, "views", relay=Silent(), clock=Clock()), {DoseRecorded: add_dose})
    touched = random.Random(12).sample(ids, 2 * ROUNDS * TOUCHED)
    ours: list[float] = []
    raw: list[float] = []
    for first in range(0, len(touched), 2 * TOUCHED):
        with Stopwatch() as watch:
            await raw_updates(client, "views", touched[first : first + TOUCHED], 1)
        raw.append(TOUCHED / watch.wall)
        made = [_dose_of(key) for key in touched[first + TOUCHED : first + 2 * TOUCHED]]
        with Stopwatch() as watch:
            for start in range(0, TOUCHED, BATCH):
                await view.apply(made[start : start + BATCH])
        ours.append(TOUCHED / watch.wall)
    await client.drop("views")
    await client.close()
    pairs = [mine / bare for mine, bare in zip(ours, raw, strict=True)]
    return statistics.median(ours), statistics.median(raw), statistics.median(pairs)


def _dose_of(child: str) -> Envelope:
    doc = Document(id=child)
    doc.emit(dose_event(1), NOW)
    return envelope_of(doc.outgoing[0], "records")


async def grown(store: LocalStore, documents: int) -> Row:
    """P12: the view update on a large collection against the same on a small one, beside the raw store's own loss."""
    small, raw_small, beside_small = await _rates(store, SMALL)
    large, raw_large, beside_large = await _rates(store, documents)
    keeps, raw_keeps, own = large / small, raw_large / raw_small, beside_large / beside_small
    return Row("P12", f"view update on {documents:,} documents, the ceiling on {SMALL:,}", "events/s", large, small,
               "≥ 0.70 or the store's own", f"raw updates {raw_large:,.0f}/s against {raw_small:,.0f}/s: {raw_keeps:.2f}; "
               f"beside the raw update of the same minute the view keeps {own:.2f} of its rate",
               terms=TERMS, reached=keeps >= 0.70 or own >= 0.95)  # fmt: skip
