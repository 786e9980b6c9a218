"""The recording push service finds what an application server does wrong: a simulator that accepts everything proves nothing."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import http_ece
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey
from py_vapid import Vapid02

from shared.testing.push_service import Answer, PushService, Receiver

KEY = Vapid02()
KEY.generate_keys()


@pytest.fixture
async def push() -> AsyncIterator[PushService]:
    async with PushService() as service:
        yield service


def good(push: PushService, browser: Receiver, **claims: Any) -> tuple[bytes, dict[str, str]]:
    """A push that follows the RFCs; `claims` change the token's."""
    keys = browser.subscription()["keys"]
    body: bytes = http_ece.encrypt(
        b"hello",
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=_raw(keys["p256dh"]),
        auth_secret=_raw(keys["auth"]),
        version="aes128gcm",
    )
    told = {"aud": push.origin, "exp": int(time.time()) + 3600, "sub": "mailto:push@hagukumi.example", **claims}
    headers = dict(KEY.sign(told)) | {"TTL": "60", "Content-Encoding": "aes128gcm"}
    return body, headers


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def sends(push: PushService, body: bytes, headers: dict[str, str], path: str = "/push/phone") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{push.origin}{path}", content=body, headers=headers)


async def test_a_good_push_is_accepted_recorded_and_can_be_read_by_its_browser(push: PushService) -> None:
    browser = Receiver(push, "phone")
    answer = await sends(push, *good(push, browser))
    assert answer.status_code == 201
    assert answer.headers["location"].startswith(f"{push.origin}/messages/")
    [request] = push.requests
    assert request.problem is None
    assert browser.decrypt(request.body) == "hello"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"TTL": None}, 400),
        ({"TTL": "soon"}, 400),
        ({"Urgency": "emergency"}, 400),
        ({"Topic": "x" * 33}, 400),
        ({"Content-Encoding": "aesgcm"}, 400),
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer abc"}, 403),
        ({"Authorization": "vapid t=abc"}, 403),
        ({"Authorization": "vapid t=a.b.c, k=BAAA"}, 403),
    ],
)
async def test_wrong_headers(push: PushService, headers: dict[str, str | None], status: int) -> None:
    body, sent = good(push, Receiver(push, "phone"))
    changed = {name: value for name, value in {**sent, **headers}.items() if value is not None}
    assert (await sends(push, body, changed)).status_code == status
    assert push.requests[0].problem


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://fcm.googleapis.com"},
        {"exp": int(time.time()) - 5},
        {"exp": int(time.time()) + 90_000},
    ],
)
async def test_wrong_claims(push: PushService, claims: dict[str, Any]) -> None:
    """RFC 8292 section 2: audience is the push service's origin, at most 24 hours."""
    body, headers = good(push, Receiver(push, "phone"))
    pushed = {"aud": push.origin, "exp": int(time.time()) + 3600, "sub": "mailto:a@hagukumi.example", **claims}
    headers |= dict(KEY.sign(pushed)) if claims.get("exp", 1e12) > time.time() else _unchecked(pushed)
    assert (await sends(push, body, headers)).status_code == 403


def _unchecked(claims: dict[str, Any]) -> dict[str, str]:
    """py_vapid puts a past expiry right by itself: sign it as it is."""
    pem = KEY.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, ECKey.import_key(pem))
    return {"Authorization": f"vapid t={token},k={_public()}"}


def _public() -> str:
    return str(KEY.sign({"aud": "https://a.example", "sub": "mailto:a@hagukumi.example"})["Authorization"]).split("k=")[
        1
    ]


async def test_a_key_that_the_subscription_was_not_made_with(push: PushService) -> None:
    """RFC 8292 section 4."""
    other = Vapid02()
    other.generate_keys()
    browser = Receiver(push, "phone")
    push.application_server_key = str(
        other.sign({"aud": push.origin, "sub": "mailto:a@hagukumi.example"})["Authorization"]
    ).split("k=")[1]
    assert (await sends(push, *good(push, browser))).status_code == 403
    push.application_server_key = _public()
    assert (await sends(push, *good(push, browser))).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"x" * 50, 400),
        (b"\0" * 200, 400),
        (b"\0" * 18 + b"\x10\0" + bytes([65]) + b"\x02" + b"\0" * 200, 400),
        (b"x" * 4097, 413),
    ],
)
async def test_wrong_bodies(push: PushService, body: bytes, status: int) -> None:
    """RFC 8188 section 2.1, RFC 8291 section 4, RFC 8030 section 7.2."""
    _, headers = good(push, Receiver(push, "phone"))
    assert (await sends(push, body, headers)).status_code == status


async def test_it_answers_as_it_is_told_and_as_often(push: PushService) -> None:
    browser = Receiver(push, "phone")
    push.answers[browser.path] = Answer(429, retry_after=7, times=1)
    first = await sends(push, *good(push, browser))
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert (await sends(push, *good(push, browser))).status_code == 201
    for status in (404, 410, 413, 500, 503):
        push.answers[browser.path] = Answer(status)
        assert (await sends(push, *good(push, browser))).status_code == status


def test_the_example_of_rfc_8291() -> None:
    """Section 5: what the browser has to read is in the standard, not in what we send."""
    private = int.from_bytes(_raw("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big")
    browser = Receiver(
        PushService(),
        "phone",
        _private=ec.derive_private_key(private, ec.SECP256R1()),
        _auth=_raw("BTBZMqHH6r4Tts7J_aSIgg"),
    )
    body = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert browser.decrypt(_raw(body)) == "When I grow up, I want to be a watermelon"


async def test_a_message_in_several_records(push: PushService) -> None:
    """RFC 8291 section 4: one record, so that a simple browser can read it."""
    browser = Receiver(push, "phone")
    _, headers = good(push, browser)
    keys = browser.subscription()["keys"]
    body: bytes = http_ece.encrypt(
        b"x" * 300,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=_raw(keys["p256dh"]),
        auth_secret=_raw(keys["auth"]),
        rs=128,
        version="aes128gcm",
    )
    assert (await sends(push, body, headers)).status_code == 400
    assert push.requests[0].problem == "the record size is too small for one record"


async def test_a_silent_service_can_be_closed() -> None:
    async with asyncio.timeout(10):
        async with PushService() as service:
            browser = Receiver(service, "phone")
            service.answers[browser.path] = Answer(201, after=60)
            waiting = asyncio.create_task(sends(service, *good(service, browser)))
            while not service.requests:
                await asyncio.sleep(0.01)
        assert (await waiting).status_code == 201
