"""Mail through the town's relay, which signs (DKIM) and sends: RFC 5321, one-click unsubscribe after RFC 8058."""

import asyncio
import base64
import hmac
import html
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as ON_THE_WIRE
from email.utils import format_datetime, localtime

import aiosmtplib

from services.notify.commands.channels.wire import Answer, Message
from shared.egress import Egress
from shared.settings import Settings
from shared.store import Doc

DEAD = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")
"""There is no such mailbox, or it is closed for good (RFC 3463)."""
SENDER_NAME = "育み お知らせ"


@dataclass(slots=True)
class Mail:
    """Mailboxes, by their addresses."""

    egress: Egress  # not used: the relay is the town's own, not one of the world's
    settings: Settings
    name: str = "mail"

    def off(self) -> str | None:
        """A platform without a relay, a sender's address, or an address of its own to unsubscribe at."""
        told = self.settings
        return None if told.mail_host and told.mail_from and told.public_url else "no-relay"

    def provider(self, address: Doc) -> str:
        """One relay for all."""
        return self.name

    async def send(self, message: Message, address: Doc, timeout_s: float) -> Answer:
        """One mail, on a connection of its own."""
        told = self.settings
        relay = aiosmtplib.SMTP(
            hostname=told.mail_host,
            port=told.mail_port,
            username=told.mail_user or None,
            password=told.secret(told.mail_password_file) or None if told.mail_user else None,
            use_tls=told.mail_security == "tls",
            start_tls=told.mail_security == "starttls",
            timeout=timeout_s,
        )
        sending = False
        try:
            async with asyncio.timeout(timeout_s):
                await relay.connect()
                await relay.mail(told.mail_from)
                await relay.rcpt(address["address"])
                content = mail_of(message, address, told).as_bytes(policy=ON_THE_WIRE)
                sending = True
                done = await relay.data(content)
                return Answer("accepted", done.code)
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            # OSError holds the TimeoutError of the bound above.
            return Answer("unknown" if sending else "not-sent", reason=type(error).__name__)
        finally:
            relay.close()


def _refused(code: int, words: str) -> Answer:
    """4yz: not now; 5yz: never; each a definite refusal of this message (RFC 5321 section 4.2.1)."""
    enhanced = words.split(" ", 1)[0].strip() if words else ""
    reason = enhanced if enhanced.count(".") == 2 else str(code)
    if code >= 500 and enhanced in DEAD:
        return Answer("gone", code, reason)
    return Answer("refused", code, reason, 1.0 if 400 <= code < 500 else None)


def mail_of(message: Message, address: Doc, settings: Settings) -> EmailMessage:
    """The mail: plain text and HTML of the same words; from an information or an important notice one click unsubscribes."""
    local, _, domain = settings.mail_from.partition("@")
    found = EmailMessage()
    found["From"] = Address(SENDER_NAME, local, domain)
    found["To"] = address["address"]
    found["Subject"] = " ".join(message.title.split())  # a header has one line
    found["Date"] = format_datetime(localtime())
    found["Message-ID"] = f"<{message.uuid}@{domain}>"
    found["Auto-Submitted"] = "auto-generated"
    found["Content-Language"] = message.language.partition("-")[0]
    if message.urgency != "emergency":
        token = unsubscribe_token(settings, address["_id"])
        found["List-Unsubscribe"] = f"<{settings.public_url}/v1/unsubscriptions/{token}>"
        found["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    text = f"{message.title}\n\n{message.body}\n" if message.body else f"{message.title}\n"
    found.set_content(text)
    title = html.escape(message.title)
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in message.body.splitlines() if line.strip())
    page = f'<!doctype html><html lang="{message.language}"><meta charset="utf-8"><title>{title}</title>'
    found.add_alternative(f"{page}<h1>{title}</h1>{paragraphs}</html>", subtype="html")
    return found


def unsubscribe_token(settings: Settings, address_id: str) -> str:
    """What unsubscribes this address and nothing else; nobody can make one up."""
    seal = hmac.digest(settings.own_secret, f"unsubscribe\x1f{address_id}".encode(), "sha256")
    return f"{address_id}.{base64.urlsafe_b64encode(seal[:24]).decode()}"
