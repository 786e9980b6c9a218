"""Tasks end, also those whose cancellation was lost once."""

import asyncio

from shared.ending import end_all


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
