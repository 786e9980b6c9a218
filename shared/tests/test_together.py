"""What goes together instead of one by one: reads by id, writes of commands, events of a moment; parts of a document kept as text."""

import asyncio
import gc
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from deploy.local.broker import LocalKafka
from deploy.local.client import until
from deploy.local.store import LocalStore
from shared.clock import Clock
from shared.documents import Command, Document, Documents, from_store
from shared.events.base import Envelope
from shared.events.records import GuardianAdded
from shared.ids import new_id
from shared.store import Doc, Insert, Store, Update
from shared.tests.conftest import RememberingRelay, facts
from shared.tests.test_announcing import Reader, publish
from shared.waiting import until as holds_within

pytestmark = pytest.mark.integration


class Heard(CommandListener):
    """The commands that a client sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


@pytest.fixture
async def heard(store_url: str) -> tuple[Heard, Store]:
    """A store, and what it is asked."""
    listener = Heard()
    client: AsyncMongoClient[Doc] = AsyncMongoClient(store_url, event_listeners=[listener], retryWrites=False)
    return listener, Store(client, f"t{new_id()[:12]}")


def added(doc: Document) -> Doc:
    doc.state["count"] = doc.state.get("count", 0) + 1
    doc.emit(GuardianAdded(guardian=f"g{doc.state['count']}", proven_by="code"), Clock().now())
    return {"count": doc.state["count"]}


def command(number: int) -> Command:
    return Command.of("guardian", f"key-{number}", "POST /somewhere", {})


# Reads by id ------------------------------------------------------------------------------------------------------


async def test_reads_that_wait_for_the_store_go_as_one_and_each_gets_its_own(heard: tuple[Heard, Store]) -> None:
    listener, store = heard
    await store.insert_many("things", [{"_id": f"t{number}", "of": {"number": number}} for number in range(40)])
    listener.names.clear()
    keys = [f"t{number % 45}" for number in range(90)]
    found = await asyncio.gather(*(store.get("things", key) for key in keys))
    assert [None if one is None else one["of"]["number"] for one in found] == [
        number if (number := place % 45) < 40 else None for place in range(90)
    ]
    assert listener.names.count("find") <= 5
    # Two who asked for the same do not share it.
    first, second = found[3], found[48]
    assert first is not None
    assert second is not None
    assert first == second
    first["of"]["number"] = -1
    assert second["of"]["number"] == 3
    await store.close()


async def test_a_read_sees_what_was_written_before_it_was_asked_for(store: Store) -> None:
    await store.insert("things", {"_id": "t", "number": 0})

    async def write_and_read(number: int) -> bool:
        await store.update("things", {"_id": "t"}, {"$max": {"number": number}})
        found = await store.get("things", "t")
        return found is not None and found["number"] >= number

    assert all(await asyncio.gather(*(write_and_read(number) for number in range(1, 60))))


async def test_whoever_stops_waiting_for_a_read_takes_nobody_along(store: Store) -> None:
    await store.insert_many("things", [{"_id": f"t{number}"} for number in range(30)])
    reads = [asyncio.create_task(store.get("things", f"t{number}")) for number in range(30)]
    await asyncio.sleep(0)
    for gone in reads[5:8]:
        gone.cancel()
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert [n for n, one in enumerate(found) if not isinstance(one, dict)] == [5, 6, 7]
    assert found[20] == {"_id": "t20"}
    assert await store.get("things", "t5") == {"_id": "t5"}


async def test_a_read_that_fails_fails_for_all_who_waited_and_the_next_is_asked_again() -> None:
    store = Store.connect("mongodb://127.0.0.1:9", "nowhere", timeout_ms=200)
    found = await asyncio.gather(*(store.get("things", f"t{n}") for n in range(10)), return_exceptions=True)
    assert all(isinstance(one, AutoReconnect) for one in found)
    with pytest.raises(AutoReconnect):
        await asyncio.wait_for(store.get("things", "t1"), 5)
    await store.close()


# Writes of commands -----------------------------------------------------------------------------------------------


async def test_commands_that_come_together_are_written_together_and_each_is_answered(
    heard: tuple[Heard, Store], relay: RememberingRelay
) -> None:
    listener, store = heard
    owners = Documents(store, "owners", relay=relay, clock=Clock())
    await asyncio.gather(*(owners.create(f"c{n}", added, command(n)) for n in range(40)))
    listener.names.clear()
    answers = await asyncio.gather(*(owners.change(f"c{n}", added, command(100 + n)) for n in range(40)))
    assert [answer for answer, _ in answers] == [{"count": 2}] * 40
    assert listener.names.count("update") <= 6
    docs = await owners.load_many(f"c{n}" for n in range(40))
    assert all((doc.version, doc.revision, doc.depth) == (2, 2, 2) for doc in docs.values())
    assert sorted({place for _, place, _ in relay.offers}) == sorted(docs)
    await store.close()


async def test_commands_on_one_document_get_in_one_after_the_other(owners: Documents) -> None:
    await owners.create("c", added, command(0))
    await owners.create("d", added, command(0))

    async def insist(doc_id: str, number: int) -> None:
        for _ in range(20):
            try:
                await owners.change(doc_id, added, command(number))
                return
            except Exception:
                await asyncio.sleep(0)

    await asyncio.gather(*(insist("cd"[n % 2], n) for n in range(1, 17)))
    for doc_id in "cd":
        doc = await owners.load(doc_id)
        assert doc is not None
        assert (doc.state["count"], doc.revision, len(doc.commands)) == (9, 9, 9)


async def test_one_that_the_store_refuses_fails_alone(owners: Documents) -> None:
    ids = [f"c{n}" for n in range(12)]
    await asyncio.gather(*(owners.create(doc_id, added, command(n)) for n, doc_id in enumerate(ids)))

    def too_much(doc: Document) -> Doc:
        doc.state["number"] = 2**70  # no number of BSON's
        return {}

    found = await asyncio.gather(
        *(owners.change(doc_id, too_much if n == 7 else added, command(20 + n)) for n, doc_id in enumerate(ids)),
        return_exceptions=True,
    )
    assert [n for n, one in enumerate(found) if isinstance(one, Exception)] == [7]
    docs = await owners.load_many(ids)
    assert [docs[doc_id].state["count"] for doc_id in ids] == [1 if n == 7 else 2 for n in range(12)]


async def test_a_caller_who_goes_away_stops_neither_the_group_nor_its_own_write(owners: Documents) -> None:
    ids = [f"c{n}" for n in range(40)]
    await asyncio.gather(*(owners.create(doc_id, added, command(n)) for n, doc_id in enumerate(ids)))
    docs = await owners.load_many(ids)
    writes = [
        asyncio.create_task(owners.commit(docs[doc_id], command(50 + n), added(docs[doc_id])))
        for n, doc_id in enumerate(ids)
    ]
    await asyncio.sleep(0)
    gone = ids.index(owners._waiting[-1].doc_id)
    writes[gone].cancel()
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert [n for n, one in enumerate(found) if one is not True] == [gone]

    async def all_there() -> bool:
        return all(doc.state["count"] == 2 for doc in (await owners.load_many(ids)).values())

    await until(all_there, "every write is there")
    # Repeated with its key it gets the answer of the first time.
    answer, _ = await owners.change(ids[gone], added, command(50 + gone))
    assert answer == {"count": 2}


async def test_each_document_that_the_store_is_asked_to_write_is_counted_once_however_many_go_together(
    store: Store,
) -> None:
    def counted() -> float:
        return float(REGISTRY.get_sample_value("hagukumi_store_documents_written_total") or 0)

    begun = counted()
    await store.insert("things", {"_id": "t0"})
    await store.insert_many("things", [{"_id": f"t{number}"} for number in range(1, 5)])
    await store.update("things", {"_id": "t0"}, {"$set": {"a": 1}})
    await store.bulk("things", [Insert({"_id": "t5"}), Update({"_id": "t1"}, {"$set": {"a": 1}})])
    await store.get_many("things", ["t0", "t1"])
    assert counted() - begun == 8


# Parts of a document kept as text ---------------------------------------------------------------------------------


async def test_a_part_kept_as_text_is_read_changed_and_left_as_any_other(store: Store, relay: RememberingRelay) -> None:
    documents = Documents(store, "plans", relay=relay, clock=Clock(), as_text=frozenset({"plan"}))
    plan = {"items": [{"series": "bcg", "when": None}], "by.name": {"$odd": 1.5}}
    assert await documents.commit(Document("p", state={"plan": plan, "other": {"a": 1}}))
    row = await store.get("plans", "p")
    assert row is not None
    assert isinstance(row["state"]["plan"], str)
    assert row["state"]["other"] == {"a": 1}

    doc = await documents.load("p")
    assert doc is not None
    assert doc.state == doc.loaded["state"] == {"plan": plan, "other": {"a": 1}}
    assert await documents.commit(doc)
    assert doc.version == 1  # nothing changed, nothing was written

    doc.state["plan"] = {**plan, "items": []}
    doc.state["other"]["a"] = 2
    assert await documents.commit(doc)
    assert doc.version == 2
    doc = await documents.load("p")
    assert doc is not None
    assert doc.state == {"plan": {**plan, "items": []}, "other": {"a": 2}}

    del doc.state["plan"]
    assert await documents.commit(doc)
    doc = await documents.load("p")
    assert doc is not None
    assert doc.state == {"other": {"a": 2}}


async def test_a_document_of_before_is_read_and_becomes_text_when_that_part_changes(
    store: Store, relay: RememberingRelay
) -> None:
    before = Documents(store, "plans", relay=relay, clock=Clock())
    assert await before.commit(Document("p", state={"plan": {"items": [1]}, "other": 1}))
    documents = Documents(store, "plans", relay=relay, clock=Clock(), as_text=frozenset({"plan"}))
    doc = await documents.load("p")
    assert doc is not None
    doc.state["other"] = 2
    assert await documents.commit(doc)
    row = await store.get("plans", "p")
    assert row is not None
    assert row["state"] == {"plan": {"items": [1]}, "other": 2}
    doc = documents.read(row)
    doc.state["plan"] = {"items": [1, 2]}
    assert await documents.commit(doc)
    row = await store.get("plans", "p")
    assert row is not None
    assert row["state"]["plan"] == '{"items":[1,2]}'
    assert from_store(row, ["plan"]).state == {"plan": {"items": [1, 2]}, "other": 2}


# Events of a moment, offsets --------------------------------------------------------------------------------------


async def test_a_patient_reader_takes_what_comes_one_by_one_together_and_misses_nothing(
    local_kafka: LocalKafka, local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(local_kafka, local_store, patient=True)
    batches: list[int] = []
    apply = reader.view.apply

    async def counting(batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        batches.append(len(batch))
        return await apply(batch)

    monkeypatch.setattr(reader.view, "apply", counting)
    story = facts(subject := new_id(), 60)
    async with reader:
        await publish(local_kafka, story[:1])
        await reader.until(subject, 1)
        batches.clear()
        for event in story[1:]:
            await publish(local_kafka, [event])
        await reader.until(subject, 60)
    # Each publication takes some milliseconds; a reader in haste takes nearly all of them one by one.
    assert sum(batches) == 59
    assert len(batches) < 30


# Waiting ----------------------------------------------------------------------------------------------------------


async def test_a_wait_ends_when_this_process_commits_what_is_waited_for(owners: Documents) -> None:
    await owners.create("c", added)
    looks = 0

    async def counted() -> bool:
        nonlocal looks
        looks += 1
        doc = await owners.load("c")
        return doc is not None and doc.state["count"] == 2

    # The pauses alone would look thirty times and more in the time of two looks.
    waiting = asyncio.create_task(holds_within(counted, 5.0, lambda: owners.next_commit("c")))
    async with asyncio.timeout(10):
        while not owners._expected:
            await asyncio.sleep(0)
    await owners.change("c", added)
    assert await waiting
    assert looks <= 3
    assert not owners._expected


async def test_a_wait_for_what_never_comes_ends_in_time_and_leaves_nothing(owners: Documents) -> None:
    async def never() -> bool:
        return False

    assert not await holds_within(never, 0.05, lambda: owners.next_commit("c"))
    await asyncio.sleep(0)
    gc.collect()
    assert not owners._expected
