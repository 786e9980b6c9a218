"""Healing on the real store: nothing that was announced stays missed, whatever else waits (protocol R1, R4, R6; promises G2, G3)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from shared.bus import Producer, SendFailed
from shared.clock import Clock
from shared.delivery import Each
from shared.documents import Document, Documents, mark
from shared.events.base import Envelope
from shared.events.records import GuardianAdded
from shared.healing import WANTED, Healer, remember
from shared.internal_calls import InternalCalls
from shared.outbox import PARKED_FROM, Relay, archive_id
from shared.problems import Busy
from shared.store import Store
from shared.tests.conftest import HANDLERS, RememberingRelay, facts
from shared.views import Derived, View

pytestmark = pytest.mark.integration
STREAM = "records.child"


class NobodyAnswers(InternalCalls):
    """Owners that cannot be reached."""

    def __init__(self) -> None:
        """No connection is made."""

    async def events_after(self, service: str, stream: str, subject: str, after: int) -> tuple[int, list[Envelope]]:
        raise Busy


@pytest.fixture
def healer(store: Store) -> Healer:
    """A reader that is the owner too: what it misses stands in its own archive; other owners are away."""
    return Healer("records", store, NobodyAnswers())


async def archive(store: Store, events: Sequence[Envelope]) -> None:
    """As the owner's relay archives."""
    await store.insert_many(
        "events",
        [
            {
                "_id": archive_id(event.stream, event.subject, event.revision),
                **{name: getattr(event, name) for name in Envelope.__slots__ if name not in {"id", "source"}},
                "data": event.data.decode(),
            }
            for event in events
        ],
    )


async def parked(views: Documents, count: int) -> None:
    """That many documents which are parked at their first event."""
    name = mark(STREAM, "p")
    await views.store.insert_many(
        views.collection,
        [
            {
                "_id": f"parked-{number:04}",
                "version": 1,
                "state": {},
                "applied": {},
                "wanted": {name: 1},
                "parked": {"mark": name, "revision": 1, "reason": "schema-broken"},
                "outbox": [],
                "pending": 1,
            }
            for number in range(count)
        ],
    )


async def state_of(views: Documents, doc_id: str) -> dict[str, Any]:
    doc = await views.load(doc_id)
    assert doc is not None
    return doc.state


async def test_r6_an_unreadable_record_is_healed_where_the_document_is_not_the_subject(
    views: Documents, store: Store, healer: Healer
) -> None:
    view = View(views, HANDLERS, target=lambda event: f"family-of-{event.subject}")
    first, second = facts("c1", 2)
    await archive(store, [first, second])
    await view.apply([first])
    await remember(store, ["views"], [(STREAM, "c1", 1, 2)])
    await healer.heal([view])
    assert await state_of(views, "family-of-c1") == {"guardians": {"g1": 1, "g2": 2}}
    assert await store.count(WANTED, {}) == 0


async def test_r6_a_child_whose_first_and_only_record_is_unreadable_is_not_missed(
    views: Documents, store: Store, healer: Healer
) -> None:
    view = View(views, HANDLERS)
    await archive(store, facts("c1", 1))
    await remember(store, ["views"], [(STREAM, "c1", 0, 1)])
    await healer.heal([view])
    assert await state_of(views, "c1") == {"guardians": {"g1": 1}}


async def test_r6_a_record_that_the_owner_never_announced_parks_nobody_and_is_forgotten(
    views: Documents, store: Store, healer: Healer
) -> None:
    view = View(views, HANDLERS)
    events = facts("c1", 2)
    await archive(store, events)
    await view.apply(events)
    await remember(store, ["views"], [(STREAM, "c1", 98, 99), (STREAM, "nobody", 2, 3)])
    await view.apply([facts("c1", 1, first=7)[0]])
    await healer.heal([view], older_than_ms=0)
    assert (await view.gaps(), await store.count(WANTED, {})) == ([], 0)
    assert (await views.load("nobody"), (await views.load("c1") or Document("")).parked) == (None, {})


async def test_g6_an_effect_whose_record_was_unreadable_happens_after_all(store: Store, healer: Healer) -> None:
    heard: list[int] = []

    async def hear(batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        heard.extend(event.revision for event in batch)
        return []

    await archive(store, facts("c1", 3))
    await remember(store, ["reminders"], [(STREAM, "c1", 1, 2)])
    await healer.heal([Each("reminders", hear)])
    await healer.heal([Each("reminders", hear)])
    assert heard == [2]


async def test_r1_a_gap_longer_than_one_answer_is_closed_whole(views: Documents, store: Store, healer: Healer) -> None:
    view = View(views, HANDLERS)
    events = facts("c1", 602)
    await archive(store, events)
    await view.apply([events[0], events[-1]])
    await healer.heal([view], older_than_ms=0)
    assert (await views.load("c1") or Document("")).read_to(STREAM, "c1") == 602


async def test_r1_any_number_of_parked_documents_keeps_no_gap_and_no_row_waiting(
    views: Documents, store: Store, healer: Healer
) -> None:
    def links(doc: Document) -> dict[str, dict[str, Any]]:
        return {f"{guardian}:{doc.id}": {} for guardian in doc.state.get("guardians", {})}

    view = View(views, HANDLERS, derived=(Derived("links", links),))
    await parked(views, 600)
    events = facts("c1", 3)
    await archive(store, events)
    await view.apply([events[0], events[2]])
    await store.insert("links", {"_id": "g9:c1", "of": "c1", "version": 1, "gone": False})
    await store.update("views", {"_id": "c1"}, {"$set": {"derive_at": 1}, "$min": {"pending": 1}})
    await healer.heal([view], older_than_ms=0)
    assert (await views.load("c1") or Document("")).read_to(STREAM, "c1") == 3
    assert await store.count("links", {"of": "c1", "gone": False}) == 1
    assert await view.count_parked() == 600
    assert await store.count("views", {"pending": {"$gte": 0, "$lt": PARKED_FROM}}) == 0


async def test_r1_an_owner_that_is_away_holds_up_only_its_own(views: Documents, store: Store, healer: Healer) -> None:
    view = View(views, HANDLERS)
    events = facts("c1", 2)
    await archive(store, events)
    await remember(store, ["views"], [("schedule.plan", f"s{number}", 0, 1) for number in range(20)])
    await remember(store, ["views"], [(STREAM, "c1", 0, 2)])
    await healer.heal([view])
    assert await state_of(views, "c1") == {"guardians": {"g1": 1, "g2": 2}}
    assert await store.count(WANTED, {}) == 20


# The relay --------------------------------------------------------------------------------------------------------


class Silence(Producer):
    """A Kafka that acknowledges nothing, or everything."""

    def __init__(self) -> None:
        self.up = False
        self.keys: list[bytes] = []

    async def send(self, messages: Sequence[Any]) -> list[SendFailed | None]:
        if self.up:
            self.keys += [message.key for message in messages]
            return [None for _ in messages]
        return [SendFailed("KafkaConnectionError", final=False) for _ in messages]


async def test_a6_any_number_of_parked_documents_keeps_no_outbox_waiting(store: Store) -> None:
    kafka = Silence()
    relay = Relay(store, kafka, "records", sweep_after_ms=0)
    relay.collections.append("views")
    documents = Documents(store, "views", relay=RememberingRelay(), clock=Clock())
    await documents.ensure_indexes()
    await parked(documents, 600)

    def decide(doc: Document) -> dict[str, Any]:
        doc.emit(GuardianAdded(guardian="g1", proven_by="code"), Clock().now())
        return {}

    await documents.create("owner", decide)
    await relay._sweep_once()
    assert list(relay._offered) == [("views", "owner")]


@pytest.mark.parametrize("who", ["the replica that sweeps", "another replica"])
async def test_g2_past_the_stated_depth_writes_are_refused_until_kafka_is_back(store: Store, who: str) -> None:
    kafka = Silence()
    relay = Relay(store, kafka, "records", sweep_after_ms=0, max_depth=700)
    relay.collections.append("owners")
    documents = Documents(store, "owners", relay=relay, clock=Clock())
    await documents.ensure_indexes()

    def decide(doc: Document) -> dict[str, Any]:
        doc.emit(GuardianAdded(guardian="g1", proven_by="code"), Clock().now())
        return {}

    await documents.create("c-0", decide)
    entry = (await store.get("owners", "c-0") or {})["outbox"][0]
    rows = [
        {
            "_id": f"c-{number}",
            "version": 1,
            "revision": 1,
            "outbox": [{**entry, "subject": f"c-{number}"}],
            "pending": 1,
        }
        for number in range(1, 700)
    ]
    await store.insert_many("owners", [{**row, "wanted": {}} for row in rows])
    await relay._lead_or_follow()
    asked = relay
    if who == "another replica":
        asked = Relay(store, kafka, "records", sweep_after_ms=0, max_depth=700)
        await asked._lead_or_follow()
    with pytest.raises(Busy):
        await Documents(store, "owners", relay=asked, clock=Clock()).create("one-too-many", decide)
    kafka.up = True
    await relay.publish(dict(relay._offered))
    relay._offered.clear()
    await relay._lead_or_follow()
    await asked._lead_or_follow()
    await Documents(store, "owners", relay=asked, clock=Clock()).create("welcome", decide)
    assert len(kafka.keys) == 700


@pytest.mark.parametrize("kind", ["schema-broken", "major-version-unknown"])
async def test_r6_a_forged_record_at_the_next_revision_parks_nobody_and_the_true_one_is_applied(
    views: Documents, healer: Healer, store: Store, kind: str
) -> None:
    """Whoever may write a topic can write the revision that comes next; only the owner's archive can park a subject."""
    view = View(views, HANDLERS)
    first, second = facts("c1", 2)
    await archive(store, [first])
    await view.apply([first])
    change: dict[str, Any] = {"data": b"{"} if kind == "schema-broken" else {"type": second.type.replace(".v1", ".v9")}
    forged = dataclasses.replace(second, **change, from_archive=False)
    assert [why for _, why in await view.apply([forged])] == [kind]
    await healer.heal([view], older_than_ms=0)
    await view.apply([dataclasses.replace(second, from_archive=False)])
    assert await state_of(views, "c1") == {"guardians": {"g1": 1, "g2": 2}}
    assert await view.gaps() == []


async def test_r6_a_forged_record_of_an_unused_type_costs_no_true_event(
    views: Documents, healer: Healer, store: Store
) -> None:
    """It is counted as read, as every type that says nothing here; the true event of its revision is read all the same."""
    view = View(views, HANDLERS)
    events = facts("c1", 4)
    await archive(store, events)
    heard = [dataclasses.replace(event, from_archive=False) for event in events]
    await view.apply(heard[:1])
    unused = [dataclasses.replace(event, type="jp.hagukumi.records.DiaryWritten.v1") for event in heard[1:3]]
    assert await view.apply(unused) == []
    for true in heard[1:]:
        assert await view.apply([true]) == []
    await healer.heal([view], older_than_ms=0)
    doc = await views.load("c1")
    assert doc is not None
    assert (doc.state, doc.read_to(STREAM, "c1")) == ({"guardians": {"g1": 1, "g4": 4}}, 4)
    assert (await view.gaps(), doc.passed) == ([], {})


async def test_r6_a_forged_record_of_a_used_type_where_the_owner_said_something_else_is_not_applied(
    views: Documents, healer: Healer, store: Store
) -> None:
    view = View(views, HANDLERS)
    first, second, third = facts("c1", 3)
    unused = dataclasses.replace(second, type="jp.hagukumi.records.DiaryWritten.v1")
    await archive(store, [first, unused, third])
    await view.apply([dataclasses.replace(event, from_archive=False) for event in (first, unused)])
    await view.apply([dataclasses.replace(second, from_archive=False)])
    await view.apply([dataclasses.replace(third, from_archive=False)])
    await healer.heal([view], older_than_ms=0)
    doc = await views.load("c1")
    assert doc is not None
    assert (doc.state, doc.read_to(STREAM, "c1"), doc.wanted) == ({"guardians": {"g1": 1}}, 3, {})


async def test_r6_a_parked_document_goes_back_too_and_parks_again_where_it_stood(
    views: Documents, healer: Healer, store: Store
) -> None:
    view = View(views, HANDLERS)
    first, second, third = facts("c1", 3)
    broken = dataclasses.replace(third, data=b"{}")
    await archive(store, [first, second, broken])
    forged = dataclasses.replace(second, type="jp.hagukumi.records.DiaryWritten.v1", from_archive=False)
    await view.apply([first, forged])
    await view.apply([broken])
    assert (await views.load("c1") or Document("")).parked["revision"] == 3
    await view.apply([dataclasses.replace(second, from_archive=False)])
    await healer.heal([view], older_than_ms=0)
    doc = await views.load("c1")
    assert doc is not None
    assert (doc.state, doc.parked["revision"]) == ({"guardians": {"g1": 1, "g2": 2}}, 3)


async def test_r6_what_the_owner_really_announced_and_nobody_can_apply_parks_its_subject(
    views: Documents, healer: Healer, store: Store
) -> None:
    view = View(views, HANDLERS)
    first, second, third = facts("c1", 3)
    broken = dataclasses.replace(second, data=b"{}", from_archive=False)
    await archive(store, [first, broken])
    assert [why for _, why in await view.apply([first, broken, third])] == ["schema-broken"]
    await healer.heal([view], older_than_ms=0)
    doc = await views.load("c1")
    assert doc is not None
    assert (doc.parked["reason"], doc.read_to(STREAM, "c1")) == ("schema-broken", 1)
