"""How much one principal and one address may ask, and how often they may guess (S13). In memory, per replica."""

import time
from collections import Counter
from dataclasses import dataclass

from shared.problems import Busy, TooMany

MOST_KEPT = 100_000
UPLOADS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after one request: whole requests, seconds until one more, and whether this one was within it."""

    granted: bool
    left: int
    wait_s: int


class Bucket:
    """A token bucket for each key: `at_once` to begin with, refilled with `per_second`."""

    def __init__(self, name: str, per_second: float, at_once: int) -> None:
        self.name = name
        self.per_second = per_second
        self.at_once = at_once
        self._kept: dict[str, tuple[float, float]] = {}

    @property
    def policy(self) -> str:
        """As the header RateLimit-Policy says it: quota and the window in which it fills again."""
        return f'"{self.name}";q={self.at_once};w={max(1, round(self.at_once / self.per_second))}'

    def take(self, key: str, cost: float = 1.0) -> Allowance:
        """Take `cost`; nothing is taken when there is not enough."""
        now = time.monotonic()
        if len(self._kept) > MOST_KEPT:
            self._forget_full(now)
        level, at = self._kept.get(key, (float(self.at_once), now))
        level = min(float(self.at_once), level + (now - at) * self.per_second)
        granted = level >= max(cost, 1.0)
        if granted:
            level -= cost
        self._kept[key] = (level, now)
        wait = 0 if level >= 1 else int((1 - level) / self.per_second) + 1
        return Allowance(granted, int(level), wait)

    def _forget_full(self, now: float) -> None:
        self._kept = {
            key: (level, at)
            for key, (level, at) in self._kept.items()
            if level + (now - at) * self.per_second < self.at_once
        }


class Uploads:
    """Large bodies that this process holds at the moment: so many for one principal, so many bytes for all."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._of: Counter[str] = Counter()

    def begin(self, principal: str) -> "Upload":
        """A body begins to arrive; raises TooMany."""
        if self._of[principal] >= UPLOADS_AT_ONCE:
            raise TooMany(headers={"Retry-After": "5"})
        self._of[principal] += 1
        return Upload(self, principal)

    def take(self, count: int) -> None:
        """So many bytes more; raises Busy."""
        if self._bytes + count > self._most_bytes:
            raise Busy
        self._bytes += count

    def give_back(self, principal: str, count: int) -> None:
        """The body is no longer held."""
        self._bytes -= count
        self._of[principal] -= 1
        if not self._of[principal]:
            del self._of[principal]


class Upload:
    """One body that is arriving or on its way to its owner."""

    def __init__(self, uploads: Uploads, principal: str) -> None:
        self._uploads = uploads
        self._principal = principal
        self._bytes = 0

    def grow(self, count: int) -> None:
        """So many bytes came; raises Busy."""
        self._uploads.take(count)
        self._bytes += count

    def end(self) -> None:
        """The request is over."""
        self._uploads.give_back(self._principal, self._bytes)
