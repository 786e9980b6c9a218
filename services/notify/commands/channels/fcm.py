"""Firebase Cloud Messaging, HTTP v1: Android apps.

Protocol: firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send and …/v1/ErrorCode; the access token by the
JWT bearer grant of a service account (RFC 7523, developers.google.com/identity/protocols/oauth2/service-account).
"""

import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

from services.notify.commands.channels.wire import Answer, Message, Reply, ask, compact, failed
from services.notify.domain.web_push import ttl_seconds
from shared.egress import Egress
from shared.settings import Settings
from shared.store import Doc

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 # nosec - an address
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PAYLOAD_LIMIT = 4_000
"""Of the 4,096 bytes that FCM counts over the payload's keys and values."""


@dataclass(slots=True)
class Fcm:
    """Android devices, by their registration tokens."""

    egress: Egress
    settings: Settings
    name: str = "fcm"
    _account: dict[str, str] = field(default_factory=dict)
    _token: tuple[str, float] = ("", 0.0)

    def off(self) -> str | None:
        """A platform without a service account."""
        return "no-credentials" if self.settings.fcm_credentials_file is None else None

    def provider(self, address: Doc) -> str:
        """One provider for all."""
        return self.name

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """One message to one registration token."""
        deadline = time.monotonic() + timeout_s
        token = await self._access_token(timeout_s)
        if isinstance(token, Answer):
            return token
        origin = self.settings.provider_origins.get("fcm", "https://fcm.googleapis.com")
        reply = await ask(
            self.egress,
            f"{origin}/v1/projects/{self._service_account()['project_id']}/messages:send",
            compact(body_of(message, address["address"])),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"},
            timeout_s=max(0.1, deadline - time.monotonic()),
        )
        if isinstance(reply, Answer):
            return reply
        if reply.status == 200:
            return Answer("accepted", 200)
        return self._failed(reply)

    def _failed(self, reply: Reply) -> Answer:
        reason = error_code(reply.body)
        if reply.status == 401:
            # The access token ran out early or was revoked: the next attempt fetches another.
            self._token = ("", 0.0)
            return failed(reply, reason, again=0.0)
        if reason == "QUOTA_EXCEEDED" or reply.status == 429:
            return failed(reply, reason, again=60.0)  # what FCM asks for where it names no time
        # A token that was made for another sender will never be ours either.
        return failed(reply, reason, gone=reason in {"UNREGISTERED", "SENDER_ID_MISMATCH"})

    async def _access_token(self, timeout_s: float) -> str | Answer:
        """A bearer token that holds for another minute at least; asking for one sends nobody anything."""
        now = time.time()
        if now < self._token[1]:
            return self._token[0]
        account = self._service_account()
        claims = {
            "iss": account["client_email"],
            "scope": SCOPE,
            "aud": TOKEN_URL,
            "iat": int(now),
            "exp": int(now) + 3_600,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id", "")}
        assertion = jwt.encode(header, claims, RSAKey.import_key(account["private_key"]), algorithms=["RS256"])
        origin = self.settings.provider_origins.get("oauth")
        reply = await ask(
            self.egress,
            f"{origin}/token" if origin else TOKEN_URL,
            urlencode({"grant_type": GRANT, "assertion": assertion}).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
            timeout_s=timeout_s,
        )
        if isinstance(reply, Answer):
            return Answer("not-sent", reason=reply.reason)
        if reply.status != 200 or "access_token" not in reply.body:
            return Answer("refused", reply.status, f"oauth-{reply.body.get('error', 'refused')}")
        self._token = (str(reply.body["access_token"]), now + int(reply.body.get("expires_in", 3_600)) - 60)
        return self._token[0]

    def _service_account(self) -> dict[str, str]:
        if not self._account and self.settings.fcm_credentials_file is not None:
            self._account = json.loads(self.settings.fcm_credentials_file.read_text(encoding="utf-8"))
        return self._account


def body_of(message: Message, token: str) -> Doc:
    """The request body: a notification to show, and in `data` what the app fetches."""
    data = {"item": message.item, "urgency": message.urgency}
    if message.announcement is not None:
        data["announcement"] = message.announcement
    found: Doc = {
        "token": token,
        "notification": {"title": message.title},
        "data": data,
        "android": {
            "priority": "NORMAL" if message.urgency == "info" else "HIGH",
            "ttl": f"{ttl_seconds(message.urgency)}s",
            "notification": {"visibility": "PRIVATE", "tag": message.item},
        },
    }
    if len(compact(found)) > PAYLOAD_LIMIT:
        found["notification"] = {"title": ""}
    return {"message": found}


def error_code(body: Doc) -> str:
    """FCM's own code from the error's details, else the canonical status."""
    error = body.get("error")
    if not isinstance(error, dict):
        return "UNSPECIFIED_ERROR"
    for detail in error.get("details", ()):
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("fcm.v1.FcmError"):
            return str(detail.get("errorCode", ""))[:40]
    return str(error.get("status", "UNSPECIFIED_ERROR"))[:40]
