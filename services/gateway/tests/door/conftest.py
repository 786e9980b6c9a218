"""The gateway's real app on the real store, without Kafka: its views are filled by the same code that reads the topics."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from deploy.local.store import LocalStore
from services.gateway.app import create_app
from services.gateway.commands.access_tokens import AccessTokens
from services.gateway.tests.door.world import CHILD, FAMILY, NEIGHBOUR, NEIGHBOURS, TODAY, Owners, World, plan
from shared.clock import tokyo_time
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings
from shared.testing.plugin import empty
from shared.views import View

SERVICES = ("records", "schedule", "questionnaire", "notify", "gateway")


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Internal keys as the platform hands them out, and the development issuer's."""
    folder = tmp_path_factory.mktemp("door-keys")
    keys = {name: ECKey.generate_key("P-256", {"kid": name}, private=True) for name in (*SERVICES, "issuer")}
    public = {name: keys[name].as_dict(private=False) for name in SERVICES}
    files = {}
    for name in SERVICES:
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps({"private": keys[name].as_dict(private=True), "public": public}))
    files["issuer"] = folder / "issuer.json"
    files["issuer"].write_text(json.dumps(keys["issuer"].as_dict(private=True)))
    return files


@pytest.fixture(scope="session")
def database() -> str:
    """One database for the run: making its indexes takes longer than a test."""
    return f"door{new_id()[:8]}"


@pytest.fixture(scope="session")
def signers(key_files: dict[str, Path]) -> dict[str, Settings]:
    """What each owner needs to know a call that the gateway signed."""
    return {
        name: Settings(service=name, environment="development", internal_keys_file=key_files[name]) for name in SERVICES
    }


@pytest.fixture
def settings(key_files: dict[str, Path], local_store: LocalStore, database: str) -> Settings:
    """A development gateway."""
    return Settings(
        service="gateway",
        environment="development",
        mongo_url=local_store.url,
        mongo_database=database,
        internal_keys_file=key_files["gateway"],
        issuer_key_file=key_files["issuer"],
        url_records="http://records",
        url_schedule="http://schedule",
        url_questionnaire="http://questionnaire",
        url_notify="http://notify",
    )


@pytest.fixture
async def world(settings: Settings, signers: dict[str, Settings]) -> AsyncIterator[World]:
    """A child with its guardian, a clinic with consent and one whose consent ended; a neighbour's child in another town."""
    app = create_app(settings)
    runtime: Runtime = app.state.runtime
    # Noon of the day that the family's dates are counted from: no test sees midnight in Tokyo.
    runtime.clock.move_to(tokyo_time(TODAY, 12))
    owners = Owners(signers)
    await runtime.calls.close()
    runtime.calls._http = httpx.AsyncClient(transport=httpx.ASGITransport(owners.app))
    for sink in runtime.follower.sinks:
        if isinstance(sink, View):
            await sink.documents.ensure_indexes()
            await sink.ensure_indexes()
    for begin in runtime.on_start:
        await begin()
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://gateway", timeout=30.0
    )
    found = World(runtime, http, AccessTokens(settings), owners, app)
    await found.tells(CHILD, *FAMILY)
    await found.tells(NEIGHBOUR, *NEIGHBOURS)
    await found.tells(CHILD, plan(CHILD, len(FAMILY)))
    yield found
    for end in runtime.on_stop:
        await end()
    await http.aclose()
    await runtime.calls.close()
    await empty(runtime.store)
    await runtime.store.close()
