"""Internal tokens: short-lived, for one audience, signed by who they say; everything else is 401 (security S4)."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from deploy.local.secret_files import SecretFiles
from shared.auth import INTERNAL_TTL_S, LEEWAY_S, InternalTokens, Principal, bearer
from shared.problems import Unauthenticated
from shared.settings import Settings

NURSE = Principal("nurse-1", "staff", municipality="139912", profession="public_health_nurse")


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, InternalTokens]:
    """The signer of each service, as on a platform."""
    files = SecretFiles(tmp_path).internal_keys(("gateway", "records", "schedule"))
    return {
        name: InternalTokens(Settings(service=name, environment="development", internal_keys_file=file))
        for name, file in files.items()
    }


def keys_of(tmp_path: Path, service: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "secrets" / f"internal-keys-{service}.json").read_text())
    return found


def test_the_gateway_acts_for_a_principal_at_one_owner(tokens: dict[str, InternalTokens]) -> None:
    claims = tokens["records"].verify(tokens["gateway"].sign("records", "act", NURSE), "act")
    assert Principal.from_claims(claims) == NURSE


def test_a_token_that_was_good_is_refused_once_it_has_expired(
    tokens: dict[str, InternalTokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tokens["gateway"].sign("records", "act", NURSE)
    assert tokens["records"].verify(token, "act") == tokens["records"].verify(token, "act")
    later = time.time() + INTERNAL_TTL_S + LEEWAY_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(token, "act")


def test_a_token_that_may_act_is_not_remembered_as_one_that_heals(tokens: dict[str, InternalTokens]) -> None:
    token = tokens["gateway"].sign("records", "act", NURSE)
    tokens["records"].verify(token, "act")
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(token, "heal")


def test_another_audience_refuses(tokens: dict[str, InternalTokens]) -> None:
    with pytest.raises(Unauthenticated):
        tokens["schedule"].verify(tokens["gateway"].sign("records", "act", NURSE), "act")


def test_only_the_gateway_acts_for_principals_and_anyone_may_heal(tokens: dict[str, InternalTokens]) -> None:
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(tokens["schedule"].sign("records", "act", NURSE), "act")
    assert tokens["records"].verify(tokens["schedule"].sign("records", "heal"), "heal")["iss"] == "schedule"


def test_a_token_to_heal_does_not_act(tokens: dict[str, InternalTokens]) -> None:
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(tokens["gateway"].sign("records", "heal"), "act")


def claims_of(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {
        "iss": "gateway",
        "aud": "records",
        "iat": now,
        "exp": now + 60,
        "scope": "act",
        "sub": "n",
        "role": "staff",
    }
    return {key: value for key, value in {**found, **changed}.items() if value is not None}


HEADER = {"alg": "ES256", "typ": "hagukumi+jwt", "kid": "gateway"}


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        pytest.param({}, {"exp": int(time.time()) - 60}, id="expired"),
        pytest.param({}, {"iat": int(time.time()) + 3_600, "exp": int(time.time()) + 3_660}, id="from the future"),
        pytest.param({}, {"exp": int(time.time()) + 86_400}, id="lives too long"),
        pytest.param({}, {"exp": None}, id="never expires"),
        pytest.param({}, {"exp": "tomorrow"}, id="expiry of a wrong type"),
        pytest.param({}, {"aud": ["records", "schedule"]}, id="many audiences"),
        pytest.param({}, {"iss": "records"}, id="issuer is not who signed"),
        pytest.param({}, {"scope": "everything"}, id="unknown scope"),
        pytest.param({"typ": "at+jwt"}, {}, id="a token of another type"),
        pytest.param({"kid": "records"}, {}, id="kid of another key"),
        pytest.param({"kid": "../../gateway"}, {}, id="kid with a path"),
    ],
)
def test_forged_claims_and_headers_refuse(
    tokens: dict[str, InternalTokens], tmp_path: Path, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    private = ECKey.import_key(keys_of(tmp_path, "gateway")["private"])
    good = jwt.encode(HEADER, claims_of(), private)
    assert tokens["records"].verify(good, "act")["sub"] == "n"
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(jwt.encode({**HEADER, **header}, claims_of(**claims), private), "act")


def test_a_foreign_key_refuses(tokens: dict[str, InternalTokens]) -> None:
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(jwt.encode(HEADER, claims_of(), ECKey.generate_key("P-256")), "act")


def test_the_public_key_is_not_a_shared_secret(tokens: dict[str, InternalTokens], tmp_path: Path) -> None:
    public = json.dumps(keys_of(tmp_path, "records")["public"]["gateway"])
    confused = jwt.encode({**HEADER, "alg": "HS256"}, claims_of(), OctKey.import_key(public), algorithms=["HS256"])
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(confused, "act")


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        f"{_part({**HEADER, 'alg': 'none'})}.{_part(claims_of())}.",
        f"{_part(['a list'])}.{_part(claims_of())}.c2ln",
        f"{_part({**HEADER, 'kid': 7})}.{_part(claims_of())}.c2ln",
        "not a token",
        "....",
        "\u00e9.\u00e9.\u00e9",
        "a" * 1_000_000,
        "",
    ],
)
def test_what_is_no_token_refuses(tokens: dict[str, InternalTokens], token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens["records"].verify(token, "act")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer a b"])
def test_an_authorization_header_without_a_token_refuses(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        bearer(header)


@pytest.mark.parametrize(
    "claims", [{}, {"sub": 7, "role": "staff"}, {"sub": "a", "role": "root"}, {"sub": "a", "role": "staff", "mun": 1}]
)
def test_claims_of_wrong_types_make_no_principal(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        Principal.from_claims(claims)
