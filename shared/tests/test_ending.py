"""Tasks end, also those whose cancellation was lost once."""

import asyncio
import contextlib

from shared.ending import closed, end_all


async def test_a_task_that_lost_its_first_cancellation_ends_with_the_next() -> None:
    begun = asyncio.Event()
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                begun.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(stubborn())
    await begun.wait()
    await end_all([task])
    assert task.cancelled()


async def test_a_task_that_never_ends_is_left_behind_in_time() -> None:
    begun, stop = asyncio.Event(), asyncio.Event()

    async def deaf() -> None:
        begun.set()
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    await begun.wait()
    async with asyncio.timeout(5):
        await end_all([task], within=0.3)
    assert not task.done()
    stop.set()
    await task


async def test_what_an_ended_task_raised_is_swallowed() -> None:
    async def broken() -> None:
        raise ValueError

    task = asyncio.create_task(broken())
    await asyncio.sleep(0)
    await end_all([task])
    assert isinstance(task.exception(), ValueError)


async def test_what_closes_is_waited_for_so_long_and_its_own_cancellation_stays_its_own() -> None:
    stop = asyncio.Event()

    async def never() -> None:
        while not stop.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await stop.wait()

    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async def fails() -> None:
        raise OSError

    async with asyncio.timeout(5):
        for closing in (never(), cancels_itself(), fails()):
            await closed(closing, "something", within=0.1)
    stop.set()
