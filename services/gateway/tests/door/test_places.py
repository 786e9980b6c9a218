"""The map of a town: places and circles, kept by its staff, read by everybody, as GeoJSON."""

from typing import Any

import pytest

from services.gateway import store as kept
from services.gateway.domain.places import chosen
from services.gateway.tests.door.world import OTHER_TOWN, TOWN, World

pytestmark = pytest.mark.integration
BASE = f"/v1/municipalities/{TOWN}/places"
CIRCLE: dict[str, Any] = {
    "kind": "circle",
    "name": "ふたごの会",
    "latitude": 35.0,
    "longitude": 139.0,
    "district": "みどり台",
}


async def found(world: World, query: str = "") -> list[str]:
    answer = await world.ask("mother", "GET", BASE + query)
    assert answer.status_code == 200
    return [feature["id"] for feature in answer.json()["features"]]


async def test_a_circle_is_put_on_the_map_changed_and_taken_off(world: World) -> None:
    assert (await world.ask("nurse", "PUT", f"{BASE}/twins", CIRCLE)).status_code == 201
    assert (await world.ask("nurse", "PUT", f"{BASE}/twins", {**CIRCLE, "hours": "土曜"})).status_code == 200
    answer = await world.ask("mother", "GET", BASE)
    assert answer.headers["content-type"] == "application/geo+json"
    [feature] = answer.json()["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [139.0, 35.0]}
    assert (feature["properties"]["name"], feature["properties"]["hours"]) == ("ふたごの会", "土曜")
    assert (await world.ask("other_nurse", "PUT", f"{BASE}/twins", CIRCLE)).status_code == 404
    assert (await world.ask("nurse", "DELETE", f"{BASE}/twins")).status_code == 204
    assert (await world.ask("nurse", "DELETE", f"{BASE}/twins")).status_code == 404
    assert await found(world) == []
    rows = await world.runtime.store.find(kept.PLACES, {})
    assert [entry["type"].split(".")[-2] for row in rows for entry in row["outbox"]] == ["PlaceChanged"] * 2 + [
        "PlaceClosed"
    ]


async def test_the_map_by_kind_district_and_box(world: World) -> None:
    await world.ask("nurse", "PUT", f"{BASE}/twins", CIRCLE)
    await world.ask("nurse", "PUT", f"{BASE}/park", {**CIRCLE, "kind": "playground", "name": "公園", "latitude": 36.0})
    await world.ask("nurse", "PUT", f"{BASE}/far", {**CIRCLE, "name": "遠い会", "district": "山手"})
    assert await found(world, "?kind=playground") == ["park"]
    assert sorted(await found(world, "?district=みどり台")) == ["park", "twins"]
    assert sorted(await found(world, "?bbox=138,34,140,35.5")) == ["far", "twins"]
    other = await world.ask("mother", "GET", f"/v1/municipalities/{OTHER_TOWN}/places")
    assert other.json()["features"] == []
    for wrong in ("?bbox=1,2,3", "?bbox=140,34,138,35", "?bbox=nan,1,2,3", "?bbox=a,b,c,d"):
        answer = await world.ask("mother", "GET", BASE + wrong)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not-a-box")


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "casino"},
        {"latitude": 91},
        {"name": ""},
        {"name": "<b>x</b>"},
        {"url": "http://circle.example"},
        {"url": "javascript:alert(1)"},
        {"owner": "x"},
    ],
)
async def test_a_place_that_cannot_be_is_refused(world: World, changes: dict[str, Any]) -> None:
    assert (await world.ask("nurse", "PUT", f"{BASE}/twins", {**CIRCLE, **changes})).status_code == 422
    assert await found(world) == []


def test_a_closed_place_is_on_no_map() -> None:
    state = {"id": "x", "municipality": TOWN, "closed": True, "place": CIRCLE}
    assert chosen([state], TOWN, None, None, None) == []
