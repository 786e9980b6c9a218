"""Inboxes before pushes: what a push leads to should be there, and both ask one store."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

QUIET_S = 0.2
"""Longer than between two batches of a fan-out that goes on."""
LONGEST_S = 1.0


class Filling:
    """In which lanes (event types of pages) this process is filling inboxes."""

    def __init__(self) -> None:
        self._at_work: Counter[str] = Counter()
        self._quiet: dict[str, asyncio.Event] = {}
        self._soon: dict[str, asyncio.TimerHandle] = {}

    @asynccontextmanager
    async def of(self, lanes: Iterable[str]) -> AsyncIterator[None]:
        """Inboxes of these lanes are filled meanwhile."""
        filled = frozenset(lanes)
        for lane in filled:
            self._at_work[lane] += 1
            self._quiet.setdefault(lane, asyncio.Event()).clear()
            if lane in self._soon:
                self._soon.pop(lane).cancel()
        try:
            yield
        finally:
            for lane in filled:
                self._at_work[lane] -= 1
                if not self._at_work[lane]:
                    later = asyncio.get_running_loop().call_later
                    self._soon[lane] = later(QUIET_S, self._quiet[lane].set)

    async def over(self, lane: str) -> None:
        """Wait until the lane is quiet, for a second at most: no push is held up for long."""
        quiet = self._quiet.get(lane)
        if quiet is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_S):
                    await quiet.wait()
