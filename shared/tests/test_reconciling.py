"""The reconciler on the real store: what Kafka lost behind a stream's end comes back; what an owner lost is an alarm (R4, G8)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import httpx
import pytest

from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from shared.clock import Clock
from shared.delivery import Each
from shared.documents import Document
from shared.events.base import Envelope
from shared.events.records import GuardianAdded, GuardianRemoved
from shared.healing import WANTED
from shared.ids import new_id
from shared.outbox import Relay
from shared.problems import Busy
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings
from shared.tests.conftest import HANDLERS
from shared.tests.test_healing import Silence
from shared.views import Reached, Rejected, View

pytestmark = pytest.mark.integration
STREAM = "records.child"
TOPIC = "records.child.v1"


class TwoServices:
    """records with its history, and schedule, which reads it; no topic holds anything."""

    def __init__(self, url: str, keys: dict[str, Any]) -> None:
        self.records = self._runtime("records", url, keys)
        self.schedule = self._runtime("schedule", url, keys)
        self.kafka = Silence()
        self.kafka.up = True
        self.children = self.records.documents("children")
        self.relay = Relay(self.records.store, self.kafka, "records")
        self.relay.collections.append("children")
        app = create_service(self.records, [], title="records")
        self.schedule.calls._http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        self.view = View(self.schedule.documents("plans"), HANDLERS)
        self.schedule.follow(TOPIC, self.view)

    @staticmethod
    def _runtime(service: str, url: str, keys: dict[str, Any]) -> Runtime:
        return Runtime(
            Settings(
                service=service,
                environment="development",
                mongo_url=url,
                mongo_database=f"t{new_id()[:12]}",
                internal_keys_file=keys[service],
                url_records="http://records",
                kafka_user=service,
            )
        )

    async def happens(self, child: str, count: int) -> None:
        """`count` facts of a child are recorded and announced, and Kafka forgets them at once."""

        def decide(doc: Document) -> dict[str, Any]:
            for number in range(doc.revision + 1, doc.revision + count + 1):
                event: Any = GuardianAdded(guardian=f"g{number}", proven_by="code")
                if number % 3 == 0:
                    event = GuardianRemoved(guardian=f"g{number - 1}", reason="moved out")
                doc.emit(event, Clock().now())
            return {}

        await self.children.upsert(child, decide)
        await self.relay.publish({("children", child): None})

    async def reconcile(self, view: View | None = None, **options: Any) -> tuple[int, int]:
        """One pass and one round of healing; (behind, backwards)."""
        found = await self.schedule.reconciler.compare(STREAM, view or self.view, settle_s=0, **options)
        await self.schedule.healer.heal([view or self.view])
        return found.behind, found.backwards

    async def read_to(self, child: str) -> int:
        doc = await self.view.documents.load(child)
        return doc.read_to(STREAM, child) if doc is not None else 0


@pytest.fixture(scope="session")
def service_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(SecretFiles(tmp_path_factory.mktemp("keys")).internal_keys(("records", "schedule")))


@pytest.fixture
async def two(local_store: LocalStore, service_keys: dict[str, Any]) -> AsyncIterator[TwoServices]:
    found = TwoServices(local_store.url, service_keys)
    yield found
    for runtime in (found.records, found.schedule):
        await runtime.calls.close()
        await runtime.store.close()


async def test_r4_a_gap_at_the_end_of_a_stream_is_found_and_healed(two: TwoServices) -> None:
    await two.happens("c1", 2)
    await two.reconcile()
    await two.happens("c1", 1)
    assert await two.reconcile() == (1, 0)
    assert await two.read_to("c1") == 3
    assert await two.reconcile() == (0, 0)


async def test_g8_with_empty_topics_views_come_back_from_the_owners_history(two: TwoServices) -> None:
    for number in range(30):
        await two.happens(f"c{number}", 3)
    assert await two.reconcile() == (30, 0)
    docs = await two.view.documents.load_many([f"c{number}" for number in range(30)])
    assert {str(doc.state) for doc in docs.values()} == {"{'guardians': {'g1': 1}}"}
    assert len(docs) == 30


async def test_g8_a_view_keyed_otherwise_comes_back_too(two: TwoServices) -> None:
    view = View(two.schedule.documents("families"), HANDLERS, target=lambda event: f"family-of-{event.subject}")
    await two.happens("c1", 2)
    assert await two.reconcile(view) == (1, 0)
    await two.happens("c1", 1)
    assert await two.reconcile(view) == (1, 0)
    assert await two.reconcile(view) == (0, 0)
    family = await view.documents.load("family-of-c1")
    assert family is not None
    assert family.read_to(STREAM, "c1") == 3


async def test_g8_effects_are_heard_again_since_an_instant(two: TwoServices) -> None:
    heard: list[int] = []

    async def hear(batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        heard.extend(event.revision for event in batch)
        return []

    await two.happens("c1", 1)
    rows = await two.records.store.find("events", {"subject": "c1"})
    await two.records.store.update("events", {"_id": rows[0]["_id"]}, {"$set": {"time": "2020-01-01T00:00:00.000Z"}})
    await two.happens("c1", 2)
    reader = Each("reminders", hear)
    await two.schedule.reconciler.repeat(STREAM, reader, "2021-01-01T00:00:00.000Z")
    await two.schedule.healer.heal([reader])
    assert heard == [2, 3]


async def test_r4_a_head_that_went_backwards_is_an_alarm_and_heals_nothing(two: TwoServices) -> None:
    for child in ("c1", "c2"):
        await two.happens(child, 3)
    await two.reconcile()
    store = two.records.store
    await store.update("children", {"_id": "c1"}, {"$set": {"heads": {"records/child:c1": 2}}})
    await store.delete("children", {"_id": "c2"})
    before = await two.view.documents.load_many(["c1", "c2"])
    assert await two.reconcile() == (0, 2)
    assert await two.view.documents.load_many(["c1", "c2"]) == before


async def test_r4_what_was_read_before_the_owner_cleared_it_is_not_backwards(two: TwoServices) -> None:
    """Published, read, and the relay died before it cleared the outbox: the owner still lists it as not announced."""
    await two.happens("c1", 2)
    await two.happens("c2", 1)
    await two.reconcile()
    entries = {}
    for child, count in (("c1", 1), ("c2", 1)):
        row = (await two.records.store.find("events", {"subject": child}, sort=[("revision", -1)]))[0]
        entries[child] = {**row, "place": count}
        await two.records.store.update("children", {"_id": child}, {"$set": {"outbox": [entries[child]]}})
    assert await two.reconcile() == (0, 0)


async def test_r4_what_was_read_after_the_owner_told_its_heads_is_not_backwards(two: TwoServices) -> None:
    """Live traffic goes on while the heads are on their way."""
    await two.happens("c1", 2)
    await two.reconcile()
    reached = two.view.reading

    async def meanwhile(stream: str) -> Reached:
        found = await reached(stream)
        of = found.of

        async def late(subjects: Iterable[str]) -> dict[str, tuple[int, int]]:
            await two.happens("c1", 1)
            await two.view.apply((await two.schedule.healer.events_after(STREAM, "c1", 2))[1])
            return await of(subjects)

        found.of = late  # type: ignore[method-assign]
        return found

    two.view.reading = meanwhile  # type: ignore[method-assign]
    assert await two.reconcile() == (0, 0)
    assert await two.read_to("c1") == 3


async def test_r4_what_is_not_announced_yet_and_what_is_parked_is_not_behind(two: TwoServices) -> None:
    def refuse(doc: Document, event: Any, envelope: Envelope) -> None:
        raise Rejected("child-unknown")

    view = View(two.schedule.documents("refusing"), {GuardianAdded: refuse})
    await two.happens("c1", 1)
    assert await two.reconcile(view) == (1, 0)
    assert await two.reconcile(view) == (0, 0)

    def decide(doc: Document) -> dict[str, Any]:
        doc.emit(GuardianAdded(guardian="g9", proven_by="code"), Clock().now())
        return {}

    await two.children.upsert("c1", decide)
    await two.children.upsert("c2", decide)
    assert await two.reconcile(view) == (0, 0)


async def test_a_dry_run_marks_nothing(two: TwoServices) -> None:
    await two.happens("c1", 2)
    assert await two.reconcile(dry_run=True) == (1, 0)
    assert (await two.read_to("c1"), await two.schedule.store.count(WANTED, {})) == (0, 0)


async def test_an_owner_whose_answer_breaks_off_is_away_and_not_backwards(two: TwoServices) -> None:
    await two.happens("c1", 2)
    await two.reconcile()

    def breaks(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b'["c0", 1]\n')

    two.schedule.calls._http = httpx.AsyncClient(transport=httpx.MockTransport(breaks))
    with pytest.raises(Busy):
        await two.schedule.reconciler.compare(STREAM, two.view, settle_s=0)


async def test_heads_are_told_to_services_only(two: TwoServices) -> None:
    app = create_service(two.records, [], title="records")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://records") as anyone:
        answer = await anyone.get("/internal/heads", params={"stream": STREAM})
        assert answer.status_code == 401
