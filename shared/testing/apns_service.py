"""The Apple Push Notification service over HTTP/2, simulated.

Written from developer.apple.com/documentation/usernotifications: "Sending notification requests to APNs" (path, headers, size),
"Handling notification responses from APNs" (status codes and reasons) and "Establishing a token-based connection to APNs" (the
provider token: ES256, kid, iss, iat; refreshed at most every 20 minutes and at least every hour).
"""

import json
import re
import time
import uuid
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from starlette.requests import Request

from shared.testing.provider import Provider, Verdict

KEY_ID, TEAM_ID, TOPIC = "ABC123DEFG", "DEF123GHIJ", "jp.hagukumi.example"
PAYLOAD_LIMIT = 4_096
REASONS: dict[str, int] = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadEnvironmentKeyIdInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}
PUSH_TYPES = frozenset(
    (
        "alert",
        "background",
        "controls",
        "location",
        "voip",
        "complication",
        "fileprovider",
        "mdm",
        "liveactivity",
        "pushtotalk",
    )
)


class ApnsService(Provider):
    """`POST /3/device/{token}` for one key, team and topic."""

    def __init__(self) -> None:
        super().__init__()
        self._key = ECKey.generate_key("P-256", private=True)
        self._known: dict[str, float] = {}

    def key_file(self, folder: Path) -> Path:
        """The .p8 file, as the developer account hands it out."""
        path = folder / "apns.p8"
        path.write_bytes(self._key.as_pem(private=True))
        return path

    async def judge(self, request: Request, body: bytes) -> Verdict:
        """Protocol, then provider, then headers, then payload, then the device."""
        if request.scope["http_version"] != "2":
            return Verdict(505, problem="APNs speaks HTTP/2 only")
        path = re.fullmatch(r"/3/device/([^/]*)", request.url.path)
        problem = _path_problem(request.method, path) or self._provider_problem(request) or _header_problem(request)
        problem = problem or _payload_problem(body)
        apns_id = request.headers.get("apns-id") or str(uuid.uuid4()).upper()
        if problem is not None or path is None:
            reason = problem or "BadPath"
            return Verdict(REASONS[reason], {"reason": reason}, {"apns-id": apns_id}, problem=reason)
        script = self.script(path[1])
        if script is None or script.accepts:
            self.delivered.append((path[1], json.loads(body)))
        if script is not None:
            await self.silence(script.after)
            if script.code:
                told: dict[str, object] = {"reason": script.code}
                if REASONS[script.code] == 410:
                    told["timestamp"] = int(time.time() * 1000)
                return Verdict(REASONS[script.code], told, {"apns-id": apns_id})
        return Verdict(200, headers={"apns-id": apns_id})

    def _provider_problem(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "MissingProviderToken"
        try:
            found = jwt.decode(token, self._key, algorithms=["ES256"])
        except (JoseError, ValueError):
            return "InvalidProviderToken"
        if found.header.get("kid") != KEY_ID or found.claims.get("iss") != TEAM_ID:
            return "InvalidProviderToken"
        now, issued = time.time(), found.claims.get("iat")
        if not isinstance(issued, int) or issued > now + 60 or now - issued > 3_600:
            return "ExpiredProviderToken"
        if token not in self._known:
            self._known[token] = now
            if len([at for at in self._known.values() if now - at < 1_200]) > 2:
                return "TooManyProviderTokenUpdates"
        return None


def _path_problem(method: str, path: re.Match[str] | None) -> str | None:
    if path is None:
        return "BadPath"
    if method != "POST":
        return "MethodNotAllowed"
    if not path[1]:
        return "MissingDeviceToken"
    return None if re.fullmatch(r"(?:[0-9a-f]{2}){32,100}", path[1]) else "BadDeviceToken"


def _header_problem(request: Request) -> str | None:
    """The documented rules of the apns-* headers."""
    given = request.headers
    try:
        if "apns-id" in given and str(uuid.UUID(given["apns-id"])) != given["apns-id"].lower():
            return "BadMessageId"
    except ValueError:
        return "BadMessageId"
    if not given.get("apns-topic"):
        return "MissingTopic"
    checks = (
        (given["apns-topic"] == TOPIC, "TopicDisallowed"),
        (given.get("apns-push-type") in PUSH_TYPES, "InvalidPushType"),
        (given.get("apns-priority", "10") in {"1", "5", "10"}, "BadPriority"),
        (re.fullmatch("[0-9]+", given.get("apns-expiration", "0")) is not None, "BadExpirationDate"),
        (len(given.get("apns-collapse-id", "").encode()) <= 64, "BadCollapseId"),
    )
    return next((reason for holds, reason in checks if not holds), None)


def _payload_problem(body: bytes) -> str | None:
    if not body:
        return "PayloadEmpty"
    if len(body) > PAYLOAD_LIMIT:
        return "PayloadTooLarge"
    try:
        told = json.loads(body)
    except ValueError:
        return "PayloadEmpty"
    return None if isinstance(told, dict) and isinstance(told.get("aps"), dict) else "PayloadEmpty"
