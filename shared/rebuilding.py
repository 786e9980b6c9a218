"""A view is built anew beside live traffic: a second generation is fed too, filled from the owners' history, then read (protocol R8, promise G7; ADR 13)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from shared.documents import Document
from shared.healing import Healer
from shared.reconciling import Reconciler
from shared.store import Store
from shared.views import GENERATIONS, View, generation_name

log = structlog.get_logger(__name__)

IN_FLIGHT_S = 2.0
OLD_IS_READ_S = 3.0
PASSES = 60


class CannotRebuild(Exception):
    """This view cannot be built anew; the sentence says why."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found: documents of the new generation, and how many are not what they were."""

    view: str
    generation: int
    documents: int
    different: int

    def __str__(self) -> str:
        return (
            f"{self.view}: generation {self.generation}, {self.documents} documents, {self.different} other than before"
        )


Tell = Callable[[str], Awaitable[None]]


class Rebuilder:
    """Builds the views of one service anew."""

    def __init__(self, store: Store, reconciler: Reconciler, healer: Healer) -> None:
        self._store = store
        self._reconciler = reconciler
        self._healer = healer

    async def rebuild(self, view: View, streams: Sequence[str], tell: Tell) -> Rebuilt:
        """Build the next generation, switch to it, drop the old one; may be repeated after a crash at any place.

        Raises CannotRebuild for what is more than a view, Busy when an owner is away.
        """
        refuse_owner(view)
        row = await self._store.get(GENERATIONS, view.name) or {}
        live = int(row.get("live", 0))
        number = int(row.get("building") or live + 1)
        new = view.twin(number)
        await new.documents.ensure_indexes()
        await self._store.update(
            GENERATIONS, {"_id": view.name}, {"$set": {"live": live, "building": number}}, upsert=True
        )
        await tell(f"{view.name}: generation {number} is fed beside generation {live}")
        # A batch that began before the pointer was set feeds the old one only; it has ended by then.
        await asyncio.sleep(IN_FLIGHT_S)
        await self._fill(new, streams, tell)
        found = await self._compare(view, new, number)
        await tell(str(found))
        await self._store.update(
            GENERATIONS, {"_id": view.name, "building": number}, {"$set": {"live": number, "building": None}}
        )
        await tell(f"{view.name}: generation {number} is read")
        await view.follow_pointer()
        for stream in streams:
            await self._reconciler.compare(stream, view)
        # Other replicas follow the pointer within a second.
        await asyncio.sleep(OLD_IS_READ_S)
        await self._store.with_names({}).drop(generation_name(view.name, live))
        await tell(f"{view.name}: generation {live} is gone")
        return found

    async def _fill(self, new: View, streams: Sequence[str], tell: Tell) -> None:
        """Bring the new generation to the owners' heads; what the live traffic adds meanwhile comes by its own way."""
        for _ in range(PASSES):
            behind = 0
            for stream in streams:
                found = await self._reconciler.compare(stream, new, settle_s=0.5, alarm=False)
                behind += found.behind
                await tell(f"{found}")
            while await self._healer.heal([new], older_than_ms=0):
                pass
            if not behind:
                return
        raise CannotRebuild(
            f"{new.name} did not reach its owners' heads in {PASSES} passes: both generations are still fed. "
            "Look at hagukumi_wanted_ranges and at the owners, then ask again."
        )

    async def _compare(self, view: View, new: View, number: int) -> Rebuilt:
        """Count the documents that are not byte-equal though both have read as far."""
        found = Rebuilt(view.name, number, 0, 0)
        page: dict[str, Document] = {}

        async def settle() -> None:
            old = await view.documents.load_many(page)
            for doc_id, doc in page.items():
                before = old.get(doc_id)
                found.documents += 1
                if before is None or (before.applied == doc.applied and content(before) != content(doc)):
                    found.different += 1
            page.clear()

        async for row in new.documents.store.each(new.name, {}):
            doc = new.documents.read(row)
            page[doc.id] = doc
            if len(page) >= 200:
                await settle()
        await settle()
        return found


def content(doc: Document) -> dict[str, Any]:
    """What of a view document is the same however it was built."""
    return {"state": doc.state, "tenant": doc.tenant, "applied": doc.applied, "parked": doc.parked}


def refuse_owner(view: View) -> None:
    """Raise CannotRebuild for documents that hold more than what was built from events."""
    if view.owns:
        raise CannotRebuild(
            f"{view.name} is not rebuilt: its documents also hold {view.owns}. Primary data is never rebuilt."
        )
