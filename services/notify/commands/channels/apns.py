"""Apple Push Notification service over HTTP/2: iOS apps.

Protocol: developer.apple.com/documentation/usernotifications, "Sending notification requests to APNs", "Handling notification
responses from APNs" and "Establishing a token-based connection to APNs".
"""

import time
from dataclasses import dataclass, field

from joserfc import jwt
from joserfc.jwk import ECKey

from services.notify.commands.channels.wire import Answer, Message, Reply, ask, compact, failed
from services.notify.domain.web_push import ttl_seconds
from shared.egress import Egress
from shared.settings import Settings
from shared.store import Doc

TOKEN_LIFE_S = 2_400
"""A provider token is made anew no more often than every 20 minutes and no less often than every 60."""
PAYLOAD_LIMIT = 4_096
DEAD = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
AGAIN = {"TooManyRequests": 1.0, "ExpiredProviderToken": 0.0, "IdleTimeout": 0.0}
"""Refusals that a later attempt can mend, with the pause; APNs itself sends no Retry-After."""


@dataclass(slots=True)
class Apns:
    """iPhones and iPads, by their device tokens."""

    egress: Egress
    settings: Settings
    name: str = "apns"
    _token: tuple[str, float] = field(default=("", 0.0))

    def off(self) -> str | None:
        """A platform without Apple's key, or without the names that go with it."""
        told = self.settings
        whole = told.apns_key_file is not None and told.apns_key_id and told.apns_team_id and told.apns_topic
        return None if whole else "no-credentials"

    def provider(self, address: Doc) -> str:
        """One provider for all."""
        return self.name

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """One notification to one device token."""
        origin = self.settings.provider_origins.get("apns", "https://api.push.apple.com")
        token = self._provider_token()
        reply = await ask(
            self.egress,
            f"{origin}/3/device/{address['address']}",
            payload_of(message),
            {
                "authorization": f"bearer {token}",
                "content-type": "application/json",
                "apns-id": message.uuid,
                "apns-collapse-id": message.item,  # a correction takes the place of what it corrects
                "apns-topic": self.settings.apns_topic,
                "apns-push-type": "alert",
                "apns-priority": "5" if message.urgency == "info" else "10",
                "apns-expiration": str(int(time.time()) + ttl_seconds(message.urgency)),
            },
            timeout_s=timeout_s,
            http2=True,
        )
        if isinstance(reply, Answer):
            return reply
        return Answer("accepted", 200) if reply.status == 200 else self._failed(reply, token, address)

    def _failed(self, reply: Reply, token: str, address: Doc) -> Answer:
        reason = str(reply.body.get("reason", ""))[:40] or None
        if reason == "ExpiredProviderToken" and self._token[0] == token:
            self._token = ("", 0.0)
        dead_since = reply.body.get("timestamp")
        # A token that its app registered after Apple saw it dead is alive again.
        renewed = isinstance(dead_since, int) and address.get("registered_at", 0.0) * 1_000 > dead_since
        return failed(reply, reason, gone=reason in DEAD and not renewed, again=AGAIN.get(reason or ""))

    def _provider_token(self) -> str:
        """The signed provider token; made anew only when it grows old, or Apple answers TooManyProviderTokenUpdates."""
        now = time.time()  # Apple looks at its own clock, not at the one that a development platform moves
        if now >= self._token[1] and self.settings.apns_key_file is not None:
            key = ECKey.import_key(self.settings.apns_key_file.read_text(encoding="utf-8"))
            header = {"alg": "ES256", "kid": self.settings.apns_key_id}
            claims = {"iss": self.settings.apns_team_id, "iat": int(now)}
            self._token = (jwt.encode(header, claims, key, algorithms=["ES256"]), now + TOKEN_LIFE_S)
        return self._token[0]


def payload_of(message: Message) -> bytes:
    """The payload: what the lock screen shows, and what the app fetches."""
    aps: Doc = {
        "alert": {"title": message.title},
        "interruption-level": {"emergency": "time-sensitive", "important": "active"}.get(message.urgency, "passive"),
    }
    if message.urgency != "info":
        aps["sound"] = "default"
    found: Doc = {"aps": aps, "item": message.item, "urgency": message.urgency}
    if message.announcement is not None:
        found["announcement"] = message.announcement
    encoded = compact(found)
    if len(encoded) <= PAYLOAD_LIMIT:
        return encoded
    return compact({**found, "aps": {**aps, "alert": {"loc-key": "NEW_MESSAGE"}}})
