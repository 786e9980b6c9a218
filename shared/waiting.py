"""Bounded waits for what is a moment away, as a reader's own write is.

Where this process brings it about it is seen at once; where another does, the store is asked in pauses that grow.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

FRESH_WAIT_S = 5.0
"""How long a read waits for what its caller wrote (Hagukumi-Revision)."""
PAUSES_S = 0.01, 0.1
"""The first and the longest pause between two looks."""
HINTED_S = 0.05, 0.25
"""The same where the process that does the work is most likely this one, and tells."""


async def until(
    holds: Callable[[], Awaitable[bool]], seconds: float, hint: Callable[[], asyncio.Event] | None = None
) -> bool:
    """Whether it came to hold within the time. `hint` gives an event that this process sets when it may hold."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    pause, longest = PAUSES_S if hint is None else HINTED_S
    while True:
        # Taken before the look: what happens while we look is not missed.
        event = hint() if hint is not None else asyncio.Event()
        if await holds():
            return True
        left = ends - loop.time()
        if left <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left)):
                await event.wait()
        pause = min(pause * 1.5, longest)
