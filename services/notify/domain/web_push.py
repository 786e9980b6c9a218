"""What a push says and to which browser: payload without health data, and the W3C PushSubscription that it goes to."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PAYLOAD_LIMIT = 3_993
"""Bytes of plaintext that fit into the 4,096 that RFC 8291 section 4 lets a push service refuse beyond."""
_P256_POINT = 65
_P256_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_AUTH_SECRET = 16


@dataclass(frozen=True, slots=True)
class SubscriptionError(Exception):
    """A part of a PushSubscription that cannot be used: JSON Pointer and code."""

    pointer: str
    code: str


def payload(item: str, title: str, urgency: str, announcement: str | None) -> bytes:
    """The JSON of a push: an id to fetch and a title that may stand on a lock screen."""
    body = {"item": item, "title": title, "urgency": urgency}
    if announcement is not None:
        body["announcement"] = announcement
    encoded = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    if len(encoded) <= PAYLOAD_LIMIT:
        return encoded
    return json.dumps({**body, "title": ""}, ensure_ascii=False, separators=(",", ":")).encode()


def check_keys(keys: Mapping[str, Any]) -> None:
    """Raise SubscriptionError unless the browser's keys are a P-256 point and a 16-byte secret (RFC 8291 section 2)."""
    point = _decoded(keys.get("p256dh"), "/keys/p256dh")
    if len(point) != _P256_POINT or point[0] != 4 or not _on_curve(point):
        raise SubscriptionError("/keys/p256dh", "not-a-p256-point")
    if len(_decoded(keys.get("auth"), "/keys/auth")) != _AUTH_SECRET:
        raise SubscriptionError("/keys/auth", "not-16-bytes")


def _on_curve(point: bytes) -> bool:
    """Whether y² = x³ - 3x + b (NIST SP 800-186, P-256): found now, not when an emergency goes out."""
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return max(x, y) < _P256_P and (y * y - (x**3 - 3 * x + _P256_B)) % _P256_P == 0


def _decoded(text: Any, pointer: str) -> bytes:
    if not isinstance(text, str) or len(text) > 200:
        raise SubscriptionError(pointer, "not-base64url")
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SubscriptionError(pointer, "not-base64url") from None


def urgency_header(urgency: str) -> str:
    """RFC 8030 section 5.3."""
    return {"emergency": "high", "important": "normal"}.get(urgency, "low")


def ttl_seconds(urgency: str) -> int:
    """How long the push service keeps it for a browser that sleeps (RFC 8030 section 5.2)."""
    return 3_600 if urgency == "emergency" else 86_400
