"""The simulated providers of all channels, and a guardian's address at each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.notify.commands.channels.wire import address_key
from services.notify.commands.devices import keep
from services.notify.tests.town import MOTHER, Town
from shared.auth import Principal
from shared.ids import derived_id
from shared.testing.apns_service import KEY_ID, TEAM_ID, TOPIC, ApnsService
from shared.testing.fcm_service import FcmService
from shared.testing.line_service import LineService
from shared.testing.mail_server import PASSWORD, USER, MailServer
from shared.testing.provider import Provider
from shared.testing.twilio_service import ACCOUNT, SENDER, TwilioService


@dataclass(slots=True)
class Providers:
    """One of each."""

    fcm: FcmService
    apns: ApnsService
    line: LineService
    sms: TwilioService
    mail: MailServer

    def of(self, channel: str) -> Provider:
        """The provider of a channel."""
        found: Provider = getattr(self, channel)
        return found

    def settings(self, folder: Path) -> dict[str, Any]:
        """What notify is told of them."""
        return {
            "provider_origins": {
                "oauth": self.fcm.origin,
                "fcm": self.fcm.origin,
                "apns": self.apns.origin,
                "line": self.line.origin,
                "sms": self.sms.origin,
            },
            "fcm_credentials_file": self.fcm.credentials(folder),
            "apns_key_file": self.apns.key_file(folder),
            "apns_key_id": KEY_ID,
            "apns_team_id": TEAM_ID,
            "apns_topic": TOPIC,
            "line_token_file": self.line.token_file(folder),
            "sms_account": ACCOUNT,
            "sms_token_file": self.sms.token_file(folder),
            "sms_from": SENDER,
            "mail_host": "127.0.0.1",
            "mail_port": self.mail.port,
            "mail_user": USER,
            "mail_password_file": _password(folder),
            "mail_from": "oshirase@wakaba.example",
            "mail_security": "none",
            "public_url": "https://wakaba.example",
        }


def _password(folder: Path) -> Path:
    path = folder / "mail.password"
    path.write_text(PASSWORD, encoding="utf-8")
    return path


def address(channel: str, who: Principal = MOTHER) -> str:
    """This guardian's address at a channel."""
    name = derived_id(who.subject).replace("-", "")
    return {
        "fcm": f"d{name}:APA91b{name}",
        "apns": (name * 2)[:64],
        "line": f"U{name[:32]}",
        "sms": f"+8190{int(name[:8], 16) % 10**8:08}",
        "mail": f"{who.subject}@family.example",
    }[channel]


async def is_reached_by(town: Town, channel: str, who: Principal = MOTHER) -> str:
    """Register this guardian's address at a channel; the address."""
    found = address(channel, who)
    if channel in {"fcm", "apns"}:
        await town.does(who, "PUT", f"/v1/devices/{channel}", {"channel": channel, "token": found})
    else:
        fields = {"channel": channel, "address": found, "device": address_key(channel, found)}
        fields |= {"name": channel, "proven_at": "2026-11-01T00:00:00Z"}
        await keep(town.app.state.devices, who.subject, derived_id(who.subject, channel, "contact"), fields, "/address")
    return found
