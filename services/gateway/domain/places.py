"""Places and circles of a town (子育て支援の場・サークル・地域のつながり), as a list and as a map (GeoJSON, RFC 7946)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from shared.events.gateway import PlaceChanged, PlaceClosed
from shared.problems import NotFound, invalid

State = dict[str, Any]
Kind = Literal["support_centre", "playground", "nursery", "health_centre", "circle", "mutual_help", "consultation"]
FACTS = ("kind", "name", "address", "latitude", "longitude", "district", "hours", "contact", "url")
_REFUSED = re.compile("<[a-zA-Z!/?]|[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def put(state: State, place: str, town: str, facts: Mapping[str, Any]) -> PlaceChanged:
    """A town says what there is at a place. Raises Invalid for markup and for a link that is none."""
    for name in ("name", "address", "district", "hours", "contact"):
        if _REFUSED.search(facts[name] or ""):
            raise invalid(
                f"/{name}", "markup", "HTML や制御文字は使えません。", "Markup and unseen signs are not accepted."
            )
    state.update({"kind": "place", "id": place, "municipality": town, "place": {name: facts[name] for name in FACTS}})
    state.pop("closed", None)
    return PlaceChanged(place=place, municipality=town, **{name: facts[name] for name in FACTS})


def close(state: State) -> PlaceClosed:
    """It is there no longer. Raises NotFound when it was not."""
    if state.get("kind") != "place" or state.get("closed"):
        raise NotFound
    state["closed"] = True
    return PlaceClosed(place=state["id"], municipality=state["municipality"])


def chosen(
    states: Iterable[State], town: str, kind: str | None, district: str | None, box: tuple[float, ...] | None
) -> list[State]:
    """The open places of a town of this kind, in this district, within west, south, east, north (degrees); by name."""
    found = []
    for state in states:
        place = state["place"]
        if state["municipality"] != town or state.get("closed"):
            continue
        if kind not in {None, place["kind"]} or district not in {None, place["district"]}:
            continue
        if box is not None and not (box[0] <= place["longitude"] <= box[2] and box[1] <= place["latitude"] <= box[3]):
            continue
        found.append(state)
    return sorted(found, key=lambda state: (state["place"]["name"], state["id"]))


def geojson(states: Iterable[State]) -> State:
    """A FeatureCollection: positions are longitude, latitude (WGS 84)."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": state["id"],
                "geometry": {
                    "type": "Point",
                    "coordinates": [state["place"]["longitude"], state["place"]["latitude"]],
                },
                "properties": {
                    name: value for name, value in state["place"].items() if name not in {"latitude", "longitude"}
                },
            }
            for state in states
        ],
    }


def read_box(text: str) -> tuple[float, float, float, float]:
    """`west,south,east,north` in degrees (RFC 7946 section 5). Raises Invalid."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = south = east = north = float("nan")
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise invalid("/query/bbox", "not-a-box", "西,南,東,北 の順の度数です。", "west,south,east,north in degrees.")
    return west, south, east, north
