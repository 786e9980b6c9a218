"""Twilio's message resource, simulated.

Written from twilio.com/docs/messaging/api/message-resource (create a Message: path, basic authentication, form parameters, 201 with
the resource, 1,600 characters), twilio.com/docs/usage/twilios-response (the JSON of an error) and twilio.com/docs/api/errors (codes).
"""

import base64
import re
import secrets
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request

from shared.testing.provider import Provider, Verdict

ACCOUNT = "AC" + "0123456789abcdef" * 2
SENDER = "+815012345678"
ERRORS: dict[str, int] = {
    "20003": 401,
    "20404": 404,
    "20429": 429,
    "20500": 500,
    "20503": 503,
    "21211": 400,
    "21212": 400,
    "21265": 400,
    "21602": 400,
    "21603": 400,
    "21604": 400,
    "21610": 400,
    "21611": 429,
    "21614": 400,
    "21617": 400,
    "21635": 400,
    "30001": 201,
}
"""Code: HTTP status. 30001 is told in a resource that was made and failed at once."""


class TwilioService(Provider):
    """`POST /2010-04-01/Accounts/{account}/Messages.json` of one account."""

    def __init__(self) -> None:
        super().__init__()
        self._token = secrets.token_hex(16)

    def token_file(self, folder: Path) -> Path:
        """The account's auth token."""
        path = folder / "sms.token"
        path.write_text(self._token, encoding="utf-8")
        return path

    async def judge(self, request: Request, body: bytes) -> Verdict:
        """Account, parameters, then the number."""
        expected = base64.b64encode(f"{ACCOUNT}:{self._token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return _error("20003", "no valid credentials")
        if request.method != "POST" or request.url.path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return _error("20404", "no such resource")
        form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        wrong = _wrong(request, form)
        if wrong is not None:
            return _error(wrong, f"error {wrong}")
        script = self.script(form["To"])
        if script is None or script.accepts:
            self.delivered.append((form["To"], dict(form)))
        if script is not None:
            await self.silence(script.after)
            if script.code:
                headers = {} if script.retry_after is None else {"Retry-After": str(script.retry_after)}
                return _error(script.code, None, headers)
        status = "accepted" if "MessagingServiceSid" in form else "queued"
        return Verdict(
            201, {"sid": f"SM{secrets.token_hex(16)}", "status": status, "to": form["To"], "error_code": None}
        )


def _wrong(request: Request, form: dict[str, str]) -> str | None:
    """The code of the broken rule."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded" or not form.get(
        "To"
    ):
        return "21604"
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", form["To"]):
        return "21211"
    if "From" not in form and "MessagingServiceSid" not in form:
        return "21603"
    if "From" in form and form["From"] != SENDER:
        return "21212"
    if not form.get("Body"):
        return "21602"
    return "21617" if len(form["Body"]) > 1_600 else None


def _error(code: str, problem: str | None, headers: dict[str, str] | None = None) -> Verdict:
    status = ERRORS[code]
    if status == 201:
        return Verdict(201, {"sid": f"SM{secrets.token_hex(16)}", "status": "failed", "error_code": int(code)})
    more = f"https://www.twilio.com/docs/errors/{code}"
    told = {"code": int(code), "message": "…", "more_info": more, "status": status}
    return Verdict(status, told, headers or {}, problem=problem)
