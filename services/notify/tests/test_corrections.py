"""A wrong notice: every inbox shows what came of it, and those who had read it are told, nobody else."""

from datetime import timedelta
from typing import Any

import pytest

from services.notify import store as kept
from services.notify.commands.fanout import expand_pages, finish_pages, push_pages
from services.notify.commands.later import send_later
from services.notify.commands.words import WORDS
from services.notify.tests.providers import Providers, address, is_reached_by
from services.notify.tests.town import FATHER, MOTHER, NOON, NOTICE, NURSE, Town
from shared.auth import Principal
from shared.events.base import Envelope
from shared.testing.provider import Scripted

pytestmark = pytest.mark.integration

BETTER: dict[str, Any] = {
    "title": {"ja": "わかば幼稚園は明日休園です", "en": "Closed tomorrow"},
    "body": {"ja": "今日ではなく明日です。", "en": "Tomorrow, not today."},
    "reason": "wrong day",
}


async def read_by_the_mother(town: Town, **notice: Any) -> str:
    """A notice that mother and father got by LINE, and that she alone has read."""
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    for one in (MOTHER, FATHER):
        await is_reached_by(town, "line", one)
    found = await town.publishes(**notice)
    await town.expands(found, pushes=True)
    [item] = await town.inbox()
    await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/read")
    return found


async def corrected(town: Town, notice: str, **words: Any) -> list[Envelope]:
    """Staff put it right; the pages that say so."""
    path = f"/v1/announcements/{notice}"
    etag = (await town.call(NURSE, "GET", path)).headers["etag"]
    before = len(await town.pages(notice))
    await town.does(NURSE, "PUT", path, {**BETTER, **words}, If_Match=etag)
    return (await town.pages(notice))[before:]


async def recalled(town: Town, notice: str) -> list[Envelope]:
    before = len(await town.pages(notice))
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "another town's"})
    return (await town.pages(notice))[before:]


async def told(town: Town, pages: list[Envelope]) -> None:
    """Both groups of workers do these pages, each twice."""
    for _ in range(2):
        assert await expand_pages(town.notices, pages) == []
        assert await push_pages(town.notices, pages) == []


def lines_to(providers: Providers, who: Principal) -> list[str]:
    return [body["messages"][0]["text"] for to, body in providers.line.delivered if to == address("line", who)]


async def unread(town: Town, who: Principal) -> int:
    found: int = (await town.does(who, "GET", "/v1/inbox"))["unread"]
    return found


async def test_a_correction_tells_once_and_only_who_had_read_it(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    await told(town, await corrected(town, notice))
    assert lines_to(providers, MOTHER) == [NOTICE["title"]["ja"], "【訂正】わかば幼稚園は明日休園です"]
    assert lines_to(providers, FATHER) == [NOTICE["title"]["ja"]]
    for who in (MOTHER, FATHER):
        [item] = await town.inbox(who)
        assert (item["state"], item["title"]) == ("corrected", BETTER["title"])
        assert item["changed_since_read"] is (who is MOTHER)
        assert await unread(town, who) == 1
    ledger = await town.ledger(notice)
    assert (ledger["read"], ledger["told_of_change"], sum(ledger["push"].values())) == (1, 1, 2)
    assert [one["change"] for one in ledger["items"] if one["channel"] == "line"] == [0, 0, 1]


async def test_opened_again_it_is_read_and_the_first_time_stays_known(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    [before] = await town.inbox()
    await told(town, await corrected(town, notice))
    town.runtime.clock.move_to(NOON + timedelta(hours=1))
    await town.does(MOTHER, "POST", f"/v1/inbox/{before['id']}/read")
    [after] = await town.inbox()
    assert (after["changed_since_read"], after["read_at"], await unread(town, MOTHER)) == (False, before["read_at"], 0)
    # Of what was put right once more she is told again, and of nothing that came late.
    await told(town, await corrected(town, notice, title={"ja": "明後日です"}))
    assert lines_to(providers, MOTHER)[-1] == "【訂正】明後日です"
    assert len(lines_to(providers, MOTHER)) == 3
    assert await unread(town, MOTHER) == 1


async def test_who_reads_it_right_the_first_time_is_told_nothing(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    pages = await corrected(town, notice)
    [item] = await town.inbox(FATHER)
    await town.does(FATHER, "POST", f"/v1/inbox/{item['id']}/read")
    await told(town, pages)
    assert len(lines_to(providers, FATHER)) == 1
    assert await unread(town, FATHER) == 0


@pytest.mark.parametrize("urgency", ["info", "emergency"])
async def test_a_recall_tells_who_had_read_it_and_nothing_of_what_it_said(
    town: Town, providers: Providers, urgency: str
) -> None:
    notice = await read_by_the_mother(town, urgency=urgency)
    await told(town, await recalled(town, notice))
    assert lines_to(providers, MOTHER) == [NOTICE["title"]["ja"], WORDS["recalled"]["ja"]]
    assert lines_to(providers, FATHER) == [NOTICE["title"]["ja"]]
    [item] = await town.inbox()
    assert (item["state"], item["title"], item["changed_since_read"]) == ("recalled", WORDS["recalled"], True)


async def test_a_recall_takes_the_place_of_a_correction_that_waits(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    first = await corrected(town, notice)
    await told(town, [*first, *await recalled(town, notice)])
    assert lines_to(providers, MOTHER)[1:] == [WORDS["recalled"]["ja"]]


async def test_by_night_it_waits_for_the_morning(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    town.runtime.clock.move_to(NOON + timedelta(hours=11))  # 23:00 in Tokyo
    await told(town, await corrected(town, notice))
    assert len(lines_to(providers, MOTHER)) == 1
    town.runtime.clock.move_to(NOON + timedelta(hours=19, minutes=1))
    await send_later(town.reminders)
    assert lines_to(providers, MOTHER)[1:] == ["【訂正】わかば幼稚園は明日休園です"]


async def test_a_failure_to_tell_is_sent_once_more_when_staff_ask(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    providers.line.scripts[address("line")] = Scripted("forbidden")
    await told(town, await recalled(town, notice))
    providers.line.scripts.clear()
    repeated = await town.does(NURSE, "POST", f"/v1/announcements/{notice}/deliveries/repeat")
    assert repeated["repeating"] == 1
    await send_later(town.reminders)
    assert lines_to(providers, MOTHER)[1:] == [WORDS["recalled"]["ja"]]


async def test_g8_a_change_of_which_kafka_lost_the_news_is_told_all_the_same(town: Town, providers: Providers) -> None:
    notice = await read_by_the_mother(town)
    await corrected(town, notice)
    town.runtime.clock.move_to(NOON + timedelta(hours=1))
    for expected in (1, 0):
        assert await finish_pages(town.notices, timedelta(minutes=5)) == expected
    assert lines_to(providers, MOTHER)[1:] == ["【訂正】わかば幼稚園は明日休園です"]
    assert await unread(town, MOTHER) == 1


async def test_whoever_listens_hears_of_the_change(town: Town) -> None:
    await town.born()
    notice = await town.publishes()
    await town.expands(notice)
    await expand_pages(town.notices, await corrected(town, notice))
    heard = [data for name, data in await town.told(kept.PAGES) if name == "PageDelivered"]
    assert [(one["recipients"], one["change"]) for one in heard] == [([MOTHER.subject], 0), ([MOTHER.subject], 1)]
