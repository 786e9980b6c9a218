"""Keep the places and circles of a town, and hand them out as a map."""

from collections.abc import Mapping
from typing import Any

from services.gateway import store as kept
from services.gateway.domain import places
from shared.documents import Document
from shared.ids import derived_id
from shared.problems import NotFound
from shared.runtime import Runtime
from shared.store import Doc


class Places:
    """The places in the directory."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._documents = runtime.documents(kept.PLACES)
        runtime.on_start.append(self._index)

    async def put(self, town: str, place: str, facts: Mapping[str, Any]) -> tuple[bool, Document]:
        """Say what there is; whether it is new."""
        new = False

        def decide(doc: Document) -> Doc:
            nonlocal new
            new = not doc.exists or bool(doc.state.get("closed"))
            doc.tenant = town
            event = places.put(doc.state, place, town, facts)
            doc.emit(event, self._runtime.clock.now())
            return {}

        _, doc = await self._documents.upsert(_id(town, place), decide)
        return new, doc

    async def close(self, town: str, place: str) -> None:
        """It is there no longer. Raises NotFound."""

        def decide(doc: Document) -> Doc:
            if doc.state["municipality"] != town:
                raise NotFound
            doc.emit(places.close(doc.state), self._runtime.clock.now())
            return {}

        await self._documents.change(_id(town, place), decide)

    async def map_of(self, town: str, kind: str | None, district: str | None, box: tuple[float, ...] | None) -> Doc:
        """The open places as GeoJSON."""
        states = await kept.places_of(self._documents.store, town)
        return places.geojson(places.chosen(states, town, kind, district, box))

    async def _index(self) -> None:
        await self._documents.store.ensure_index(kept.PLACES, ["state.municipality"])


def _id(town: str, place: str) -> str:
    return derived_id("place", town, place)
