"""The service on the real store, asked as the gateway asks it, and a push service that checks what it gets; no Kafka is needed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from deploy.local.topology import SERVICES
from services.notify.app import create_app
from services.notify.tests.providers import Providers
from services.notify.tests.town import NOON, Town
from shared.auth import InternalTokens
from shared.ids import new_id
from shared.settings import Settings
from shared.testing.apns_service import ApnsService
from shared.testing.fcm_service import FcmService
from shared.testing.line_service import LineService
from shared.testing.mail_server import MailServer
from shared.testing.push_service import PushService
from shared.testing.twilio_service import TwilioService


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> SecretFiles:
    return SecretFiles(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="session")
def keys(secrets: SecretFiles) -> dict[str, Any]:
    """Each service's own private key, and everybody's public keys."""
    return dict(secrets.internal_keys(SERVICES))


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


@pytest.fixture
async def town(
    local_store: LocalStore,
    keys: dict[str, Any],
    secrets: SecretFiles,
    push: PushService,
    more_settings: dict[str, Any],
) -> AsyncIterator[Town]:
    """The wired service on an empty database, its clock at noon; it may push to the push service above only."""
    app = create_app(
        Settings(
            service="notify",
            environment="development",
            mongo_url=local_store.url,
            mongo_database=f"t{new_id()[:12]}",
            internal_keys_file=keys["notify"],
            vapid_key_file=secrets.push_key(),
            egress_allowed_origin=push.origin,
            kafka_user="notify",
            **more_settings,
        )
    )
    runtime = app.state.runtime
    runtime.clock.move_to(NOON)
    for begin in runtime.on_start:
        await begin()
    tokens = InternalTokens(Settings(service="gateway", internal_keys_file=keys["gateway"]))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://notify") as http:
        found = Town(app, http, tokens)
        await found.families.ensure_indexes()
        await found.pregnancies.ensure_indexes()
        push.application_server_key = found.notices.pusher.public_key()
        yield found
    for finish in runtime.on_stop:
        await finish()
    await runtime.calls.close()
    await runtime.store.close()
