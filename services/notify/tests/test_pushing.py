"""Web Push: what is sent, to whom, at most once, and what each answer of a push service makes of it."""

import asyncio
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from services.notify import store as kept
from services.notify.commands.channels.wire import LONGEST_RETRY_S
from services.notify.commands.fanout import push_pages
from services.notify.tests.town import FATHER, MOTHER, NOTICE, NURSE, STRANGER, Town
from shared.auth import Principal
from shared.ids import derived_id
from shared.testing.push_service import Answer, PushService, Receiver

pytestmark = pytest.mark.integration


async def subscribes(town: Town, push: PushService, name: str = "phone", who: Principal = MOTHER) -> Receiver:
    """A browser that this guardian registered."""
    receiver = Receiver(push, name)
    await town.does(who, "PUT", f"/v1/push-subscriptions/{name}", receiver.subscription())
    return receiver


async def states(town: Town) -> list[str]:
    return sorted(row["state"] for row in await town.runtime.store.find(kept.PUSHES, {}))


async def test_a_push_is_encrypted_for_its_browser_and_passes_every_check(town: Town, push: PushService) -> None:
    await town.born()
    receiver = await subscribes(town, push)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    [request] = push.requests
    assert (request.problem, request.status, request.path) == (None, 201, receiver.path)
    [item] = await town.inbox()
    assert json.loads(receiver.decrypt(request.body)) == {
        "item": item["id"],
        "title": NOTICE["title"]["ja"],
        "urgency": "important",
        "announcement": notice,
    }
    assert NOTICE["title"]["ja"].encode() not in request.body
    assert request.headers["urgency"] == "normal"
    ledger = await town.ledger(notice)
    assert ledger["push"] == {"accepted": 1, "unknown": 0, "failed": 0, "gone": 0, "withdrawn": 0, "none": 0}
    [_, line] = ledger["items"]
    assert (line["channel"], line["state"], line["answer"], line["attempts"]) == ("web_push", "accepted", 201, 1)


async def test_a_browser_of_somebody_else_cannot_read_it(town: Town, push: PushService) -> None:
    await town.born()
    await subscribes(town, push)
    await town.expands(await town.publishes(), pushes=True)
    with pytest.raises(InvalidTag):
        Receiver(push, "thief").decrypt(push.requests[0].body)


async def test_each_browser_gets_it_once_however_often_the_page_is_worked(town: Town, push: PushService) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    for name, who in (("phone", MOTHER), ("tablet", MOTHER), ("fathers", FATHER)):
        await subscribes(town, push, name, who)
    notice = await town.publishes()
    pages = await town.pages(notice)
    await asyncio.gather(*(push_pages(town.notices, pages) for _ in range(3)))
    await push_pages(town.notices, pages)
    assert sorted(request.path for request in push.requests) == ["/push/fathers", "/push/phone", "/push/tablet"]
    assert (await town.ledger(notice))["push"]["accepted"] == 2


async def test_a_claim_whose_sender_died_is_never_sent_again(town: Town, push: PushService) -> None:
    """D3, F2: killed after the claim; nobody knows whether it left."""
    await town.born()
    await subscribes(town, push)
    notice = await town.publishes()
    item = derived_id(notice, MOTHER.subject, "inbox")
    browser = derived_id(MOTHER.subject, "phone", "subscription")
    claim = {
        "_id": derived_id(item, browser, "web_push"),
        "item": item,
        "announcement": notice,
        "recipient": MOTHER.subject,
        "state": "claimed",
        "attempts": 0,
        "at": "2026-11-23T03:00:00.000Z",
    }
    await town.runtime.store.insert(kept.PUSHES, claim)
    await town.expands(notice, pushes=True)
    assert push.requests == []
    assert (await town.ledger(notice))["push"]["unknown"] == 1


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_removed(town: Town, push: PushService, status: int) -> None:
    await town.born()
    receiver = await subscribes(town, push)
    push.answers[receiver.path] = Answer(status)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert (await town.ledger(notice))["push"]["gone"] == 1
    await town.expands(await town.publishes(urgency="info"), pushes=True)
    assert len(push.requests) == 1
    del push.answers[receiver.path]
    await subscribes(town, push)
    await town.expands(await town.publishes(urgency="emergency"), pushes=True)
    assert len(push.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 413, 301])
async def test_a_refusal_is_final(town: Town, push: PushService, status: int) -> None:
    await town.born()
    receiver = await subscribes(town, push)
    push.answers[receiver.path] = Answer(status)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert len(push.requests) == 1
    ledger = await town.ledger(notice)
    assert ledger["push"]["failed"] == 1
    assert ledger["items"][1]["answer"] == status


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_g5_behind_a_5xx_it_may_have_arrived_and_even_staff_do_not_repeat_it(
    town: Town, push: PushService, status: int
) -> None:
    """A 502 or a 503 that names no time may come from something on the way, behind which the push was taken."""
    await town.born()
    receiver = await subscribes(town, push)
    push.answers[receiver.path] = Answer(status)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert (await town.ledger(notice))["push"]["unknown"] == 1
    repeated = await town.does(NURSE, "POST", f"/v1/announcements/{notice}/deliveries/repeat")
    assert (repeated["repeating"], len(push.requests)) == (0, 1)


@pytest.mark.parametrize("status", [429, 503])
async def test_not_now_is_tried_again_when_it_says(town: Town, push: PushService, status: int) -> None:
    await town.born()
    receiver = await subscribes(town, push)
    push.answers[receiver.path] = Answer(status, retry_after=0, times=2)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert [request.status for request in push.requests] == [status, status, 201]
    [_, line] = (await town.ledger(notice))["items"]
    assert (line["state"], line["attempts"]) == ("accepted", 3)


async def test_not_now_is_not_tried_for_ever_nor_earlier_than_asked(town: Town, push: PushService) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    patient = await subscribes(town, push, "patient")
    busy = await subscribes(town, push, "busy", FATHER)
    push.answers[patient.path] = Answer(429, retry_after=int(LONGEST_RETRY_S) + 1)
    push.answers[busy.path] = Answer(503, retry_after=0)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert sorted(request.path for request in push.requests) == [*[busy.path] * 3, patient.path]
    assert (await town.ledger(notice))["push"]["failed"] == 2


async def test_an_outcome_that_nobody_knows_is_never_tried_again(town: Town, push: PushService) -> None:
    """G5: accepted, then silent; the browser has it, and gets it once."""
    await town.born()
    receiver = await subscribes(town, push)
    push.answers[receiver.path] = Answer(201, after=2.0)
    town.notices.pusher.timeout_s = 0.3
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    await town.expands(notice, pushes=True)
    assert len(push.requests) == 1
    assert (await town.ledger(notice))["push"]["unknown"] == 1


async def test_nothing_listens_nothing_was_sent(town: Town, push: PushService) -> None:
    await town.born()
    await subscribes(town, push)
    await push.__aexit__()
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert await states(town) == ["not-sent"]
    assert (await town.ledger(notice))["push"]["failed"] == 1


async def test_a_dead_provider_is_left_alone_for_a_while(town: Town, push: PushService) -> None:
    """G10: after ten failures in a row the rest is not even tried."""
    guardians = [f"g{number:02}" for number in range(60)]
    await town.born(guardians=guardians)
    for guardian in guardians:
        receiver = await subscribes(town, push, f"phone-{guardian}", Principal(guardian, "guardian"))
        push.answers[receiver.path] = Answer(500)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert len(push.requests) < 60
    assert "provider-down" in await states(town)
    ledger = await town.ledger(notice)
    # Those that were tried may have arrived behind the 500; the rest definitely did not.
    assert ledger["push"]["unknown"] == len(push.requests)
    assert ledger["push"]["failed"] + ledger["push"]["unknown"] == sum(ledger["push"].values()) == 60


async def test_a_recall_between_claim_and_sending_holds_the_push_back(town: Town, push: PushService) -> None:
    """D3: the page had begun when the recall came."""
    await town.born()
    receiver = await subscribes(town, push)
    notice = await town.publishes()
    push.answers[receiver.path] = Answer(503, retry_after=1, times=1)
    sending = asyncio.create_task(town.expands(notice, pushes=True))
    async with asyncio.timeout(5):
        while not push.requests:
            await asyncio.sleep(0.01)
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong"})
    await sending
    assert len(push.requests) == 1
    assert await states(town) == ["withdrawn"]


async def test_a_recalled_notice_is_not_pushed(town: Town, push: PushService) -> None:
    await town.born()
    await subscribes(town, push)
    notice = await town.publishes()
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong"})
    await town.expands(notice, pushes=True)
    assert push.requests == []
    assert (await town.ledger(notice))["push"]["none"] == 1


async def test_an_emergency_does_not_queue_behind_a_newsletter(town: Town, push: PushService) -> None:
    """Forty pushes of a newsletter that nobody answers hold every place of their lane; the emergency has its own."""
    speak = asyncio.Event()
    guardians = [f"g{number:02}" for number in range(40)]
    await town.born(guardians=guardians, district="一丁目")
    for guardian in guardians:
        receiver = await subscribes(town, push, f"phone-{guardian}", Principal(guardian, "guardian"))
        push.answers[receiver.path] = Answer(201, after=9.0, speak=speak)
    await town.born(guardians=[MOTHER.subject], district="二丁目")
    mother = await subscribes(town, push)
    newsletter = await town.publishes(urgency="info", audience={"district": "一丁目"})
    emergency = await town.publishes(urgency="emergency", audience={"district": "二丁目"})
    slow = asyncio.create_task(town.expands(newsletter, pushes=True))
    async with asyncio.timeout(30):
        while len(push.requests) < 32:
            await asyncio.sleep(0.01)
    await town.expands(emergency, pushes=True)
    assert [request.headers["urgency"] for request in push.requests if request.path == mother.path] == ["high"]
    assert len([request for request in push.requests if request.path != mother.path]) == 32
    speak.set()
    await slow
    assert len(push.requests) == 41


# Subscriptions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/fcm/send/1",
        "https://127.0.0.1/push",
        "https://[::1]/push",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1:8443/",
        "https://localhost/push",
        "https://fcm.googleapis.com.example/push",
        "https://fcm.googleapis.com@evil.example/",
        "https://evil.example/fcm.googleapis.com",
        "https://fcm.googleapis.com:8080/push",
        "https://fcm.googleapis.com\\@evil.example/",
        "https://push.apple.com.evil.example/x",
        "file:///etc/passwd",
        "gopher://fcm.googleapis.com/1",
        "https://fcm.googleapis.com/\r\nHost: x",
    ],
)
async def test_no_push_service_no_subscription(town: Town, push: PushService, endpoint: str) -> None:
    """S10: whatever it is, nothing is connected and nothing kept."""
    body = {**Receiver(push, "x").subscription(), "endpoint": endpoint}
    answer = await town.call(MOTHER, "PUT", "/v1/push-subscriptions/x", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/endpoint"
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc",
        "https://updates.push.services.mozilla.com/wpush/v2/abc",
        "https://web.push.apple.com/abc",
        "https://wns2-par02p.notify.windows.com/w/?token=abc",
    ],
)
async def test_the_browsers_push_services_are_known(town: Town, push: PushService, endpoint: str) -> None:
    body = {**Receiver(push, "x").subscription(), "endpoint": endpoint}
    assert (await town.call(MOTHER, "PUT", "/v1/push-subscriptions/x", body)).status_code == 201


@pytest.mark.parametrize(
    ("browser_keys", "pointer"),
    [
        ({"p256dh": "AAAA", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}, "/keys/p256dh"),
        ({"auth": "AAAA"}, "/keys/auth"),
        ({"p256dh": "!!!", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}, "/keys/p256dh"),
        ({"p256dh": "B" + "A" * 86, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}, "/keys/p256dh"),
        ({"p256dh": "A" * 201, "auth": "A"}, "/keys/p256dh"),
        ({"p256dh": "", "auth": "AAAAAAAAAAAAAAAAAAAAAA"}, "/keys/p256dh"),
    ],
)
async def test_a_key_that_cannot_be_used_is_refused(
    town: Town, push: PushService, browser_keys: dict[str, Any], pointer: str
) -> None:
    """Also a point that is on no curve: found now, not when an emergency goes out."""
    body = Receiver(push, "x").subscription()
    body["keys"] |= browser_keys
    answer = await town.call(MOTHER, "PUT", "/v1/push-subscriptions/x", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_browser_is_replaced_and_forgotten(town: Town, push: PushService) -> None:
    await town.born()
    first = Receiver(push, "old").subscription()
    path = "/v1/push-subscriptions/phone"
    assert (await town.call(MOTHER, "PUT", path, first)).status_code == 201
    assert (await town.call(MOTHER, "PUT", path, Receiver(push, "new").subscription())).status_code == 200
    await town.expands(await town.publishes(), pushes=True)
    assert [request.path for request in push.requests] == ["/push/new"]
    assert (await town.call(MOTHER, "DELETE", path)).status_code == 204
    assert (await town.call(MOTHER, "DELETE", path)).status_code == 404
    assert (await town.call(STRANGER, "DELETE", path)).status_code == 404


async def test_who_signed_in_on_a_browser_last_is_who_reads_its_lock_screen(town: Town, push: PushService) -> None:
    await town.born(guardians=[MOTHER.subject])
    shared_phone = Receiver(push, "shared").subscription()
    await town.does(MOTHER, "PUT", "/v1/push-subscriptions/a", shared_phone)
    await town.does(STRANGER, "PUT", "/v1/push-subscriptions/b", shared_phone)
    await town.expands(await town.publishes(), pushes=True)
    assert push.requests == []


async def test_twenty_browsers_are_enough(town: Town, push: PushService) -> None:
    for number in range(20):
        await subscribes(town, push, f"phone-{number}")
    body = Receiver(push, "one-more").subscription()
    assert (await town.call(MOTHER, "PUT", "/v1/push-subscriptions/one-more", body)).status_code == 422


async def test_the_key_to_subscribe_with(town: Town) -> None:
    key = (await town.does(MOTHER, "GET", "/v1/push-key"))["key"]
    assert len(key) == 87
    assert key.startswith("B")
