"""A recording push service, written from RFC 8030 (protocol), RFC 8291 (encryption) and RFC 8292 (VAPID).

It checks what those ask of an application server and answers as they say: 201 with a Location (RFC 8030 section 5), 400 for a
malformed request, a missing TTL (section 5.2), an unknown Urgency (5.3) or a Topic that is none (5.4), 401 without and 403 with unusable VAPID credentials (RFC 8292 section 4.2), 404 and
410 for a subscription that is gone (RFC 8030 section 7.3), 413 beyond 4,096 bytes (section 7.2), 429 with Retry-After (section 8.4).
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import http_ece
import uvicorn
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MAX_BODY = 4_096
URGENCIES = frozenset({"very-low", "low", "normal", "high"})
DAY_S = 86_400


@dataclass(slots=True)
class PushRequest:
    """One push as it arrived; `problem` is what the service found wrong with it."""

    path: str
    headers: dict[str, str]
    body: bytes
    problem: str | None
    status: int


@dataclass(slots=True)
class Answer:
    """An answer to give for a path instead of 201, `times` often, then 201 again; after `after` seconds of silence, or once
    somebody sets `speak`."""

    status: int
    retry_after: int | None = None
    after: float = 0.0
    times: int | None = None
    speak: asyncio.Event | None = None


class PushService:
    """The service; an async context manager that listens on loopback."""

    def __init__(self, origin: str | None = None, application_server_key: str | None = None) -> None:
        port = urlsplit(origin).port if origin else _free_port()
        self.origin = origin or f"http://127.0.0.1:{port}"
        self.application_server_key = application_server_key
        self.requests: list[PushRequest] = []
        self.answers: dict[str, Answer] = {}
        self._port = port or 0
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = Starlette(routes=[Route("/{path:path}", self._receive, methods=["POST"])])
        # Push services keep a line open for minutes; one that closes it just as it is written to makes an unknown outcome.
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=self._port,
            log_level="critical",
            lifespan="off",
            access_log=False,
            timeout_keep_alive=120,
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        self._server = server
        self._serving = asyncio.create_task(server.serve())
        while not server.started:
            if self._serving.done():
                raise RuntimeError(f"{self.origin} is taken")
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None and self._serving is not None:
            self._closing.set()
            self._server.should_exit = True
            await self._serving

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, problem = self._judge(headers, body)
        told = self.answers.get(request.url.path)
        if problem is None and told is not None and told.times != 0:
            if told.times is not None:
                told.times -= 1
            status = told.status
        self.requests.append(PushRequest(request.url.path, headers, body, problem, status))
        if problem is None and told is not None:
            await self._silence(told)
        found = {"Location": f"{self.origin}/messages/{len(self.requests)}"} if status == 201 else {}
        if told is not None and told.retry_after is not None and status != 201:
            found["Retry-After"] = str(told.retry_after)
        return Response(status_code=status, headers=found)

    async def _silence(self, told: Answer) -> None:
        """Silent for so long, or until somebody has it speak, or the service is closed."""
        ends = [asyncio.create_task(event.wait()) for event in (self._closing, told.speak) if event is not None]
        await asyncio.wait(ends, timeout=told.after, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    def _judge(self, headers: dict[str, str], body: bytes) -> tuple[int, str | None]:
        """(status, what is wrong) of a request."""
        if not re.fullmatch("[0-9]+", headers.get("ttl", "")):
            return 400, "TTL is missing or no number"
        if headers.get("urgency", "normal") not in URGENCIES:
            return 400, "Urgency is none of the four"
        if "topic" in headers and not re.fullmatch("[A-Za-z0-9_-]{1,32}", headers["topic"]):
            return 400, "Topic is not at most 32 characters of base64url"
        if headers.get("content-encoding") != "aes128gcm":
            return 400, "Content-Encoding is not aes128gcm"
        if len(body) > MAX_BODY:
            return 413, "the body is larger than 4096 bytes"
        if (problem := _structure(body)) is not None:
            return 400, problem
        authorization = headers.get("authorization", "")
        if not authorization:
            return 401, "no credentials"
        problem = self._vapid(authorization)
        return (201, None) if problem is None else (403, problem)

    def _vapid(self, authorization: str) -> str | None:
        """What is wrong with the VAPID credentials (RFC 8292 sections 2 and 3)."""
        scheme, _, rest = authorization.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme.lower() != "vapid" or not {"t", "k"} <= parts.keys():
            return "the scheme is not vapid with t and k"
        if self.application_server_key is not None and parts["k"].rstrip("=") != self.application_server_key.rstrip(
            "="
        ):
            return "k is not the key that the subscription was made with"
        try:
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decode(parts["k"]))
            pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            signed = jws.deserialize_compact(parts["t"], ECKey.import_key(pem), algorithms=["ES256"])
            claims = json.loads(signed.payload)
        except (JoseError, ValueError):
            return "the token is not signed by k with ES256"
        now = time.time()
        if not isinstance(claims, dict):
            return "the token holds no claims"
        if claims.get("aud") != self.origin:
            return "aud is not this origin"
        if not isinstance(claims.get("exp"), int) or not now < claims["exp"] <= now + DAY_S:
            return "exp is past or more than 24 hours ahead"
        if not str(claims.get("sub", "")).startswith(("mailto:", "https:")):
            return "sub is no contact"
        return None


def _structure(body: bytes) -> str | None:
    """What is wrong with the encrypted body's header (RFC 8188 section 2.1, RFC 8291 section 4)."""
    if len(body) < 21 + 65 + 17:
        return "the body is too short"
    if body[20] != 65 or body[21] != 4:
        return "the key id is no uncompressed P-256 point"
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), body[21:86])
    except ValueError:
        return "the key id is no point of P-256"
    # One record only, and its size greater than text, delimiter, padding and tag together.
    if int.from_bytes(body[16:20], "big") <= len(body) - 86:
        return "the record size is too small for one record"
    return None


@dataclass(slots=True)
class Receiver:
    """An independent browser: its own key pair and secret, and its own decryption, which is checked against http_ece's."""

    push: PushService
    name: str
    _private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    _auth: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def path(self) -> str:
        """Its place at the push service."""
        return f"/push/{self.name}"

    def subscription(self) -> dict[str, Any]:
        """The W3C PushSubscription that the browser hands to the application."""
        return {
            "endpoint": f"{self.push.origin}{self.path}",
            "expirationTime": None,
            "keys": {"p256dh": _encode(self._point()), "auth": _encode(self._auth)},
        }

    def decrypt(self, body: bytes) -> str:
        """The message; raises when it was not encrypted for this browser.

        Read twice: by the steps of RFC 8291 section 3.4 and RFC 8188 section 2, which share nothing with the sender, and by http_ece.
        """
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        if len(record) > size:
            raise ValueError("more than one record")
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self._private.exchange(ec.ECDH(), peer)
        key = _hkdf(self._auth, shared, b"WebPush: info\0" + self._point() + sender, 32)
        content_key = _hkdf(salt, key, b"Content-Encoding: aes128gcm\0", 16)
        nonce = _hkdf(salt, key, b"Content-Encoding: nonce\0", 12)
        padded = AESGCM(content_key).decrypt(nonce, record, None).rstrip(b"\0")
        plain: bytes = http_ece.decrypt(body, private_key=self._private, auth_secret=self._auth, version="aes128gcm")
        if padded != plain + b"\2":
            raise ValueError("two implementations read it differently")
        return plain.decode()

    def _point(self) -> bytes:
        return self._private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
