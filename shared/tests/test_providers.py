"""The simulated providers refuse what the real ones refuse: a stub that takes everything would prove nothing."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from shared.testing.apns_service import KEY_ID, TEAM_ID, TOPIC, ApnsService
from shared.testing.fcm_service import AUDIENCE, EMAIL, PROJECT, SCOPE, FcmService
from shared.testing.line_service import LineService

TOKEN = "d" * 30
DEVICE = "ab" * 32
PERSON = "U" + "0a" * 16


@pytest.fixture
async def fcm() -> AsyncIterator[FcmService]:
    async with FcmService() as service:
        yield service


@pytest.fixture
async def apns() -> AsyncIterator[ApnsService]:
    async with ApnsService() as service:
        yield service


@pytest.fixture
async def line() -> AsyncIterator[LineService]:
    async with LineService() as service:
        yield service


# FCM --------------------------------------------------------------------------------------------------------------


async def grant(fcm: FcmService, folder: Path, **changes: Any) -> httpx.Response:
    """Ask for an access token with an assertion in which these claims are otherwise."""
    account = json.loads(fcm.credentials(folder).read_text())
    now = int(time.time())
    claims = {"iss": EMAIL, "scope": SCOPE, "aud": AUDIENCE, "iat": now, "exp": now + 3_600} | changes
    assertion = jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(account["private_key"]))
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    async with httpx.AsyncClient() as http:
        return await http.post(f"{fcm.origin}/token", data=form)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody@else.example"},
        {"aud": "https://example.com/token"},
        {"scope": "https://www.googleapis.com/auth/drive"},
        {"exp": 1},
        {"exp": int(time.time()) + 7_200},
        {"iat": int(time.time()) + 3_000},
    ],
)
async def test_a_wrong_assertion_gets_no_access_token(fcm: FcmService, tmp_path: Path, changes: dict[str, Any]) -> None:
    answer = await grant(fcm, tmp_path, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_another_grant_or_another_key_gets_none(fcm: FcmService, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as http:
        other = await http.post(f"{fcm.origin}/token", data={"grant_type": "client_credentials"})
        stranger = jwt.encode({"alg": "RS256"}, {"iss": EMAIL}, RSAKey.generate_key(2048))
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": stranger}
        forged = await http.post(f"{fcm.origin}/token", content=urlencode(form), headers={"content-type": "text/plain"})
    assert (other.json()["error"], forged.json()["error"]) == ("unsupported_grant_type", "invalid_request")


MESSAGE: dict[str, Any] = {"token": TOKEN, "notification": {"title": "t"}, "data": {"item": "i"}}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {**MESSAGE, "token": "短い"},
        {**MESSAGE, "topic": "all"},
        {**MESSAGE, "data": {"item": 7}},
        {**MESSAGE, "data": {"from": "x"}},
        {**MESSAGE, "data": {"google.x": "x"}},
        {**MESSAGE, "unknown": True},
        {**MESSAGE, "android": {"priority": "high"}},
        {**MESSAGE, "android": {"ttl": 3600}},
        {**MESSAGE, "android": {"ttl": "9999999s"}},
        {**MESSAGE, "data": {"item": "x" * 4_096}},
    ],
)
async def test_fcm_takes_no_message_that_breaks_its_schema(
    fcm: FcmService, tmp_path: Path, message: dict[str, Any]
) -> None:
    token = (await grant(fcm, tmp_path)).json()["access_token"]
    url = f"{fcm.origin}/v1/projects/{PROJECT}/messages:send"
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http:
        assert (await http.post(url, json={"message": MESSAGE})).status_code == 200
        refused = await http.post(url, json={"message": message})
        assert (await http.post(url, json={"message": MESSAGE}, headers={"authorization": ""})).status_code == 401
    assert refused.status_code == 400
    assert refused.json()["error"]["details"][0]["errorCode"] == "INVALID_ARGUMENT"
    assert len(fcm.delivered) == 1


# APNs -------------------------------------------------------------------------------------------------------------


def provider_token(apns: ApnsService, folder: Path, *, key_id: str = KEY_ID, team: str = TEAM_ID, age: int = 0) -> str:
    key = ECKey.import_key(apns.key_file(folder).read_text())
    return jwt.encode({"alg": "ES256", "kid": key_id}, {"iss": team, "iat": int(time.time()) - age}, key)


async def notify(
    apns: ApnsService, token: str, device: str = DEVICE, body: bytes = b'{"aps":{}}', **changes: str
) -> httpx.Response:
    headers = {"authorization": f"bearer {token}", "apns-topic": TOPIC, "apns-push-type": "alert"}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    async with httpx.AsyncClient(http1=False, http2=True) as http:
        return await http.post(f"{apns.origin}/3/device/{device}", content=body, headers=headers)


async def test_apns_takes_a_right_request_over_http_2_only(apns: ApnsService, tmp_path: Path) -> None:
    token = provider_token(apns, tmp_path)
    answer = await notify(apns, token)
    assert (answer.status_code, answer.http_version, len(answer.headers["apns-id"])) == (200, "HTTP/2", 36)
    async with httpx.AsyncClient() as http:
        assert (await http.post(f"{apns.origin}/3/device/{DEVICE}")).status_code == 505


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"apns_topic": ""}, "MissingTopic"),
        ({"apns_topic": "com.example.other"}, "TopicDisallowed"),
        ({"apns_push_type": "loud"}, "InvalidPushType"),
        ({"apns_priority": "11"}, "BadPriority"),
        ({"apns_expiration": "soon"}, "BadExpirationDate"),
        ({"apns_id": "7"}, "BadMessageId"),
        ({"apns_collapse_id": "x" * 65}, "BadCollapseId"),
        ({"device": "xyz"}, "BadDeviceToken"),
        ({"authorization": "bearer a.b.c"}, "InvalidProviderToken"),
        ({"authorization": "basic x"}, "MissingProviderToken"),
    ],
)
async def test_apns_names_the_broken_rule(
    apns: ApnsService, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    answer = await notify(apns, provider_token(apns, tmp_path), **changes)
    assert answer.json() == {"reason": reason}


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "PayloadEmpty"), (b"{}", "PayloadEmpty"), (b'{"aps":{"x":"' + b"x" * 4_096 + b'"}}', "PayloadTooLarge")],
)
async def test_apns_looks_at_the_payload(apns: ApnsService, tmp_path: Path, body: bytes, reason: str) -> None:
    assert (await notify(apns, provider_token(apns, tmp_path), body=body)).json() == {"reason": reason}


async def test_apns_looks_at_the_provider_token(apns: ApnsService, tmp_path: Path) -> None:
    made = [
        provider_token(apns, tmp_path, key_id="OTHER"),
        provider_token(apns, tmp_path, team="OTHER"),
        provider_token(apns, tmp_path, age=3_700),
    ]
    reasons = [(await notify(apns, token)).json()["reason"] for token in made]
    assert reasons == ["InvalidProviderToken", "InvalidProviderToken", "ExpiredProviderToken"]
    fresh = [(await notify(apns, provider_token(apns, tmp_path, age=age))).status_code for age in (1, 2, 3)]
    assert fresh == [200, 200, 429]


# LINE -------------------------------------------------------------------------------------------------------------

TEXT = {"type": "text", "text": "お知らせ"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"to": PERSON, "messages": [TEXT]}, 200),
        ({"to": "mother", "messages": [TEXT]}, 400),
        ({"to": PERSON, "messages": []}, 400),
        ({"to": PERSON, "messages": [TEXT] * 6}, 400),
        ({"to": PERSON, "messages": [{"type": "text", "text": ""}]}, 400),
        ({"to": PERSON, "messages": [{"type": "text", "text": "x" * 5_001}]}, 400),
        ({"to": PERSON, "messages": [TEXT], "unknown": 1}, 400),
    ],
)
async def test_line_takes_no_body_that_breaks_its_schema(
    line: LineService, tmp_path: Path, body: dict[str, Any], status: int
) -> None:
    headers = {"authorization": f"Bearer {line.token_file(tmp_path).read_text()}"}
    async with httpx.AsyncClient(base_url=line.origin) as http:
        assert (await http.post("/v2/bot/message/push", json=body, headers=headers)).status_code == status
        assert (await http.post("/v2/bot/message/push", json=body)).status_code == 401


async def test_line_accepts_a_retry_key_once(line: LineService, tmp_path: Path) -> None:
    headers = {
        "authorization": f"Bearer {line.token_file(tmp_path).read_text()}",
        "x-line-retry-key": "123e4567-e89b-12d3-a456-426614174000",
    }
    body = {"to": PERSON, "messages": [TEXT]}
    async with httpx.AsyncClient(base_url=line.origin) as http:
        first = await http.post("/v2/bot/message/push", json=body, headers=headers)
        second = await http.post("/v2/bot/message/push", json=body, headers=headers)
        wrong = await http.post("/v2/bot/message/push", json=body, headers={**headers, "x-line-retry-key": "7"})
    assert (first.status_code, second.status_code, wrong.status_code) == (200, 409, 400)
    assert second.headers["x-line-accepted-request-id"] == first.headers["x-line-request-id"]
    assert len(line.delivered) == 1
