"""Taking a permission away: refused from the moment it is asked for, acknowledged when every replica enforces it (G12).

Replicas keep nothing about who may read what: each asks the child's document in the shared store, at every request. So a
permission ends everywhere at once when it ends in that document. Before the owner is asked, a hold is written there, and
from then on no replica lets that reader in, however far the topic is behind. The hold goes when the owner refused, or when
the event itself has arrived; one that its process left behind is settled with the owner's archive.
"""

from datetime import timedelta
from typing import Any

from services.gateway import store as kept
from services.gateway.commands.passage import Passage
from services.gateway.domain import child_view
from shared.clock import Clock, read_instant, wire_instant
from shared.documents import Document, Documents
from shared.events.records import ChildEvent
from shared.ids import binding_id, new_id
from shared.internal_calls import InternalCalls

LEFT_BEHIND_AFTER = timedelta(minutes=10)


def losing(passage: Passage) -> list[str]:
    """The readers of whom this request takes a permission away, as `child_view.readers` names them."""
    about, params = passage.about, passage.params
    state = about.state
    if "organisation" in params:
        consent = state.get("consents", {}).get(params["organisation"])
        return [f"{consent['kind']}:{params['organisation']}"] if consent else []
    if "grant" in params:
        grant = state.get("grants", {}).get(params["grant"])
        return [f"guardian:{grant['relative']}"] if grant else []
    if "stay" in params:
        lent = state.get("consents", {}).items()
        return [f"{one['kind']}:{organisation}" for organisation, one in lent if one.get("stay") == params["stay"]]
    return [
        f"guardian:{guardian}"
        for guardian in state.get("guardians", ())
        if binding_id(about.id, guardian) == params.get("guardian")
    ]


class Holds:
    """The holds in the gateway's view of children."""

    def __init__(self, children: Documents, clock: Clock) -> None:
        self._children = children
        self._clock = clock

    async def put(self, child: str, readers: list[str]) -> str:
        """Refuse these readers from now on; the hold's name."""
        name = new_id()
        at = wire_instant(self._clock.now())

        def decide(doc: Document) -> dict[str, Any]:
            new = [{"name": name, "reader": reader, "at": at} for reader in readers]
            child_view.hold(doc.state, [*doc.state.get("held", []), *new])
            return {}

        await self._children.change(child, decide)
        return name

    async def lift(self, child: str, name: str) -> None:
        """The owner refused, or its event is here: the document alone says again who may read."""

        def decide(doc: Document) -> dict[str, Any]:
            child_view.hold(doc.state, [one for one in doc.state.get("held", ()) if one["name"] != name])
            return {}

        await self._children.change(child, decide)

    async def settle(self, child: str, calls: InternalCalls) -> None:
        """Lift what a process left behind, once the view has all that the owner ever said of this child."""
        doc = await self._children.load(child)
        before = self._clock.now() - LEFT_BEHIND_AFTER
        old = {one["name"] for one in doc.state.get("held", ()) if read_instant(one["at"]) < before} if doc else set()
        if doc is None or not old:
            return
        read = doc.read_to(ChildEvent.stream, child)
        head, _ = await calls.events_after("records", ChildEvent.stream, child, read)
        if head <= read:
            for name in old:
                await self.lift(child, name)

    async def settle_all(self, calls: InternalCalls) -> None:
        """Lift whatever was left behind anywhere."""
        for child in await kept.children_with_holds(self._children.store):
            await self.settle(child, calls)
