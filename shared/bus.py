"""Broker, router, producer and header factories: every safe default in one place (what bites without them: pitfalls, ADR 3)."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaRouter
from faststream.security import BaseSecurity, SASLScram256

from shared import metrics
from shared.ending import closed
from shared.events.base import Envelope
from shared.native.envelopes import event_id
from shared.settings import Settings
from shared.store import Doc

log = structlog.get_logger(__name__)

MAX_RECORD_BYTES = 1_048_576
SEND_TIMEOUT_S = 15.0
TOPIC_WITHIN_S = 3.0
ABSENT_FOR_S = 30.0
ABSENT = "TopicAbsent"


def security(settings: Settings) -> BaseSecurity:
    """SCRAM-SHA-256 as this service's own user; TLS is the deployment's (a mesh or a TLS listener)."""
    return SASLScram256(username=settings.kafka_user, password=settings.kafka_secret, use_ssl=False)


def client_options(settings: Settings, *, user: str | None = None, password: str | None = None) -> dict[str, Any]:
    """Connection options of a plain aiokafka client."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": user or settings.kafka_user,
        "sasl_plain_password": password if password is not None else settings.kafka_secret,
    }


def broker(settings: Settings, **options: Any) -> KafkaBroker:
    """The FastStream broker of a service. It consumes; publishing is the relay's (never `publish_batch` for keyed events)."""
    return KafkaBroker(
        settings.kafka_bootstrap,
        security=security(settings),
        client_id=f"hagukumi-{settings.service}",
        logger=None,
        apply_types=False,
        graceful_timeout=10.0,
        **options,
    )


def router() -> KafkaRouter:
    """A router whose subscribers seek back on an error; the broker's own policy would be ignored here."""
    return KafkaRouter(ack_policy=AckPolicy.NACK_ON_ERROR)


class SendFailed(Exception):
    """Kafka did not acknowledge. `final`: it never will (the record itself is refused)."""

    def __init__(self, why: str, *, final: bool) -> None:
        super().__init__(why)
        self.final = final


def _broken(send: Callable[..., Any]) -> Callable[..., Any]:
    """Sending on a connection that is gone, as aiokafka 0.14 expects it to fail.

    asyncio raises OSError there or warns, uvloop RuntimeError, which ends what coordinates a group, or sends for a producer, for good (ADR 82).
    """

    def guarded(connection: AIOKafkaConnection, *args: Any, **named: Any) -> Any:
        try:
            return send(connection, *args, **named)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"the connection is gone: {error}") from error

    return guarded


AIOKafkaConnection.send = _broken(AIOKafkaConnection.send)


class Producer:
    """An idempotent producer that is thrown away and built anew when it hangs (aiokafka #1101, #1017)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._absent: dict[str, float] = {}
        """Topics that were not there, and until when that is believed."""

    async def _ready(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **client_options(self._settings),
                    client_id=f"hagukumi-{self._settings.service}-relay",
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=0,
                    max_request_size=MAX_RECORD_BYTES,
                    request_timeout_ms=10_000,
                )
                try:
                    await asyncio.wait_for(producer.start(), SEND_TIMEOUT_S)
                except BaseException:
                    await closed(producer.stop(), "producer", within=1.0)
                    raise
                self._producer = producer
            return self._producer

    async def send(self, messages: Sequence["Message"]) -> list[SendFailed | None]:
        """Send side by side and wait for every acknowledgement; one outcome per message, in order.

        What one topic or one record does wrong fails those alone (G10).
        """
        outcomes: list[SendFailed | None] = [None] * len(messages)
        waiting: dict[asyncio.Future[Any], int] = {}
        broken = ""
        for number, message in enumerate(messages):
            try:
                if broken:
                    raise SendFailed(broken, final=False)
                waiting[await self._hand_over(message)] = number
            except SendFailed as failure:
                outcomes[number] = failure
            except MessageSizeTooLargeError as error:
                outcomes[number] = SendFailed(type(error).__name__, final=True)
            except (KafkaError, TimeoutError, OSError) as error:
                broken = type(error).__name__
                outcomes[number] = SendFailed(broken, final=False)
        late = (await asyncio.wait(waiting, timeout=SEND_TIMEOUT_S))[1] if waiting else set()
        for future, number in waiting.items():
            why = TimeoutError() if future in late or future.cancelled() else future.exception()
            if why is not None:
                final = isinstance(why, MessageSizeTooLargeError)
                outcomes[number] = SendFailed(type(why).__name__, final=final)
                broken = broken or ("" if final else type(why).__name__)
        if broken:
            await self._discard()
        return outcomes

    async def _hand_over(self, message: "Message") -> "asyncio.Future[Any]":
        """Give the record to the client; its acknowledgement is to be waited for. Raises SendFailed where its topic is at fault."""
        producer = await self._ready()
        known = producer.client.cluster.partitions_for_topic(message.topic) is not None
        if not known and self._absent.get(message.topic, 0.0) > time.monotonic():
            raise SendFailed(ABSENT, final=False)
        handing = producer.send(
            message.topic, value=message.value, key=message.key, partition=message.partition, headers=message.headers
        )
        try:
            return await asyncio.wait_for(handing, SEND_TIMEOUT_S if known else TOPIC_WITHIN_S)
        except (UnknownTopicOrPartitionError, TopicAuthorizationFailedError, TimeoutError):
            if known:
                raise
            # Whoever has to make it may be at it; until then nobody else waits for it again.
            self._absent[message.topic] = time.monotonic() + ABSENT_FOR_S
            raise SendFailed(ABSENT, final=False) from None

    async def _discard(self) -> None:
        """Drop the producer object: after a time-out an idempotent one may hang for ever."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await closed(producer.stop(), "producer", within=1.0)

    async def stop(self) -> None:
        """Flush and close, bounded."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await closed(producer.stop(), "producer", within=5.0)


class Message:
    """One record to send."""

    __slots__ = ("headers", "key", "partition", "topic", "value")

    def __init__(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = list(headers)
        self.partition = partition


def to_message(entry: Doc, service: str) -> Message:
    """The Kafka record of an outbox entry: CloudEvents 1.0, binary mode (contracts, section 1)."""
    subject, revision = entry["subject"], entry["revision"]
    type_ = entry["type"]
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id(entry["stream"], subject, revision),
        "ce_source": f"/hagukumi/{service}",
        "ce_type": type_,
        "ce_subject": subject,
        "ce_time": entry["time"],
        "ce_partitionkey": entry["key"],
        "ce_revision": str(revision),
        "ce_tenant": entry["tenant"],
        "ce_correlationid": entry["correlation"],
        "ce_causationid": entry["causation"],
        "ce_dataschema": f"https://hagukumi.example/schemas/{type_}.json",
        "traceparent": entry["traceparent"],
        "content-type": "application/json",
        **entry.get("headers", {}),
    }
    return Message(
        entry["topic"],
        entry["key"].encode(),
        entry["data"].encode(),
        [(name, value.encode()) for name, value in headers.items() if value],
    )


ONE_WITHIN_MS = 1_000


async def rewind(consumer: Any) -> None:
    """Read again from what was committed: a poll that failed has moved past records that nobody was given."""
    for place in consumer.assignment():
        committed = await consumer.committed(place)
        if committed is None:
            await consumer.seek_to_beginning(place)
        else:
            consumer.seek(place, committed)


async def next_of(consumer: Any, place: TopicPartition) -> Any:
    """The next record of this partition alone; None when there is none, or when the client itself cannot decode it.

    A header's name that is not UTF-8 raises in the midst of a poll, at every poll, and takes other partitions' records with
    it. It is stepped over, and with it what stands behind it in its batch; its bytes stay in the topic.
    """
    try:
        found = await consumer.getmany(place, timeout_ms=ONE_WITHIN_MS, max_records=1)
    except UnicodeDecodeError:
        offset = await consumer.position(place)
        consumer.seek(place, offset + 1)
        metrics.dead_letters.labels(place.topic, "header-name-unreadable").inc()
        log.error("consumer.stepped_over", topic=place.topic, partition=place.partition, offset=offset)
        return None
    return next((records[0] for records in found.values() if records), None)


def envelope_of(entry: Mapping[str, Any], service: str) -> Envelope:
    """The envelope of an archived event, as healing hands it over."""
    return Envelope(
        id=event_id(entry["stream"], entry["subject"], entry["revision"]),
        type=entry["type"],
        stream=entry["stream"],
        subject=entry["subject"],
        revision=entry["revision"],
        time=entry["time"],
        tenant=entry["tenant"],
        correlation=entry["correlation"],
        causation=entry["causation"],
        traceparent=entry["traceparent"],
        source=f"/hagukumi/{service}",
        data=entry["data"].encode(),
        from_archive=True,
    )
