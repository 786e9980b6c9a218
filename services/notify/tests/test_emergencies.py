"""Emergencies need two people; who has nobody at hand breaks the glass, and another looks at it afterwards."""

from datetime import timedelta
from typing import Any

import pytest

from services.notify.commands.announcements import publish_scheduled
from services.notify.tests.town import NOON, NOTICE, NURSE, OTHER_NURSE, REGISTER, SECOND_NURSE, UNDER_SIX, Town

pytestmark = pytest.mark.integration
FLOOD: dict[str, Any] = {**NOTICE, "urgency": "emergency"}


async def waiting(town: Town, **changes: Any) -> str:
    found = await town.does(NURSE, "POST", "/v1/announcements", {**FLOOD, **changes})
    assert found["state"] == "awaiting_approval"
    return str(found["id"])


async def states(town: Town, state: str) -> list[str]:
    found = await town.does(SECOND_NURSE, "GET", f"/v1/announcements?state={state}")
    return [one["id"] for one in found["items"]]


async def test_an_emergency_goes_out_when_a_second_person_approves_it(town: Town) -> None:
    await town.born(guardians=["mother-1"])
    notice = await waiting(town)
    assert await town.pages(notice) == []
    assert await states(town, "awaiting_approval") == [notice]
    mine = await town.call(NURSE, "POST", f"/v1/announcements/{notice}/approval")
    assert (mine.status_code, mine.json()["type"].rpartition("/")[2]) == (409, "another-person-needed")
    await town.born(guardians=["mother-2"])
    found = await town.does(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval")
    assert (found["state"], found["recipients"]) == ("published", 2)
    [page] = await town.pages(notice)
    assert page.stream == "notify.urgent"
    assert (await town.does(NURSE, "GET", f"/v1/announcements/{notice}"))["approved_by"] == SECOND_NURSE.subject
    again = await town.call(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval")
    assert again.status_code == 409


@pytest.mark.parametrize(("who", "status"), [(OTHER_NURSE, 404), (REGISTER, 403)])
@pytest.mark.parametrize("how", ["approval", "break-glass"])
async def test_no_other_town_and_no_machine_is_a_second_person(town: Town, who: Any, status: int, how: str) -> None:
    await town.born()
    notice = await waiting(town)
    answer = await town.call(who, "POST", f"/v1/announcements/{notice}/{how}", {"reason": "x"})
    assert answer.status_code == status
    assert await town.pages(notice) == []


async def test_the_broken_glass_sends_at_once_and_is_reviewed_by_another(town: Town) -> None:
    await town.born()
    notice = await waiting(town)
    body = {"reason": "夜間、ほかに職員がいない"}
    found = await town.does(NURSE, "POST", f"/v1/announcements/{notice}/break-glass", body)
    assert found["state"] == "published"
    assert len(await town.pages(notice)) == 1
    [(_, published), *_] = await town.told("announcements")
    assert (published["break_glass"], "approved_by" in published) == (body["reason"], False)
    assert await states(town, "to_review") == [notice]
    assert (await town.call(NURSE, "POST", f"/v1/announcements/{notice}/approval")).status_code == 409
    await town.does(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval")
    assert await states(town, "to_review") == []
    assert len(await town.pages(notice)) == 1


async def test_other_words_need_another_person_again(town: Town) -> None:
    """Who corrects a waiting or approved emergency has written it; a correction of one that is out is reviewed afterwards."""
    await town.born()
    notice = await waiting(town, publish_at="2026-11-24T00:00:00Z")
    await town.does(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval")
    assert await states(town, "scheduled") == [notice]
    etag = (await town.call(NURSE, "GET", f"/v1/announcements/{notice}")).headers["etag"]
    words = {"title": {"ja": "川があふれます"}, "body": {"ja": "高い所へ。"}, "reason": "more precise"}
    await town.does(SECOND_NURSE, "PUT", f"/v1/announcements/{notice}", words, If_Match=etag)
    town.runtime.clock.move_to(NOON + timedelta(days=1))
    assert await publish_scheduled(town.notices) == 0
    refused = await town.call(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval")
    assert refused.status_code == 409
    assert (await town.does(NURSE, "POST", f"/v1/announcements/{notice}/approval"))["state"] == "published"
    etag = (await town.call(NURSE, "GET", f"/v1/announcements/{notice}")).headers["etag"]
    await town.does(NURSE, "PUT", f"/v1/announcements/{notice}", words, If_Match=etag)
    assert await states(town, "to_review") == [notice]


async def test_an_approved_emergency_waits_for_its_time(town: Town) -> None:
    await town.born()
    notice = await waiting(town, publish_at="2026-11-24T00:00:00Z")
    assert (await town.does(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval"))["state"] == "scheduled"
    town.runtime.clock.move_to(NOON + timedelta(days=1))
    assert await publish_scheduled(town.notices) == 1
    assert len(await town.pages(notice)) == 1


async def test_one_who_declines_recalls_it(town: Town) -> None:
    await town.born()
    notice = await waiting(town)
    await town.does(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "not needed"})
    assert (await town.call(SECOND_NURSE, "POST", f"/v1/announcements/{notice}/approval")).status_code == 409
    assert await town.told("announcements") == []


async def test_a_repeated_approval_with_its_key_is_answered_the_same(town: Town) -> None:
    await town.born()
    notice = await waiting(town, audience=UNDER_SIX)
    path = f"/v1/announcements/{notice}/approval"
    first = await town.call(SECOND_NURSE, "POST", path, Idempotency_Key="k1")
    again = await town.call(SECOND_NURSE, "POST", path, Idempotency_Key="k1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(await town.pages(notice)) == 1
