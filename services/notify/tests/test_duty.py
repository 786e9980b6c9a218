"""Who is on duty is called; who does not answer is not waited for; an alarm never falls silent."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.commands.duty import climb, raise_alarm
from services.notify.domain import duty
from services.notify.tests.town import ALARM, NOON, NURSE, OTHER_NURSE, SECOND_NURSE, TOWN, Town
from shared.clock import TOKYO

DAY = [{"staff": ["day"], "minutes": 15}]
NIGHT = [{"staff": ["night"], "minutes": 5}]
ROTA: dict[str, Any] = {
    "shifts": [
        {"days": [0, 1, 2, 3, 4], "from": "08:30", "until": "17:15", "steps": DAY},
        {"days": [4], "from": "17:15", "until": "08:30", "steps": NIGHT},
    ],
    "otherwise": [{"staff": ["home"], "minutes": 30}],
}


# 23 November 2026 is a Monday. A shift includes its first minute and not its last; Friday night ends on Saturday morning.
@pytest.mark.parametrize(
    ("day", "hour", "who"),
    [
        (23, "08:29", "home"),
        (23, "08:30", "day"),
        (23, "17:14", "day"),
        (23, "17:15", "home"),
        (27, "17:15", "night"),
        (28, "00:00", "night"),
        (28, "08:29", "night"),
        (28, "08:30", "home"),
        (28, "17:15", "home"),
        (27, "03:00", "home"),
    ],
)
def test_the_shift_that_is_on(day: int, hour: str, who: str) -> None:
    now = datetime.fromisoformat(f"2026-11-{day}T{hour}:00").replace(tzinfo=TOKYO)
    assert duty.steps_at(ROTA, now)[0]["staff"] == [who]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_an_alarm_rings_for_ever_until_it_is_taken(minutes: list[int], looks: list[int]) -> None:
    """However seldom the clock is looked at: the steps come in their order, each with its time, and then again."""
    state: dict[str, Any] = {
        "state": "ringing",
        "steps": [{"staff": [str(number)], "minutes": each} for number, each in enumerate(minutes)],
    }
    now = NOON
    order = [duty.ring(state, now, step=0, turn=1)]
    for look in looks:
        now += timedelta(minutes=look)
        rang_at, due = state["called"][-1]["at"], minutes[state["step"]] * 60
        called = duty.climb(state, now)
        assert bool(called) is (now.timestamp() - rang_at >= due)
        order += [called] if called else []
    assert order == [(str(number % len(minutes)),) for number in range(len(order))]
    assert duty.take(state, "somebody", now)
    assert duty.climb(state, now + timedelta(days=9)) == ()
    assert not duty.take(state, "another", now)


LADDER = {
    "otherwise": [
        {"staff": ["nurse-1"], "minutes": 10},
        {"staff": ["nurse-3", "head"], "minutes": 5},
    ]
}


async def with_a_roster(town: Town) -> None:
    await town.employs("nurse-1", "nurse-3", "head")
    await town.does(NURSE, "PUT", f"/v1/municipalities/{TOWN}/duty-roster", LADDER)


async def called(town: Town) -> list[tuple[str, ...]]:
    return [tuple(data["staff"]) for name, data in await town.told("alarms") if name == "DutyCalled"]


@pytest.mark.integration
async def test_it_climbs_when_nobody_takes_it_and_stops_when_somebody_does(town: Town) -> None:
    await with_a_roster(town)
    alarm = (await town.does(NURSE, "POST", "/v1/alarms", ALARM))["id"]
    assert await called(town) == [("nurse-1",)]
    town.runtime.clock.move_to(NOON + timedelta(minutes=9))
    assert await climb(town.duty) == 0
    town.runtime.clock.move_to(NOON + timedelta(minutes=11))
    assert await climb(town.duty) == 1
    assert await climb(town.duty) == 0
    assert await called(town) == [("nurse-1",), ("nurse-3", "head")]
    [ringing] = (await town.does(SECOND_NURSE, "GET", "/v1/alarms?state=ringing"))["items"]
    assert (ringing["id"], ringing["step"], ringing["words"]) == (alarm, 1, ALARM["words"])
    town.runtime.clock.move_to(NOON + timedelta(minutes=17))
    assert await climb(town.duty) == 1
    await town.does(SECOND_NURSE, "POST", f"/v1/alarms/{alarm}/acknowledgement")
    town.runtime.clock.move_to(NOON + timedelta(days=1))
    assert await climb(town.duty) == 0
    [taken] = (await town.does(NURSE, "GET", "/v1/alarms?state=taken"))["items"]
    assert (taken["taken_by"], taken["turn"], len(taken["called"])) == (SECOND_NURSE.subject, 2, 3)
    assert taken["climbs_at"] is None
    assert [name for name, _ in await town.told("alarms")] == ["DutyCalled"] * 3 + ["AlarmTaken"]
    await town.does(SECOND_NURSE, "POST", f"/v1/alarms/{alarm}/acknowledgement")
    assert (await town.call(NURSE, "POST", f"/v1/alarms/{alarm}/acknowledgement")).status_code == 409
    assert (await town.call(OTHER_NURSE, "POST", f"/v1/alarms/{alarm}/acknowledgement")).status_code == 404


@pytest.mark.integration
async def test_one_cause_rings_once_and_keeps_the_ladder_that_it_began_with(town: Town) -> None:
    await with_a_roster(town)
    first, _ = await raise_alarm(town.duty, TOWN, "concern", "r1", "至急", "event-1")
    again, _ = await raise_alarm(town.duty, TOWN, "concern", "r1", "至急", "event-1")
    assert first == again
    path = f"/v1/municipalities/{TOWN}/duty-roster"
    etag = (await town.call(NURSE, "GET", path)).headers["etag"]
    changed = {"otherwise": [{"staff": ["head"], "minutes": 1}]}
    assert (await town.call(NURSE, "PUT", path, changed)).status_code == 428
    await town.does(NURSE, "PUT", path, changed, If_Match=etag)
    assert (await town.does(NURSE, "GET", path))["now"] == changed["otherwise"]
    town.runtime.clock.move_to(NOON + timedelta(minutes=11))
    await climb(town.duty)
    assert await called(town) == [("nurse-1",), ("nurse-3", "head")]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"otherwise": []}, "/otherwise", "too-short"),
        ({"otherwise": [{"staff": [], "minutes": 5}]}, "/otherwise/0/staff", "too-short"),
        ({"otherwise": [{"staff": ["stranger"], "minutes": 5}]}, "/otherwise/0/staff/0", "staff-unknown"),
        ({"otherwise": [{"staff": ["head"], "minutes": 0}]}, "/otherwise/0/minutes", "greater-than-equal"),
        (
            {"otherwise": DAY, "shifts": [{"days": [7], "from": "08:00", "until": "17:00", "steps": DAY}]},
            "/shifts/0/days/0",
            "less-than-equal",
        ),
        (
            {"otherwise": DAY, "shifts": [{"days": [1], "from": "8:00", "until": "25:00", "steps": DAY}]},
            "/shifts/0/from",
            "string-pattern-mismatch",
        ),
    ],
)
async def test_a_roster_that_would_call_nobody_is_refused(town: Town, body: Any, pointer: str, code: str) -> None:
    await town.employs("head")
    answer = await town.call(NURSE, "PUT", f"/v1/municipalities/{TOWN}/duty-roster", body)
    assert answer.status_code == 422
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
    assert (await town.call(NURSE, "GET", f"/v1/municipalities/{TOWN}/duty-roster")).status_code == 404


@pytest.mark.integration
async def test_without_a_roster_an_alarm_is_refused_and_not_lost_in_silence(town: Town) -> None:
    assert (await town.call(NURSE, "POST", "/v1/alarms", ALARM)).status_code == 409
    await with_a_roster(town)
    assert (await town.call(NURSE, "POST", "/v1/alarms", {**ALARM, "words": "<b>"})).status_code == 422
    assert (await town.call(NURSE, "POST", "/v1/alarms", {**ALARM, "about": "山田 花子"})).status_code == 422
    assert await called(town) == []
