"""A relay that receives mails (aiosmtpd: RFC 5321) and answers as it is told; each mail is parsed by the standard library."""

import asyncio
import socket
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "notify", "an-invented-password"  # of a server in a test


@dataclass(slots=True)
class MailServer:
    """An async context manager that listens on loopback."""

    port: int = 0
    received: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By recipient: (`rcpt` or `data`, the whole SMTP reply)."""
    silent: set[str] = field(default_factory=set)
    """Recipients whose mail is taken and then not answered."""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    def _protocol(self) -> SMTP:
        return SMTP(
            self, authenticator=_authenticate, auth_required=True, auth_require_tls=False, hostname="relay.example"
        )

    async def handle_RCPT(  # noqa: N802 # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the recipient, or answer as told."""
        step, reply = self.answers.get(address, ("", ""))
        if step == "rcpt":
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 # aiosmtpd's name
        """Take the mail, or answer as told."""
        step, reply = self.answers.get(envelope.rcpt_tos[0], ("", ""))
        if step == "data":
            return reply
        content = cast(bytes, envelope.content)
        self.received.append(message_from_bytes(content, policy=policy.default))
        self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
        if envelope.rcpt_tos[0] in self.silent:
            await asyncio.sleep(30)
        return "250 2.0.0 queued"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    given = data if isinstance(data, LoginPassword) else None
    good = given is not None and given == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)
