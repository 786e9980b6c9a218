"""LINE, SMS and mail addresses: a guardian names one, and proves by a code sent there that it is theirs; what each prefers."""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import phonenumbers
from phonenumbers import PhoneNumberType

from services.notify import store as kept
from services.notify.commands.channels.mail import unsubscribe_token
from services.notify.commands.channels.wire import Message, address_key
from services.notify.commands.devices import Devices, keep, the_guardian
from services.notify.commands.pushing import Pusher
from services.notify.commands.words import WORDS
from services.notify.domain.preferences import DEFAULT_WAYS, TOPICS
from shared.auth import Principal
from shared.clock import wire_instant
from shared.ids import derived_id
from shared.problems import NotFound, TooMany, invalid
from shared.settings import Settings
from shared.store import Doc

VALID_FOR = timedelta(minutes=10)
GUESSES = 5
CODES_PER_HOUR = 5
CODES_PER_HOUR_AND_ADDRESS = 3
"""So that nobody floods a stranger's phone."""
_MAIL = re.compile(
    r"[A-Za-z0-9._%+'-]{1,64}@(?=.{4,190}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_LINE = re.compile(r"U[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class ContactPoints:
    """What naming and proving an address needs."""

    devices: Devices
    pusher: Pusher
    settings: Settings

    def seal(self, row_id: str, code: str) -> str:
        """What is kept of a code."""
        return hmac.digest(self.settings.own_secret, f"proof\x1f{row_id}\x1f{code}".encode(), "sha256").hex()


def normal(channel: str, address: str) -> str:
    """The one spelling of an address; Invalid where it is none of that channel."""
    if channel == "sms":
        found = _mobile(address)
    elif channel == "mail":
        local, _, domain = address.strip().rpartition("@")
        spelled = f"{local}@{domain.lower()}"
        found = spelled if _MAIL.fullmatch(spelled) and ".." not in spelled and not local.startswith(".") else None
    else:
        found = address if _LINE.fullmatch(address) else None
    if found is None:
        raise invalid("/address", f"no-{channel}-address", "この宛先は使えません。", "This address cannot be used.")
    return found


def _mobile(number: str) -> str | None:
    """E.164 of a mobile phone's number, Japanese unless it says another country."""
    try:
        found = phonenumbers.parse(number, "JP")
    except phonenumbers.NumberParseException:
        return None
    kinds = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
    if not phonenumbers.is_valid_number(found) or phonenumbers.number_type(found) not in kinds:
        return None
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


async def name_address(points: ContactPoints, principal: Principal, name: str, channel: str, address: str) -> Doc:
    """Send a code to an address that this guardian names; nothing else is sent there before the code comes back."""
    guardian, devices = the_guardian(principal), points.devices
    address = normal(channel, address)
    way = points.pusher.channels[channel]
    if way.off() is not None:
        words = ("この通知方法は現在利用できません。", "This channel is not set up on this platform.")
        raise invalid("/channel", "channel-off", *words)
    now = devices.clock.now()
    row_id, device = derived_id(guardian, name, "contact"), address_key(channel, address)
    await _not_too_often(points, guardian, device)
    code, until = f"{secrets.randbelow(10**6):06}", (now + VALID_FOR).timestamp()
    fields = {
        "recipient": guardian,
        "name": name,
        "channel": channel,
        "address": address,
        "device": device,
        "code": points.seal(row_id, code),
        "until": until,
        "left": GUESSES,
    }
    asked = {"$each": [now.timestamp()], "$slice": -CODES_PER_HOUR}
    await devices.store.update(kept.PROOFS, {"_id": row_id}, {"$set": fields, "$push": {"asked": asked}}, upsert=True)
    language = str((await kept.preferences_of(devices.store, [guardian])).get(guardian, {}).get("language", "ja"))
    text = WORDS["code"][language].format(code=code)
    message = Message(secrets.token_hex(16), row_id, "emergency", text, "", language, None)
    answer = await way.send(message, {"_id": row_id, "address": address}, points.pusher.timeout_s)
    if answer.state in {"refused", "gone"}:
        raise invalid("/address", "not-deliverable", "この宛先に送れませんでした。", "Nothing could be sent there.")
    return {"id": name, "state": "code-sent", "until": kept.instant(until)}


async def _not_too_often(points: ContactPoints, guardian: str, device: str) -> None:
    store, since = points.devices.store, (points.devices.clock.now() - timedelta(hours=1)).timestamp()
    mine = await store.find(kept.PROOFS, {"recipient": guardian}, fields=["asked"])
    there = await store.find(kept.PROOFS, {"device": device}, fields=["asked"])
    for rows, limit in ((mine, CODES_PER_HOUR), (there, CODES_PER_HOUR_AND_ADDRESS)):
        if sum(at > since for row in rows for at in row.get("asked", ())) >= limit:
            raise TooMany(headers={"Retry-After": "3600"})


async def prove(points: ContactPoints, principal: Principal, name: str, code: str) -> Doc:
    """The code came back: the address is theirs. A wrong one costs a guess."""
    guardian, store = the_guardian(principal), points.devices.store
    row_id = derived_id(guardian, name, "contact")
    row = await store.get(kept.PROOFS, row_id)
    if row is None or row.get("code") is None:
        raise NotFound
    left = int(row["left"])
    # The guess is paid before it is looked at, so that many at once are not cheaper.
    paid = left > 0 and await store.update(kept.PROOFS, {"_id": row_id, "left": left}, {"$set": {"left": left - 1}})
    good = hmac.compare_digest(points.seal(row_id, code), row["code"])
    if not paid or not good or row["until"] < points.devices.clock.now().timestamp():
        words = ("コードが違うか、期限が切れています。", "The code is wrong or too old.")
        raise invalid("/code", "code-wrong", *words)
    fields = {
        "channel": row["channel"],
        "address": row["address"],
        "device": row["device"],
        "name": name,
        "proven_at": wire_instant(points.devices.clock.now()),
    }
    await keep(points.devices, guardian, row_id, fields, "/address")
    await store.update(kept.PROOFS, {"_id": row_id}, {"$set": {"code": None}})
    return {"id": name, "state": "proven", "channel": row["channel"]}


async def contact_points(points: ContactPoints, principal: Principal) -> list[Doc]:
    """The guardian's own devices and addresses; an address is shown only as far as its owner knows it again."""
    guardian = the_guardian(principal)
    rows = (await kept.addresses_of(points.devices.store, [guardian])).get(guardian, [])
    found = [
        {
            "id": row.get("name", ""),
            "channel": kept.channel_of(row),
            "address": masked(row["address"]) if "proven_at" in row else None,
            "since": row.get("proven_at") or row.get("created_at"),
        }
        for row in rows
    ]
    return sorted(found, key=lambda one: (str(one["channel"]), str(one["id"])))


def masked(address: str) -> str:
    """The first and last signs of an address."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else f"{address[:3]}…{address[-4:]}"


# What each prefers -----------------------------------------------------------------------------------------------


async def preferences(points: ContactPoints, principal: Principal) -> Doc:
    """What this guardian chose, or what holds without a choice."""
    guardian = the_guardian(principal)
    chosen = (await kept.preferences_of(points.devices.store, [guardian])).get(guardian, {})
    topics = {topic: chosen.get("topics", {}).get(topic, list(DEFAULT_WAYS)) for topic in TOPICS}
    return {
        "language": chosen.get("language", "ja"),
        "digest": bool(chosen.get("digest", False)),
        "topics": topics,
        "quiet_hours": {
            "from": f"{points.settings.quiet_from:02}:00",
            "to": f"{points.settings.quiet_to:02}:00",
            "zone": "Asia/Tokyo",
        },
    }


async def choose(
    points: ContactPoints, principal: Principal, language: str, digest: bool, topics: Mapping[str, Sequence[str]]
) -> Doc:
    """Keep what this guardian chose; a topic that is not named keeps its way."""
    guardian = the_guardian(principal)
    sets: Doc = {"language": language, "digest": digest}
    sets |= {f"topics.{topic}": sorted(set(ways)) for topic, ways in topics.items()}
    await points.devices.store.update(kept.PREFERENCES, {"_id": guardian}, {"$set": sets}, upsert=True)
    return await preferences(points, principal)


async def unsubscribe(points: ContactPoints, token: str) -> str:
    """No more mail to the guardian behind this token, emergencies apart; whose it is. NotFound for a token that is none."""
    address_id = token.partition(".")[0]
    if not hmac.compare_digest(unsubscribe_token(points.settings, address_id), token):
        raise NotFound
    row = await points.devices.store.get(kept.SUBSCRIPTIONS, address_id)
    if row is None:
        raise NotFound
    guardian = str(row["recipient"])
    chosen = (await kept.preferences_of(points.devices.store, [guardian])).get(guardian, {})
    sets = {
        f"topics.{topic}": [way for way in chosen.get("topics", {}).get(topic, DEFAULT_WAYS) if way != "mail"]
        for topic in TOPICS
    }
    await points.devices.store.update(kept.PREFERENCES, {"_id": guardian}, {"$set": sets}, upsert=True)
    return guardian
