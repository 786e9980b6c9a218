"""Google's token endpoint and FCM HTTP v1, simulated.

Written from firebase.google.com/docs/reference/fcm/rest/v1/projects.messages (fields), …/projects.messages/send (request, answer),
…/v1/ErrorCode (each error and its status), firebase.google.com/docs/cloud-messaging/error-codes (their JSON) and
developers.google.com/identity/protocols/oauth2/service-account (the JWT bearer grant, RFC 7523).
"""

import functools
import json
import re
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from starlette.requests import Request

from shared.testing.provider import Provider, Verdict

PROJECT = "wakaba-town"
EMAIL = f"notify@{PROJECT}.iam.example"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
AUDIENCE = "https://oauth2.googleapis.com/token"
PAYLOAD_LIMIT = 4_096
ERRORS: dict[str, tuple[int, str]] = {
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT"),
    "UNREGISTERED": (404, "NOT_FOUND"),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED"),
    "UNAVAILABLE": (503, "UNAVAILABLE"),
    "INTERNAL": (500, "INTERNAL"),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED"),
}
"""FCM's code: (HTTP status, canonical status)."""
_MESSAGE = {"token", "notification", "data", "android", "webpush", "apns", "fcm_options", "name", "topic", "condition"}
_ANDROID = {
    "collapse_key",
    "priority",
    "ttl",
    "restricted_package_name",
    "data",
    "notification",
    "fcm_options",
    "direct_boot_ok",
}
_RESERVED = re.compile(r"from|message_type|google.*|gcm.*")


@functools.cache
def _key() -> RSAKey:
    """The service account's key; making one takes longer than a test."""
    return RSAKey.generate_key(2048, private=True)


class FcmService(Provider):
    """Both endpoints on one origin: `/token` and `/v1/projects/…/messages:send`."""

    def __init__(self) -> None:
        super().__init__()
        self._key = _key()
        self._tokens: dict[str, float] = {}
        self.grants = 0

    def credentials(self, folder: Path) -> Path:
        """The service account's key file, as the console hands it out."""
        path = folder / "fcm.json"
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "k1",
            "private_key": self._key.as_pem(private=True).decode(),
            "client_email": EMAIL,
            "token_uri": AUDIENCE,
        }
        path.write_text(json.dumps(account), encoding="utf-8")
        return path

    def forget_tokens(self) -> None:
        """Every access token that was handed out stops being valid."""
        self._tokens.clear()

    async def judge(self, request: Request, body: bytes) -> Verdict:
        """Which of the two it is, and what that asks."""
        if request.method == "POST" and request.url.path == "/token":
            return self._grant(request, body)
        if request.method != "POST" or request.url.path != f"/v1/projects/{PROJECT}/messages:send":
            return _error("UNREGISTERED", "no such method or project")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0.0) < time.time():
            return Verdict(401, _body(401, "UNAUTHENTICATED", None), problem="no valid access token")
        problem, message = _problem(request, body)
        if problem is not None:
            return _error("INVALID_ARGUMENT", problem)
        script = self.script(message["token"])
        if script is None or script.accepts:
            self.delivered.append((message["token"], message))
        if script is not None:
            await self.silence(script.after)
            if script.code:
                headers = {} if script.retry_after is None else {"Retry-After": str(script.retry_after)}
                status, canonical = ERRORS[script.code]
                return Verdict(status, _body(status, canonical, script.code), headers)
        return Verdict(200, {"name": f"projects/{PROJECT}/messages/{secrets.token_hex(8)}"})

    def _grant(self, request: Request, body: bytes) -> Verdict:
        """RFC 7523 section 2.1 and 3: a signed assertion for an access token."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return Verdict(400, {"error": "invalid_request"}, problem="the grant is no form")
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return Verdict(400, {"error": "unsupported_grant_type"}, problem="another grant type")
        try:
            claims = jwt.decode(form.get("assertion", ""), self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return Verdict(400, {"error": "invalid_grant"}, problem="the assertion is not signed by the account")
        now = time.time()
        right = (
            claims.get("iss") == EMAIL and claims.get("aud") == AUDIENCE and SCOPE in str(claims.get("scope")).split()
        )
        timely = claims.get("iat", 0) <= now + 60 and now < claims.get("exp", 0) <= claims.get("iat", 0) + 3_600
        if not right or not timely:
            return Verdict(
                400, {"error": "invalid_grant"}, problem="iss, aud, scope or times of the assertion are wrong"
            )
        token = secrets.token_urlsafe(24)
        self._tokens[token] = now + 3_599
        self.grants += 1
        return Verdict(200, {"access_token": token, "expires_in": 3_599, "token_type": "Bearer"})


def _problem(request: Request, body: bytes) -> tuple[str | None, dict[str, Any]]:
    """(what is wrong with a send request or None, its message)."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return "the body is no JSON", {}
    try:
        told = json.loads(body)
        message = told["message"]
    except (ValueError, KeyError, TypeError):
        return "there is no message", {}
    if not set(told) <= {"message", "validate_only"} or not set(message) <= _MESSAGE:
        return "a field that is not known", {}
    targets = [name for name in ("token", "topic", "condition") if message.get(name)]
    if len(targets) != 1 or not re.fullmatch(r"[A-Za-z0-9_:-]{20,}", str(message.get("token", ""))):
        return "the registration token is not valid", {}
    data = message.get("data", {})
    if not all(isinstance(value, str) and not _RESERVED.fullmatch(name) for name, value in data.items()):
        return "a data value is no string, or its key is reserved", {}
    android = message.get("android", {})
    if not set(android) <= _ANDROID or android.get("priority", "NORMAL") not in {"NORMAL", "HIGH"}:
        return "android is not valid", {}
    ttl = re.fullmatch(r"([0-9]+)(\.[0-9]{1,9})?s", str(android.get("ttl", "0s")))
    if ttl is None or int(ttl[1]) > 2_419_200:
        return "ttl is not between 0 and 4 weeks", {}
    payload = {name: message[name] for name in ("notification", "data") if name in message}
    if len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > PAYLOAD_LIMIT:
        return "the message is too big", {}
    return None, message


def _error(code: str, problem: str) -> Verdict:
    status, canonical = ERRORS[code]
    return Verdict(status, _body(status, canonical, code), problem=problem)


def _body(status: int, canonical: str, code: str | None) -> dict[str, Any]:
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    return {"error": {"code": status, "message": "…", "status": canonical, "details": details}}
