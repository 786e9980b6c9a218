"""Relatives, a guardian from whom whereabouts are hidden, and permissions that are taken away: on every path, at once."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from services.gateway.app import create_app
from services.gateway.commands import read_your_writes
from services.gateway.commands.holds import Holds
from services.gateway.domain.routes import ROUTES
from services.gateway.tests.door.world import (
    BY,
    CHILD,
    CLINIC,
    EXPIRED_CLINIC,
    FAMILY,
    OTHER_TOWN,
    TODAY,
    TOWN,
    VISITED_TOWN,
    World,
    dose,
    plan,
)
from shared.clock import tokyo_time
from shared.events import records as r
from shared.events import schedule as s
from shared.ids import binding_id
from shared.settings import Settings

N = len(FAMILY)
WHEREABOUTS = (TOWN, VISITED_TOWN, OTHER_TOWN, "みどり台", CLINIC, EXPIRED_CLINIC, "医師", "nurse-1")
NURSE = r.Actor(subject="nurse-1", role="staff", organisation=TOWN)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_your_writes, "FRESH_WAIT_S", 0.3)


async def test_a_relative_is_shown_the_shared_sections_and_nothing_else(world: World) -> None:
    growth = r.AccessGranted(
        grant_id="g3", relative="grandmother-1", relation="grandparent", sections=("growth",), until=TODAY, by=BY
    )
    await world.tells(
        CHILD, growth, r.GrowthMeasured(measurement_id="m1", measured_on=TODAY, weight_kg=5.2, by=BY), after=N
    )
    shown = (await world.ask("grandmother", "GET", f"/v1/children/{CHILD}")).json()
    assert set(shown) == {"id", "birth_date", "sex", "name", "growth"}
    assert shown["growth"][0]["weight_kg"] == 5.2
    (line,) = (await world.ask("grandmother", "GET", "/v1/children")).json()["items"]
    assert set(line) == {"id", "birth_date", "sex", "name"}
    assert (await world.ask("uncle", "GET", "/v1/children")).json()["items"] == []


async def test_whereabouts_are_hidden_from_one_guardian_on_every_path(world: World) -> None:
    """Whatever the door answers to every route that there is, no town, district, clinic or name of staff is in it."""
    await world.tells(
        CHILD,
        r.CheckupRecorded(
            checkup_id="k1",
            kind="checkup_3m",
            done_on=TODAY,
            findings=(r.CheckupFinding(code="hip", text=f"seen at {CLINIC}"),),
            follow_up=f"again at {CLINIC}",
            organisation=CLINIC,
            by=NURSE,
        ),
        r.AllergyRecorded(
            allergy_id="a1",
            substance="egg",
            criticality="high",
            text=f"tested at {CLINIC}",
            provenance="clinic",
            organisation=CLINIC,
            by=NURSE,
        ),
        after=N,
    )
    await world.ask("nurse", "GET", f"/v1/children/{CHILD}")
    found = {}
    for row in ROUTES:
        if row.path == "/v1/events" or row.thing == "open":
            continue
        path = (
            row.path.replace("{child}", CHILD)
            .replace("{immunization}", "d1")
            .replace("{guardian}", binding_id(CHILD, "father-2"))
        )
        path = path.replace("{code}", TOWN).replace("{organisation}", CLINIC).replace("{grant}", "g1")
        path = "".join("x1" if part.startswith("{") else part for part in _parts(path))
        query = f"?patient=Patient/{CHILD}" if row.at == "query:patient" else ""
        body = {"child": CHILD} if row.method in {"POST", "PUT"} else None
        answer = await world.ask("cut_off", row.method, path + query, body)
        if row.owner is None or row.thing == "child":
            found[f"{row.method} {row.path}"] = answer
    told = {route for route, answer in found.items() if answer.status_code == 200 and "directory" not in route}
    assert {route for route in told if "{child}" in route} == {
        "GET /v1/children/{child}",
        "GET /v1/children/{child}/plan",
        "GET /v1/children/{child}/catch-up",
    }
    open_to_all = {"GET /v1/municipalities", "GET /v1/clinics"}
    leaks = [
        (route, word)
        for route, answer in found.items()
        if route not in open_to_all
        for word in WHEREABOUTS
        if word in answer.text
    ]
    assert leaks == []
    shown = found["GET /v1/children/{child}"].json()
    assert {one["id"] for one in shown["doses"]} == {"d1", "d2"}
    checkup = {"id": "k1", "kind": "checkup_3m", "done_on": TODAY.isoformat(), "findings": [{"code": "hip"}]}
    assert shown["checkups"] == [checkup]
    lists = {"doses", "checkups", "growth", "conditions", "reactions", "allergies", "milestones"}
    assert set(shown) == {"id", "birth_date", "sex", "name", *lists}


def _parts(path: str) -> list[str]:
    return re.split(r"(\{[a-z_]+\})", path)


async def test_a_plan_with_the_towns_own_programme_is_not_shown_to_whom_whereabouts_are_hidden(world: World) -> None:
    told = plan(CHILD, N)
    (item,) = told.items
    own = item.model_copy(update={"free_until": TODAY, "why": item.why.model_copy(update={"source": f"{TOWN} 要綱"})})
    nationwide = s.NationwidePlan(items=told.items, doses=())
    await world.tells(CHILD, told.model_copy(update={"items": (own,), "nationwide": nationwide}), after=1)
    path = f"/v1/children/{CHILD}/plan"
    mother, father = [(await world.ask(who, "GET", path)).json() for who in ("mother", "cut_off")]
    assert set(mother) == set(father) == {"child", "rule_set", "as_of", "items", "doses"}
    assert mother["items"][0]["free_until"] == TODAY.isoformat()
    assert TOWN in mother["items"][0]["why"]["source"]
    assert father["items"] == [told.items[0].model_dump(mode="json", exclude_none=True)]


async def test_that_a_guardian_is_cut_off_is_told_to_the_town_alone(world: World) -> None:
    seen = {who: (await world.ask(who, "GET", f"/v1/children/{CHILD}/family")).json() for who in ("mother", "nurse")}
    assert {one["id"]: one.get("cut_off") for one in seen["nurse"]["guardians"]} == {
        binding_id(CHILD, "mother-1"): False,
        binding_id(CHILD, "father-2"): True,
    }
    assert all("cut_off" not in one for one in seen["mother"]["guardians"])
    assert [one["yourself"] for one in seen["mother"]["guardians"]].count(True) == 1
    assert {one["id"]: one["in_force"] for one in seen["mother"]["grants"]} == {"g1": True, "g2": False}
    for person in ("mother-1", "father-2", "grandmother-1"):
        assert person not in str(seen)


# Taking away: nothing is served stale, and nothing is acknowledged early ------------------------------------------------


def _owner_commits(world: World, path: str, revision: int) -> None:
    headers = {"Hagukumi-Revision": f"records.child:{CHILD}={revision}"}
    world.owners.answers[path] = JSONResponse({"id": "x"}, 200, headers)


@contextlib.asynccontextmanager
async def another_replica(world: World, settings: Settings) -> AsyncIterator[World]:
    """A second gateway on the same store."""
    app = create_app(settings)
    runtime = app.state.runtime
    for begin in runtime.on_start:
        await begin()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", timeout=30.0) as http:
        yield World(runtime, http, world.tokens, world.owners, app)
    for end in runtime.on_stop:
        await end()
    await runtime.calls.close()
    await runtime.store.close()


TAKEN_AWAY: list[Any] = [
    pytest.param(
        "mother",
        "DELETE",
        "/grants/g1",
        "grandmother",
        r.AccessRevoked(grant_id="g1", relative="grandmother-1", by=BY),
        id="a relative's grant",
    ),
    pytest.param(
        "mother",
        "DELETE",
        f"/consents/{CLINIC}",
        "clinic",
        r.ConsentWithdrawn(organisation=CLINIC, by=BY),
        id="a clinic's consent",
    ),
    pytest.param(
        "mother",
        "DELETE",
        f"/consents/{VISITED_TOWN}",
        "visited",
        r.ConsentWithdrawn(organisation=VISITED_TOWN, by=BY),
        id="a town's consent",
    ),
    pytest.param(
        "nurse",
        "POST",
        f"/guardians/{binding_id(CHILD, 'mother-1')}/removal",
        "mother",
        r.GuardianRemoved(guardian="mother-1", reason="custody"),
        id="a guardian",
    ),
]


@pytest.mark.parametrize(("by", "method", "what", "reader", "event"), TAKEN_AWAY)
async def test_while_the_consumer_stands_still_it_is_not_acknowledged_and_nothing_is_served_stale(
    world: World, settings: Settings, by: str, method: str, what: str, reader: str, event: Any
) -> None:
    path = f"/v1/children/{CHILD}{what}"
    assert (await world.ask(reader, "GET", f"/v1/children/{CHILD}")).status_code == 200
    _owner_commits(world, path, N + 1)
    body = {"reason": "custody"} if method == "POST" else None
    first = await world.ask(by, method, path, body, key="k1")
    assert first.status_code == 503
    # The owner took it away, this view does not know: no replica may serve what the view still says.
    async with another_replica(world, settings) as replica:
        for one in (world, replica):
            assert (await one.ask(reader, "GET", f"/v1/children/{CHILD}")).status_code == 404
            assert (await one.ask(reader, "GET", "/v1/children")).json()["items"] == []
    await world.tells(CHILD, event, after=N)
    assert (await world.ask(reader, "GET", f"/v1/children/{CHILD}")).status_code == 404
    assert "held" not in (await _document(world)).state


async def _document(world: World) -> Any:
    found = await world.view("children").documents.load(CHILD)
    assert found is not None
    return found


async def test_a_revocation_is_acknowledged_once_the_view_has_it(world: World) -> None:
    _owner_commits(world, f"/v1/children/{CHILD}/grants/g1", N + 1)
    asked = asyncio.create_task(world.ask("mother", "DELETE", f"/v1/children/{CHILD}/grants/g1"))
    await world.owners.called.wait()
    await world.tells(CHILD, r.AccessRevoked(grant_id="g1", relative="grandmother-1", by=BY), after=N)
    assert (await asked).status_code == 200
    assert (await world.ask("grandmother", "GET", f"/v1/children/{CHILD}")).status_code == 404


async def test_what_the_owner_refuses_refuses_nobody(world: World) -> None:
    world.owners.answers[f"/v1/children/{CHILD}/grants/g1"] = JSONResponse({}, 404)
    assert (await world.ask("mother", "DELETE", f"/v1/children/{CHILD}/grants/g1")).status_code == 404
    assert (await world.ask("grandmother", "GET", f"/v1/children/{CHILD}")).status_code == 200
    assert "held" not in (await _document(world)).state


async def test_a_hold_that_its_process_left_behind_is_lifted_when_the_owner_knows_of_nothing(world: World) -> None:
    # Her grant ends with today: eleven minutes from now must be today still.
    world.runtime.clock.move_to(tokyo_time(TODAY, 12))
    holds = Holds(world.view("children").documents, world.runtime.clock)
    await holds.put(CHILD, ["guardian:grandmother-1"])
    world.owners.answers["/internal/events"] = JSONResponse({"head": N, "events": []})
    await holds.settle_all(world.runtime.calls)
    assert (await world.ask("grandmother", "GET", f"/v1/children/{CHILD}")).status_code == 404
    world.runtime.clock.move_to(world.runtime.clock.now() + timedelta(minutes=11))
    world.owners.answers["/internal/events"] = JSONResponse({"head": N + 1, "events": []})
    await holds.settle_all(world.runtime.calls)
    assert "held" in (await _document(world)).state
    world.owners.answers["/internal/events"] = JSONResponse({"head": N, "events": []})
    await holds.settle_all(world.runtime.calls)
    assert (await world.ask("grandmother", "GET", f"/v1/children/{CHILD}")).status_code == 200


async def test_a_dose_given_elsewhere_shows_no_place_to_the_cut_off(world: World) -> None:
    await world.tells(CHILD, r.DoseRecorded(dose=dose("d9", "satogaeri"), by=BY), after=N)
    answer = await world.ask("cut_off", "GET", f"/v1/children/{CHILD}")
    assert "d9" in answer.text
    assert "satogaeri" not in answer.text
