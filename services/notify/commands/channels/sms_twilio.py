"""Twilio's Programmable Messaging as the carrier of SMS.

Protocol: twilio.com/docs/messaging/api/message-resource (create a Message: form body, basic authentication, 201 with a sid, 1,600
characters) and twilio.com/docs/api/errors (the codes).
"""

import base64
from dataclasses import dataclass
from urllib.parse import urlencode

from services.notify.commands.channels.wire import Answer, Reply, failed
from shared.settings import Settings

DEAD = frozenset({21211, 21214, 21217, 21265, 21610, 21614, 21635})
"""The number is none, a short code or no mobile phone's, or its owner told the carrier to stop."""
LATER = frozenset({20429, 21611})
"""Too many requests, or the sender's queue is full."""


@dataclass(frozen=True, slots=True)
class Twilio:
    """One Twilio account."""

    settings: Settings

    def off(self) -> str | None:
        """A platform without an account, its token and a sender."""
        told = self.settings
        return None if told.sms_account and told.sms_token_file and told.sms_from else "no-credentials"

    def request(self, number: str, text: str) -> tuple[str, bytes, dict[str, str]]:
        """A Message to create."""
        told = self.settings
        origin = told.provider_origins.get("sms", "https://api.twilio.com")
        sender = "MessagingServiceSid" if told.sms_from.startswith("MG") else "From"
        secret = f"{told.sms_account}:{told.secret(told.sms_token_file)}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"To": number, sender: told.sms_from, "Body": text}).encode()
        return f"{origin}/2010-04-01/Accounts/{told.sms_account}/Messages.json", body, headers

    def read(self, reply: Reply) -> Answer:
        """201 with a sid that is queued or on its way; else a code."""
        if reply.status == 201 and reply.body.get("status") not in {"failed", "undelivered", "canceled"}:
            return Answer("accepted", 201)
        code = reply.body.get("code") or reply.body.get("error_code")
        reason = str(code) if code else None
        if reply.status == 201:
            return Answer("refused", 201, reason)
        return failed(reply, reason, gone=code in DEAD, again=1.0 if code in LATER or reply.status == 429 else None)
