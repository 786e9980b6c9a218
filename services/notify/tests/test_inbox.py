"""A guardian's inbox: newest first, in pages that a client cannot forge, read once."""

from datetime import timedelta

import pytest

from services.notify import store as kept
from services.notify.tests.town import FATHER, MOTHER, NOON, NOTICE, STRANGER, Town

pytestmark = pytest.mark.integration


async def three_notices(town: Town) -> list[str]:
    """Published a minute apart, oldest first."""
    found = []
    for minute in range(3):
        town.runtime.clock.move_to(NOON + timedelta(minutes=minute))
        notice = await town.publishes(title={"ja": f"{minute}番目"})
        await town.expands(notice)
        found.append(notice)
    return found


async def test_newest_first_with_how_many_are_unread(town: Town) -> None:
    await town.born()
    notices = await three_notices(town)
    found = await town.does(MOTHER, "GET", "/v1/inbox")
    assert [item["announcement"] for item in found["items"]] == notices[::-1]
    assert (found["unread"], found["next"]) == (3, None)
    assert found["items"][0]["title"] == {"ja": "2番目"}
    assert found["items"][0]["body"] == NOTICE["body"]
    assert (await town.does(STRANGER, "GET", "/v1/inbox"))["items"] == []


async def test_pages_neither_repeat_nor_skip_when_something_new_comes(town: Town) -> None:
    await town.born()
    notices = await three_notices(town)
    first = await town.call(MOTHER, "GET", "/v1/inbox?limit=2")
    assert first.headers["link"] == f'</v1/inbox?limit=2&cursor={first.json()["next"]}>; rel="next"'
    newer = await town.publishes(title={"ja": "新しい"})
    await town.expands(newer)
    second = await town.does(MOTHER, "GET", f"/v1/inbox?limit=2&cursor={first.json()['next']}")
    assert [item["announcement"] for item in first.json()["items"]] == notices[:0:-1]
    assert [item["announcement"] for item in second["items"]] == notices[:1]
    assert "link" not in (await town.call(MOTHER, "GET", "/v1/inbox?limit=4")).headers


@pytest.mark.parametrize("cursor", ["x", "W10.", "WzEsMl0.00000000000000000000000000000000", "é.1"])
async def test_a_cursor_that_was_not_given_out_is_refused(town: Town, cursor: str) -> None:
    answer = await town.call(MOTHER, "GET", f"/v1/inbox?cursor={cursor}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/cursor"


async def test_a_cursor_of_another_list_is_refused(town: Town) -> None:
    await town.born(guardians=["mother-1", "father-1"])
    notice = await town.publishes()
    cursor = (await town.ledger(notice, "?limit=1"))["next"]
    assert (await town.call(MOTHER, "GET", f"/v1/inbox?cursor={cursor}")).status_code == 422


async def test_reading_is_kept_once_and_told_once(town: Town) -> None:
    await town.born()
    notice = await town.publishes()
    await town.expands(notice)
    [item] = await town.inbox()
    read = await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/read")
    town.runtime.clock.move_to(NOON + timedelta(hours=1))
    again = await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/read")
    assert again == read
    assert (await town.does(MOTHER, "GET", "/v1/inbox"))["unread"] == 0
    assert [name for name, _ in await town.told(kept.MAILBOXES)] == ["MessageRead"]
    ledger = await town.ledger(notice)
    assert (ledger["read"], ledger["items"][0]["state"]) == (1, "read")


async def test_a_mark_whose_word_was_lost_in_a_crash_is_told_at_the_repeat(town: Town) -> None:
    await town.born()
    await town.expands(await town.publishes())
    [item] = await town.inbox()
    await town.runtime.store.update(kept.INBOX, {"_id": item["id"]}, {"$set": {"read_at": NOON.timestamp()}})
    found = await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/read")
    assert found["read_at"] == "2026-11-23T03:00:00.000Z"
    assert [name for name, _ in await town.told(kept.MAILBOXES)] == ["MessageRead"]


async def test_anothers_item_and_a_missing_one_are_the_same_bytes(town: Town) -> None:
    await town.born()
    await town.expands(await town.publishes())
    [item] = await town.inbox()
    foreign = await town.call(FATHER, "POST", f"/v1/inbox/{item['id']}/read")
    missing = await town.call(FATHER, "POST", "/v1/inbox/0123456789abcdef/read")
    assert (foreign.status_code, foreign.content) == (404, missing.content)
    assert (await town.inbox())[0]["read_at"] is None
