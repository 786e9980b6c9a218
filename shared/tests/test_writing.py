"""Protocol W1 to W4: one conditional update, remembered commands, ids of place, nothing unpublishable is committed."""

import asyncio
from typing import Any
from uuid import RFC_4122, UUID

import pytest

from shared.clock import Clock
from shared.documents import Command, Document, Documents
from shared.events.records import GuardianAdded
from shared.native.envelopes import event_id
from shared.problems import Busy, Conflict, KeyReused, NotFound, PreconditionFailed, TooLarge
from shared.store import Doc, Store
from shared.tests.conftest import RememberingRelay

pytestmark = pytest.mark.integration


def adding(guardian: str) -> Any:
    """A decision: bind one more guardian."""

    def decide(doc: Document) -> Doc:
        doc.state.setdefault("guardians", {})[guardian] = True
        doc.emit(GuardianAdded(guardian=guardian, proven_by="code"), Clock().now())
        return {"added": guardian}

    return decide


async def test_w1_state_and_events_are_one_update_and_the_version_grows(owners: Documents, store: Store) -> None:
    await owners.create("c1", adding("g1"))
    await owners.change("c1", adding("g2"))
    found = await store.get("owners", "c1")
    assert found is not None
    assert (found["version"], found["revision"], found["heads"]) == (2, 2, {"records/child:c1": 2})
    assert found["state"] == {"guardians": {"g1": True, "g2": True}}
    assert [entry["revision"] for entry in found["outbox"]] == [1, 2]


async def test_w1_a_writer_that_saw_an_older_version_changes_nothing(owners: Documents, store: Store) -> None:
    await owners.create("c1", adding("g1"))
    early = await owners.load("c1")
    assert early is not None
    await owners.change("c1", adding("g2"))
    adding("g3")(early)
    assert await owners.commit(early) is False
    found = await store.get("owners", "c1")
    assert found is not None
    assert found["state"]["guardians"] == {"g1": True, "g2": True}
    assert len(found["outbox"]) == 2


async def test_w1_sixteen_writers_at_once_all_get_in_densely(owners: Documents, store: Store) -> None:
    await owners.create("c1", adding("g0"))

    async def insist(guardian: str) -> None:
        while True:
            try:
                await owners.change("c1", adding(guardian))
                return
            except Conflict:
                continue

    await asyncio.gather(*(insist(f"g{number}") for number in range(1, 17)))
    found = await store.get("owners", "c1")
    assert found is not None
    assert sorted(entry["revision"] for entry in found["outbox"]) == list(range(1, 18))
    assert len(found["state"]["guardians"]) == 17


async def test_w1_only_what_changed_is_written(owners: Documents, store: Store) -> None:
    await owners.create("c1", adding("g1"))
    doc = await owners.load("c1")
    assert doc is not None
    # A field that this build does not know, written by a newer one meanwhile outside the version guard.
    await store.update("owners", {"_id": "c1"}, {"$set": {"state.newer": "kept"}})
    adding("g2")(doc)
    assert await owners.commit(doc)
    found = await store.get("owners", "c1")
    assert found is not None
    assert found["state"]["newer"] == "kept"


async def test_w1_the_marker_is_back_when_the_relay_cleared_it_between_load_and_commit(
    owners: Documents, store: Store
) -> None:
    await owners.create("c1", adding("g1"))
    doc = await owners.load("c1")
    assert doc is not None
    await store.update("owners", {"_id": "c1"}, {"$set": {"outbox": []}, "$unset": {"pending": ""}})
    adding("g2")(doc)
    assert await owners.commit(doc)
    found = await store.get("owners", "c1")
    assert found is not None
    assert "pending" in found


async def test_w2_the_same_key_and_body_give_the_same_answer_once(owners: Documents, store: Store) -> None:
    command = Command.of("g1", "key-1", "POST /x", {"a": 1})
    await owners.create("c1", adding("g1"))
    first, _ = await owners.change("c1", adding("g2"), command)
    second, _ = await owners.change("c1", adding("g9"), command)
    assert first == second == {"added": "g2"}
    found = await store.get("owners", "c1")
    assert found is not None
    assert found["revision"] == 2


async def test_w2_the_same_key_with_another_body_is_refused(owners: Documents) -> None:
    await owners.create("c1", adding("g1"), Command.of("g1", "key-1", "POST /x", {"a": 1}))
    with pytest.raises(KeyReused):
        await owners.create("c1", adding("g1"), Command.of("g1", "key-1", "POST /x", {"a": 2}))


async def test_w2_creating_twice_is_creating_once(owners: Documents, store: Store) -> None:
    command = Command.of("g1", "key-1", "POST /x", {"a": 1})
    answers = await asyncio.gather(*(owners.create(command.id, adding("g1"), command) for _ in range(8)))
    assert [answer for answer, _ in answers] == [{"added": "g1"}] * 8
    assert await store.count("owners", {}) == 1


def test_w3_the_stream_is_part_of_an_event_id() -> None:
    assert event_id("records.child", "c1", 7) == event_id("records.child", "c1", 7)
    assert len({event_id(stream, "c1", 7) for stream in ("records.child", "schedule.plan")}) == 2
    for revision in range(1, 100):
        assert UUID(event_id("records.child", "c1", revision)).version == 5
        assert UUID(event_id("records.child", "c1", revision)).variant == RFC_4122


async def test_w4_an_event_that_kafka_would_refuse_is_refused_now(owners: Documents, store: Store) -> None:
    await owners.create("c1", adding("g1"))
    with pytest.raises(TooLarge):
        await owners.change("c1", adding("g" * 950_000))
    found = await store.get("owners", "c1")
    assert found is not None
    assert found["revision"] == 1


async def test_w4_the_outbox_is_bounded_per_document_and_per_service(store: Store) -> None:
    relay = RememberingRelay()
    small = Documents(store, "owners", relay=relay, clock=Clock(), max_depth=2)
    await small.create("c1", adding("g1"))
    await small.change("c1", adding("g2"))
    with pytest.raises(Busy):
        await small.change("c1", adding("g3"))
    relay.room = False
    with pytest.raises(Busy):
        await small.create("c2", adding("g1"))
    assert await store.get("owners", "c2") is None


async def test_if_match_names_the_version_that_was_read(owners: Documents) -> None:
    await owners.create("c1", adding("g1"))
    with pytest.raises(PreconditionFailed):
        await owners.change("c1", adding("g2"), if_match='"7"')
    answer, doc = await owners.change("c1", adding("g2"), if_match='"1"')
    assert (answer, doc.version) == ({"added": "g2"}, 2)


async def test_what_is_not_there_is_not_found(owners: Documents) -> None:
    with pytest.raises(NotFound):
        await owners.change("nobody", adding("g1"))


@pytest.mark.parametrize("key", ["$where", "a.b", ""])
async def test_s11_no_operator_and_no_path_is_ever_a_key(owners: Documents, key: str) -> None:
    def decide(doc: Document) -> Doc:
        doc.state["input"] = {key: 1}
        return {}

    with pytest.raises(ValueError, match="a stored key"):
        await owners.create("c1", decide)


async def test_bulk_commit_tells_who_lost(owners: Documents, store: Store) -> None:
    for name in ("c1", "c2", "c3"):
        await owners.create(name, adding("g1"))
    docs = await owners.load_many(["c1", "c2", "c3"])
    await owners.change("c2", adding("other"))
    for doc in docs.values():
        adding("g2")(doc)
    new = Document(id="c4")
    adding("g1")(new)
    lost = await owners.commit_many([*docs.values(), new])
    assert [doc.id for doc in lost] == ["c2"]
    assert await store.count("owners", {"version": 2}) == 3
    assert (await store.get("owners", "c4") or {})["version"] == 1
