"""Single wishes of many callers as one request to the store: a push costs it a share of four calls instead of four."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Wish = TypeVar("Wish")
Found = TypeVar("Found")


class Together(Generic[Wish, Found]):
    """Whoever comes while a request is on its way goes with the next; who comes alone waits for nobody.

    `work` answers wishes in their order. It begins after the last of them was made, so what it reads is as fresh as each asked for.
    """

    def __init__(self, work: Callable[[list[Wish]], Awaitable[Sequence[Found]]]) -> None:
        self._work = work
        self._waiting: list[tuple[Wish, asyncio.Future[Found]]] = []
        self._going: asyncio.Task[None] | None = None

    async def __call__(self, wish: Wish) -> Found:
        """What `work` found for this wish; its error, if it failed."""
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((wish, found))
        if self._going is None or self._going.done():
            self._going = asyncio.create_task(self._go())
        return await found

    async def _go(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                results = await self._work([wish for wish, _ in batch])
            except Exception as error:
                for _, found in batch:
                    if not found.done():
                        found.set_exception(error)
                continue
            for (_, found), result in zip(batch, results, strict=True):
                if not found.done():
                    found.set_result(result)
