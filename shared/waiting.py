"""Bounded waits for what is a moment away, as a reader's own write is: pauses that grow, so that soon is seen soon and the store is asked rarely."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

FRESH_WAIT_S = 5.0
"""How long a read waits for what its caller wrote (Hagukumi-Revision)."""


def pauses(seconds: float) -> Iterator[float]:
    """Pauses that grow, and add up to `seconds`."""
    pause, left = 0.01, seconds
    while left > 0:
        yield min(pause, left)
        left -= pause
        pause = min(pause * 1.5, 0.1)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether it came to hold within the time."""
    for pause in pauses(seconds):
        if await holds():
            return True
        await asyncio.sleep(pause)
    return await holds()
