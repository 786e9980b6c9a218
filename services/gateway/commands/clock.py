"""The development platform's clock: set here, followed by every service by an event."""

from datetime import datetime

from services.gateway import store as kept
from shared.clock import wire_instant
from shared.documents import Document
from shared.events.gateway import ClockMoved
from shared.loops import follow_clock
from shared.runtime import Runtime
from shared.store import Doc

SUBJECT = "development"


class DevelopmentClock:
    """Moves the clock forward or back; production has none."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._documents = runtime.documents(kept.CLOCK)
        # The gateway's other replicas learn of it like everybody else.
        runtime.background.append(lambda: follow_clock(runtime))

    async def move_to(self, now: datetime) -> Doc:
        """From here on it is `now`, in every service."""

        def decide(doc: Document) -> Doc:
            doc.state["now"] = wire_instant(now)
            doc.emit(ClockMoved(now=now), self._runtime.clock.now())
            return {"now": wire_instant(now)}

        answer, _ = await self._documents.upsert(SUBJECT, decide)
        self._runtime.clock.move_to(now)
        for react in self._runtime.on_clock:
            await react()
        return answer
