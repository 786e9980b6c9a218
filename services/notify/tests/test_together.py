"""Wishes of many callers as one request: each gets its own answer, and none an answer from before it asked."""

import asyncio

import pytest

from services.notify.commands.together import Together


async def test_who_comes_while_one_is_on_its_way_goes_with_the_next() -> None:
    asked: list[list[int]] = []
    gate = asyncio.Event()

    async def work(wishes: list[int]) -> list[int]:
        asked.append(wishes)
        await gate.wait()
        return [wish * 10 for wish in wishes]

    together = Together(work)
    first = asyncio.create_task(together(1))
    while not asked:
        await asyncio.sleep(0)
    others = [asyncio.create_task(together(wish)) for wish in (2, 3)]
    gone = asyncio.create_task(together(4))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await asyncio.gather(first, *others) == [10, 20, 30]
    assert asked == [[1], [2, 3, 4]]
    assert await together(5) == 50


async def test_a_failure_is_its_own_requests_alone() -> None:
    async def work(wishes: list[str]) -> list[str]:
        if "bad" in wishes:
            raise RuntimeError("the store is away")
        return wishes

    together = Together(work)
    with pytest.raises(RuntimeError, match="away"):
        await together("bad")
    assert await together("good") == "good"
