"""Asking a running service, and checking what its store holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from shared.operations import OPERATIONS, ask
from shared.ops.places import Place, Trouble, about
from shared.outbox import ARCHIVE, archive_id
from shared.reconciling import heads_of

TAKEN_WITHIN_S = 15.0
SILENT_FOR_S = 180.0


async def do(place: Place, service: str, what: str, args: dict[str, Any]) -> AsyncIterator[str]:
    """Have a service do something; what it says meanwhile. Raises Trouble when it is not running, silent, or refuses."""
    async with place.store(service) as store:
        operation = await ask(store, what, args)
        told, begun = 0, time.monotonic()
        while True:
            row = await store.get(OPERATIONS, operation) or {"state": "withdrawn", "lines": []}
            for line in row["lines"][told:]:
                yield str(line)
            told = len(row["lines"])
            if row["state"] == "done":
                return
            if row["state"] == "refused":
                raise Trouble(f"{service} did not do all of it.")
            if row["state"] == "asked" and time.monotonic() - begun > TAKEN_WITHIN_S:
                withdrawn = {"$set": {"state": "withdrawn"}}
                if await store.update(OPERATIONS, {"_id": operation, "state": "asked"}, withdrawn):
                    raise Trouble(f"{service} does not run, or is busy with an earlier operation. Nothing was touched.")
            if row["state"] == "running" and time.time() - row["beat"] > SILENT_FOR_S:
                raise Trouble(
                    f"{service} took it and has said nothing for {SILENT_FOR_S:.0f} s. It is safe to ask again."
                )
            await asyncio.sleep(0.2)


async def histories(place: Place, service: str, progress: Callable[[int], None]) -> tuple[int, int, list[str]]:
    """(subjects, events, what is wrong): revisions 1 to n of each subject in the archive, and no document ahead of it (I2)."""
    seen: dict[tuple[str, str], list[int]] = {}
    events = 0
    bad: list[str] = []
    async with place.store(service) as store:
        async for row in store.each(ARCHIVE, {}, fields=["stream", "subject", "revision"]):
            known = seen.setdefault((row["stream"], row["subject"]), [0, 0])
            known[0] += 1
            known[1] = max(known[1], row["revision"])
            events += 1
            if row["_id"] != f"{row['stream']}:{row['subject']}:{row['revision']}":
                bad.append(f"{row['_id']} holds another place of the history")
            if events % 10_000 == 0:
                progress(events)
        for (stream, subject), (count, last) in seen.items():
            if count != last:
                bad.append(f"{stream} {subject}: {count} events, the last is revision {last}")
        collections = (await about(store, service))["collections"]
        for stream in sorted({stream for stream, _ in seen}):
            async for head in heads_of(store, collections, stream):
                last = seen.get((stream, head.subject), [0, 0])[1]
                # What was archived after we had passed by is no hole: a live store is looked at once more.
                event = archive_id(stream, head.subject, head.announced)
                if head.announced > last and await store.get(ARCHIVE, event, ["_id"]) is None:
                    bad.append(
                        f"{stream} {head.subject}: announced up to revision {head.announced}, archived up to {last}"
                    )
    return len(seen), events, bad
