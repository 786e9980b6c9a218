"""The LINE Messaging API, simulated: push messages.

Written from developers.line.biz/en/reference/messaging-api/ (#send-push-message, #text-message, #status-codes, #error-responses,
#rate-limits) and developers.line.biz/en/docs/messaging-api/retrying-api-request/ (X-Line-Retry-Key: accepted once, then 409 with
the id of the accepted request).
"""

import json
import re
import secrets
import uuid
from pathlib import Path
from typing import Any

from starlette.requests import Request

from shared.testing.provider import Provider, Verdict

ERRORS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request body has 1 error(s)"),
    "failed-to-send": (400, "Failed to send messages"),
    "unauthorized": (401, "Authentication failed. Confirm that the access token in the authorization header is valid."),
    "forbidden": (403, "Access to this API is not available for your account"),
    "rate-limit": (429, "The API rate limit has been exceeded. Try again later."),
    "monthly-limit": (429, "You have reached your monthly limit."),
    "internal": (500, "Internal server error"),
}


class LineService(Provider):
    """`POST /v2/bot/message/push` of one official account."""

    def __init__(self) -> None:
        super().__init__()
        self._token = secrets.token_urlsafe(32)
        self._accepted: dict[str, str] = {}

    def token_file(self, folder: Path) -> Path:
        """The channel access token."""
        path = folder / "line.token"
        path.write_text(self._token, encoding="utf-8")
        return path

    async def judge(self, request: Request, body: bytes) -> Verdict:
        """Token, retry key, body, then the person."""
        headers = {"x-line-request-id": str(uuid.uuid4())}
        if request.method != "POST" or request.url.path != "/v2/bot/message/push":
            return Verdict(404, {"message": "Not found"}, headers, problem="no such path")
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return _error("unauthorized", headers, "no valid channel access token")
        key = request.headers.get("x-line-retry-key")
        if key is not None and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key):
            return _error("bad-request", headers, "the retry key is no hexadecimal UUID")
        if key in self._accepted:
            headers["x-line-accepted-request-id"] = self._accepted[str(key)]
            return Verdict(409, {"message": "The retry key is already accepted"}, headers)
        problem, told = _problem(request, body)
        if problem is not None:
            return _error("bad-request", headers, problem)
        script = self.script(told["to"])
        if script is None or script.accepts:
            self.delivered.append((told["to"], told))
            if key is not None:
                self._accepted[key] = headers["x-line-request-id"]
        if script is not None:
            await self.silence(script.after)
            if script.code:
                return _error(script.code, headers, None)
        return Verdict(200, {"sentMessages": [{"id": str(secrets.randbelow(10**18))}]}, headers)


def _problem(request: Request, body: bytes) -> tuple[str | None, dict[str, Any]]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return "the content type is not JSON", {}
    try:
        told = json.loads(body)
    except ValueError:
        return "the body is no JSON", {}
    if not set(told) <= {"to", "messages", "notificationDisabled", "customAggregationUnits"}:
        return "a field that is not known", {}
    if not re.fullmatch(r"[UCR][0-9a-f]{32}", str(told.get("to", ""))):
        return "to is no user id", {}
    messages = told.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= 5:
        return "messages are not one to five", {}
    for message in messages:
        text = message.get("text") if message.get("type") == "text" else None
        # Counted in UTF-16 code units.
        if not isinstance(text, str) or not 1 <= len(text.encode("utf-16-le")) // 2 <= 5_000:
            return "a text message has 1 to 5,000 characters", {}
    return None, told


def _error(code: str, headers: dict[str, str], problem: str | None) -> Verdict:
    status, words = ERRORS[code]
    return Verdict(status, {"message": words}, headers, problem=problem)
