"""The ladder of an emergency: it climbs until there is evidence or a person must call, and nobody is lost on it."""

import asyncio
import csv
import io
import random
from datetime import timedelta

import pytest

from services.notify import store as kept
from services.notify.commands.channels.wire import address_key
from services.notify.commands.failures import tell_failures
from services.notify.commands.fanout import push_pages, still_published
from services.notify.commands.ladder import LEASE, climb_due
from services.notify.commands.later import send_later
from services.notify.domain.ladder import STANDINGS, WAIT
from services.notify.tests.providers import Providers, address, is_reached_by
from services.notify.tests.town import FATHER, MOTHER, NOON, NURSE, Town
from shared.auth import Principal
from shared.ids import derived_id
from shared.store import Doc
from shared.testing.provider import Scripted

pytestmark = pytest.mark.integration

ALL = ("fcm", "apns", "line", "sms", "mail")


async def emergency(town: Town) -> str:
    """An emergency that went out: inboxes filled, the first step of the ladder taken."""
    notice = await town.publishes(urgency="emergency")
    await town.expands(notice, pushes=True)
    return notice


async def waits(town: Town, times: int = 1) -> None:
    """So many waits of the ladder pass."""
    for _ in range(times):
        town.runtime.clock.move_to(town.runtime.clock.now() + WAIT)
        await climb_due(town.notices, lambda target: still_published(town.notices, target))


async def board(town: Town, notice: str) -> dict[str, int]:
    """Reached, waiting, to call; their sum is always the audience."""
    found = await town.does(NURSE, "GET", f"/v1/announcements/{notice}/board")
    assert sum(found[name] for name in STANDINGS) == found["recipients"]
    return {name: found[name] for name in STANDINGS}


async def call_list(town: Town, notice: str) -> list[dict[str, str]]:
    answer = await town.call(NURSE, "GET", f"/v1/announcements/{notice}/call-list")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def sent(providers: Providers) -> list[int]:
    """How many messages each rung has carried: push, LINE, SMS, mail."""
    pushes = len(providers.fcm.delivered) + len(providers.apns.delivered)
    return [pushes, len(providers.line.delivered), len(providers.sms.delivered), len(providers.mail.received)]


async def test_it_climbs_rung_by_rung_while_there_is_no_sign(town: Town, providers: Providers) -> None:
    await town.born()
    for channel in ALL:
        await is_reached_by(town, channel)
    notice = await emergency(town)
    assert sent(providers) == [2, 0, 0, 0]
    for expected in ([2, 1, 0, 0], [2, 1, 1, 0], [2, 1, 1, 1]):
        assert await board(town, notice) == {"reached": 0, "waiting": 1, "to_call": 0}
        await waits(town)
        assert sent(providers) == expected
    await waits(town)
    assert await board(town, notice) == {"reached": 0, "waiting": 0, "to_call": 1}
    [row] = await call_list(town, notice)
    assert (row["recipient"], row["language"], len(row["children"].split())) == (MOTHER.subject, "ja", 1)
    assert row["phone"].startswith("090-")
    assert row["tried"] == "apns:accepted fcm:accepted line:accepted mail:accepted sms:accepted"
    await waits(town, 3)
    assert sent(providers) == [2, 1, 1, 1]


async def test_who_reads_is_reached_and_climbs_no_further(town: Town, providers: Providers) -> None:
    await town.born()
    for channel in ALL:
        await is_reached_by(town, channel)
    notice = await emergency(town)
    [item] = await town.inbox()
    await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/read")
    assert await board(town, notice) == {"reached": 1, "waiting": 0, "to_call": 0}
    await waits(town, 5)
    assert sent(providers) == [2, 0, 0, 0]
    assert await call_list(town, notice) == []


async def test_a_definite_failure_waits_for_nothing(town: Town, providers: Providers) -> None:
    """The token is gone and LINE refuses: the SMS goes out within the same step."""
    await town.born()
    for channel in ("fcm", "line", "sms"):
        await is_reached_by(town, channel)
    providers.fcm.scripts["*"] = Scripted("UNREGISTERED")
    providers.line.scripts["*"] = Scripted("failed-to-send")
    notice = await emergency(town)
    assert sent(providers) == [0, 0, 1, 0]
    assert await board(town, notice) == {"reached": 0, "waiting": 1, "to_call": 0}


async def test_who_has_no_address_or_none_that_works_is_to_be_called_at_once(town: Town, providers: Providers) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await is_reached_by(town, "mail", FATHER)
    providers.mail.answers[address("mail", FATHER)] = ("rcpt", "550 5.7.1 no")
    notice = await emergency(town)
    assert await board(town, notice) == {"reached": 0, "waiting": 0, "to_call": 2}
    assert [row["tried"] for row in await call_list(town, notice)] == ["mail:refused", "none"]


async def test_a_call_that_reached_somebody_is_evidence(town: Town, providers: Providers) -> None:
    await town.born()
    notice = await emergency(town)
    path = f"/v1/announcements/{notice}/calls/{MOTHER.subject}"
    await town.does(NURSE, "PUT", path, {"outcome": "no-answer"})
    [row] = await call_list(town, notice)
    assert row["calls"] == "no-answer"
    await town.does(NURSE, "PUT", path, {"outcome": "reached"})
    assert await board(town, notice) == {"reached": 1, "waiting": 0, "to_call": 0}
    stranger = f"/v1/announcements/{notice}/calls/somebody"
    assert (await town.call(NURSE, "PUT", stranger, {"outcome": "reached"})).status_code == 404


async def test_a_recall_ends_the_climb(town: Town, providers: Providers) -> None:
    await town.born()
    for channel in ALL:
        await is_reached_by(town, channel)
    notice = await emergency(town)
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong"})
    await waits(town, 5)
    assert sent(providers) == [2, 0, 0, 0]
    assert await call_list(town, notice) == []


async def test_the_call_list_is_no_formula(town: Town, providers: Providers) -> None:
    """S12: a spreadsheet that opens it runs nothing."""
    await town.born(guardians=["=HYPERLINK(1)", "+81", "-1", "@x", "g"])
    rows = await call_list(town, await emergency(town))
    assert sorted(row["recipient"] for row in rows) == ["'+81", "'-1", "'=HYPERLINK(1)", "'@x", "g"]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "@")]


@pytest.mark.parametrize("trouble", ["answers 500", "accepts and falls silent", "loses a third of the tokens"])
async def test_nobody_is_unknown_whatever_the_push_service_does(town: Town, providers: Providers, trouble: str) -> None:
    """At every step the sum is the audience; at the end each has evidence or is on the call list; nobody got a thing twice."""
    rng = random.Random(7)  # invented families
    guardians = [Principal(f"g{number:02}", "guardian") for number in range(45)]
    await town.born(guardians=[who.subject for who in guardians])
    for number, who in enumerate(guardians):
        for channel in ("fcm", "line", "sms"):
            if channel == "fcm" or rng.random() < 0.5:
                await is_reached_by(town, channel, who)
        if trouble == "loses a third of the tokens" and number % 3 == 0:
            providers.fcm.scripts[address("fcm", who)] = Scripted("UNREGISTERED")
    if trouble == "answers 500":
        providers.fcm.scripts["*"] = Scripted("INTERNAL")
    elif trouble == "accepts and falls silent":
        providers.fcm.scripts["*"] = Scripted(after=3.0, accepts=True)
        town.notices.pusher.timeout_s = 1.0
    notice = await emergency(town)
    await town.expands(notice, pushes=True)
    for reader in guardians[:10]:
        await board(town, notice)
        [item] = await town.inbox(reader)
        await town.does(reader, "POST", f"/v1/inbox/{item['id']}/read")
    for _ in range(4):
        await waits(town)
        standings = await board(town, notice)
    assert standings == {"reached": 10, "waiting": 0, "to_call": 35}
    assert len(await call_list(town, notice)) == 35
    for channel in ("fcm", "line", "sms"):
        arrived = [to for to, _ in providers.of(channel).delivered]
        assert len(arrived) == len(set(arrived))
    tried = {row["recipient"] for row in await town.runtime.store.find(kept.PUSHES, {"announcement": notice})}
    assert tried == {who.subject for who in guardians}


# Workers ----------------------------------------------------------------------------------------------------------


async def test_many_workers_are_one(town: Town, providers: Providers) -> None:
    await town.born()
    for channel in ALL:
        await is_reached_by(town, channel)
    notice = await town.publishes(urgency="emergency")
    await town.expands(notice)
    pages = await town.pages(notice)
    await asyncio.gather(*(push_pages(town.notices, pages) for _ in range(3)))
    await asyncio.gather(*(waits_together(town) for _ in range(3)))
    assert sent(providers) == [2, 0, 0, 0]
    town.runtime.clock.move_to(town.runtime.clock.now() + WAIT)
    await asyncio.gather(*(waits_together(town) for _ in range(3)))
    assert sent(providers) == [2, 1, 0, 0]


async def waits_together(town: Town) -> None:
    await climb_due(town.notices, lambda target: still_published(town.notices, target))


async def test_d3_a_worker_that_died_on_the_ladder_is_followed_by_another(town: Town, providers: Providers) -> None:
    """Its push is claimed and nobody knows whether it left: it is not sent again, and the next rung is."""
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    for channel in ("fcm", "line"):
        await is_reached_by(town, channel)
        await is_reached_by(town, channel, FATHER)
    notice = await town.publishes(urgency="emergency")
    await town.expands(notice)
    row = {"_id": f"{notice}:0", "announcement": notice, "page": 0, "step": 0, "top": []}
    await town.runtime.store.insert(kept.LADDERS, {**row, "next_at": (NOON + LEASE).timestamp()})
    [device] = (await kept.addresses_of(town.runtime.store, [MOTHER.subject]))[MOTHER.subject][:1]
    assert device["device"] == address_key("fcm", address("fcm"))
    item = derived_id(notice, MOTHER.subject, "inbox")
    claim: Doc = {
        "_id": derived_id(item, device["_id"], "fcm"),
        "item": item,
        "announcement": notice,
        "state": "claimed",
    }
    claim |= {"recipient": MOTHER.subject, "channel": "fcm", "address": device["_id"], "attempts": 0, "at": "x"}
    await town.runtime.store.insert(kept.PUSHES, claim)
    await push_pages(town.notices, await town.pages(notice))
    assert sent(providers) == [0, 0, 0, 0]
    await waits(town, 2)
    assert [to for to, _ in providers.fcm.delivered] == [address("fcm", FATHER)]
    assert [to for to, _ in providers.line.delivered] == [address("line")]


# Failures ---------------------------------------------------------------------------------------------------------


async def test_staff_have_failures_sent_once_more_and_the_unknown_left_alone(town: Town, providers: Providers) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await is_reached_by(town, "line")
    await is_reached_by(town, "line", FATHER)
    providers.line.scripts[address("line")] = Scripted("unauthorized")
    providers.line.scripts[address("line", FATHER)] = Scripted("internal")
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    assert (await town.ledger(notice))["channels"]["line"]["failed"] == 1
    providers.line.scripts.clear()
    path = f"/v1/announcements/{notice}/deliveries/repeat"
    assert (await town.does(NURSE, "POST", path))["repeating"] == 1
    await asyncio.gather(send_later(town.reminders), send_later(town.reminders))
    assert [to for to, _ in providers.line.delivered] == [address("line")]
    ledger = await town.ledger(notice)
    assert (ledger["channels"]["line"]["accepted"], ledger["channels"]["line"]["unknown"]) == (1, 1)
    [line] = [one for one in ledger["items"] if one["recipient"] == MOTHER.subject and one["channel"] == "line"]
    assert [one["status"] for one in line["tries"]] == [401, 200]
    assert (await town.does(NURSE, "POST", path))["repeating"] == 0


async def test_each_failure_is_told_once(town: Town, providers: Providers) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await is_reached_by(town, "line")
    await is_reached_by(town, "fcm")
    await is_reached_by(town, "line", FATHER)
    providers.line.scripts[address("line")] = Scripted("forbidden")
    providers.fcm.scripts["*"] = Scripted("UNREGISTERED")
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    [fcm] = [row for row in await town.runtime.store.find(kept.PUSHES, {}) if row["channel"] == "fcm"]
    assert await tell_failures(town.notices) == 2
    assert await tell_failures(town.notices) == 0
    told = [data for name, data in await town.told(kept.MAILBOXES) if name == "DeliveryFailed"]
    assert sorted((one["channel"], one["reason"]) for one in told) == [("fcm", "UNREGISTERED"), ("line", "forbidden")]
    assert {one["announcement"] for one in told} == {notice}
    # Killed between the word and the mark: the word is not said twice.
    await town.runtime.store.update(kept.PUSHES, {"_id": fcm["_id"]}, {"$set": {"tell": fcm["tell"]}})
    await tell_failures(town.notices)
    told = [data for name, data in await town.told(kept.MAILBOXES) if name == "DeliveryFailed"]
    assert len(told) == 2
    assert timedelta(0) < WAIT < LEASE
