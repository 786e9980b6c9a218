"""The night is quiet, and who wants it hears once a day."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notify import store as kept
from services.notify.commands.later import send_digests, send_later
from services.notify.domain.preferences import Night, next_digest
from services.notify.tests.providers import Providers, is_reached_by
from services.notify.tests.town import FATHER, MOTHER, NOTICE, NURSE, Town
from shared.clock import TOKYO, wire_instant

pytestmark = pytest.mark.integration

# Tokyo is nine hours ahead.
EVENING = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)  # 22:00
MORNING = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)  # 7:00 on the 24th
SIX_PM = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (EVENING - timedelta(seconds=1), None),
        (EVENING, MORNING),
        (EVENING + timedelta(hours=4), MORNING),
        (MORNING - timedelta(seconds=1), MORNING),
        (MORNING, None),
    ],
)
def test_from_ten_to_seven(now: datetime, until: datetime | None) -> None:
    assert Night().quiet_until(now) == until


@pytest.mark.parametrize("hour", range(24))
def test_other_hours(hour: int) -> None:
    """A night that does not pass midnight, and none at all."""
    now = MORNING.astimezone(TOKYO).replace(hour=hour, minute=30)
    assert Night(5, 5).quiet_until(now) is None
    assert Night(1, 6).quiet_until(now) == (now.replace(hour=6, minute=0) if 1 <= hour < 6 else None)


def test_the_digest_is_at_six() -> None:
    assert next_digest(SIX_PM - timedelta(seconds=1)) == SIX_PM
    assert next_digest(SIX_PM) == SIX_PM + timedelta(days=1)


async def test_a_notice_of_the_night_is_pushed_once_in_the_morning(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "line")
    town.runtime.clock.move_to(EVENING)
    await town.expands(await town.publishes(), pushes=True)
    assert len(await town.inbox()) == 1
    town.runtime.clock.move_to(MORNING - timedelta(seconds=1))
    assert await send_later(town.reminders) == 0
    assert not providers.line.delivered
    town.runtime.clock.move_to(MORNING)
    assert await send_later(town.reminders) == 1
    assert await send_later(town.reminders) == 0
    assert len(providers.line.delivered) == 1


@pytest.mark.parametrize(
    ("now", "publish_at", "urgency", "pushed_from"),
    [
        (EVENING, None, "info", MORNING),
        (EVENING, None, "important", MORNING),
        (EVENING, None, "emergency", None),
        (SIX_PM, None, "info", None),
        (SIX_PM, EVENING + timedelta(hours=1), "info", MORNING),
        (EVENING, MORNING, "info", None),
    ],
)
async def test_who_publishes_by_night_is_told_from_when_it_is_pushed(
    town: Town, now: datetime, publish_at: datetime | None, urgency: str, pushed_from: datetime | None
) -> None:
    await town.born()
    town.runtime.clock.move_to(now)
    more = {"publish_at": publish_at.isoformat()} if publish_at else {}
    notice = {**NOTICE, "urgency": urgency, **more}
    found = await town.does(NURSE, "POST", "/v1/announcements", notice)
    assert found.get("pushed_from") == (wire_instant(pushed_from) if pushed_from else None)


@pytest.mark.parametrize(
    ("now", "urgency", "pushed_from"),
    [(EVENING, "info", MORNING), (SIX_PM, "info", None), (EVENING, "emergency", None)],
)
async def test_who_corrects_and_recalls_by_night_is_told_from_when_readers_hear_of_it(
    town: Town, now: datetime, urgency: str, pushed_from: datetime | None
) -> None:
    await town.born()
    town.runtime.clock.move_to(now)
    path = f"/v1/announcements/{await town.publishes(urgency=urgency)}"
    words = {"title": NOTICE["title"], "body": NOTICE["body"], "reason": "wrong day"}
    expected = wire_instant(pushed_from) if pushed_from else None
    etag = (await town.call(NURSE, "GET", path)).headers["etag"]
    corrected = await town.does(NURSE, "PUT", path, words, If_Match=etag)
    assert (corrected["state"], corrected.get("pushed_from")) == ("published", expected)
    recalled = await town.does(NURSE, "POST", f"{path}/recall", {"reason": "wrong"})
    assert (recalled["state"], recalled.get("pushed_from")) == ("recalled", expected)


async def test_a_notice_that_was_not_out_is_recalled_without_telling_anybody(town: Town) -> None:
    await town.born()
    town.runtime.clock.move_to(EVENING)
    notice = await town.does(NURSE, "POST", "/v1/announcements", {**NOTICE, "publish_at": MORNING.isoformat()})
    recalled = await town.does(NURSE, "POST", f"/v1/announcements/{notice['id']}/recall", {"reason": "wrong"})
    assert "pushed_from" not in recalled


async def test_an_emergency_wakes(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "line")
    town.runtime.clock.move_to(EVENING)
    await town.expands(await town.publishes(urgency="emergency"), pushes=True)
    assert len(providers.line.delivered) == 1


async def test_what_was_recalled_in_the_night_is_not_pushed(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "line")
    town.runtime.clock.move_to(EVENING)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong"})
    town.runtime.clock.move_to(MORNING)
    await send_later(town.reminders)
    assert not providers.line.delivered


async def test_a_reminder_waits_too_and_asks_again_whether_it_is_needed(town: Town, providers: Providers) -> None:
    first, second = await town.born(), await town.born()
    await is_reached_by(town, "line")
    town.runtime.clock.move_to(EVENING)
    for child in (first, second):
        await town.plans(child, mr1="due")
        await town.reminded(town.fires(child))
    assert not providers.line.delivered
    await town.dies(second)
    town.runtime.clock.move_to(MORNING)
    await send_later(town.reminders)
    assert len(providers.line.delivered) == 1


# The digest -------------------------------------------------------------------------------------------------------


async def test_information_once_a_day_for_who_wants_it_so(town: Town, providers: Providers) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    for who in (MOTHER, FATHER):
        await is_reached_by(town, "line", who)
    await town.does(MOTHER, "PUT", "/v1/preferences", {"digest": True})
    for number in range(3):
        await town.expands(await town.publishes(urgency="info", title={"ja": f"お知らせ{number}"}), pushes=True)
    await town.expands(await town.publishes(title={"ja": "大切なお知らせ"}), pushes=True)
    assert len(providers.line.delivered) == 3 + 1 + 1
    await send_digests(town.reminders)
    town.runtime.clock.move_to(SIX_PM)
    assert await send_digests(town.reminders) == 1
    assert await send_digests(town.reminders) == 0
    [*_, (_, last)] = providers.line.delivered
    assert last["messages"] == [{"type": "text", "text": "今日のお知らせが3件あります"}]
    assert await town.runtime.store.count(kept.DIGESTS, {}) == 0


async def test_what_was_read_or_recalled_is_in_no_digest(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "line")
    await town.does(MOTHER, "PUT", "/v1/preferences", {"digest": True})
    notices = [await town.publishes(urgency="info", title={"ja": f"お知らせ{number}"}) for number in range(2)]
    for notice in notices:
        await town.expands(notice, pushes=True)
    await town.does(NURSE, "POST", f"/v1/announcements/{notices[0]}/recall", {"reason": "wrong"})
    [item] = [one for one in await town.inbox() if one["announcement"] == notices[1]]
    await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/read")
    town.runtime.clock.move_to(SIX_PM)
    assert await send_digests(town.reminders) == 0
    assert not providers.line.delivered
