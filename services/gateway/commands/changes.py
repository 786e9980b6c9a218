"""Live events: who listens, and which of them a change concerns. Ids only; the listener reads the rest through the door."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.auth import Principal
from shared.problems import TooMany

LISTENERS_EACH = 8
WAITING_MOST = 256
RESYNC = {"kind": "resync"}


@dataclass(eq=False, slots=True)
class Listener:
    """One open stream."""

    principal: Principal
    waiting: asyncio.Queue[dict[str, Any]] = field(default_factory=lambda: asyncio.Queue(WAITING_MOST))

    @property
    def reader(self) -> str:
        """As the access rows name it."""
        who = self.principal
        if who.role == "clinic":
            return f"clinic:{who.organisation}"
        return f"municipality:{who.municipality}" if who.role == "staff" else f"guardian:{who.subject}"

    def tell(self, change: dict[str, Any]) -> None:
        """Queue a change; one who does not read fast enough is told to read everything again."""
        try:
            self.waiting.put_nowait(change)
        except asyncio.QueueFull:
            while not self.waiting.empty():
                self.waiting.get_nowait()
            self.waiting.put_nowait(RESYNC)


class Listeners:
    """The open streams of this replica."""

    def __init__(self) -> None:
        self._open: set[Listener] = set()

    def __bool__(self) -> bool:
        return bool(self._open)

    def join(self, principal: Principal) -> Listener:
        """A new stream; raises TooMany when this principal has too many."""
        if sum(1 for one in self._open if one.principal.subject == principal.subject) >= LISTENERS_EACH:
            raise TooMany(headers={"Retry-After": "30"})
        found = Listener(principal)
        self._open.add(found)
        return found

    def leave(self, listener: Listener) -> None:
        """The stream ended."""
        self._open.discard(listener)

    def tell(self, readers: Iterable[str], change: dict[str, Any]) -> None:
        """Tell those of these readers who listen."""
        concerned = set(readers)
        for one in self._open:
            if one.reader in concerned:
                one.tell(change)
