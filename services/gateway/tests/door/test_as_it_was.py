"""The time machine: a record as it stood at an instant, shown to those who may read it now."""

import dataclasses
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse

from services.gateway.domain.as_it_was import as_it_was
from services.gateway.store import CHILDREN
from services.gateway.tests.door.world import (
    BY,
    CHILD,
    FAMILY,
    OTHER_TOWN,
    TODAY,
    TOWN,
    World,
    dose,
    envelopes,
    facts,
)
from shared.events import records as r
from shared.events.base import Envelope, Event
from shared.views import decode

BEGAN = datetime(2026, 11, 1, 0, 0, tzinfo=UTC)
CORRECTED, RETRACTED = BEGAN + timedelta(hours=40), BEGAN + timedelta(hours=50)
PATH = f"/v1/children/{CHILD}"


def timed(events: tuple[Event, ...], *, after: int = 0) -> list[Envelope]:
    """An hour between one fact and the next."""
    return [
        dataclasses.replace(one, time=(BEGAN + timedelta(hours=one.revision)).isoformat())
        for one in envelopes(CHILD, events, after=after)
    ]


def archive(world: World, told: list[Envelope]) -> None:
    """What the owner answers when it is asked for the child's history."""
    rows = [{**dataclasses.asdict(one), "data": one.data.decode()} for one in told]
    world.owners.answers["/internal/events"] = JSONResponse({"head": len(rows), "events": rows})


def url(at: datetime | str) -> str:
    return f"{PATH}?at={(at if isinstance(at, str) else at.isoformat()).replace('+', '%2B')}"


LATER: tuple[Event, ...] = (
    r.DoseCorrected(dose=dose("d1", "wakaba", lot="GB0002"), reason="misread", by=BY),
    r.DoseRetracted(dose_id="d2", reason="another child's", by=BY),
    r.GrowthMeasured(measurement_id="m1", measured_on=TODAY, weight_kg=6.1, organisation=TOWN, by=BY),
    r.ChildDied(died_on=TODAY, by=BY),
    r.DeathRetracted(reason="another child", by=BY),
)


async def test_corrections_and_retractions_are_shown_as_then_known(world: World) -> None:
    await world.tells(CHILD, *LATER, after=len(FAMILY))
    archive(world, timed((*FAMILY, *LATER)))
    told = len(FAMILY)

    async def seen(revision: int) -> Any:
        answer = await world.ask("mother", "GET", url(BEGAN + timedelta(hours=revision, minutes=1)))
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert {one["id"]: one["lot"] for one in (await seen(told))["doses"]} == {"d1": "GB0001", "d2": "GB0001"}
    assert {one["id"]: one["lot"] for one in (await seen(told + 1))["doses"]} == {"d1": "GB0002", "d2": "GB0001"}
    assert [one["id"] for one in (await seen(told + 2))["doses"]] == ["d1"]
    assert (await seen(told + 4))["silenced"] is True
    now = await seen(told + 5)
    assert (
        now.pop("at")
        == (BEGAN + timedelta(hours=told + 5, minutes=1, seconds=9 * 3600)).replace(tzinfo=None).isoformat() + "+09:00"
    )
    assert now == (await world.ask("mother", "GET", PATH)).json()


async def test_who_may_read_is_asked_of_today_and_whereabouts_stay_hidden(world: World) -> None:
    """Before all that took their permission away; the father was no co-guardian from whom anything is hidden then."""
    archive(world, timed(FAMILY))
    for hours in (4, 6, len(FAMILY)):
        at = url(BEGAN + timedelta(hours=hours, minutes=1))
        for who, status in (("removed", 404), ("expired", 404), ("uncle", 404), ("other_nurse", 404), ("clinic", 200)):
            assert (await world.ask(who, "GET", at)).status_code == status, (who, hours)
        hidden = await world.ask("cut_off", "GET", at)
        assert hidden.status_code == 200
        assert not any(word in hidden.text for word in (TOWN, OTHER_TOWN, "みどり台", "wakaba", "医師"))
        grandmother = await world.ask("grandmother", "GET", at)
        assert set(grandmother.json()) == {"id", "at", "birth_date", "sex", "name", "growth"}


@pytest.mark.parametrize(
    ("at", "status", "code"),
    [
        ("2026-11-01T00:30:00Z", 404, None),
        ("2026-11-02T00:00:00", 400, "instant-with-zone"),
        ("yesterday", 400, "instant-with-zone"),
        ("2999-01-01T00:00:00Z", 400, "in-the-future"),
    ],
)
async def test_an_instant_at_which_nothing_can_be_shown(world: World, at: str, status: int, code: str | None) -> None:
    archive(world, timed(FAMILY))
    answer = await world.ask("mother", "GET", url(at))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one["code"] for one in answer.json().get("errors", ())] == ([code] if code else [])


@pytest.mark.parametrize("seed", range(4))
async def test_the_archive_folded_to_its_end_is_todays_record(world: World, seed: int) -> None:
    """Whatever happened, in whatever order: what the view was built from is all that there is."""
    chance = random.Random(seed)
    pool: list[Event] = [
        *(r.DoseRecorded(dose=dose(f"d{number}", "wakaba"), by=BY) for number in range(3, 9)),
        *(r.DoseCorrected(dose=dose(f"d{number}", "wakaba", lot="X"), reason="x", by=BY) for number in range(1, 9)),
        *(r.DoseRetracted(dose_id=f"d{number}", reason="x", by=BY) for number in range(1, 9)),
        *(r.ConsentWithdrawn(organisation=one, by=BY) for one in ("wakaba", "hidamari")),
        r.ChildCorrected(child=facts(), reason="x", by=BY),
        r.ChildMoved(from_municipality=TOWN, to_municipality=OTHER_TOWN, effective_on=TODAY, by=BY),
        r.AccessRevoked(grant_id="g1", relative="grandmother-1", by=BY),
        *LATER,
    ]
    happened = tuple(chance.sample(pool, k=chance.randrange(5, len(pool))))
    for place, event in enumerate(happened):
        await world.tells(CHILD, event, after=len(FAMILY) + place)
    doc = await world.runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    folded = as_it_was(
        ((one.revision, one.time, decode(one)) for one in timed((*FAMILY, *happened))), BEGAN + timedelta(days=400)
    )
    # `feeds` and `feed` say what the clinics were told: the gateway's own, and no part of the record.
    for state in (doc.state, folded):
        state.pop("feeds", None)
        for consent in state.get("consents", {}).values():
            consent.pop("feed", None)
    assert folded == doc.state
