"""Ending tasks for sure: one cancellation may be lost, so it is repeated until the task has ended (guarantee G9)."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AGAIN_AFTER_S = 0.2


async def closed(closing: Coroutine[Any, Any, Any], name: str, *, within: float) -> None:
    """Let something foreign close itself, in a task of its own and for so long at most; how it failed is nobody's concern.

    aiokafka loses a cancellation while it closes, and then waits for a connection that is gone, or passes on one of its own.
    """
    task = asyncio.create_task(closing, name=name)
    await asyncio.wait({task}, timeout=within)
    await end_all([task], within=1.0)
    if not task.cancelled() and task.done() and (error := task.exception()) is not None:
        log.info("close.failed", what=name, error=type(error).__name__)


async def end_all(tasks: Iterable[asyncio.Task[Any]], *, within: float = 5.0) -> None:
    """Cancel these tasks and wait until they have ended; what they raised is nobody's concern any more.

    `asyncio.wait_for` of Python 3.11 drops a cancellation that arrives when what it waits for is just done (python/cpython
    37658), and PyMongo sends every command through it: measured, 10 of 60 tasks that were cancelled amid calls to the
    store went on. A task that does not end within the time is left behind and named.
    """
    waiting = {task for task in tasks if not task.done()}
    last = asyncio.get_running_loop().time() + within
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_AFTER_S)
        if waiting and asyncio.get_running_loop().time() > last:
            log.error("tasks.not_ended", tasks=sorted(task.get_name() for task in waiting))
            return
