"""Each service called directly: with no token, a forged one, one for another service or from another service, it refuses (security.md)."""

import json
import time
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from deploy.local.store import LocalStore
from shared.auth import InternalTokens, Principal
from shared.ids import new_id
from shared.settings import Settings

SERVICES = ("records", "schedule", "questionnaire", "notify")
EVERYBODY = (*SERVICES, "gateway")
NURSE = Principal("nurse-1", "staff", None, "139912", "public_health_nurse")
KEYS = {name: ECKey.generate_key("P-256", {"kid": name}, private=True) for name in EVERYBODY}
STRANGER = ECKey.generate_key("P-256", {"kid": "gateway"}, private=True)


def settings(service: str, folder: Path, url: str = "mongodb://127.0.0.1:1") -> Settings:
    """One service with its own private key and everybody's public keys."""
    file = folder / f"{service}.json"
    public = {name: key.as_dict(private=False) for name, key in KEYS.items()}
    file.write_text(json.dumps({"private": KEYS[service].as_dict(private=True), "public": public}))
    return Settings(
        service=service,
        environment="development",
        internal_keys_file=file,
        mongo_url=url,
        mongo_database=f"t{new_id()[:12]}",
    )


def signed(service: str, key: ECKey = KEYS["gateway"], header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token as the gateway signs it for this service, with something changed."""
    now = int(time.time())
    body = {"iss": "gateway", "aud": service, "iat": now, "exp": now + 60, "scope": "act", **NURSE.claims(), **claims}
    return jwt.encode({"alg": "ES256", "typ": "hagukumi+jwt", "kid": "gateway", **(header or {})}, body, key)


ATTACKS: dict[str, Callable[[str], str | None]] = {
    "no token": lambda _: None,
    "an empty token": lambda _: "",
    "nonsense": lambda _: "a.b.c",
    "signed by a stranger": lambda s: signed(s, STRANGER),
    "signed by another service in the gateway's name": lambda s: signed(s, KEYS["records"]),
    "signed by another service in its own name": lambda s: signed(
        s, KEYS["records"], {"kid": "records"}, iss="records"
    ),
    "for another service": lambda _: signed("gateway"),
    "for everybody": lambda s: signed(s, aud=list(EVERYBODY)),
    "to heal, not to act": lambda s: signed(s, scope="heal"),
    "expired": lambda s: signed(s, iat=int(time.time()) - 200, exp=int(time.time()) - 140),
    "from the future": lambda s: signed(s, iat=int(time.time()) + 100, exp=int(time.time()) + 160),
    "valid for an hour": lambda s: signed(s, exp=int(time.time()) + 3_600),
    "without an end": lambda s: signed(s, exp=None),
    "of another type": lambda s: signed(s, header={"typ": "at+jwt"}),
    "of no role": lambda s: signed(s, role="root"),
    "of two roles": lambda s: signed(s, role=["staff", "operator"]),
    "of a subject that is an operator": lambda s: signed(s, sub={"$ne": ""}),
}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Each service behind the gateway."""
    return str(request.param)


@pytest.fixture
async def called(service: str, tmp_path: Path, local_store: LocalStore) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """The service's real app, called without a gateway."""
    app = import_module(f"services.{service}.app").create_app(settings(service, tmp_path, local_store.url))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{service}") as client:
        yield client, app
    await app.state.runtime.store.close()


def operations(app: Any) -> list[tuple[str, str]]:
    """Every operation that the app has."""
    return [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, found in app.openapi()["paths"].items()
        for method in found
    ]


async def test_no_operation_answers_a_call_that_the_gateway_did_not_sign(
    service: str, called: tuple[httpx.AsyncClient, Any]
) -> None:
    client, app = called
    asked = operations(app)
    assert len(asked) >= 5
    wrong = []
    for name, attack in ATTACKS.items():
        token = attack(service)
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        for method, path in asked:
            answer = await client.request(method, path, content=b"{}", headers={**headers, "Idempotency-Key": "k"})
            if answer.status_code != 401:
                wrong.append(f"{name}: {method} {path} answered {answer.status_code}")
    assert wrong == []


async def test_the_gateways_own_signature_is_accepted(service: str, called: tuple[httpx.AsyncClient, Any]) -> None:
    """Otherwise the test above would pass on a service that refuses everybody."""
    client, app = called
    headers = {"Authorization": f"Bearer {signed(service)}"}
    told = {(await client.request(method, path, headers=headers)).status_code for method, path in operations(app)[:6]}
    assert 401 not in told


async def test_the_archive_opens_for_healing_only(
    service: str, called: tuple[httpx.AsyncClient, Any], tmp_path: Path
) -> None:
    client, _ = called
    asked = "/internal/events?stream=records.child&subject=x"
    for name, attack in ATTACKS.items():
        token = signed(service) if name == "to heal, not to act" else attack(service)
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        if name.startswith("of "):
            continue  # a healing service acts for nobody
        if name == "signed by another service in its own name":
            continue  # it may heal: below
        assert (await client.get(asked, headers=headers)).status_code == 401, name
    healing = InternalTokens(settings("schedule", tmp_path)).sign(service, "heal")
    answer = await client.get(asked, headers={"Authorization": f"Bearer {healing}"})
    assert (answer.status_code, answer.json()["events"]) == (200, [])
