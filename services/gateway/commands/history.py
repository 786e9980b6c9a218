"""The whole history of a child's record, from its owner's archive."""

from shared.events.base import Envelope, Event
from shared.events.records import ChildEvent
from shared.internal_calls import InternalCalls
from shared.views import decode


async def history_of(calls: InternalCalls, child: str) -> list[tuple[int, str, Event | None]]:
    """Every event of the child, in order, with its instant; raises Busy when records cannot be reached."""
    found: list[Envelope] = []
    while True:
        at = found[-1].revision if found else 0
        _, page = await calls.events_after("records", ChildEvent.stream, child, at)
        more = [envelope for envelope in page if envelope.revision > at]
        if not more:
            return [(one.revision, one.time, decode(one)) for one in found]
        found += more
