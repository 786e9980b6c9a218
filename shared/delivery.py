"""What stands around each handler: decode, apply, put aside what can never work, commit exactly what is durable (R3, R6, G6)."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaMessage, KafkaRouter
from faststream.message import AckStatus
from opentelemetry import trace

from shared import metrics
from shared.bus import Message, Producer, next_of, rewind
from shared.ending import closed
from shared.events.base import Envelope
from shared.faults import crash_point
from shared.healing import remember
from shared.native.envelopes import BadRecord, read_envelope
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import link_to

log = structlog.get_logger(__name__)
tracer = trace.get_tracer("hagukumi.delivery")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
IDLE_WAIT_MS = 500
GATHER_S = 0.25
BUSY_S = 2.0
NOT_ALIVE_AFTER_S = 30.0
MOST_LINKS = 128
"""A span keeps no more of them, and each costs as much as reading its event."""
COMMIT_WITHIN_S = 10.0
GIVEN_UP_AFTER = 3
"""Polls in a row that fail, five seconds apart, until a reader's client is taken for one that does not come back."""
BEGUN_AGAIN_WITHIN_S = 30.0
LOOKED_AWAY_S = 20.0
"""Between looks that lie further apart the broker was away, and its readers with it."""

Poll = Callable[[Any], Coroutine[Any, Any, tuple[ConsumerRecord[Any, Any], ...]]]


class Sink(Protocol):
    """Anything that takes a batch of events: a View, or a handler that creates things with derived ids."""

    @property
    def name(self) -> str:
        """Name in logs and metrics."""

    async def apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        """Apply durably; the events that can never be applied come back with a reason code."""


class _Unheard(NamedTuple):
    """How many batches of a group had begun when it was looked at, since when they are as many, and the last look."""

    begun: int
    since: float
    looked: float


class Follower:
    """Everything that one service reads: which topic goes into which sinks, and the health of the reading."""

    def __init__(self, settings: Settings, router: KafkaRouter, producer: Producer, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._router = router
        self._producer = producer
        self._rejections = 0
        self._pause = FIRST_PAUSE_S
        self.stopped: str | None = None
        self.silent: set[str] = set()
        """Groups with something to read to which nothing comes any more: only a new process helps (aiokafka #1037)."""
        self.given_up: set[str] = set()
        """Groups whose client only fails any more, for what coordinates it has ended: it is made anew."""
        self._late: dict[str, dict[TopicPartition, int]] = {}
        """By group: offsets whose commit nobody answered, of what is durable; they are committed before the next poll."""
        self._begun: Counter[str] = Counter()
        self._working: set[str] = set()
        self._unheard: dict[str, _Unheard] = {}
        self.sinks: list[Sink] = []
        self.readings: list[tuple[str, Sink]] = []
        """(stream, sink) of everything that is followed."""

    def follow(
        self,
        topic: str,
        *sinks: Sink,
        group: str | None = None,
        max_records: int | None = None,
        patient: bool = False,
    ) -> None:
        """Read a topic in batches into these sinks, in this order, under the group `<service>.<topic family>`.

        `patient` is a reader for whom nobody waits: while events come one after the other, it takes those of a moment together.
        """
        self.sinks += [sink for sink in sinks if sink not in self.sinks]
        stream = topic.rpartition(".v")[0]
        self.readings += [(stream, sink) for sink in sinks if (stream, sink) not in self.readings]
        family = group or stream

        group_id = f"{self._settings.service}.{family}"

        async def handle(message: Any) -> None:
            # Else it would hold itself, and its records with it, until a collection.
            message.clear_cache()
            await self._batch(group_id, topic, sinks, message)

        handle.__name__ = f"on_{family.replace('.', '_')}"
        most = max_records or self._settings.consume_batch
        subscriber = self._router.subscriber(
            topic,
            batch=True,
            group_id=group_id,
            auto_offset_reset="earliest",
            max_records=most,
            # The broker answers at once when there is something; an idle reader asks twice a second, not twenty times.
            batch_timeout_ms=IDLE_WAIT_MS,
            fetch_max_wait_ms=IDLE_WAIT_MS,
            max_poll_interval_ms=self._settings.max_poll_interval_ms,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            # A process that is started again under its name takes its partitions back at once, without a rebalance.
            group_instance_id=f"{self._settings.instance}.{family}" if self._settings.instance else None,
            parser=_unparsed,
            decoder=_itself,
            title=f"{self._settings.service}: {topic}",
        )
        subscriber(handle)
        subscriber.get_msg = self._heard(  # type: ignore[method-assign, assignment]
            group_id, _polling(most, GATHER_S if patient else 0.0)
        )

    def _heard(self, group: str, poll: Poll) -> Poll:
        """The same poll, which notes a client that fails time after time."""
        failed = 0

        async def noted(consumer: Any) -> tuple[ConsumerRecord[Any, Any], ...]:
            nonlocal failed
            try:
                if group in self._late:
                    await self._commit_late(group, consumer)
                found = await poll(consumer)
            except KafkaError as error:
                failed += 1
                if failed >= GIVEN_UP_AFTER and group not in self.given_up:
                    self.given_up.add(group)
                    log.warning("consumer.given_up", group=group, error=str(error))
                raise
            failed = 0
            return found

        return noted

    async def begin_again(self, subscriber: Any) -> None:
        """Another client in the place of one that has given up; where the broker is away it is tried again at the next look."""
        group = subscriber.group_id
        await closed(subscriber.stop(), f"reader of {group}", within=BEGUN_AGAIN_WITHIN_S)
        subscriber.consumer = None
        try:
            async with asyncio.timeout(BEGUN_AGAIN_WITHIN_S):
                await subscriber.start()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("consumer.not_begun_again", group=group, error=type(error).__name__)
        else:
            self.given_up.discard(group)
            log.warning("consumer.begun_again", group=group)

    def look(self, group: str, behind: int, now: float) -> None:
        """Learn how many records wait for a group. Such as nobody hands over, look after look, while no batch is worked, mean silence."""
        last, begun = self._unheard.get(group), self._begun[group]
        if (
            not behind
            or group in self._working
            or last is None
            or last.begun != begun
            or now - last.looked > LOOKED_AWAY_S
        ):
            self._unheard[group] = _Unheard(begun, since=now, looked=now)
            self.silent.discard(group)
            return
        self._unheard[group] = _Unheard(begun, since=last.since, looked=now)
        if now - last.since > NOT_ALIVE_AFTER_S:
            self.silent.add(group)

    async def _batch(self, group: str, topic: str, sinks: Sequence[Sink], message: KafkaMessage) -> None:
        self._begun[group] += 1
        self._working.add(group)
        try:
            await self._work(group, topic, sinks, message)
        finally:
            self._working.discard(group)

    async def _work(self, group: str, topic: str, sinks: Sequence[Sink], message: KafkaMessage) -> None:
        records: Sequence[ConsumerRecord[bytes | None, bytes | None]] = message.raw_message
        if self.stopped is not None:
            await asyncio.sleep(LONGEST_PAUSE_S)
            raise RuntimeError(self.stopped)
        envelopes: list[Envelope] = []
        read: list[ConsumerRecord[bytes | None, bytes | None]] = []
        bad: list[tuple[ConsumerRecord[bytes | None, bytes | None], BadRecord]] = []
        for record in records:
            try:
                envelope = read_envelope(record.topic, record.key, record.value, record.headers)
            except BadRecord as error:
                bad.append((record, error))
                continue
            envelopes.append(envelope)
            read.append(record)
        causes = sorted({e.traceparent for e in envelopes if e.traceparent})[:MOST_LINKS]
        links = [link for link in map(link_to, causes) if link]
        started = time.perf_counter()
        with tracer.start_as_current_span(
            f"{topic} process", links=links, attributes={"messaging.batch.message_count": len(records)}
        ):
            try:
                rejected = await self._into(sinks, envelopes)
                if bad or rejected:
                    # By the object: two records may carry the same envelope.
                    of = dict(zip(map(id, envelopes), read, strict=True))
                    await self._put_aside(sinks, bad, {id(event): (of[id(event)], why) for event, why in rejected})
            except Exception as error:
                # Nothing was committed: the router seeks back and the batch comes again.
                log.warning("consumer.batch_failed", topic=topic, error=type(error).__name__, exc_info=error)
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
                raise
        self._pause = FIRST_PAUSE_S
        metrics.batch_seconds.labels(topic).observe(time.perf_counter() - started)
        self._count_rejections(len(bad) + len(rejected), len(records))
        crash_point("after_bulk_before_commit")
        await self._commit(group, message, records)
        metrics.last_poll.labels(topic).set(time.time())

    async def _into(self, sinks: Sequence[Sink], envelopes: list[Envelope]) -> list[tuple[Envelope, str]]:
        rejected: list[tuple[Envelope, str]] = []
        if envelopes:
            for sink in sinks:
                rejected += await sink.apply(envelopes)
        return rejected

    async def _put_aside(
        self,
        sinks: Sequence[Sink],
        bad: Sequence[tuple[ConsumerRecord[bytes | None, bytes | None], BadRecord]],
        rejected: Mapping[int, tuple[ConsumerRecord[bytes | None, bytes | None], str]],
    ) -> None:
        """Dead-letter alone what is unreadable or unusable; the subject waits for the owner's archive, others go on (R6)."""
        letters = [_letter(record, error.code, self._settings.service) for record, error in bad]
        letters += [_letter(record, why, self._settings.service) for record, why in rejected.values()]
        outcomes = await self._producer.send(letters)
        if any(outcome is not None for outcome in outcomes):
            raise RuntimeError("a dead letter was not acknowledged")
        missing = [
            (record.topic.rpartition(".v")[0], error.subject, error.revision - 1, error.revision)
            for record, error in bad
            if error.subject and error.revision > 0
        ]
        await remember(self._store, [sink.name for sink in sinks], missing)

    def _count_rejections(self, rejected: int, records: int) -> None:
        """Many rejections in a row stop the consumer instead of draining a topic into its dead letters."""
        self._rejections = self._rejections + rejected if rejected == records else 0
        if self._rejections >= self._settings.stop_after_rejections:
            self.stopped = f"{self._rejections} records in a row were rejected"
            log.error("consumer.stopped", reason="rejections-in-a-row")

    async def _commit(self, group: str, message: KafkaMessage, records: Sequence[ConsumerRecord[Any, Any]]) -> None:
        """Commit explicit offsets of what is durable, never «all consumed», never for a revoked partition (R3)."""
        consumer: Any = message.consumer
        # Of one partition they come in order: the last one stays.
        ends = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        mine = consumer.assignment()
        message.committed = AckStatus.ACKED
        await self._commit_offsets(group, consumer, {place: end for place, end in ends.items() if place in mine})

    async def _commit_late(self, group: str, consumer: Any) -> None:
        """Try again what was not committed, where the reader still stands there; else another reads it, or it was read again."""
        mine = consumer.assignment()
        late = {place: end for place, end in self._late.pop(group).items() if place in mine}
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                stands = {place: await consumer.position(place) for place in late}
        except (KafkaError, TimeoutError):
            self._late[group] = late
            return
        await self._commit_offsets(group, consumer, {place: end for place, end in late.items() if stands[place] == end})

    async def _commit_offsets(self, group: str, consumer: Any, offsets: dict[TopicPartition, int]) -> None:
        if not offsets:
            return
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            # Refused after a rebalance, or unanswered: what is read again is known, and dropped.
            log.info("consumer.not_committed", error=type(error).__name__)
            self._late[group] = self._late.get(group, {}) | offsets


def _polling(most: int, gather_s: float) -> Poll:
    """How a reader asks for what has arrived; one that may wait `gather_s` does so after the first of many.

    After a poll in vain FastStream's own would sleep for as long again, deaf to what arrives: half of an idle reader's time.
    """
    careful: set[TopicPartition] = set()
    last = float("-inf")

    async def poll(consumer: Any) -> tuple[ConsumerRecord[Any, Any], ...]:
        nonlocal last
        for place in sorted(careful & consumer.assignment()) if careful else ():
            record = await next_of(consumer, place)
            if record is not None:
                return (record,)
            careful.discard(place)
        try:
            found = await _arrived(consumer, IDLE_WAIT_MS, most)
            if gather_s and found:
                now = time.monotonic()
                if now - last < BUSY_S and len(found) < most:
                    await asyncio.sleep(gather_s)
                    found += await _arrived(consumer, 0, most - len(found))
                last = now
        except UnicodeDecodeError:
            await rewind(consumer)
            careful.update(consumer.assignment())
            return ()
        return found

    return poll


async def _arrived(consumer: Any, timeout_ms: int, most: int) -> tuple[ConsumerRecord[Any, Any], ...]:
    return tuple(chain.from_iterable((await consumer.getmany(timeout_ms=timeout_ms, max_records=most)).values()))


async def _unparsed(records: Any, parse: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastStream's message around the raw records; its own parser would fail on one header that is not UTF-8."""
    message = await parse((dataclasses.replace(records[0], headers=()),))
    message.raw_message = records
    return message


async def _itself(message: Any) -> Any:
    """Undecoded: the handler gets the whole message. To ask FastStream for it costs each batch a task group and a worker thread."""
    return message


def _letter(record: ConsumerRecord[bytes | None, bytes | None], code: str, reader: str) -> Message:
    """The raw record with its reason, who put it aside, and its place; ids of the place make a repeat recognisable."""
    metrics.dead_letters.labels(record.topic, code).inc()
    kept = [
        (name, raw) for name, raw in record.headers if name.startswith("ce_") or name in {"content-type", "traceparent"}
    ]
    return Message(
        f"{record.topic}.dlt",
        # A client refuses a record of nothing at all.
        b"" if record.key is None and record.value is None else record.key,
        record.value,
        [
            *kept[:32],
            ("dlt_reason", code.encode()),
            ("dlt_reader", reader.encode()),
            ("dlt_topic", record.topic.encode()),
            ("dlt_partition", str(record.partition).encode()),
            ("dlt_offset", str(record.offset).encode()),
        ],
    )


class Each:
    """A sink that calls one function with the typed events it knows; what it does must be idempotent by derived ids."""

    def __init__(
        self, name: str, handle: Callable[[Sequence[Envelope]], Awaitable[list[tuple[Envelope, str]]]]
    ) -> None:
        self.name = name
        self._handle = handle

    async def apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        """Hand the batch over."""
        return await self._handle(batch)
