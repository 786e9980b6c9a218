"""Protocol A1 to A6 and R3, R6 on the real broker: what is committed is announced, in order, and read exactly as far as durable."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from confluent_kafka import OFFSET_END
from confluent_kafka import Producer as PlainProducer
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.admin import AdminClient

from deploy.local.broker import LocalKafka
from deploy.local.client import until
from deploy.local.store import LocalStore
from shared import bus, outbox
from shared.bus import Message, Producer, SendFailed
from shared.clock import Clock
from shared.documents import Document, Documents, mark
from shared.events.base import Envelope
from shared.events.records import GuardianAdded
from shared.events.schedule import PreCheckAnswered
from shared.ids import new_id
from shared.native.envelopes import event_id, read_envelope
from shared.outbox import ARCHIVE, Relay, archived, take_lease
from shared.runtime import Runtime
from shared.store import Doc, Store
from shared.testing.plugin import service_settings
from shared.testing.undecodable import send_undecodable
from shared.tests.conftest import HANDLERS, facts
from shared.views import View

pytestmark = pytest.mark.integration
TOPIC = "records.child.v1"


@pytest.fixture
async def producer(local_kafka: LocalKafka, local_store: LocalStore) -> AsyncIterator[Producer]:
    found = Producer(service_settings("records", local_kafka, local_store, "unused"))
    yield found
    await found.stop()


@pytest.fixture
def relayed(store: Store, producer: Producer) -> tuple[Relay, Documents]:
    relay = Relay(store, producer, "records", sweep_after_ms=200)
    relay.collections.append("owners")
    return relay, Documents(store, "owners", relay=relay, clock=Clock())


def adding(count: int = 1) -> Any:
    def decide(doc: Document) -> Doc:
        for number in range(count):
            doc.emit(GuardianAdded(guardian=f"g{doc.revision + number}", proven_by="code"), Clock().now())
        return {}

    return decide


async def read(
    kafka: LocalKafka, topic: str, subjects: Sequence[str], count: int, user: str = "schedule"
) -> list[ConsumerRecord[Any, Any]]:
    """Records of these subjects from the start of the topic, until there are `count`."""
    consumer = AIOKafkaConsumer(
        topic, **kafka.client_options(user), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[ConsumerRecord[Any, Any]] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record for record in records if record.key in {subject.encode() for subject in subjects}]
    finally:
        await consumer.stop()
    return found


def revisions(records: Sequence[ConsumerRecord[Any, Any]]) -> list[int]:
    return [read_envelope(record.topic, record.key, record.value, record.headers).revision for record in records]


async def test_a1_archived_published_and_cleared(
    relayed: tuple[Relay, Documents], local_kafka: LocalKafka, store: Store
) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding(3))
    await relay.publish({("owners", subject): None})
    rows = await archived(store, "records.child", subject, 0)
    assert [row["revision"] for row in rows] == [1, 2, 3]
    found = await store.get("owners", subject)
    assert found is not None
    assert (found["outbox"], "pending" in found) == ([], False)
    assert revisions(await read(local_kafka, TOPIC, [subject], 3)) == [1, 2, 3]


async def test_a1_an_archive_that_differs_stops_the_subject(relayed: tuple[Relay, Documents], store: Store) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding())
    await store.insert(
        ARCHIVE, {"_id": f"records.child:{subject}:1", "data": "{}", "type": "x", "subject": subject, "revision": 1}
    )
    await relay.publish({("owners", subject): None})
    assert relay.stopped_subjects == {("owners", subject): "archive-differs"}
    assert len((await store.get("owners", subject) or {})["outbox"]) == 1


async def test_a2_a_long_outage_empties_the_bodies_and_publishing_goes_on_from_the_archive(
    relayed: tuple[Relay, Documents],
    local_kafka: LocalKafka,
    store: Store,
    producer: Producer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding(2))

    async def outage(messages: Sequence[bus.Message]) -> list[SendFailed | None]:
        return [SendFailed("KafkaConnectionError", final=False) for _ in messages]

    with monkeypatch.context() as broken:
        broken.setattr(producer, "send", outage)
        await relay.publish({("owners", subject): None})
        waiting = await store.get("owners", subject)
        assert waiting is not None
        assert [entry.get("data") for entry in waiting["outbox"]] == [None, None]
        assert "pending" in waiting
        await documents.change(subject, adding())
    await relay.publish({("owners", subject): None})
    assert revisions(await read(local_kafka, TOPIC, [subject], 3)) == [1, 2, 3]
    assert (await store.get("owners", subject) or {})["outbox"] == []


async def test_a3_nothing_overtakes_an_event_that_failed(
    relayed: tuple[Relay, Documents],
    local_kafka: LocalKafka,
    store: Store,
    producer: Producer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay, documents = relayed
    good, bad = new_id(), new_id()
    await documents.create(good, adding(3))
    await documents.create(bad, adding(3))
    send = producer.send

    async def refusing(messages: Sequence[bus.Message]) -> list[SendFailed | None]:
        outcomes: list[SendFailed | None] = []
        for message in messages:
            refused = message.key == bad.encode() and dict(message.headers)["ce_revision"] == b"2"
            outcomes += [SendFailed("MessageSizeTooLargeError", final=True)] if refused else await send([message])
        return outcomes

    with monkeypatch.context() as broken:
        broken.setattr(producer, "send", refusing)
        await relay.publish({("owners", good): None, ("owners", bad): None})
    found = await read(local_kafka, TOPIC, [good, bad], 4)
    assert revisions([record for record in found if record.key == good.encode()]) == [1, 2, 3]
    assert revisions([record for record in found if record.key == bad.encode()]) == [1]
    assert relay.stopped_subjects[("owners", bad)] == "MessageSizeTooLargeError"


async def test_g10_a_topic_that_is_not_there_holds_up_nobody_elses_events(
    relayed: tuple[Relay, Documents], local_kafka: LocalKafka, store: Store
) -> None:
    """The topic of a clinic, deleted by an operator: what lies beside it in a batch goes out all the same."""
    relay, documents = relayed
    lost, good = new_id(), new_id()

    def to_nobody(doc: Document) -> Doc:
        doc.emit(GuardianAdded(guardian="g1", proven_by="code"), Clock().now(), topic="records.nobody.v1")
        return {}

    await documents.create(lost, to_nobody)
    await documents.create(good, adding(2))
    # In this order: what is handed over before the topic's failure is seen would go out in any case.
    await relay.publish({place: relay._offered[place] for place in (("owners", lost), ("owners", good))})
    assert revisions(await read(local_kafka, TOPIC, [good], 2)) == [1, 2]
    left = {key: len(doc["outbox"]) for key, doc in (await store.get_many("owners", [lost, good])).items()}
    assert left == {lost: 1, good: 0}


async def test_a4_a_second_offer_before_the_first_went_out_means_read_again(relayed: tuple[Relay, Documents]) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding())
    assert relay._offered[("owners", subject)] is not None
    await documents.change(subject, adding())
    assert relay._offered[("owners", subject)] is None


async def test_a4_what_was_left_goes_before_what_is_new(
    relayed: tuple[Relay, Documents], local_kafka: LocalKafka
) -> None:
    """A process died before it published; the next write on the document finds the event still there."""
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding())
    relay._offered.clear()
    await documents.change(subject, adding())
    await relay.publish({("owners", subject): relay._offered[("owners", subject)]})
    assert revisions(await read(local_kafka, TOPIC, [subject], 2)) == [1, 2]


async def test_a5_what_was_written_meanwhile_is_neither_cleared_nor_forgotten(
    relayed: tuple[Relay, Documents], store: Store, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding())
    send = producer.send

    async def meanwhile(messages: Sequence[bus.Message]) -> list[SendFailed | None]:
        await documents.change(subject, adding())
        return await send(messages)

    with monkeypatch.context() as busy:
        busy.setattr(producer, "send", meanwhile)
        await relay.publish({("owners", subject): None})
    found = await store.get("owners", subject)
    assert found is not None
    assert [entry["revision"] for entry in found["outbox"]] == [2]
    assert "pending" in found


class Sent(Producer):
    """A broker at the edge that takes everything: who was sent together."""

    def __init__(self) -> None:
        self.together: list[set[str]] = []

    async def send(self, messages: Sequence[Message]) -> list[SendFailed | None]:
        self.together.append({(message.key or b"").decode() for message in messages})
        return [None] * len(messages)


async def test_what_nobody_waits_for_leaves_with_what_comes_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(doc: Document) -> Doc:
        fact = PreCheckAnswered(check_id="k", organisation="o", code="mr", given_on=date(2026, 4, 1), verdict="allow")
        doc.emit(fact, Clock().now())
        return {}

    sent = Sent()
    relay = Relay(store, sent, "schedule", sweep_after_ms=60_000)
    relay.unhurried.add(PreCheckAnswered.event_type())
    documents = Documents(store, "owners", relay=relay, clock=Clock())
    await relay.start()
    try:
        monkeypatch.setattr(outbox, "GATHER_S", 0.05)
        await documents.create("alone", asked)
        await until(lambda: _now(len(sent.together) == 1), "it leaves by itself")
        monkeypatch.setattr(outbox, "GATHER_S", 60.0)
        await documents.create("first", asked)
        await documents.create("second", asked)
        await documents.create("in haste", adding())
        await until(lambda: _now(len(sent.together) == 2), "one in haste takes the others along")
        assert sent.together == [{"alone"}, {"first", "second", "in haste"}]
    finally:
        await relay.stop()


async def _now(holds: bool) -> bool:
    return holds


async def test_a6_the_sweeper_finds_what_a_crash_left_behind(
    relayed: tuple[Relay, Documents], local_kafka: LocalKafka
) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding(2))
    relay._offered.clear()
    await relay.start()
    try:
        assert revisions(await read(local_kafka, TOPIC, [subject], 2)) == [1, 2]
    finally:
        await relay.stop()


async def test_a6_an_error_that_nobody_foresaw_does_not_end_the_relay(
    relayed: tuple[Relay, Documents], local_kafka: LocalKafka, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, documents = relayed
    subject = new_id()
    send = producer.send
    failures: list[int] = []

    async def failing(messages: Sequence[bus.Message]) -> list[SendFailed | None]:
        if not failures:
            failures.append(len(messages))
            raise AssertionError("from deep inside a client library")
        return await send(messages)

    monkeypatch.setattr(producer, "send", failing)
    await relay.start()
    try:
        await documents.create(subject, adding())
        assert revisions(await read(local_kafka, TOPIC, [subject], 1)) == [1]
    finally:
        await relay.stop()
    assert failures == [1]


async def test_a6_a_lease_changes_hands_with_a_greater_token(store: Store) -> None:
    assert await take_lease(store, "sweeper", "one", seconds=30) == 1
    assert await take_lease(store, "sweeper", "two", seconds=30) == 0
    assert await take_lease(store, "sweeper", "one", seconds=-1) == 1
    assert await take_lease(store, "sweeper", "two", seconds=30) == 2
    assert await take_lease(store, "sweeper", "one", seconds=30) == 0


async def test_the_record_is_a_cloud_event_in_binary_mode(
    relayed: tuple[Relay, Documents], local_kafka: LocalKafka
) -> None:
    relay, documents = relayed
    subject = new_id()
    await documents.create(subject, adding())
    await relay.publish({("owners", subject): None})
    (record,) = await read(local_kafka, TOPIC, [subject], 1)
    headers = {name: raw.decode() for name, raw in record.headers}
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "jp.hagukumi.records.GuardianAdded.v1"
    assert headers["ce_source"] == "/hagukumi/records"
    assert (headers["ce_subject"], headers["ce_partitionkey"], headers["ce_revision"]) == (subject, subject, "1")
    assert json.loads(record.value) == {"guardian": "g0", "proven_by": "code"}


# Reading from the broker ------------------------------------------------------------------------------------------


class Reader:
    """A service that reads records.child.v1 into one view, on the real broker."""

    def __init__(self, kafka: LocalKafka, store: LocalStore, *, patient: bool = False) -> None:
        settings = service_settings("schedule", kafka, store, f"r{new_id()[:12]}")
        settings.stop_after_rejections = 1_000
        self.runtime = Runtime(settings)
        self.view = View(self.runtime.documents("children"), HANDLERS)
        self.runtime.follow(TOPIC, self.view, patient=patient)
        self.group = "schedule.records.child"

    async def __aenter__(self) -> Self:
        await self.runtime.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runtime.stop()

    async def until(self, subject: str, revision: int) -> Document:
        async def there() -> Document | None:
            doc = await self.view.documents.load(subject)
            return doc if doc and doc.applied.get(mark("records.child", subject), 0) >= revision else None

        found: Document = await until(there, f"{subject} is read to {revision}")
        return found


async def publish(kafka: LocalKafka, events: Sequence[Envelope]) -> None:
    """Publish as records would."""
    producer = AIOKafkaProducer(**kafka.client_options("records"))
    await producer.start()
    try:
        for event in events:
            await producer.send_and_wait(TOPIC, event.data, key=event.subject.encode(), headers=headers_of(event))
    finally:
        await producer.stop()


def headers_of(event: Envelope) -> list[tuple[str, bytes]]:
    found = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_type": event.type,
        "ce_source": event.source,
        "ce_subject": event.subject,
        "ce_partitionkey": event.subject,
        "ce_revision": str(event.revision),
    }
    return [(name, value.encode()) for name, value in found.items()]


async def test_r3_offsets_are_committed_explicitly_and_no_further_than_what_is_durable(
    local_kafka: LocalKafka, local_store: LocalStore
) -> None:
    subject = new_id()
    async with Reader(local_kafka, local_store) as reader:
        await publish(local_kafka, facts(subject, 5))
        await reader.until(subject, 5)
    consumer = AIOKafkaConsumer(
        **local_kafka.client_options("schedule"), group_id=reader.group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = [TopicPartition(TOPIC, number) for number in range(3)]
        ends = await consumer.end_offsets(places)
        for place in places:
            committed = await consumer.committed(place)
            assert (committed or 0) == ends[place]
    finally:
        await consumer.stop()


async def test_r3_a_batch_that_could_not_be_stored_comes_again(
    local_kafka: LocalKafka, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = new_id()
    reader = Reader(local_kafka, local_store)
    apply = reader.view.apply
    failures: list[int] = []

    async def failing(batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        if len(failures) < 2:
            failures.append(len(batch))
            raise TimeoutError("the store does not answer")
        return await apply(batch)

    monkeypatch.setattr(reader.view, "apply", failing)
    async with reader:
        await publish(local_kafka, facts(subject, 3))
        doc = await reader.until(subject, 3)
    assert len(failures) == 2
    assert doc.state == {"guardians": {"g1": 1}}


async def test_r6_poison_is_put_aside_with_bytes_and_reason_and_others_go_on(
    local_kafka: LocalKafka, local_store: LocalStore
) -> None:
    subject = new_id()
    first, second = facts(subject, 2)
    producer = AIOKafkaProducer(**local_kafka.client_options("records"))
    await producer.start()
    key = subject.encode()
    poison: list[tuple[bytes | None, bytes | None, list[tuple[str, Any]], str]] = [
        (key, b"not an event", [], "headers-missing"),
        (None, first.data, headers_of(first), "key-wrong"),
        (b"somebody-else", first.data, headers_of(first), "key-wrong"),
        (key, None, headers_of(first), "value-empty"),
        (key, first.data, [("ce_subject", b"\xff\xfe")], "headers-unreadable"),
        (key, first.data, [*headers_of(first)[:-1], ("ce_revision", b"nine")], "headers-unreadable"),
        (key, first.data, [*headers_of(first)[:-1], ("ce_revision", b"9")], "id-wrong"),
        # What no store could take as a number or as the name of a field, under the right id: it would hold up its batch for ever.
        (key, first.data, headers_of(numbered(first, subject, 10**30)), "headers-unreadable"),
        (b"a.b", first.data, headers_of(numbered(first, "a.b", 1)), "subject-impossible"),
        (b"a\0b", first.data, headers_of(numbered(first, "a\0b", 1)), "subject-impossible"),
        (
            key,
            first.data,
            [(name, None if name == "ce_id" else raw) for name, raw in headers_of(first)],
            "headers-unreadable",
        ),
        # Two that no handler can apply, under one id: neither is taken for a repeat of the other.
        (key, b"{", headers_of(first), "schema-broken"),
        (key, b"[", headers_of(first), "schema-broken"),
    ]
    async with Reader(local_kafka, local_store) as reader:
        # A record of nothing at all, which only another client can write.
        plain = PlainProducer(local_kafka.admin_options())
        plain.produce(TOPIC, None, None, partition=0)
        assert plain.flush(20) == 0
        poison.insert(0, (None, None, [], "headers-missing"))
        try:
            for used, value, headers, _ in poison[1:]:
                await producer.send_and_wait(TOPIC, value, key=used, headers=headers, partition=0)
        finally:
            await producer.stop()
        # Before the true ones: behind these, what is forged at their revisions is a repeat.
        letters = await _letters(local_kafka, len(poison))
        await publish(local_kafka, [first, second])
        await reader.until(subject, 2)
    reasons = [dict(letter.headers)["dlt_reason"].decode() for letter in letters]
    assert reasons[-len(poison) :] == [why for *_, why in poison]
    assert [letter.value for letter in letters[-len(poison) :]] == [value for _, value, *_ in poison]


def numbered(event: Envelope, subject: str, revision: int) -> Envelope:
    """The same facts at another place, under that place's own id."""
    return dataclasses.replace(
        event, id=event_id("records.child", subject, revision), subject=subject, revision=revision
    )


async def test_r6_a_record_that_the_client_cannot_decode_is_stepped_over_and_takes_nothing_with_it(
    local_kafka: LocalKafka, local_store: LocalStore
) -> None:
    subjects = [new_id() for _ in range(6)]
    try:
        async with Reader(local_kafka, local_store) as reader:
            await reader.runtime.broker.subscribers[0].stop()
            for subject in subjects[:3]:
                await publish(local_kafka, facts(subject, 2))
            await send_undecodable(local_kafka.client_options("records"), TOPIC)
            for subject in subjects[3:]:
                await publish(local_kafka, facts(subject, 2))
            await reader.runtime.broker.subscribers[0].start()
            for subject in subjects:
                await reader.until(subject, 2)
    finally:
        # The run has one broker: a plain client of a later test, reading from the start, would fall over it.
        admin = AdminClient({**local_kafka.admin_options()})
        for gone in admin.delete_records([ConfluentPartition(TOPIC, 0, OFFSET_END)]).values():
            gone.result(20)


async def _letters(kafka: LocalKafka, count: int) -> list[ConsumerRecord[Any, Any]]:
    consumer = AIOKafkaConsumer(
        f"{TOPIC}.dlt", **kafka.client_options("operator"), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[ConsumerRecord[Any, Any]] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
    finally:
        await consumer.stop()
    return found


async def test_a_reader_is_never_deaf_after_a_poll_in_vain(
    local_kafka: LocalKafka, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet:
        def assignment(self) -> frozenset[TopicPartition]:
            return frozenset()

        async def getmany(self, **_: object) -> dict[TopicPartition, list[Any]]:
            return {}

    async def sleeps(_: float) -> None:
        raise AssertionError("what arrives meanwhile waits")

    monkeypatch.setattr("anyio.sleep", sleeps)
    (subscriber,) = Reader(local_kafka, local_store).runtime.router.subscribers
    assert await subscriber.get_msg(Quiet()) == ()  # type: ignore[attr-defined]


def test_every_subscriber_seeks_back_on_an_error(local_kafka: LocalKafka, local_store: LocalStore) -> None:
    from faststream import AckPolicy

    reader = Reader(local_kafka, local_store)
    policies = {subscriber.ack_policy for subscriber in reader.runtime.router.subscribers}
    assert policies == {AckPolicy.NACK_ON_ERROR}
