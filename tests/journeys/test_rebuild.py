"""A view of each service built anew under live traffic is byte-equal, and emits nothing (protocol R8, promise G7)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy.local.environment import ROOT
from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from deploy.local.topology import SERVICES
from services.gateway.app import create_app as gateway
from services.notify.app import create_app as notify
from services.schedule.app import create_app as schedule
from shared import views
from shared.bus import envelope_of
from shared.clock import Clock
from shared.documents import Document
from shared.events.base import REGISTRY, Envelope, Event
from shared.ids import new_id
from shared.rebuilding import CannotRebuild, content
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings
from shared.views import View

pytestmark = pytest.mark.integration
EXAMPLES = ROOT / "shared" / "events" / "examples"
SUBJECTS = 12
CHILD_STORY = ("ChildRegistered", "GuardianAdded", "DoseRecorded", "ChildCorrected", "ConsentGiven", "GuardianRemoved")
PLAN_STORY = ("PlanChanged", "PlanConfirmed", "ReminderDue", "DoseOverdue", "PlanChanged")
RESPONSE_STORY = ("QuestionnaireSubmitted", "ConsentDecided", "ResponseWithdrawn", "QuestionnaireSubmitted")


def golden(owner: str, name: str) -> Event:
    """The golden example of a type."""
    kind = f"jp.hagukumi.{owner}.{name}.v1"
    file = min((EXAMPLES / kind).glob("*.json"))
    return REGISTRY[kind].model_validate_json(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Case:
    """A service, one of its views, what it follows, and where its derived rows are."""

    service: str
    create_app: Callable[[Settings], FastAPI]
    view: str
    stories: dict[str, tuple[str, ...]]
    derived: tuple[str, ...] = ()


CASES = (
    Case("gateway", gateway, "plans", {"schedule.plan": PLAN_STORY}),
    Case("schedule", schedule, "consents", {"questionnaire.response": RESPONSE_STORY}, ("child_consents",)),
    Case(
        "notify", notify, "families", {"records.child": CHILD_STORY, "schedule.plan": PLAN_STORY}, ("audience", "bonds")
    ),
)


class Stage:
    """One service with its real views, and owners that announce to it and keep their history."""

    def __init__(self, case: Case, url: str, secrets: SecretFiles, keys: dict[str, Path]) -> None:
        self.case = case
        self._url, self._secrets, self._keys = url, secrets, keys
        self.runtime: Runtime = case.create_app(self._settings(case.service)).state.runtime
        self.owners = {stream: Runtime(self._settings(stream.split(".")[0])) for stream in case.stories}
        for owner in self.owners.values():
            owner.documents("owners")
        self.runtime.calls._http = httpx.AsyncClient(
            mounts={
                f"all://{stream.split('.')[0]}": httpx.ASGITransport(create_service(owner, [], title=stream))
                for stream, owner in self.owners.items()
            }
        )
        self.view = next(
            sink for sink in self.runtime.follower.sinks if isinstance(sink, View) and sink.name == case.view
        )
        self.announced = 0
        self._stories = {stream: cycle(story) for stream, story in case.stories.items()}

    def _settings(self, service: str) -> Settings:
        return Settings(
            service=service,
            environment="development",
            mongo_url=self._url,
            mongo_database=f"t{new_id()[:12]}",
            internal_keys_file=self._keys[service],
            vapid_key_file=self._secrets.push_key(),
            kafka_user=service,
            url_records="http://records",
            url_schedule="http://schedule",
            url_questionnaire="http://questionnaire",
        )

    async def announce(self, stream: str, subject: str, event: Event) -> None:
        """An owner commits and archives it, and Kafka brings it."""
        owner = self.owners[stream]
        name = stream.partition(".")[0]

        def decide(doc: Document) -> dict[str, Any]:
            doc.emit(event, Clock().now())
            return {"entry": doc.outgoing[0]}

        answer, _ = await owner.documents("owners").upsert(subject, decide)
        place = ("owners", subject)
        await owner.relay._archive({place: [answer["entry"]]})
        await owner.store.update("owners", {"_id": subject}, {"$set": {"outbox": []}, "$unset": {"pending": ""}})
        envelope: Envelope = envelope_of(answer["entry"], name)
        assert await self.view.apply([envelope]) == []
        self.announced += 1

    async def everybody(self) -> None:
        """The next event of each story happens to every subject."""
        for stream, story in self._stories.items():
            event = golden(stream.split(".")[0], next(story))
            for number in range(SUBJECTS):
                await self.announce(stream, f"subject-{number}", event)

    async def documents(self, view: View) -> dict[str, str]:
        """The view's documents as bytes, versions aside."""
        docs = await view.documents.load_many([f"subject-{number}" for number in range(SUBJECTS)])
        return {doc_id: json.dumps(content(doc), sort_keys=True) for doc_id, doc in docs.items()}

    async def rows(self) -> dict[str, Any]:
        """The derived rows, versions aside."""
        found: dict[str, Any] = {}
        for collection in self.case.derived:
            for row in await self.runtime.store.find(collection, {}):
                row.pop("version", None)
                row["lines"] = {key: views.text_of(line) for key, line in row.get("lines", {}).items()}
                found[f"{collection}/{row.pop('_id')}"] = row
        return found

    async def damage(self) -> None:
        """What is derived says something else under the version that it has, or is not there: for that one rebuilds."""
        for collection in self.case.derived:
            for number, row in enumerate(await self.runtime.store.find(collection, {})):
                spoilt: dict[str, Any] = {f"lines.{key}": f"{line}~" for key, line in row.get("lines", {}).items()} or {
                    "gone": True
                }
                if number % 2:
                    await self.runtime.store.delete(collection, {"_id": row["_id"]})
                else:
                    await self.runtime.store.update(collection, {"_id": row["_id"]}, {"$set": spoilt})


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> SecretFiles:
    return SecretFiles(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(params=CASES, ids=lambda case: f"{case.service}-{case.view}")
async def stage(
    request: pytest.FixtureRequest, local_store: LocalStore, secrets: SecretFiles, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    monkeypatch.setattr(views, "DERIVE_AGAIN_AFTER_MS", 0)
    found = Stage(request.param, local_store.url, secrets, dict(secrets.internal_keys(SERVICES)))
    await found.view.documents.ensure_indexes()
    await found.view.ensure_indexes()
    yield found
    for runtime in (found.runtime, *found.owners.values()):
        await runtime.calls.close()
        await runtime.store.close()


async def test_r8_a_view_rebuilt_under_live_traffic_is_byte_equal(stage: Stage) -> None:
    for _ in range(3):
        await stage.everybody()
    before = stage.announced
    told: list[str] = []
    done = asyncio.Event()

    async def traffic() -> None:
        while not done.is_set():
            await stage.everybody()

    async def tell(words: str) -> None:
        told.append(words)

    going_on = asyncio.create_task(traffic())
    found = await stage.runtime.rebuilder.rebuild(stage.view, list(stage.case.stories), tell)
    done.set()
    await going_on
    assert stage.announced > before, "nothing happened meanwhile: this proves nothing"
    assert (found.documents, found.different, found.generation) == (SUBJECTS, 0, 1)
    assert stage.runtime.store.names[stage.case.view] == f"{stage.case.view}.g1"
    assert stage.case.view not in await stage.runtime.store.collections()

    # And once more from nothing, when all is quiet: the same bytes.
    again = stage.view.twin(7)
    await again.documents.ensure_indexes()
    for stream in stage.case.stories:
        await stage.runtime.reconciler.compare(stream, again, settle_s=0)
    await stage.runtime.healer.heal([again], older_than_ms=0)
    assert await stage.documents(again) == await stage.documents(stage.view)
    assert await stage.runtime.store.count(stage.case.view, {"outbox": {"$ne": []}}) == 0


async def test_r8_derived_rows_follow_the_new_generation(stage: Stage) -> None:
    for _ in range(2):
        await stage.everybody()
    rows = await stage.rows()
    await stage.damage()

    async def tell(words: str) -> None:
        """Nobody reads it."""

    await stage.runtime.rebuilder.rebuild(stage.view, list(stage.case.stories), tell)
    await stage.runtime.healer.heal([stage.view], older_than_ms=0)
    assert {key: row for key, row in (await stage.rows()).items() if not row.get("gone")} == {
        key: row for key, row in rows.items() if not row.get("gone")
    }


async def test_r8_another_replica_follows_and_feeds_both_while_it_is_built(stage: Stage) -> None:
    await stage.everybody()
    other = stage.view.twin(0)
    other._derives_now = True
    await stage.runtime.store.insert("generations", {"_id": stage.case.view, "live": 0, "building": 1})
    other_stage, stage.view = stage.view, other
    await stage.everybody()
    stage.view = other_stage
    assert await stage.runtime.store.with_names({}).count(f"{stage.case.view}.g1", {}) == SUBJECTS
    await stage.runtime.store.update("generations", {"_id": stage.case.view}, {"$set": {"live": 1, "building": None}})
    await stage.runtime.follow_generations()
    await other.follow_pointer()
    assert (
        stage.runtime.store.names[stage.case.view]
        == other.documents.store.names[stage.case.view]
        == f"{stage.case.view}.g1"
    )


@pytest.mark.parametrize(
    ("create_app", "service", "view"), [(schedule, "schedule", "plans"), (gateway, "gateway", "children")]
)
async def test_r8_primary_data_is_never_rebuilt(
    create_app: Callable[[Settings], FastAPI], service: str, view: str, local_store: LocalStore, secrets: SecretFiles
) -> None:
    keys = secrets.internal_keys(SERVICES)
    settings = Settings(
        service=service,
        environment="development",
        mongo_url=local_store.url,
        mongo_database=f"t{new_id()[:12]}",
        internal_keys_file=keys[service],
        kafka_user=service,
    )
    runtime: Runtime = create_app(settings).state.runtime
    sink = next(one for one in runtime.follower.sinks if isinstance(one, View) and one.name == view)

    async def tell(words: str) -> None:
        raise AssertionError("it began")

    with pytest.raises(CannotRebuild, match="Primary data is never rebuilt"):
        await runtime.rebuilder.rebuild(sink, [], tell)
    assert await runtime.store.collections() == []
    await runtime.calls.close()
    await runtime.store.close()
