"""Healing: what a reader misses is read from its owner's archive and applied by the same code (protocol R1, R4, R6).

A gap that a view document has seen stands in that document (`wanted`). What no document can hold stands in the collection
`wanted` of the reading service: a record that could not be read (whose document it is, only its data says), and what
the reconciler found behind an owner's head. Both are durable before an offset is committed or a pass ends.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from shared import bus, metrics
from shared.events.base import Envelope
from shared.internal_calls import InternalCalls
from shared.outbox import archived
from shared.problems import Busy
from shared.store import Doc, Insert, Store, Update
from shared.views import Gap, View

log = structlog.get_logger(__name__)

WANTED = "wanted"
AT_ONCE = 8
ROWS_A_ROUND = 2_000
OLDER_THAN_MS = 1_000


class Reader(Protocol):
    """What is healed: a View, or a sink for effects that are idempotent by derived ids."""

    @property
    def name(self) -> str:
        """Its name, unique in its service."""

    async def apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        """Apply durably; what can never be applied comes back with a reason."""


async def remember(
    store: Store, readers: Sequence[str], missing: Sequence[tuple[str, str, int, int]], *, since: str = ""
) -> None:
    """Have these readers get (stream, subject, after, up to) from the owner's archive; durable when it returns.

    `since`: an instant; older events are left out (effects are repeated from then on only).
    """
    writes: list[Insert | Update] = [
        Update(
            {"_id": f"{reader}:{stream}:{subject}"},
            {
                "$set": {"reader": reader, "stream": stream, "subject": subject, "since": since},
                "$min": {"after": after},
                "$max": {"upto": upto},
            },
            upsert=True,
        )
        for reader in readers
        for stream, subject, after, upto in missing
    ]
    while writes:
        # Two writers of a row that was not there: one of them meets the other's, and tries again.
        _, taken = await store.bulk(WANTED, writes)
        writes = [writes[place] for place in taken]


class Healer:
    """Closes the gaps of one service's readers."""

    def __init__(self, service: str, store: Store, calls: InternalCalls) -> None:
        self._service = service
        self._store = store
        self._calls = calls

    async def heal(self, readers: Sequence[Reader], *, older_than_ms: int = OLDER_THAN_MS) -> int:
        """One round over everything that is missed; how many events were read. An owner that is away holds up only its own."""
        count = await self._heal_rows({reader.name: reader for reader in readers})
        for view in readers:
            if isinstance(view, View):
                count += await self._side_by_side(
                    [(gap.stream, self._close(view, gap)) for gap in await view.gaps(older_than_ms=older_than_ms)]
                )
                await view.derive_again()
        return count

    async def _heal_rows(self, readers: dict[str, Reader]) -> int:
        rows: list[Doc] = []
        taken: dict[str, int] = {}
        async for row in self._store.each(WANTED, {}):
            owner = row["stream"].partition(".")[0]
            if row["reader"] in readers and taken.get(owner, 0) < ROWS_A_ROUND:
                taken[owner] = taken.get(owner, 0) + 1
                rows.append(row)
        metrics.wanted.set(sum(taken.values()))
        return await self._side_by_side(
            [(row["stream"], self._fetch(readers[row["reader"]], row)) for row in rows],
        )

    @staticmethod
    async def _side_by_side(work: list[tuple[str, Any]]) -> int:
        """Do this work, a few at once; after an owner's first failure the rest that needs it waits for the next round."""
        away: set[str] = set()
        count = 0

        async def one(stream: str, step: Any) -> int:
            owner = stream.partition(".")[0]
            if owner in away:
                step.close()
                return 0
            try:
                return int(await step)
            except Busy:
                if owner not in away:
                    log.warning("healer.owner_away", owner=owner)
                away.add(owner)
                return 0

        for start in range(0, len(work), AT_ONCE):
            done = await asyncio.gather(*(one(*each) for each in work[start : start + AT_ONCE]), return_exceptions=True)
            failures = [failure for failure in done if isinstance(failure, BaseException)]
            if failures:
                for _, step in work[start + AT_ONCE :]:
                    step.close()
                raise failures[0]
            count += sum(number for number in done if isinstance(number, int))
        return count

    async def _fetch(self, reader: Reader, row: Doc) -> int:
        """Bring one reader what a row says that it misses, then forget the row unless it grew meanwhile."""
        at, upto, count = int(row["after"]), int(row["upto"]), 0
        while at < upto:
            _, events = await self.events_after(row["stream"], row["subject"], at)
            events = [event for event in events if event.revision <= upto]
            if not events:
                # Whoever wrote that record had the right to the topic, but the owner never announced it (R6).
                log.warning("healer.not_in_archive", reader=reader.name, stream=row["stream"])
                metrics.not_in_archive.labels(row["stream"]).inc()
                break
            at = events[-1].revision
            for event, why in await reader.apply([one for one in events if one.time >= row.get("since", "")]):
                log.warning("healer.rejected", reader=reader.name, stream=event.stream, reason=why)
            metrics.healed.labels(row["stream"]).inc(len(events))
            count += len(events)
        await self._store.delete(WANTED, {"_id": row["_id"], "after": row["after"], "upto": upto})
        return count

    async def _close(self, view: View, gap: Gap) -> int:
        """Close one gap that a document has seen."""
        at, count, elsewhere = gap.applied, 0, False
        while at < gap.wanted:
            _, missing = await self.events_after(gap.stream, gap.subject, at)
            if not missing:
                break
            await view.apply(missing)
            metrics.healed.labels(gap.stream).inc(len(missing))
            at = missing[-1].revision
            count += len(missing)
            elsewhere = not any(view.target(event) == gap.document for event in missing)
        if at < gap.wanted or elsewhere:
            await view.forget_wanted(gap, at, elsewhere=elsewhere)
        return count

    async def events_after(self, stream: str, subject: str, after: int) -> tuple[int, list[Envelope]]:
        """(the owner's head, its archived events behind a revision), from the owner or from our own archive; raises Busy."""
        owner = stream.partition(".")[0]
        if owner != self._service:
            return await self._calls.events_after(owner, stream, subject, after)
        events = [bus.envelope_of(row, owner) for row in await archived(self._store, stream, subject, after)]
        return events[-1].revision if events else after, events
