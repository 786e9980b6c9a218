"""The preview of an audience: equal to what the sending then reaches, right after every change, and split by channel and language."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from services.notify import store as kept
from services.notify.commands.contacts import recount
from services.notify.tests.test_audience import audiences
from services.notify.tests.test_pushing import subscribes
from services.notify.tests.town import FATHER, MOTHER, NOON, NOTICE, NURSE, OTHER_NURSE, OTHER_TOWN, TOWN, Town
from shared.testing.push_service import PushService

pytestmark = pytest.mark.integration


async def previewed(town: Town, audience: dict[str, Any], who: Any = NURSE) -> dict[str, Any]:
    return await town.does(who, "POST", "/v1/announcements/preview", {"audience": audience})


async def a_lively_town(town: Town) -> None:
    """Families of every kind: several guardians and children, other districts, plans, pregnancies, moves, deaths."""
    births = ("2026-11-01", "2025-12-01", "2024-02-29", "2022-06-01", "2018-05-01", "2010-01-01")
    for number, birth in enumerate(births):
        guardians = [f"g{number}", f"g{number + 1}"][: 1 + number % 2]
        child = await town.born(birth, guardians, district=("一丁目", "二丁目", None)[number % 3])
        await town.plans(child, mr1=("due", "done")[number % 2], bcg="overdue")
    for number, expected in enumerate(("2026-12-01", "2027-03-15", "2027-07-01")):
        await town.expects(f"w{number}", expected)
    await town.expects("g1", "2027-02-01")
    await town.ends(await town.expects("w8"), "loss")
    await town.dies(await town.born(guardians=["g8"]))
    await town.moves(await town.born(guardians=["g9"]), OTHER_TOWN)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(wanted=audiences)
async def test_the_preview_is_what_any_sending_reaches(wanted: dict[str, Any], town: Town) -> None:
    """Whatever the audience: as many inboxes as were previewed, and nobody beside them."""
    if not await town.runtime.store.count(kept.AUDIENCE, {}):
        await a_lively_town(town)
    preview = await previewed(town, wanted)
    body = {**NOTICE, "audience": wanted, "confirm": preview["recipients"]}
    answer = await town.does(NURSE, "POST", "/v1/announcements", body)
    await town.expands(answer["id"])
    inboxes = await town.runtime.store.find(kept.INBOX, {"announcement": answer["id"]})
    assert len({row["recipient"] for row in inboxes}) == len(inboxes) == preview["recipients"] == answer["recipients"]
    assert sum(preview["by_language"].values()) == preview["by_channel"]["inbox"] == preview["recipients"]


async def test_a_pregnancy_is_reached_by_its_week_until_it_ends(town: Town) -> None:
    """TODAY is 2026-11-23: an expected date of 2027-03-01 makes 26 completed weeks."""
    pregnancy = await town.expects(MOTHER.subject, "2027-03-01")
    await town.born(guardians=[FATHER.subject])
    weeks = {"pregnancy_week": {"from": 26, "under": 27}}
    preview = await previewed(town, weeks)
    assert (preview["recipients"], preview["pregnancies"], preview["children"]) == (1, 1, 0)
    assert (await previewed(town, {"age_years": {"under": 6}}))["recipients"] == 1
    await town.woman_moves(pregnancy, OTHER_TOWN)
    assert (await previewed(town, weeks))["recipients"] == 0
    await town.woman_moves(pregnancy, TOWN)
    assert (await previewed(town, weeks))["recipients"] == 1
    await town.ends(pregnancy, "loss")
    assert (await previewed(town, weeks))["recipients"] == 0


async def test_a_move_takes_a_child_out_of_one_town_and_into_the_other_and_back(town: Town) -> None:
    child = await town.born()
    everybody: dict[str, Any] = {"age_years": {"from": 0}}
    for to, here, there in ((OTHER_TOWN, 0, 1), (TOWN, 1, 0), (OTHER_TOWN, 0, 1)):
        await town.moves(child, to)
        assert (await previewed(town, everybody))["children"] == here
        assert (await previewed(town, everybody, OTHER_NURSE))["children"] == there


async def test_a_channel_counts_from_the_day_it_is_registered_and_follows_the_family(
    town: Town, push: PushService
) -> None:
    """Registered before the child is known, after, in the next town, and given up."""
    await subscribes(town, push)
    child = await town.born(guardians=[MOTHER.subject, FATHER.subject])
    everybody: dict[str, Any] = {"age_years": {"from": 0}}
    assert (await previewed(town, everybody))["by_channel"] == {"inbox": 2, "web_push": 1}
    await subscribes(town, push, "tablet", FATHER)
    assert (await previewed(town, everybody))["by_channel"] == {"inbox": 2, "web_push": 2}
    await town.moves(child, OTHER_TOWN)
    assert (await previewed(town, everybody, OTHER_NURSE))["by_channel"] == {"inbox": 2, "web_push": 2}
    await town.does(FATHER, "DELETE", "/v1/push-subscriptions/tablet")
    assert (await previewed(town, everybody, OTHER_NURSE))["by_channel"] == {"inbox": 2, "web_push": 1}


async def test_a_womans_language_goes_with_her_to_the_next_town(town: Town) -> None:
    pregnancy = await town.expects()
    await town.does(MOTHER, "PUT", "/v1/preferences", {"language": "vi"})
    await town.woman_moves(pregnancy, OTHER_TOWN)
    there = await previewed(town, {"language": "vi"}, OTHER_NURSE)
    assert (there["recipients"], there["by_language"]) == (1, {"vi": 1})


async def test_a_device_that_went_away_by_itself_is_counted_out_the_next_day(town: Town, push: PushService) -> None:
    """Its token was refused as gone, so nobody told that the guardian has one less."""
    await town.born()
    await subscribes(town, push)
    contacts = town.app.state.contacts
    assert await recount(contacts) == 0
    await town.runtime.store.delete(kept.SUBSCRIPTIONS, {"recipient": MOTHER.subject})
    assert await recount(contacts) == 0
    town.runtime.clock.move_to(NOON + timedelta(days=1))
    assert await recount(contacts) == 1
    assert (await previewed(town, {}))["by_channel"]["web_push"] == 0
    assert await recount(contacts) == 0


async def test_what_a_killed_process_left_unwritten_is_written_by_another(town: Town) -> None:
    """R9: the family was stored, its line in the town was not; the child had moved, so its old line must go as well."""
    child = await town.born()
    packs = {row["_id"]: row for row in await town.runtime.store.find(kept.AUDIENCE, {})}
    await town.moves(child, OTHER_TOWN)
    await town.runtime.store.delete(kept.AUDIENCE, {})
    await town.runtime.store.insert_many(kept.AUDIENCE, list(packs.values()))
    await town.runtime.store.update(kept.FAMILIES, {"_id": child}, {"$set": {"derive_at": 1, "pending": 1}})
    await town.families.derive_again()
    assert (await previewed(town, {}))["children"] == 0
    assert (await previewed(town, {}, OTHER_NURSE))["children"] == 1
