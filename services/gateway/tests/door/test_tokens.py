"""Forged, stolen and broken access tokens (S4): 401, no handler ran, nothing was kept."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import ValidationError

from services.gateway.app import create_app
from services.gateway.commands.access_tokens import AccessTokens
from services.gateway.domain.routes import RoutesAndPolicyDiffer, Table
from services.gateway.tests.door.world import CHILD, PEOPLE, World
from shared.auth import LEEWAY_S, InternalTokens
from shared.problems import Unauthenticated
from shared.settings import Settings

Json = dict[str, Any]
STRANGER = ECKey.generate_key("P-256", {"kid": "issuer"}, private=True)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forge:
    """What an attacker has: the public key, other keys, a good token; and our own key, to sign what we never would."""

    def __init__(self, settings: Settings) -> None:
        assert settings.issuer_key_file is not None
        self.key = ECKey.import_key(json.loads(settings.issuer_key_file.read_text()))
        self.public = self.key.as_dict(private=False)
        self.settings = settings
        now = int(time.time())
        self.header: Json = {"alg": "ES256", "typ": "at+jwt", "kid": "issuer"}
        self.claims: Json = {
            "iss": settings.issuer,
            "aud": "hagukumi",
            "sub": "mother-1",
            "role": "guardian",
            "iat": now,
            "exp": now + 600,
        }

    def sign(self, header: Json | None = None, key: ECKey | None = None, **claims: Any) -> str:
        wanted = {name: value for name, value in {**self.claims, **claims}.items() if value is not ...}
        body = f"{part(header or self.header)}.{part(wanted)}"
        signer: Any = (key or self.key).get_op_key("sign")
        r, s = decode_dss_signature(signer.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{body}.{part(r.to_bytes(32) + s.to_bytes(32))}"

    def unsigned(self, header: Json, signature: str = "") -> str:
        return f"{part(header)}.{part(self.claims)}.{signature}"

    def swapped(self) -> str:
        good, other = self.sign().split("."), self.sign(sub="mother-2").split(".")
        return ".".join((good[0], other[1], good[2]))

    def hmac_with_public_key(self) -> str:
        body = self.unsigned({**self.header, "alg": "HS256"}).rstrip(".")
        mac = hmac.new(json.dumps(self.public).encode(), body.encode(), hashlib.sha256).digest()
        return f"{body}.{part(mac)}"


ATTACKS: dict[str, Callable[[Forge], str]] = {
    "algorithm none": lambda f: f.unsigned({**f.header, "alg": "none"}),
    "algorithm None, with a signature": lambda f: f.unsigned({**f.header, "alg": "None"}, "e30"),
    "algorithm missing": lambda f: f.unsigned({"typ": "at+jwt", "kid": "issuer"}, "e30"),
    "the public key as an HMAC secret": lambda f: f.hmac_with_public_key(),
    "a stranger's key under our kid": lambda f: f.sign(key=STRANGER),
    "an unknown kid": lambda f: f.sign({**f.header, "kid": "other"}),
    "a kid that is a path": lambda f: f.sign({**f.header, "kid": "../../dev/null"}),
    "a kid that is an operator": lambda f: f.unsigned({**f.header, "kid": {"$ne": ""}}, "e30"),
    "no kid": lambda f: f.sign({"alg": "ES256", "typ": "at+jwt"}),
    "jku": lambda f: f.sign({**f.header, "jku": "https://evil.example/keys"}),
    "x5u": lambda f: f.sign({**f.header, "x5u": "https://evil.example/cert"}),
    "the stranger's own key in the header": lambda f: f.sign(
        {**f.header, "jwk": STRANGER.as_dict(private=False)}, STRANGER
    ),
    "crit": lambda f: f.sign({**f.header, "crit": ["exp"]}),
    "expired": lambda f: f.sign(iat=int(time.time()) - 700, exp=int(time.time()) - 100),
    "from the future": lambda f: f.sign(iat=int(time.time()) + 100, exp=int(time.time()) + 600),
    "not valid yet": lambda f: f.sign(nbf=int(time.time()) + 100),
    "valid for a day": lambda f: f.sign(exp=int(time.time()) + 86_400),
    "no expiry": lambda f: f.sign(exp=...),
    "expiry as text": lambda f: f.sign(exp=str(int(time.time()) + 600)),
    "expiry as true": lambda f: f.sign(exp=True),
    "expiry as infinity": lambda f: f.sign(exp=1e400),
    "another issuer": lambda f: f.sign(iss="https://evil.example"),
    "no issuer": lambda f: f.sign(iss=...),
    "another audience": lambda f: f.sign(aud="records"),
    "several audiences": lambda f: f.sign(aud=["hagukumi", "records"]),
    "an ID token": lambda f: f.sign({**f.header, "typ": "JWT"}),
    "no type": lambda f: f.sign({"alg": "ES256", "kid": "issuer"}),
    "no subject": lambda f: f.sign(sub=...),
    "an empty subject": lambda f: f.sign(sub=""),
    "a subject that is an operator": lambda f: f.sign(sub={"$gt": ""}),
    "an endless subject": lambda f: f.sign(sub="m" * 200),
    "an unknown role": lambda f: f.sign(role="admin"),
    "two roles": lambda f: f.sign(role=["guardian", "operator"]),
    "a clinic of no organisation": lambda f: f.sign(role="clinic"),
    "staff of no municipality": lambda f: f.sign(role="staff"),
    "a municipality that is a list": lambda f: f.sign(role="staff", mun=["139912", "139921"]),
    "one megabyte": lambda f: f.sign(note="x" * 1_000_000),
    "another's name under a good signature": lambda f: f.swapped(),
    "a cut signature": lambda f: f.sign()[:-4],
    "an internal token": lambda f: InternalTokens(f.settings).sign("gateway", "act", PEOPLE["mother"]),
    "no token at all": lambda _: "x",
    "five parts": lambda f: f.sign() + ".a.b",
    "not ASCII": lambda f: f.sign().replace("e", "\u00e9", 1),
}


@pytest.fixture
def forge(settings: Settings) -> Forge:
    return Forge(settings)


async def test_our_own_token_is_accepted(world: World, forge: Forge) -> None:
    answer = await world.http.get(f"/v1/children/{CHILD}", headers={"Authorization": f"Bearer {forge.sign()}"})
    assert answer.status_code == 200


async def test_no_attack_gets_past_the_door(world: World, forge: Forge) -> None:
    rows = len(await world.audit())
    wrong = {}
    for name, attack in ATTACKS.items():
        token = attack(forge).encode()
        for path in (f"/v1/children/{CHILD}", "/v1/forms"):
            answer = await world.http.get(path, headers={b"Authorization": b"Bearer " + token})
            if answer.status_code != 401 or answer.headers["WWW-Authenticate"] != "Bearer":
                wrong[name] = answer.status_code
    assert wrong == {}
    assert world.owners.calls == []
    assert len(await world.audit()) == rows


@pytest.mark.parametrize("scheme", ["", "Basic dXNlcjpwYXNz", "Bearer", "bearer  ", "Token abc", "Bearer a b"])
async def test_other_schemes_are_no_login(world: World, scheme: str) -> None:
    answer = await world.http.get("/v1/forms", headers={"Authorization": scheme})
    assert answer.status_code == 401


async def test_two_logins_at_once_are_none(world: World, forge: Forge) -> None:
    headers = [("Authorization", f"Bearer {forge.sign()}"), ("Authorization", f"Bearer {forge.sign(sub='mother-2')}")]
    answer = await world.http.get(f"/v1/children/{CHILD}", headers=headers)
    assert answer.status_code == 400


# The development issuer ---------------------------------------------------------------------------------------------


async def test_the_development_issuer_hands_out_what_the_door_accepts(world: World) -> None:
    wish = {"subject": "mother-1", "role": "guardian"}
    given = (await world.ask(None, "POST", "/dev/token", wish)).json()
    assert given["token_type"] == "Bearer"
    assert given["expires_in"] == 600
    answer = await world.http.get(f"/v1/children/{CHILD}", headers={"Authorization": f"Bearer {given['access_token']}"})
    assert answer.status_code == 200
    keys = (await world.http.get("/.well-known/jwks.json")).json()["keys"]
    claims = jwt.decode(given["access_token"], ECKey.import_key(keys[0]), algorithms=["ES256"]).claims
    assert claims["aud"] == "hagukumi"
    assert claims["exp"] - claims["iat"] <= 600
    assert all("d" not in key for key in keys)


@pytest.mark.parametrize(
    ("wish", "place"),
    [
        ({"subject": "d", "role": "clinic"}, "/organisation"),
        ({"subject": "d", "role": "staff"}, "/municipality"),
        ({"subject": "d", "role": "staff", "municipality": "139913"}, "/municipality"),
        ({"subject": "d", "role": "root"}, "/role"),
        ({"subject": "a b", "role": "guardian"}, "/subject"),
        ({"subject": "d", "role": "guardian", "admin": True}, "/admin"),
        ({"role": "guardian"}, "/subject"),
    ],
)
async def test_the_issuer_names_what_is_wrong(world: World, wish: Json, place: str) -> None:
    answer = await world.ask(None, "POST", "/dev/token", wish)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [place]


def test_production_does_not_start_with_an_issuer(settings: Settings) -> None:
    with pytest.raises(ValidationError, match="ISSUER_KEY_FILE"):
        Settings(service="gateway", environment="production", issuer_key_file=settings.issuer_key_file)


async def test_production_has_no_development_routes(settings: Settings, tmp_path: Path) -> None:
    keys = tmp_path / "trusted.json"
    keys.write_text(json.dumps(AccessTokens(settings).jwks()))
    production = Settings(
        service="gateway",
        environment="production",
        mongo_url=settings.mongo_url,
        mongo_database=settings.mongo_database,
        internal_keys_file=settings.internal_keys_file,
        issuer_keys_file=keys,
    )
    create_app(production)
    table = Table(development=False)
    assert table.find("POST", "/dev/token") == set()
    assert table.find("PUT", "/dev/clock") == set()
    tokens = AccessTokens(production)
    assert not tokens.issues
    assert tokens.verify(AccessTokens(settings).issue(PEOPLE["mother"])[0]).principal == PEOPLE["mother"]  # type: ignore[arg-type]


# No route without a policy --------------------------------------------------------------------------------------


def test_a_route_without_a_row_stops_the_start() -> None:
    table = Table(development=True)
    routes = [(row.method, row.path) for row in table.rows]
    actions = {row.action for row in table.rows}
    table.check(routes, actions)
    with pytest.raises(RoutesAndPolicyDiffer, match="GET /v1/secret has no row"):
        table.check([*routes, ("GET", "/v1/secret")], actions)
    with pytest.raises(RoutesAndPolicyDiffer, match="has no route"):
        table.check(routes[1:], actions)
    with pytest.raises(RoutesAndPolicyDiffer, match="no policy knows the action readChild"):
        table.check(routes, actions - {"readChild"})


def test_a_token_that_was_good_is_refused_once_it_has_expired(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = AccessTokens(settings)
    token, lifetime = tokens.issue(PEOPLE["mother"])  # type: ignore[arg-type]
    assert tokens.verify(token) == tokens.verify(token)
    later = time.time() + lifetime + LEEWAY_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated):
        tokens.verify(token)
