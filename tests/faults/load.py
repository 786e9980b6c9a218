"""The client under which faults happen: clinics record doses, guardians measure growth, staff publish notices.

What it is not told it asks again with the same key (G1): any answer other than 2xx or 4xx is unknown. It asks
steadily, not as fast as it can, so that a fault meets a service at work and not a queue.
"""

import asyncio
import itertools
import random
import time
from datetime import timedelta
from typing import Any

import httpx

from deploy.local.client import Caller
from tests.faults.ledger import Entry, Ledger
from tests.faults.rig import CLINIC, LOT, Family, Rig

WORKERS = 4
PAUSE_S = 0.1
PATIENCE_S = 180.0
"""How long anything is waited for: a machine with other work beside is slow, and what heals at all heals in seconds."""
AGAIN = frozenset({409, 425, 429})
"""Refusals that say «not now»: the same question, asked again, is answered."""


class Load:
    """Workers that ask until they are stopped; `stop` waits until nothing is unknown any more."""

    def __init__(self, rig: Rig, ledger: Ledger, seed: int, notices_every: float = 4.0) -> None:
        self.rig, self.ledger = rig, ledger
        self.dice = random.Random(seed)
        self.numbers = itertools.count(1)
        self.last_ok = time.monotonic()
        self._notices_every = notices_every
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin to ask."""
        self._stopping.clear()
        self._tasks = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
        self._tasks.append(asyncio.create_task(self._publish()))

    async def stop(self, within: float = 2 * PATIENCE_S) -> None:
        """Ask nothing new, and repeat what is unknown until it is known."""
        self._stopping.set()
        async with asyncio.timeout(within):
            await asyncio.gather(*self._tasks)

    async def acknowledged(self, more: int, within: float = PATIENCE_S) -> float:
        """Wait until so many more were acknowledged; the seconds until the first."""
        begun, before = time.monotonic(), self.ledger.count("ok")
        first = 0.0
        async with asyncio.timeout(within):
            while self.ledger.count("ok") < before + more:
                await asyncio.sleep(0.02)
                if not first and self.ledger.count("ok") > before:
                    first = time.monotonic() - begun
        return first

    async def _work(self) -> None:
        """Any worker asks about any child, so that two often write to one at the same time."""
        while not self._stopping.is_set():
            number = next(self.numbers)
            family = self.dice.choice(self.rig.families)
            if number % 3:
                await self._dose(family, number)
            else:
                await self._growth(family, number)
            await asyncio.sleep(PAUSE_S)

    async def one_dose(self, family: Family) -> None:
        """A single dose, asked until it is known."""
        await self._dose(family, next(self.numbers))

    async def one_notice(self) -> None:
        """A notice to every guardian of the town."""
        title = f"notice {next(self.numbers)}"
        body = {
            "title": {"ja": title},
            "body": {"ja": "本日のお知らせです。"},
            "audience": {"age_years": {"under": 30}},
            "urgency": "important",
            "confirm": len(self.rig.guardians),
        }
        await self._ask("notice", self.rig.staff, "", "", body, title, path="/v1/announcements")

    async def _dose(self, family: Family, number: int) -> None:
        # Influenza once in a season counts; on other days it is one too many, and on record all the same.
        day = family.birth + timedelta(days=self.dice.randrange(1, 390))
        body = {
            "given_on": day.isoformat(),
            "cvx": self.dice.choice(("88", "08", "216", "170")),
            "lot": f"{LOT}{number}",
        }
        await self._ask("dose", self.rig.clinic, family.child, "doses", body, body["lot"])

    async def _growth(self, family: Family, number: int) -> None:
        weight = 5 + number / 1000
        body = {"measured_on": self.rig.today.isoformat(), "weight_kg": weight}
        await self._ask("growth", family.guardian, family.child, "growth", body, f"{weight:.3f}")

    async def _publish(self) -> None:
        while not self._stopping.is_set():
            await self.one_notice()
            try:
                await asyncio.wait_for(self._stopping.wait(), self._notices_every)
            except TimeoutError:
                continue

    async def _ask(
        self, kind: str, caller: Caller, child: str, part: str, body: Any, mark: str, path: str | None = None
    ) -> None:
        entry = Entry(f"rig-{kind}-{mark.replace(' ', '-')}-{CLINIC}", kind, child, mark)
        self.ledger.ask(entry)
        pause = 0.1
        while True:
            try:
                answer = await caller.call("POST", path or f"/v1/children/{child}/{part}", body, key=entry.key)
            except httpx.HTTPError:
                self.ledger.tell(entry.key, "unknown", 0)
            else:
                if answer.is_success:
                    self.ledger.tell(entry.key, "ok", answer.status_code, answer.json())
                    self.last_ok = time.monotonic()
                    return
                if 400 <= answer.status_code < 500 and answer.status_code not in AGAIN:
                    self.ledger.tell(entry.key, "refused", answer.status_code, answer.json())
                    return
                self.ledger.tell(entry.key, "unknown", answer.status_code)
            entry.repeats += 1
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)
