"""The pytest plugin: the real store and the real broker, started once for a run when a test first asks for them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from deploy.local import topology
from deploy.local.broker import LocalKafka
from deploy.local.ports import free_port
from deploy.local.processes import Supervisor
from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from shared.auth import InternalTokens
from shared.ids import new_id
from shared.kafka_admin import Credentials, KafkaAdmin
from shared.settings import Settings
from shared.store import Store

STORE_WITHIN_MS = 60_000
"""One store holds the databases of a thousand tests: while it makes a checkpoint of all of them it answers nobody for a while."""
os.environ.setdefault("HAGUKUMI_MONGO_TIMEOUT_MS", str(STORE_WITHIN_MS))

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared"


def cases(path: str) -> Path:
    """A file or folder of the public cases beside the project; skips where they are absent, unless they are required."""
    found = CASES / path
    if not found.exists():
        why = f"../shared/{path} is absent: its cases cannot run"
        if os.environ.get("REQUIRE_CASES") == "1":
            pytest.fail(why)
        pytest.skip(why)
    return found


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    """Ends, with the run, every process that the fixtures started."""
    with Supervisor() as started:
        yield started


@pytest.fixture(scope="session")
def local_store(tmp_path_factory: pytest.TempPathFactory, supervisor: Supervisor) -> LocalStore:
    """The real store, one server for the run; each test takes a database of its own."""
    found = LocalStore(tmp_path_factory.mktemp("store") / "stores" / "tests", free_port(), supervisor=supervisor)
    found.start()
    return found


@pytest.fixture(scope="session")
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the run's store is: the embedded one, or MongoDB in a container where HAGUKUMI_TEST_STORE=testcontainers."""
    if os.environ.get("HAGUKUMI_TEST_STORE") == "testcontainers":
        from testcontainers.mongodb import MongoDbContainer

        with MongoDbContainer("mongo:8").with_command("--replSet rs0") as container:
            container.exec(["mongosh", "--quiet", "--eval", "rs.initiate()"])
            yield f"{container.get_connection_url()}/?directConnection=true&retryWrites=false"
    else:
        started: LocalStore = request.getfixturevalue("local_store")
        yield started.url


@pytest.fixture(params=["pymongo"])
async def store(request: pytest.FixtureRequest, store_url: str) -> AsyncIterator[Store]:
    """An empty database on the real store."""
    found = Store.connect(store_url, f"t{new_id()[:12]}", driver=request.param, timeout_ms=STORE_WITHIN_MS)
    yield found
    await found.close()


@pytest.fixture(scope="session")
def local_kafka(tmp_path_factory: pytest.TempPathFactory, supervisor: Supervisor) -> LocalKafka:
    """The real broker with the platform's topics, users and rights, one for the run."""
    found = LocalKafka(tmp_path_factory.mktemp("kafka"), supervisor=supervisor)
    found.start()

    async def prepare() -> None:
        admin = found.admin()
        await admin.ensure_topics(topology.topics(partitions=3))
        await admin.create_scram_users(Credentials(name, found.secrets.password(name)) for name in topology.users())
        await admin.allow_all(topology.rights())

    asyncio.run(prepare())
    # A user that was just made can sign in a moment later: its password travels by the metadata log.
    last = KafkaAdmin(found.bootstrap, topology.users()[-1], found.secrets.password(topology.users()[-1]))
    while not last.answers(1.0):
        pass
    return found


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each service's own private key, and everybody's public keys: the file by the service's name."""
    return dict(SecretFiles(tmp_path_factory.mktemp("keys")).internal_keys(topology.SERVICES))


@pytest.fixture(scope="session")
def tokens(keys: dict[str, Path]) -> InternalTokens:
    """What the gateway signs with."""
    return InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"]))


async def empty(store: Store) -> None:
    """Delete every document; the indexes stay for the next test."""
    for collection in await store.collections():
        await store.delete(collection, {})


def service_settings(service: str, kafka: LocalKafka, store: LocalStore, database: str) -> Settings:
    """The settings of one service on the run's broker and store."""
    return Settings(
        service=service,
        environment="development",
        kafka_bootstrap=kafka.bootstrap,
        kafka_user=service,
        kafka_password_file=kafka.secrets.password_file(service),
        mongo_url=store.url,
        mongo_database=database,
    )


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    """Every span of this process, whichever service makes it."""
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter
