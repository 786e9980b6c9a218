"""What a push promises at its edges: a sender that dies, a phone that changes hands, a message that nobody wants any more."""

import asyncio
import base64
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.notify import store as kept
from services.notify.commands.devices import Devices, subscribe
from services.notify.commands.pushing import Pusher, PushTarget
from services.notify.domain.web_push import PAYLOAD_LIMIT, payload, ttl_seconds, urgency_header
from services.notify.tests.town import FATHER, MOTHER, STRANGER, Town
from shared.auth import Principal
from shared.egress import Egress
from shared.ids import new_id
from shared.problems import Busy
from shared.settings import Settings
from shared.store import Doc
from shared.testing.push_service import Answer, PushService, Receiver

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]


def message(who: Principal = MOTHER, urgency: str = "important") -> PushTarget:
    return PushTarget(new_id(), who.subject, urgency, {"ja": "保育園からのお知らせ"}, reminder=new_id())


async def always(_: PushTarget) -> bool:
    return True


async def subscribes(town: Town, push: PushService, name: str = "phone", who: Principal = MOTHER) -> Receiver:
    receiver = Receiver(push, name)
    await town.does(who, "PUT", f"/v1/push-subscriptions/{name}", receiver.subscription())
    return receiver


async def claims(town: Town) -> dict[str, Doc]:
    """What is kept of each push, by recipient."""
    return {row["recipient"]: row for row in await town.runtime.store.find(kept.PUSHES, {})}


# A sender that dies -----------------------------------------------------------------------------------------------

DIES = """
import asyncio, json, sys
from services.notify.commands.devices import Devices, subscribe
from services.notify.commands.pushing import Pusher, PushTarget
from shared import faults
from shared.clock import Clock
from shared.egress import Egress
from shared.problems import Busy
from shared.settings import Settings
from shared.store import Store

async def wanted(target):
    return True

async def main(told):
    faults.arm(told["place"])
    settings = Settings(service="notify", environment="development", **told["settings"])
    store = Store.connect(settings.mongo_url, settings.mongo_database, timeout_ms=settings.mongo_timeout_ms)
    await Pusher(store, Egress(settings), settings, Clock()).push([PushTarget(**told["target"])], wanted)

asyncio.run(main(json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize(("place", "sent"), [("after_claim_before_push", 0), ("after_push_before_mark", 1)])
async def test_d3_a_killed_sender_leaves_a_claim_that_nobody_sends_again(
    town: Town, push: PushService, place: str, sent: int
) -> None:
    """F2 and G5: whether it left is known to nobody, so it stays unknown."""
    await subscribes(town, push)
    target = message()
    settings = town.runtime.settings
    told = {
        "place": place,
        "settings": {
            "mongo_url": settings.mongo_url,
            "mongo_database": settings.mongo_database,
            "vapid_key_file": str(settings.vapid_key_file),
            "egress_allowed_origin": push.origin,
        },
        "target": {name: getattr(target, name) for name in PushTarget.__slots__},
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    sender = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, json.dumps(told), env=environment)
    assert await sender.wait() == -signal.SIGKILL
    assert len(push.requests) == sent
    await town.notices.pusher.push([target], always)
    assert len(push.requests) == sent
    kept_claim = (await claims(town))[MOTHER.subject]
    assert (kept_claim["state"], kept_claim["reminder"]) == ("claimed", target.reminder)


# Between claim and sending ----------------------------------------------------------------------------------------


def meanwhile(happens: Callable[[], Awaitable[Any]]) -> Callable[[PushTarget], Awaitable[bool]]:
    """The message is still wanted, and while that is asked something happens."""

    async def still_wanted(_: PushTarget) -> bool:
        await happens()
        return True

    return still_wanted


async def test_a_browser_that_was_forgotten_meanwhile_gets_nothing(town: Town, push: PushService) -> None:
    await subscribes(town, push)
    forgets = meanwhile(lambda: town.does(MOTHER, "DELETE", "/v1/push-subscriptions/phone"))
    await town.notices.pusher.push([message()], forgets)
    assert push.requests == []
    assert (await claims(town))[MOTHER.subject]["state"] == "withdrawn"


async def test_a_phone_on_which_somebody_else_signed_in_meanwhile_shows_nothing(town: Town, push: PushService) -> None:
    phone = await subscribes(town, push)
    changes_hands = meanwhile(
        lambda: town.does(STRANGER, "PUT", "/v1/push-subscriptions/mine", phone.subscription()),
    )
    await town.notices.pusher.push([message()], changes_hands)
    assert push.requests == []


@pytest.mark.parametrize("place", ["phone", "elsewhere"])
async def test_a_browser_that_renewed_its_subscription_meanwhile_gets_it_there(
    town: Town, push: PushService, place: str
) -> None:
    await subscribes(town, push)
    renewed = Receiver(push, place)
    renews = meanwhile(lambda: town.does(MOTHER, "PUT", "/v1/push-subscriptions/phone", renewed.subscription()))
    await town.notices.pusher.push([message()], renews)
    [request] = push.requests
    assert request.path == renewed.path
    assert json.loads(renewed.decrypt(request.body))["urgency"] == "important"


async def test_what_is_gone_does_not_take_the_new_address_with_it(town: Town, push: PushService) -> None:
    old = await subscribes(town, push)
    push.answers[old.path] = Answer(410, after=0.5)
    sending = asyncio.create_task(town.notices.pusher.push([message()], always))
    async with asyncio.timeout(5):
        while not push.requests:
            await asyncio.sleep(0.01)
    await town.does(MOTHER, "PUT", "/v1/push-subscriptions/phone", Receiver(push, "new").subscription())
    await sending
    await town.notices.pusher.push([message()], always)
    assert [request.path for request in push.requests] == [old.path, "/push/new"]


async def test_d3_no_longer_wanted_is_asked_before_every_attempt(town: Town, push: PushService) -> None:
    phone = await subscribes(town, push)
    push.answers[phone.path] = Answer(429, retry_after=0)
    asked: list[PushTarget] = []

    async def until_recalled(target: PushTarget) -> bool:
        asked.append(target)
        return len(asked) < 3

    await town.notices.pusher.push([message()], until_recalled)
    assert (len(asked), len(push.requests)) == (3, 2)
    assert (await claims(town))[MOTHER.subject]["state"] == "withdrawn"


# One and the others -----------------------------------------------------------------------------------------------


async def test_one_failure_stops_no_other_and_is_said_at_the_end(town: Town, push: PushService) -> None:
    for who in (MOTHER, FATHER):
        await subscribes(town, push, who.subject, who)
    targets = [message(MOTHER), message(FATHER)]

    async def store_is_away(target: PushTarget) -> bool:
        if target.recipient == MOTHER.subject:
            raise ConnectionError
        return True

    with pytest.raises(ConnectionError):
        await town.notices.pusher.push(targets, store_is_away)
    await town.notices.pusher.push(targets, always)
    assert [request.path for request in push.requests] == [f"/push/{FATHER.subject}"]
    states = {recipient: row["state"] for recipient, row in (await claims(town)).items()}
    assert states == {MOTHER.subject: "claimed", FATHER.subject: "accepted"}


async def test_a_key_that_cannot_be_used_harms_its_own_push_only(town: Town, push: PushService) -> None:
    for who in (MOTHER, FATHER):
        await subscribes(town, push, who.subject, who)
    no_point = base64.urlsafe_b64encode(b"\4" + bytes(63) + b"\1").decode()
    broken = {"$set": {"keys.p256dh": no_point}}
    assert await town.runtime.store.update(kept.SUBSCRIPTIONS, {"recipient": MOTHER.subject}, broken)
    await town.notices.pusher.push([message(MOTHER), message(FATHER)], always)
    states = {recipient: row["state"] for recipient, row in (await claims(town)).items()}
    assert states == {MOTHER.subject: "refused", FATHER.subject: "accepted"}
    assert len(push.requests) == 1


async def test_full_is_refused_before_anybody_loses_a_browser(town: Town, push: PushService) -> None:
    phone = await subscribes(town, push)
    for number in range(20):
        await subscribes(town, push, f"tablet-{number}", STRANGER)
    refused = await town.call(STRANGER, "PUT", "/v1/push-subscriptions/one-more", phone.subscription())
    assert refused.status_code == 422
    replaced = Receiver(push, "tablet-new").subscription()
    assert (await town.call(STRANGER, "PUT", "/v1/push-subscriptions/tablet-0", replaced)).status_code == 200
    await town.notices.pusher.push([message()], always)
    assert [request.path for request in push.requests] == [phone.path]


# Credentials and payload ------------------------------------------------------------------------------------------


class Outside(Egress):
    """The way out to real push services, which ends here."""

    def __init__(self) -> None:
        super().__init__(Settings(service="notify"))
        self.sent: list[tuple[str, Mapping[str, str]]] = []

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 10.0, **options: bool
    ) -> httpx.Response:
        self.check(url, api=options["api"])
        self.sent.append((url, headers))
        return httpx.Response(201)


def claims_of(headers: Mapping[str, str]) -> dict[str, Any]:
    token = headers["Authorization"].partition("t=")[2].split(",")[0].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return found


async def test_each_push_service_gets_credentials_for_itself_only(town: Town, push: PushService) -> None:
    """RFC 8292 section 2: a token that one service could use at another would be a gift."""
    outside = Outside()
    pusher = Pusher(town.runtime.store, outside, town.runtime.settings, town.runtime.clock)
    endpoints = {
        "https://fcm.googleapis.com/fcm/send/a": "https://fcm.googleapis.com",
        "https://FCM.googleapis.com:443/fcm/send/b": "https://fcm.googleapis.com",
        "https://web.push.apple.com/c": "https://web.push.apple.com",
    }
    for number, endpoint in enumerate(endpoints):
        keys = Receiver(push, "x").subscription()["keys"]
        devices = Devices(town.runtime.store, outside, town.runtime.clock)
        assert await subscribe(devices, MOTHER, f"phone-{number}", endpoint, keys)
    await pusher.push([message()], always)
    await outside.close()
    found = {url: claims_of(headers) for url, headers in outside.sent}
    assert {url: told["aud"] for url, told in found.items()} == endpoints
    for told in found.values():
        assert time.time() < told["exp"] <= time.time() + 24 * 3_600
        assert told["sub"].startswith("mailto:")


async def test_without_a_key_nothing_is_sent_and_the_ledger_says_why(town: Town, push: PushService) -> None:
    await subscribes(town, push)
    settings = Settings(service="notify", environment="development", egress_allowed_origin=push.origin)
    keyless = Pusher(town.runtime.store, town.notices.pusher.egress, settings, town.runtime.clock)
    await keyless.push([message()], always)
    claim = (await claims(town))[MOTHER.subject]
    assert (claim["state"], claim["reason"], push.requests) == ("off", "no-vapid-key", [])
    assert keyless.states()["web_push"] == "off: no-vapid-key"
    with pytest.raises(Busy):
        keyless.public_key()


async def test_the_longest_title_that_fits_arrives_whole(town: Town, push: PushService) -> None:
    """One record of at most 4,096 bytes: RFC 8291 section 4."""
    phone = await subscribes(town, push)
    room = PAYLOAD_LIMIT - len(payload("i" * 32, "", "info", None))
    target = PushTarget("i" * 32, MOTHER.subject, "info", {"ja": "x" * room})
    await town.notices.pusher.push([target], always)
    [request] = push.requests
    assert (request.problem, len(request.body)) == (None, 4_096)
    assert json.loads(phone.decrypt(request.body))["title"] == "x" * room
    longer = PushTarget("j" * 32, MOTHER.subject, "info", {"ja": "x" * (room + 1)})
    await town.notices.pusher.push([longer], always)
    assert json.loads(phone.decrypt(push.requests[1].body)) == {"item": "j" * 32, "title": "", "urgency": "info"}


def test_a_push_says_no_more_than_that_there_is_something() -> None:
    assert json.loads(payload("i1", "お知らせ", "info", "a1")) == {
        "item": "i1",
        "title": "お知らせ",
        "urgency": "info",
        "announcement": "a1",
    }


@pytest.mark.parametrize(
    ("urgency", "header", "hours"), [("emergency", "high", 1), ("important", "normal", 24), ("info", "low", 24)]
)
def test_how_urgent_and_for_how_long(urgency: str, header: str, hours: int) -> None:
    """RFC 8030 sections 5.2 and 5.3: yesterday's emergency wakes nobody today."""
    assert (urgency_header(urgency), ttl_seconds(urgency)) == (header, hours * 3_600)
