"""Where a guardian can be reached: browsers and apps."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.notify import store as kept
from services.notify.commands.channels.wire import address_key
from services.notify.domain.web_push import SubscriptionError, check_keys
from shared.auth import Principal
from shared.clock import Clock, wire_instant
from shared.egress import Egress, EgressRefused
from shared.ids import derived_id
from shared.problems import Forbidden, NotFound, invalid
from shared.store import Doc, Store

MAX_ADDRESSES = 20
HANDED_ON = frozenset({"web_push", "fcm", "apns", "line"})
"""One device has one reader. A number or a mail address may be a family's."""
TOKENS: dict[str, Callable[[str], Any]] = {
    "fcm": re.compile(r"[A-Za-z0-9_:-]{20,1000}").fullmatch,
    "apns": re.compile(r"(?:[0-9a-f]{2}){32,100}").fullmatch,
}


@dataclass(frozen=True, slots=True)
class Devices:
    """What registering needs."""

    store: Store
    egress: Egress
    clock: Clock
    lost: Callable[[str], Awaitable[None]] | None = None
    """Told of a guardian whose device is somebody else's now."""


def the_guardian(principal: Principal) -> str:
    """The guardian who asks; Forbidden for every other role."""
    if principal.role != "guardian":
        raise Forbidden
    return principal.subject


async def subscribe(devices: Devices, principal: Principal, name: str, endpoint: str, keys: Doc) -> bool:
    """Register a browser of this guardian, or replace it; whether it is new."""
    guardian = the_guardian(principal)
    try:
        devices.egress.check(endpoint)
    except EgressRefused as error:
        words = ("この送信先には対応していません。", "This push service is not one we send to.")
        raise invalid("/endpoint", error.code, *words) from None
    try:
        check_keys(keys)
    except SubscriptionError as error:
        raise invalid(error.pointer, error.code, "鍵の形式が正しくありません。", "The key cannot be used.") from None
    fields = {
        "channel": "web_push",
        "name": name,
        "endpoint": endpoint,
        "device": derived_id(endpoint, "browser"),
        "keys": keys,
    }
    return await keep(devices, guardian, derived_id(guardian, name, "subscription"), fields, "/endpoint")


async def register(devices: Devices, principal: Principal, name: str, channel: str, token: str) -> bool:
    """Register an app's token, or replace it; whether it is new. An app does so at each start: tokens change."""
    guardian = the_guardian(principal)
    token = token.lower() if channel == "apns" else token
    if not TOKENS[channel](token):
        words = ("端末トークンの形式が正しくありません。", "This is no token of that push service.")
        raise invalid("/token", "token-malformed", *words)
    fields: Doc = {"channel": channel, "name": name, "address": token, "device": address_key(channel, token)}
    fields["registered_at"] = devices.clock.now().timestamp()
    return await keep(devices, guardian, derived_id(guardian, name, "device"), fields, "/token")


async def keep(devices: Devices, guardian: str, row_id: str, fields: Doc, pointer: str) -> bool:
    """Keep an address of this guardian under its id; whether it is new."""
    store, device = devices.store, fields["device"]
    known = (await kept.addresses_of(store, [guardian])).get(guardian, [])
    others = [row for row in known if row["_id"] != row_id and row["device"] != device]
    if len(others) >= MAX_ADDRESSES:
        raise invalid(pointer, "too-many", "登録できる端末は20台までです。", "At most 20 devices.")
    # Who signs in on a device last is who reads its lock screen; nobody has one device twice.
    for row in await store.find(kept.SUBSCRIPTIONS, {"device": device}, fields=["recipient"]):
        if row["_id"] != row_id and (fields["channel"] in HANDED_ON or row["recipient"] == guardian):
            await store.delete(kept.SUBSCRIPTIONS, {"_id": row["_id"]})
            if row["recipient"] != guardian and devices.lost is not None:
                await devices.lost(row["recipient"])
    if await store.update(kept.SUBSCRIPTIONS, {"_id": row_id}, {"$set": {"recipient": guardian, **fields}}):
        return False
    row = {"_id": row_id, "recipient": guardian, **fields, "created_at": wire_instant(devices.clock.now())}
    return await store.insert(kept.SUBSCRIPTIONS, row)


async def forget(devices: Devices, principal: Principal, name: str, kind: str) -> None:
    """Forget an address of this guardian; NotFound where there is none."""
    row_id = derived_id(the_guardian(principal), name, kind)
    if not await devices.store.delete(kept.SUBSCRIPTIONS, {"_id": row_id}):
        raise NotFound
