"""A frozen audience becomes inbox items by pages: killed anywhere, repeated, late or in two workers at once, the result is the same."""

import asyncio
import dataclasses
import json
from datetime import timedelta

import pytest

from services.notify import store as kept
from services.notify.commands import filling
from services.notify.commands.announcements import emit_pages
from services.notify.commands.fanout import expand_pages, finish_pages, push_pages
from services.notify.tests.test_pushing import subscribes
from services.notify.tests.town import MOTHER, NOON, NURSE, OTHER_TOWN, TOWN, Town
from shared.documents import Document
from shared.events.notify import FanoutPage
from shared.ids import new_id
from shared.testing.push_service import PushService
from shared.waiting import until

pytestmark = pytest.mark.integration
GUARDIANS = [MOTHER.subject, *(f"z{number:04}" for number in range(1100))]


async def recipients_of_items(town: Town) -> list[str]:
    return sorted(row["recipient"] for row in await town.runtime.store.find(kept.INBOX, {}))


async def test_d1_a_page_worked_twice_is_worked_once(town: Town) -> None:
    """D1: the worker died after its items and before its offset."""
    await town.born(guardians=GUARDIANS)
    notice = await town.publishes()
    await town.expands(notice)
    first = await town.runtime.store.find(kept.INBOX, {"recipient": MOTHER.subject})
    await town.does(MOTHER, "POST", f"/v1/inbox/{first[0]['_id']}/read")
    town.runtime.clock.move_to(NOON + timedelta(minutes=5))
    await town.expands(notice)
    assert await recipients_of_items(town) == GUARDIANS
    [item] = await town.inbox()
    assert item["read_at"] is not None
    assert len(await town.told(kept.PAGES)) == 3


async def test_d1_a_worker_killed_amid_a_page_leaves_a_part_that_another_completes(town: Town) -> None:
    """D1, F16: part of the items are there, some pages never began; progress is counted from items."""
    await town.born(guardians=GUARDIANS)
    notice = await town.publishes()
    town_code = "131016"
    part = [
        kept.inbox_item(notice, guardian, NOON, announcement=notice, municipality=town_code)
        for guardian in GUARDIANS[:170]
    ]
    await town.runtime.store.insert_many(kept.INBOX, part)
    assert (await town.ledger(notice))["waiting"] == len(GUARDIANS) - 170
    pages = await town.pages(notice)
    await expand_pages(town.notices, pages[1:])
    assert (await town.ledger(notice))["waiting"] == 500 - 170
    await expand_pages(town.notices, pages)
    assert await recipients_of_items(town) == GUARDIANS
    assert (await town.ledger(notice))["waiting"] == 0


async def test_d1_who_comes_or_goes_after_publishing_changes_nobodys_inbox(town: Town) -> None:
    """D1: the recipients are those of the moment of publishing, whenever their page is worked."""
    child = await town.born(guardians=[MOTHER.subject])
    notice = await town.publishes()
    await town.moves(child, OTHER_TOWN)
    await town.born(guardians=["late"])
    await town.expands(notice)
    assert await recipients_of_items(town) == [MOTHER.subject]


@pytest.mark.parametrize("urgency", ["important", "emergency"])
async def test_g8_pages_of_which_kafka_lost_the_news_are_worked_all_the_same(
    town: Town, push: PushService, urgency: str
) -> None:
    await town.born()
    await subscribes(town, push)
    notice = await town.publishes(urgency=urgency)
    grace = timedelta(minutes=10)
    assert await finish_pages(town.notices, grace) == 0
    town.runtime.clock.move_to(NOON + 2 * grace)
    assert await finish_pages(town.notices, grace) == 1
    assert await recipients_of_items(town) == [MOTHER.subject]
    assert len(push.requests) == 1
    # Found after all: nobody gets it twice.
    await town.expands(notice, pushes=True)
    assert await finish_pages(town.notices, grace) == 0
    assert await recipients_of_items(town) == [MOTHER.subject]
    assert len(push.requests) == len(await town.told(kept.PAGES)) == 1


async def test_two_workers_on_one_page(town: Town) -> None:
    """A rebalance gives a page to two owners for a while."""
    await town.born(guardians=GUARDIANS)
    notice = await town.publishes()
    pages = await town.pages(notice)
    await asyncio.gather(expand_pages(town.notices, pages), expand_pages(town.notices, pages[::-1]))
    assert await recipients_of_items(town) == GUARDIANS
    assert len(await town.told(kept.PAGES)) == 3


async def test_d2_a_recall_reaches_items_that_a_slow_page_writes_later(town: Town) -> None:
    """D2: the item points to its notice and shows its present state."""
    await town.born()
    notice = await town.publishes()
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong"})
    assert await town.inbox() == []
    await town.expands(notice)
    [item] = await town.inbox()
    assert item["state"] == "recalled"


async def test_one_bad_page_does_not_take_its_neighbours_along(town: Town) -> None:
    """G6: a page of no notice and one with broken data are set aside alone; an unknown type is passed over."""
    await town.born()
    notice = await town.publishes()
    [good] = await town.pages(notice)
    stray = town.envelope("none:0", FanoutPage(announcement="none", page=0, first=0, count=1))
    broken = dataclasses.replace(good, data=b'{"announcement": 7}')
    newer = dataclasses.replace(good, type="jp.hagukumi.notify.FanoutRange.v1", data=b"{}")
    rejected = await expand_pages(town.notices, [stray, broken, newer, good])
    assert {event.id: code for event, code in rejected} == {
        stray.id: "announcement-unknown",
        broken.id: "schema-broken",
    }
    assert len(await town.inbox()) == 1
    assert await push_pages(town.notices, [stray, broken, newer, good]) == []


async def test_the_fact_of_a_page_names_who_has_something_new(town: Town) -> None:
    await town.born(guardians=["mother-1", "father-1"])
    notice = await town.publishes()
    await town.expands(notice)
    [(name, data)] = await town.told(kept.PAGES)
    assert name == "PageDelivered"
    assert (data["announcement"], data["page"], data["recipients"]) == (notice, 0, ["father-1", "mother-1"])
    assert "休園" not in json.dumps(data, ensure_ascii=False)


async def test_a_large_city_is_not_too_much_for_one_notice(town: Town) -> None:
    """W4 bounds what may wait in a document: 300,000 guardians are 600 pages, and may be corrected at once."""
    state = {"municipality": TOWN, "urgency": "emergency", "pages": 600, "recipients": 299_750}
    doc = Document(new_id(), state=state)
    for change in (0, 1):
        doc.state["changes"] = change
        emit_pages(doc, town.notices.now)
        assert await town.notices.announcements.commit(doc)
    pages = await town.pages(doc.id)
    assert len({page.id for page in pages}) == len(pages) == 1_200


async def test_while_inboxes_of_the_lane_are_filled_pushes_go_one_page_at_a_time(
    town: Town, push: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first page goes at once; the next when what it leads to is there, in every inbox of the lane."""
    monkeypatch.setattr(filling, "LONGEST_S", 60.0)
    await town.born()
    await subscribes(town, push)
    notices = [await town.publishes() for _ in range(2)]
    pages = [page for notice in notices for page in await town.pages(notice)]

    async def first_is_pushed() -> bool:
        return len(push.requests) == 1

    async with town.notices.filling.of([FanoutPage.event_type()]):
        pushing = asyncio.create_task(push_pages(town.notices, pages))
        assert await until(first_is_pushed, 20.0)
        _, waiting = await asyncio.wait({pushing}, timeout=0.3)
        assert waiting
        assert len(push.requests) == 1
    async with asyncio.timeout(20):
        await pushing
    assert len(push.requests) == 2
