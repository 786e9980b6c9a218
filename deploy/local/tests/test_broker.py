"""The local Kafka: rights are denied unless granted, and what was acknowledged is there after a crash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from deploy.local.broker import LocalKafka, cluster_id
from deploy.local.java import class_archive, java
from deploy.local.ports import free_port
from deploy.local.processes import Supervisor
from deploy.local.topology import GATEWAY_ADMIN
from shared.kafka_admin import KafkaAdmin, Topic

pytestmark = pytest.mark.integration


def test_a_cluster_is_never_named_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [UUID(bytes=b"\xf8" * 16), UUID(bytes=b"\xfb" * 16), UUID(bytes=b"\x01" * 16)]
    monkeypatch.setattr("deploy.local.broker.uuid.uuid4", lambda: drawn.pop(0))
    assert cluster_id() == "AQEBAQEBAQEBAQEBAQEBAQ"


def test_its_classes_come_from_the_archive(local_kafka: LocalKafka) -> None:
    def already_made(*_: Path) -> None:
        raise AssertionError("the run's broker has not left its classes")

    archive = class_archive(java(), already_made)
    assert archive is None or str(archive) in Path(f"/proc/{local_kafka.process.pid}/maps").read_text()


@asynccontextmanager
async def producer(options: dict[str, str]) -> AsyncIterator[AIOKafkaProducer]:
    found = AIOKafkaProducer(**options, acks="all", enable_idempotence=True, request_timeout_ms=10_000)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


async def read_all(options: dict[str, str], topic: str, group: str | None = None) -> list[bytes]:
    """Everything that a one-partition topic holds."""
    consumer = AIOKafkaConsumer(
        *((topic,) if group else ()),
        **options,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        if not group:
            place = TopicPartition(topic, 0)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
        else:
            end = 1
        found: list[bytes] = []
        while len(found) < end:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


async def test_a_service_writes_its_own_topic_and_no_other(local_kafka: LocalKafka) -> None:
    async with producer(local_kafka.client_options("records")) as records:
        await records.send_and_wait("records.child.v1", b"{}", key=b"c1")
        with pytest.raises(TopicAuthorizationFailedError):
            await records.send_and_wait("schedule.plan.v1", b"{}", key=b"c1")


async def test_a_wrong_password_is_refused(local_kafka: LocalKafka) -> None:
    with pytest.raises(KafkaError):
        async with producer(local_kafka.client_options("records", "guessed")):
            pass


async def test_a_municipality_and_a_clinic_see_their_own_topics_only(local_kafka: LocalKafka) -> None:
    gateway = KafkaAdmin(local_kafka.bootstrap, GATEWAY_ADMIN, local_kafka.secrets.password(GATEWAY_ADMIN))
    first, second = await gateway.open_municipality("139939"), await gateway.open_municipality("139947")
    clinic, other = await gateway.open_clinic("hana"), await gateway.open_clinic("tsuki")
    mine = local_kafka.client_options(first.user, first.password)
    async with producer(mine) as system:
        await system.send_and_wait("municipal.139939.v1", b"{}")
        for foreign in ("municipal.139947.v1", "municipal.139939.replies.v1", "records.child.v1"):
            with pytest.raises(TopicAuthorizationFailedError):
                await system.send_and_wait(foreign, b"{}")
    async with producer(local_kafka.client_options("gateway")) as door:
        await door.send_and_wait("municipal.139939.replies.v1", b"accepted")
        await door.send_and_wait("clinic.hana.v1", b"one")
        with pytest.raises(TopicAuthorizationFailedError):
            await door.send_and_wait("municipal.139939.v1", b"not the gateway's to write")
    assert await read_all(mine, "municipal.139939.replies.v1", f"{first.user}.intake") == [b"accepted"]
    feed = local_kafka.client_options(clinic.user, clinic.password)
    assert await read_all(feed, "clinic.hana.v1", f"{clinic.user}.ehr") == [b"one"]
    for topic in ("clinic.tsuki.v1", "records.child.v1", "municipal.139939.v1"):
        with pytest.raises(TopicAuthorizationFailedError):
            await read_all(feed, topic, f"{clinic.user}.ehr")
    with pytest.raises(GroupAuthorizationFailedError):
        await read_all(feed, "clinic.hana.v1", f"{other.user}.ehr")
    with pytest.raises(KafkaError):
        await read_all(local_kafka.client_options(second.user, second.password), "municipal.139939.replies.v1", "x")


async def test_opening_twice_changes_the_password_and_nothing_else(local_kafka: LocalKafka) -> None:
    gateway = KafkaAdmin(local_kafka.bootstrap, GATEWAY_ADMIN, local_kafka.secrets.password(GATEWAY_ADMIN))
    first = await gateway.open_clinic("twice")
    second = await gateway.open_clinic("twice")
    assert first.user == second.user
    assert first.password != second.password
    assert first.password not in repr(first)


async def test_what_was_deleted_is_not_there_and_what_was_created_is(local_kafka: LocalKafka) -> None:
    admin = local_kafka.admin()
    for number in range(20):
        names = [f"come-and-go-{number}-{place}" for place in range(3)]
        await admin.ensure_topics([Topic(name) for name in names])
        assert set(names) <= (await admin.topics()).keys()
        await admin.delete_topics(names)
        assert not set(names) & (await admin.topics()).keys()


@pytest.mark.parametrize("name", ["../x", "a.b", "", "*", "a b"])
async def test_a_name_that_could_reach_further_is_refused(local_kafka: LocalKafka, name: str) -> None:
    with pytest.raises(ValueError, match="clinic id"):
        await local_kafka.admin().open_clinic(name)
    with pytest.raises(ValueError, match="six digits"):
        await local_kafka.admin().open_municipality(name)


@pytest.mark.fault
async def test_acknowledged_records_survive_a_crash_and_a_move_to_other_ports(tmp_path: Path, own: Supervisor) -> None:
    kafka = LocalKafka(tmp_path, supervisor=own)
    kafka.start()
    await kafka.admin().ensure_topics([Topic("t")])
    told: list[bytes] = []
    async with producer(kafka.client_options("admin")) as client:
        for number in range(300):
            value = str(number).encode()
            await client.send_and_wait("t", value)
            told.append(value)
    kafka.kill9()
    assert not kafka.process.alive
    kafka.start()
    assert await read_all(kafka.client_options("admin"), "t") == told
    kafka.stop()
    kafka.port, kafka.controller_port = free_port(), free_port()
    kafka.start()
    assert await read_all(kafka.client_options("admin"), "t") == told
