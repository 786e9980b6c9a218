"""The service on the real store, asked as the gateway asks it, and a push service that checks what it gets; no Kafka is needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from services.notify.app import create_app
from services.notify.store import FAMILIES, PREGNANCIES
from services.notify.tests.providers import Providers
from services.notify.tests.town import NOON, Town
from shared.auth import InternalTokens
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings
from shared.testing.apns_service import ApnsService
from shared.testing.fcm_service import FcmService
from shared.testing.line_service import LineService
from shared.testing.mail_server import MailServer
from shared.testing.plugin import empty
from shared.testing.push_service import PushService
from shared.testing.twilio_service import TwilioService
from shared.views import View


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> SecretFiles:
    return SecretFiles(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
async def push() -> AsyncIterator[PushService]:
    """A push service on loopback."""
    async with PushService() as service:
        yield service


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    """The simulated providers of every channel but Web Push, and a mail server."""
    async with (
        FcmService() as fcm,
        ApnsService() as apns,
        LineService() as line,
        TwilioService() as sms,
        MailServer() as mail,
    ):
        yield Providers(fcm, apns, line, sms, mail)


@pytest.fixture
def more_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Every channel is on where a test asks for the providers."""
    if "providers" not in request.fixturenames:
        return {}
    found: Providers = request.getfixturevalue("providers")
    return found.settings(tmp_path)


@asynccontextmanager
async def wired(push: PushService, **settings: Any) -> AsyncIterator[FastAPI]:
    """The service on an empty database; it may push to this push service only."""
    app = create_app(
        Settings(
            service="notify",
            environment="development",
            mongo_database=f"t{new_id()[:12]}",
            egress_allowed_origin=push.origin,
            kafka_user="notify",
            **settings,
        )
    )
    runtime: Runtime = app.state.runtime
    runtime.clock.move_to(NOON)
    for begin in runtime.on_start:
        await begin()
    for sink in runtime.follower.sinks:
        if isinstance(sink, View) and sink.name in {FAMILIES, PREGNANCIES}:
            await sink.ensure_indexes()
    push.application_server_key = app.state.notices.pusher.public_key()
    yield app
    for finish in runtime.on_stop:
        await finish()
    await runtime.calls.close()
    await runtime.store.close()


@pytest.fixture(scope="session")
def addresses_and_keys(local_store: LocalStore, keys: dict[str, Any], secrets: SecretFiles) -> dict[str, Any]:
    """Its store and its keys."""
    return {"mongo_url": local_store.url, "internal_keys_file": keys["notify"], "vapid_key_file": secrets.push_key()}


@pytest.fixture(scope="session")
async def common_push() -> AsyncIterator[PushService]:
    """Where browsers subscribe in tests that push nothing."""
    async with PushService() as service:
        yield service


@pytest.fixture(scope="session")
async def common_app(common_push: PushService, addresses_and_keys: dict[str, Any]) -> AsyncIterator[FastAPI]:
    """The service, wired once for all tests that push nothing: wiring it and making its indexes takes longer than most."""
    async with wired(common_push, **addresses_and_keys) as app:
        yield app


@pytest.fixture
async def own_app(
    push: PushService, addresses_and_keys: dict[str, Any], more_settings: dict[str, Any]
) -> AsyncIterator[FastAPI]:
    """The service, wired for one test: what its channels learned of their providers ends with it."""
    async with wired(push, **addresses_and_keys, **more_settings) as app:
        yield app


@pytest.fixture
def app(request: pytest.FixtureRequest) -> FastAPI:
    """The service: one of its own for a test that asks for a push service or for providers."""
    own = {"push", "providers"} & {*request.fixturenames}
    found: FastAPI = request.getfixturevalue("own_app" if own else "common_app")
    return found


@pytest.fixture
async def town(app: FastAPI, tokens: InternalTokens) -> AsyncIterator[Town]:
    """The wired service on an empty database, its clock at noon."""
    runtime: Runtime = app.state.runtime
    runtime.clock.move_to(NOON)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://notify") as http:
        yield Town(app, http, tokens)
    await empty(runtime.store)
