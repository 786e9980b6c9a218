"""A guardian's calendar feed: what is in it, that two parsers read it, that it tells nothing, and that it can be taken back."""

from datetime import date
from typing import Any

import httpx
import icalendar
import pytest
import vobject

from services.notify import store as kept
from services.notify.tests.town import FATHER, MOTHER, NURSE, TODAY, WHY, Town
from shared.auth import Principal
from shared.events.schedule import PlanChanged, PlanItem

pytestmark = pytest.mark.integration


async def planned(town: Town, child: str, **dates: tuple[str, str | None, str | None]) -> None:
    """schedule's plan: series -> (status, recommended, free until)."""
    items = tuple(
        PlanItem(series=series, dose_number=1, status=status, recommended=first, free_until=last, why=WHY)
        for series, (status, first, last) in dates.items()
    )
    plan = PlanChanged(rule_set="jp", as_of=TODAY, municipality="131016", items=items, doses=(), based_on={})
    await town.hears(child, plan)


async def opened(town: Town, detail: str = "plain", who: Principal = MOTHER) -> str:
    found = await town.does(who, "POST", "/v1/calendar-feed", {"detail": detail})
    return str(found["url"])


async def read(town: Town, url: str) -> httpx.Response:
    """As the gateway hands it on for a calendar program that signed in nowhere."""
    return await town.call(Principal("anybody", "guardian"), "GET", url)


async def test_two_parsers_read_the_same_dates(town: Town) -> None:
    child = await town.born()
    await planned(town, child, mr1=("due", "2026-12-01", "2027-04-30"), bcg=("done", "2026-11-01", None))
    other = await town.born("2026-09-01")
    await planned(town, other, checkup_3m=("upcoming", "2026-12-20", None))
    answer = await read(town, await opened(town, "full"))
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    calendar = icalendar.Calendar.from_ical(answer.content)
    events = {(str(e["summary"]), e.decoded("dtstart"), e.decoded("dtend")) for e in calendar.walk("VEVENT")}
    assert events == {
        ("麻しん風しん1期のおすすめの日 (2024-05生まれ)", date(2026, 12, 1), date(2026, 12, 2)),
        ("麻しん風しん1期を無料で受けられる最後の日 (2024-05生まれ)", date(2027, 4, 30), date(2027, 5, 1)),
        ("3〜4か月児健診のおすすめの日 (2026-09生まれ)", date(2026, 12, 20), date(2026, 12, 21)),
    }
    parsed = vobject.readOne(answer.content.decode())
    again = {(e.summary.value, e.dtstart.value, e.dtend.value) for e in parsed.vevent_list}
    assert again == events
    assert {e.valarm.action.value for e in parsed.vevent_list} == {"DISPLAY"}
    assert all(len(line.encode()) <= 75 for line in answer.text.split("\r\n"))


async def test_a_plain_feed_says_nothing_about_health(town: Town) -> None:
    child = await town.born()
    await planned(town, child, mr1=("due", "2026-12-01", "2027-04-30"))
    text = (await read(town, await opened(town))).text
    assert text.count("BEGIN:VEVENT") == 2
    assert not any(word in text for word in ("麻しん", "mr1", "接種", "無料", "2024", child))


async def test_an_entry_keeps_its_uid_when_its_day_moves(town: Town) -> None:
    child = await town.born()
    url = await opened(town)
    found = []
    for day in ("2026-12-01", "2026-12-24"):
        await planned(town, child, mr1=("due", day, None))
        [event] = icalendar.Calendar.from_ical((await read(town, url)).content).walk("VEVENT")
        found.append((str(event["uid"]), event.decoded("dtstart").isoformat()))
    assert found[0][0] == found[1][0]
    assert [day for _, day in found] == ["2026-12-01", "2026-12-24"]


@pytest.mark.parametrize("how", ["death", "guardian", "done"])
async def test_nothing_is_left_when_the_reason_vanished(town: Town, how: str) -> None:
    child = await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await planned(town, child, mr1=("due", "2026-12-01", "2027-04-30"))
    url = await opened(town)
    assert "VEVENT" in (await read(town, url)).text
    if how == "death":
        await town.dies(child)
    elif how == "guardian":
        await town.loses(child, MOTHER.subject)
    else:
        await planned(town, child, mr1=("done", None, None))
    answer = await read(town, url)
    assert (answer.status_code, "VEVENT" in answer.text) == (200, False)


async def test_the_address_is_secret_single_and_revocable(town: Town) -> None:
    await town.born()
    body = {"detail": "plain"}
    first = await town.call(MOTHER, "POST", "/v1/calendar-feed", body, Idempotency_Key="k1")
    again = await town.call(MOTHER, "POST", "/v1/calendar-feed", body, Idempotency_Key="k1")
    assert (first.status_code, first.json()) == (201, again.json())
    url = first.json()["url"]
    secret = url.rpartition("/")[2].removesuffix(".ics")
    assert len(secret) == 64
    assert secret not in str(await town.runtime.store.find(kept.CALENDARS, {}))
    second = await opened(town)
    assert ((await read(town, url)).status_code, (await read(town, second)).status_code) == (404, 200)
    await town.does(MOTHER, "DELETE", "/v1/calendar-feed")
    assert (await read(town, second)).status_code == 404
    repeated = await town.call(MOTHER, "POST", "/v1/calendar-feed", body, Idempotency_Key="k1")
    assert repeated.json()["url"] == url
    assert (await read(town, url)).status_code == 404
    missing = await read(town, "/v1/calendars/nothing.ics")
    assert missing.content == (await read(town, url)).content


@pytest.mark.parametrize("body", [{"detail": "everything"}, {"child": "x"}, []])
async def test_what_is_not_understood_is_refused(town: Town, body: Any) -> None:
    assert (await town.call(MOTHER, "POST", "/v1/calendar-feed", body)).status_code == 422
    assert (await town.call(NURSE, "POST", "/v1/calendar-feed", {"detail": "plain"})).status_code == 403


async def test_a_guardian_who_is_none_any_more_reads_nothing_though_an_old_bond_still_stands(town: Town) -> None:
    """The child's own document decides: rows derived from it may be late."""
    child = await town.born(guardians=[MOTHER.subject, FATHER.subject])
    await planned(town, child, mr1=("due", "2026-12-01", None))
    url = await opened(town)
    bonds = await town.runtime.store.find(kept.BONDS, {"guardian": MOTHER.subject})
    await town.loses(child, MOTHER.subject)
    await town.runtime.store.update(kept.BONDS, {"_id": bonds[0]["_id"]}, {"$set": {"gone": False}})
    assert "VEVENT" not in (await read(town, url)).text
