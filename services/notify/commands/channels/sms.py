"""SMS: one port that any carrier's HTTP API fits, and the carriers behind it."""

from dataclasses import dataclass
from typing import Protocol

from services.notify.commands.channels.sms_twilio import Twilio
from services.notify.commands.channels.wire import Answer, Message, Reply, ask
from shared.egress import Egress
from shared.settings import Settings
from shared.store import Doc

TEXT_LIMIT = 660
"""Characters that Japanese carriers join into one message; each part of 67 is billed."""


class Carrier(Protocol):
    """A carrier: what it is asked, and what its answers mean. Nothing else of notify knows which one it is."""

    def off(self) -> str | None:
        """Why it cannot be asked; None when it can."""

    def request(self, number: str, text: str) -> tuple[str, bytes, dict[str, str]]:
        """(address, body, headers) that send a text to a number (E.164)."""

    def read(self, reply: Reply) -> Answer:
        """What the reply means."""


@dataclass(slots=True)
class Sms:
    """Mobile phones, by their numbers."""

    egress: Egress
    settings: Settings
    name: str = "sms"
    carrier: Carrier | None = None

    def off(self) -> str | None:
        """A platform without a carrier's account."""
        return self._carrier().off()

    def provider(self, address: Doc) -> str:
        """One carrier for all."""
        return self.name

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """One text."""
        carrier = self._carrier()
        url, body, headers = carrier.request(address["address"], message.title[:TEXT_LIMIT])
        reply = await ask(self.egress, url, body, headers, timeout_s=timeout_s)
        return reply if isinstance(reply, Answer) else carrier.read(reply)

    def _carrier(self) -> Carrier:
        if self.carrier is None:
            self.carrier = Twilio(self.settings)
        return self.carrier
