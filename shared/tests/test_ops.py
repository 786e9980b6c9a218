"""The operator's tools on the real broker and store: what they show, what they mend, and what they say when they cannot."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from deploy.local.broker import LocalKafka
from deploy.local.store import LocalStore
from shared import operations
from shared.audit import AUDIT
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.records import GuardianAdded
from shared.healing import WANTED
from shared.ops.__main__ import app
from shared.tests.conftest import HANDLERS, facts
from shared.tests.test_announcing import headers_of
from shared.tests.test_reconciling import STREAM, TOPIC, TwoServices, service_keys
from shared.views import Rejected, View

pytestmark = pytest.mark.integration
__all__ = ["service_keys"]


class Desk:
    """An operator at a platform of two services."""

    def __init__(self, two: TwoServices, data: Path, kafka: LocalKafka, url: str) -> None:
        self.two = two
        self.data = data
        self.refusing = True
        self.view = View(two.schedule.documents("plans"), {GuardianAdded: self._refuse})
        two.schedule.follower.sinks.clear()
        two.schedule.follower.readings.clear()
        two.schedule.follow(TOPIC, self.view)
        self.platform: dict[str, Any] = {
            "kafka_bootstrap": kafka.bootstrap,
            "kafka_users": {"operator": str(kafka.secrets.password_file("operator"))},
            "services": {
                runtime.settings.service: {"store": url, "database": runtime.settings.mongo_database}
                for runtime in (two.records, two.schedule)
            },
        }
        self.describe()

    def _refuse(self, doc: Document, event: GuardianAdded, envelope: Envelope) -> None:
        if self.refusing and event.guardian == "g2":
            raise Rejected("not-understood")
        HANDLERS[GuardianAdded](doc, event, envelope)

    def describe(self) -> None:
        (self.data / "platform.json").write_text(json.dumps(self.platform), encoding="utf-8")

    async def asks(self, *words: str) -> tuple[int, str]:
        """What `python -m shared.ops` ends with and prints."""
        line = [*words, "--data", str(self.data)]
        result = await asyncio.to_thread(CliRunner().invoke, app, line)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    async def document(self) -> Document:
        doc = await self.view.documents.load("c1")
        assert doc is not None
        return doc


@pytest.fixture
async def desk(
    local_store: LocalStore,
    local_kafka: LocalKafka,
    service_keys: dict[str, Any],
    tmp_path: Path,
) -> AsyncIterator[Desk]:
    two = TwoServices(local_store.url, service_keys)
    found = Desk(two, tmp_path, local_kafka, local_store.url)
    for runtime in (two.records, two.schedule):
        await operations.describe(runtime)

    async def works() -> None:
        while True:
            for runtime in (two.records, two.schedule):
                await operations.work(runtime)

    working = asyncio.create_task(works())
    yield found
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    for runtime in (two.records, two.schedule):
        await runtime.calls.close()
        await runtime.store.close()


@pytest.fixture
async def stuck(desk: Desk) -> Desk:
    """The view holds c1 at its second event."""
    await desk.two.happens("c1", 4)
    await desk.two.reconcile(desk.view)
    assert (await desk.document()).parked["revision"] == 2
    return desk


async def test_a_parked_subject_is_listed_shown_and_replayed(stuck: Desk) -> None:
    code, said = await stuck.asks("parked", "list")
    assert (code, "not-understood" in said, "c1" in said) == (0, True, True)
    code, said = await stuck.asks("parked", "show", "schedule", "plans", "c1")
    assert (code, "GuardianAdded.v1" in said, "g2" in said) == (0, True, False)
    assert (await stuck.asks("parked", "replay", "schedule", "plans", "c1", "--dry-run"))[0] == 0
    assert (await stuck.document()).parked
    stuck.refusing = False
    assert (await stuck.asks("parked", "replay", "schedule", "plans", "c1", "--reason", "mended", "--as", "yamada"))[
        0
    ] == 0
    await stuck.two.schedule.healer.heal([stuck.view], older_than_ms=0)
    assert (await stuck.document()).read_to(STREAM, "c1") == 4
    rows = await stuck.two.schedule.store.find(AUDIT, {"whose": "c1"})
    assert [(row["who"], row["action"], row["purpose"]) for row in rows] == [("yamada", "ops.parked.replay", "mended")]
    assert await stuck.asks("parked", "list") == (0, "Nothing is parked.\n")


async def test_one_event_is_discarded_with_a_reason_and_the_rest_goes_on(stuck: Desk) -> None:
    before = await stuck.document()
    code, said = await stuck.asks("parked", "discard", "schedule", "plans", "c1")
    assert (code, "with a reason only" in said) == (2, True)
    assert await stuck.document() == before
    assert (await stuck.asks("parked", "discard", "schedule", "plans", "c1", "--reason", "entered twice"))[0] == 0
    await stuck.two.schedule.healer.heal([stuck.view], older_than_ms=0)
    after = await stuck.document()
    assert (after.read_to(STREAM, "c1"), after.state) == (4, {"guardians": {"g1": 1, "g4": 4}})
    _, history = await stuck.two.schedule.healer.events_after(STREAM, "c1", 0)
    assert await stuck.view.apply(history) == []
    assert await stuck.document() == after
    assert await stuck.view.gaps() == []


async def test_an_event_whose_type_is_gone_is_not_replayed_and_nothing_is_touched(stuck: Desk) -> None:
    key = f"{STREAM}:c1:2"
    await stuck.two.records.store.update("events", {"_id": key}, {"$set": {"type": "jp.hagukumi.records.Gone.v1"}})
    before = await stuck.document()
    code, said = await stuck.asks("parked", "replay", "schedule", "plans", "c1")
    assert (code, "has no event jp.hagukumi.records.Gone.v1" in said, "Nothing was touched" in said) == (1, True, True)
    assert await stuck.document() == before
    assert await stuck.two.schedule.store.count(AUDIT, {}) == 0


async def test_a_dead_letter_is_listed_shown_replayed_and_then_off_the_list(
    desk: Desk, local_kafka: LocalKafka
) -> None:
    child = f"c{desk.two.records.name}"
    desk.refusing = False
    await desk.two.happens(child, 1)
    (fact,) = facts(child, 1)
    producer = AIOKafkaProducer(**local_kafka.client_options("schedule"))
    await producer.start()
    headers = [*headers_of(fact), ("dlt_reason", b"value-empty"), ("dlt_reader", b"schedule")]
    try:
        put = await producer.send_and_wait(f"{TOPIC}.dlt", b"canary", key=child.encode(), headers=headers)
    finally:
        await producer.stop()
    letter = f"{put.partition}:{put.offset}"
    code, said = await desk.asks("dead-letters", "list", TOPIC)
    assert (code, child in said, "canary" in said) == (0, True, False)
    code, said = await desk.asks("dead-letters", "show", TOPIC, letter)
    assert (code, "6 bytes" in said, "canary" in said) == (0, True, False)
    assert (await desk.asks("dead-letters", "replay", TOPIC, letter, "--dry-run"))[0] == 0
    assert await desk.two.schedule.store.count(WANTED, {}) == 0
    assert (await desk.asks("dead-letters", "replay", TOPIC, letter))[0] == 0
    await desk.two.schedule.healer.heal([desk.view])
    doc = await desk.view.documents.load(child)
    assert doc is not None
    assert doc.read_to(STREAM, child) == 1
    assert child not in (await desk.asks("dead-letters", "list", TOPIC))[1]
    assert "replayed" in (await desk.asks("dead-letters", "list", TOPIC, "--all"))[1]


async def test_a_dead_letter_with_anything_in_its_headers_is_listed(desk: Desk, local_kafka: LocalKafka) -> None:
    """Whoever wrote it may have put a name there, or what a terminal takes for an order."""
    producer = AIOKafkaProducer(**local_kafka.client_options("schedule"))
    await producer.start()
    headers = [
        ("ce_type", b"[/red]\x1b[2J"),
        ("ce_subject", "若葉ひかり".encode()),
        ("ce_revision", "９".encode()),
        ("ce_id", None),
        ("dlt_reason", b"headers-missing"),
        ("dlt_reader", b"schedule"),
    ]
    try:
        put = await producer.send_and_wait(f"{TOPIC}.dlt", b"x", key=b"k", headers=headers)
    finally:
        await producer.stop()
    for words in (("list", TOPIC), ("show", TOPIC, f"{put.partition}:{put.offset}")):
        code, said = await desk.asks("dead-letters", *words)
        assert (code, "headers-missing" in said) == (0, True)
        assert not any(word in said for word in ("若葉", "\x1b[2J", "[/red]"))


async def test_lag_and_outboxes_are_counted(desk: Desk) -> None:
    def decide(doc: Document) -> dict[str, Any]:
        doc.emit(GuardianAdded(guardian="g1", proven_by="code"), desk.two.records.clock.now())
        return {}

    await desk.two.children.upsert("c9", decide)
    code, said = await desk.asks("outbox")
    assert code == 0
    assert [line.split()[:4] for line in said.splitlines() if line.startswith("records")] == [
        ["records", "children", "1", "1"]
    ]
    assert (await desk.asks("lag"))[0] == 0


async def test_reconcile_and_rebuild_by_hand(desk: Desk) -> None:
    desk.refusing = False
    await desk.two.happens("c1", 2)
    code, said = await desk.asks("reconcile", "--service", "schedule", "--dry-run")
    assert (code, "1 behind" in said) == (0, True)
    assert await desk.two.schedule.store.count(WANTED, {}) == 0
    assert (await desk.asks("reconcile", "--service", "schedule"))[0] == 0
    await desk.two.schedule.healer.heal([desk.view])
    assert (await desk.asks("rebuild", "schedule", "plans", "--dry-run"))[0] == 0
    code, said = await desk.asks("rebuild", "schedule", "plans")
    assert (code, "generation 1, 1 documents, 0 other than before" in said) == (0, True)
    assert (await desk.document()).read_to(STREAM, "c1") == 2


async def test_verify_names_a_fork_a_hole_and_a_plan_that_is_not_its_recount(desk: Desk) -> None:
    plans = {"p1": True, "p2": False}

    async def check() -> AsyncIterator[tuple[str, bool]]:
        for one in plans.items():
            yield one

    await desk.two.happens("c1", 3)
    assert (await desk.asks("verify"))[0] == 0
    desk.two.schedule.checks["plans equal to their recount"] = check
    await desk.two.records.store.delete("events", {"_id": f"{STREAM}:c1:2"})
    code, said = await desk.asks("verify")
    assert code == 1
    assert f"{STREAM} c1: 2 events, the last is revision 3" in said
    assert "plans equal to their recount: 2 checked, 1 wrong" in said
    assert "p2" in said


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("lag", "records.chidl.v1"), 2, "There is no topic records.chidl.v1."),
        (("dead-letters", "list", "records.chidl.v1"), 2, "There is no topic records.chidl.v1.dlt."),
        (("dead-letters", "show", TOPIC, "0:999999"), 2, "There is no dead letter 0:999999"),
        (("parked", "show", "schedule", "plan", "c1"), 2, "schedule has no view plan; it has plans."),
        (("parked", "replay", "schedule", "plans", "c1"), 1, "c1 is not parked in plans of schedule."),
        (("parked", "replay", "shedule", "plans", "c1"), 2, "has no service shedule"),
        (("rebuild", "schedule", "plan"), 2, "schedule has no view plan"),
        (("outbox", "--service", "shedule"), 2, "has no service shedule"),
    ],
)
async def test_what_is_asked_wrongly_is_said_in_a_sentence(
    desk: Desk, words: tuple[str, ...], code: int, sentence: str
) -> None:
    ended, said = await desk.asks(*words)
    assert (ended, sentence in said) == (code, True), said


async def test_a_broker_or_a_store_that_is_stopped_is_said_in_a_sentence(desk: Desk) -> None:
    desk.platform["kafka_bootstrap"] = "127.0.0.1:1"
    desk.describe()
    for words in (("lag",), ("dead-letters", "list", TOPIC)):
        code, said = await desk.asks(*words)
        assert (code, "Kafka cannot be reached" in said) == (1, True), said
    desk.platform["services"]["schedule"]["store"] = "mongodb://127.0.0.1:1/?directConnection=true"
    desk.describe()
    code, said = await desk.asks("parked", "list", "--service", "schedule")
    assert (code, "A store cannot be reached" in said) == (1, True), said


async def test_a_half_written_description_is_said_in_a_sentence(desk: Desk) -> None:
    (desk.data / "platform.json").write_text('{"services": {"sche', encoding="utf-8")
    code, said = await desk.asks("outbox")
    assert (code, "not a whole description" in said) == (2, True)


async def test_a_half_written_file_of_keys_is_said_in_a_sentence(stuck: Desk) -> None:
    (stuck.data / "secrets").mkdir()
    (stuck.data / "secrets" / "internal-keys-schedule.json").write_text('{"private": {"kty"', encoding="utf-8")
    code, said = await stuck.asks("verify", "--service", "schedule")
    assert (code, "not a whole file of keys" in said) == (2, True)
    stuck.refusing = False
    before = await stuck.document()
    code, said = await stuck.asks("parked", "replay", "schedule", "plans", "c1")
    assert (code, "not a whole file of keys" in said) == (2, True)
    assert await stuck.document() == before


async def test_a_service_that_does_not_run_is_said_in_a_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> None:
        await asyncio.sleep(0.1)

    monkeypatch.setattr("shared.ops.asking.TAKEN_WITHIN_S", 0.5)
    monkeypatch.setattr(operations, "work", nobody)
    await asyncio.sleep(1.2)
    code, said = await desk.asks("reconcile", "--service", "schedule")
    assert (code, "does not run" in said) == (1, True)
