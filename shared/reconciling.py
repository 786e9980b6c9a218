"""The reconciler: what a stream cannot show, because nothing came after it, the owners' heads show (protocol R4, promise G8; ADR 12)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from shared import metrics
from shared.documents import mark, unmark
from shared.healing import Reader, remember
from shared.internal_calls import Head, InternalCalls
from shared.store import Store
from shared.views import View

log = structlog.get_logger(__name__)

PAGE = 500
SETTLE_S = 2.0


@dataclass(slots=True)
class Finding:
    """What one pass over one stream and one of its readers found, in subjects."""

    reader: str
    stream: str
    compared: int = 0
    behind: int = 0
    backwards: int = 0
    """The owner's head is lower than what was read from it: somebody restored the owner from a copy. Not for healing."""

    def __str__(self) -> str:
        return f"{self.reader} on {self.stream}: {self.compared} compared, {self.behind} behind, {self.backwards} backwards"


Progress = Callable[[Finding], Awaitable[None]]


async def heads_of(store: Store, collections: Iterable[str], stream: str) -> AsyncIterator[Head]:
    """Every subject of one of our streams with its head; one cursor per collection, nothing is held."""
    prefix = mark(stream, "")
    for collection in list(collections):
        fields = ["heads", "outbox.stream", "outbox.subject"]
        async for doc in store.each(collection, {}, fields=fields):
            for name, head in doc.get("heads", {}).items():
                if name.startswith(prefix):
                    subject = unmark(name)[1]
                    waiting = [
                        one for one in doc.get("outbox", ()) if (one["stream"], one["subject"]) == (stream, subject)
                    ]
                    yield Head(subject, head - len(waiting), head)


async def as_lines(heads: AsyncIterator[Head]) -> AsyncIterator[bytes]:
    """Heads as an owner's answer carries them: a JSON array a line, many lines at once, and an empty one when that was all."""
    lines: list[str] = []
    async for head in heads:
        lines.append(json.dumps(head))
        if len(lines) >= PAGE:
            yield ("\n".join(lines) + "\n").encode()
            lines = []
    yield ("\n".join([*lines, "null"]) + "\n").encode()


class Reconciler:
    """Compares the heads of the owners with what this service's readers have applied."""

    def __init__(self, service: str, store: Store, calls: InternalCalls, collections: Sequence[str]) -> None:
        self._service = service
        self._store = store
        self._calls = calls
        self._collections = collections

    async def compare(
        self,
        stream: str,
        view: View,
        *,
        dry_run: bool = False,
        alarm: bool = True,
        settle_s: float = SETTLE_S,
        progress: Progress | None = None,
    ) -> Finding:
        """One pass. What is behind is written down for the healer, a page at a time; raises Busy when the owner is away.

        Under live traffic a reader is always a moment behind: only what is still behind after `settle_s` counts.
        """
        found = Finding(view.name, stream)
        reached = await view.reading(stream)
        known = 0
        ahead: dict[str, int] = {}
        async for page in self._pages(stream):
            at = await reached.of(page)
            late = [subject for subject, head in page.items() if at[subject][1] < head.announced]
            ahead |= {subject: at[subject][0] for subject, head in page.items() if at[subject][0] > head.committed}
            if late and settle_s:
                await asyncio.sleep(settle_s)
                at |= await reached.of(late)
            missing = [(stream, subject, at[subject][1], page[subject].announced) for subject in late]
            missing = [one for one in missing if one[2] < one[3]]
            if not dry_run:
                await remember(self._store, [view.name], missing)
            known += sum(1 for subject in page if at[subject][0])
            found.compared += len(page)
            found.behind += len(missing)
            if progress is not None:
                await progress(found)
        # Subjects that we know and the owner does not name at all were lost with their documents.
        found.backwards = await self._still_ahead(stream, ahead) + max(0, reached.count - known)
        if not alarm:
            return found
        metrics.heads_backwards.labels(stream, view.name).set(found.backwards)
        metrics.reconciled.labels(stream, view.name).inc(found.behind)
        if found.backwards:
            log.error("reconciler.head_went_backwards", stream=stream, view=view.name, subjects=found.backwards)
        return found

    async def _still_ahead(self, stream: str, ahead: dict[str, int]) -> int:
        """How many of these subjects end before what was read from them, on a second look at their owner.

        Under live traffic a reader has often read what came after its owner told its heads; a head only grows.
        """
        if not ahead:
            return 0
        left = dict(ahead)
        async for page in self._pages(stream):
            for subject in left.keys() & page.keys():
                if page[subject].committed >= left[subject]:
                    del left[subject]
        return len(left)

    async def repeat(
        self, stream: str, reader: Reader, since: str, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Finding:
        """Have a reader without documents (effects with derived ids) hear again what was announced since an instant."""
        found = Finding(reader.name, stream)
        async for page in self._pages(stream):
            found.compared += len(page)
            found.behind += len(page)
            if not dry_run:
                await remember(
                    self._store,
                    [reader.name],
                    [(stream, subject, 0, head.announced) for subject, head in page.items() if head.announced],
                    since=since,
                )
            if progress is not None:
                await progress(found)
        return found

    async def _pages(self, stream: str) -> AsyncIterator[dict[str, Head]]:
        owner = stream.partition(".")[0]
        if owner == self._service:
            heads = heads_of(self._store, self._collections, stream)
        else:
            heads = self._calls.heads(owner, stream)
        page: dict[str, Head] = {}
        async for head in heads:
            if head.committed:
                page[head.subject] = head
            if len(page) >= PAGE:
                yield page
                page = {}
        if page:
            yield page
