"""Web Push: RFC 8030 (protocol), RFC 8291 (encryption), RFC 8292 (VAPID)."""

import base64
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from services.notify.commands.channels.wire import Answer, Message, ask, failed
from services.notify.domain.web_push import payload, ttl_seconds, urgency_header
from shared.egress import Egress
from shared.problems import Busy
from shared.settings import Settings
from shared.store import Doc

TOKEN_LIFE_S = 12 * 3_600
MAX_ORIGINS = 1_000


@dataclass(slots=True)
class WebPush:
    """Browsers, through the push service of each."""

    egress: Egress
    settings: Settings
    name: str = "web_push"
    _tokens: dict[str, tuple[float, dict[str, str]]] = field(default_factory=dict)
    _vapid: Any = None

    def off(self) -> str | None:
        """A platform without a VAPID key."""
        return "no-vapid-key" if self.settings.vapid_key_file is None else None

    def provider(self, address: Doc) -> str:
        """The push service's origin."""
        return origin_of(address["endpoint"])

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """One encrypted record to the push service of this browser."""
        try:
            body, headers = self._request(message, address)
        except ValueError:
            return Answer("refused", reason="key-unusable")
        reply = await ask(self.egress, address["endpoint"], body, headers, timeout_s=timeout_s, api=False)
        if isinstance(reply, Answer):
            return reply
        if reply.status in {200, 201, 202}:
            return Answer("accepted", reply.status)
        # 429 refuses by itself (RFC 8030 section 8.4), 404 and 410 are for good (7.3).
        again = 1.0 if reply.status == 429 else None
        return failed(reply, None, gone=reply.status in {404, 410}, again=again)

    def _request(self, message: Message, browser: Doc) -> tuple[bytes, dict[str, str]]:
        """Encrypted body (RFC 8291) and headers (RFC 8030, RFC 8292)."""
        private = ec.generate_private_key(ec.SECP256R1())
        body = http_ece.encrypt(
            payload(message.item, message.title, message.urgency, message.announcement),
            private_key=private,
            dh=_decode(browser["keys"]["p256dh"]),
            auth_secret=_decode(browser["keys"]["auth"]),
            version="aes128gcm",
        )
        headers = self._credentials(origin_of(browser["endpoint"])) | {
            "TTL": str(ttl_seconds(message.urgency)),
            "Urgency": urgency_header(message.urgency),
            # What still waits for a sleeping browser is replaced by what came of it (RFC 8030 section 5.4).
            "Topic": message.item,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
        }
        return body, headers

    def _credentials(self, origin: str) -> dict[str, str]:
        """The VAPID header for a push service; one signature serves for half its life (RFC 8292 section 2)."""
        now = time.time()  # not the clock that a development platform moves: the push service looks at its own
        fresh_until, headers = self._tokens.get(origin, (0.0, {}))
        if now >= fresh_until:
            claims = {"aud": origin, "sub": "mailto:push@hagukumi.example", "exp": int(now) + TOKEN_LIFE_S}
            fresh_until, headers = now + TOKEN_LIFE_S / 2, dict(self._key().sign(claims))
            keep_few(self._tokens)
            self._tokens[origin] = (fresh_until, headers)
        return headers

    def _key(self) -> Any:
        if self._vapid is None:
            if self.settings.vapid_key_file is None:
                raise Busy("Web Push is not set up on this platform.")
            self._vapid = Vapid02.from_file(str(self.settings.vapid_key_file))
        return self._vapid

    def public_key(self) -> str:
        """The application server key that browsers subscribe with: an uncompressed point, base64url."""
        point = self._key().public_key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def origin_of(endpoint: str) -> str:
    """The origin in its one spelling (RFC 6454 section 6.2): what `aud` must equal (RFC 8292 section 2)."""
    parts = urlsplit(endpoint)
    usual = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(usual)}"


def keep_few(by_origin: dict[str, Any]) -> None:
    """Forget the oldest of too many origins: some push services have any number of hosts, and anybody may name them."""
    while len(by_origin) >= MAX_ORIGINS:
        del by_origin[next(iter(by_origin))]


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
