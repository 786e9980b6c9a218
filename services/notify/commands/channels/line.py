"""LINE Messaging API: push messages of the municipality's official account.

Protocol: developers.line.biz/en/reference/messaging-api/#send-push-message, …/#status-codes, and
developers.line.biz/en/docs/messaging-api/retrying-api-request/. Push and not multicast: a multicast answers once for 500 people,
and a ledger that proves each delivery needs each answer.
"""

from dataclasses import dataclass

from services.notify.commands.channels.wire import Answer, Message, ask, compact, failed
from shared.egress import Egress
from shared.settings import Settings
from shared.store import Doc

TEXT_LIMIT = 5_000


@dataclass(slots=True)
class Line:
    """Friends of the official account, by their user ids."""

    egress: Egress
    settings: Settings
    name: str = "line"

    def off(self) -> str | None:
        """A platform without a channel access token."""
        return "no-credentials" if self.settings.line_token_file is None else None

    def provider(self, address: Doc) -> str:
        """One provider for all."""
        return self.name

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """One push message; a repeat under the same retry key is accepted once."""
        origin = self.settings.provider_origins.get("line", "https://api.line.me")
        reply = await ask(
            self.egress,
            f"{origin}/v2/bot/message/push",
            compact({"to": address["address"], "messages": [{"type": "text", "text": message.title[:TEXT_LIMIT]}]}),
            {
                "Authorization": f"Bearer {self.settings.secret(self.settings.line_token_file)}",
                "Content-Type": "application/json",
                "X-Line-Retry-Key": message.uuid,
            },
            timeout_s=timeout_s,
        )
        if isinstance(reply, Answer):
            return reply
        if reply.status == 200:
            return Answer("accepted", 200)
        if reply.status == 409 and "x-line-accepted-request-id" in reply.headers:
            # An earlier attempt under this key was accepted: that one counts.
            return Answer("accepted", 409, "retry-key-accepted")
        told = str(reply.body.get("message", ""))
        if reply.status == 429 and "monthly limit" in told:
            return failed(reply, "monthly-limit")
        return failed(reply, _REASONS.get(reply.status), again=1.0 if reply.status == 429 else None)


_REASONS = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    409: "conflict",
    413: "too-large",
    429: "rate-limit",
}
