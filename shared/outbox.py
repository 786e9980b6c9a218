"""The relay: archives what was committed, publishes it in order, then clears it (protocol A1 to A6)."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Any

import structlog
from opentelemetry import trace

from shared import metrics
from shared.bus import Producer, to_message
from shared.ending import end_all
from shared.faults import crash_point
from shared.ids import new_id
from shared.store import Doc, Insert, Store, Update

log = structlog.get_logger(__name__)
tracer = trace.get_tracer("hagukumi.outbox")

ARCHIVE = "events"
LEASES = "leases"
NOTHING_ELSE: dict[str, Any] = {"derive_at": None, "wanted": {}}
"""`pending` marks any unfinished work of a document: it goes when neither rows to derive nor a gap are left either."""
BATCH = 500
GATHER_S = 0.25
PARKED_FROM = 10**15
"""Where the markers of parked documents lie: behind every instant, so that the search for work does not meet them."""


def unfinished(older_than_ms: int) -> dict[str, Any]:
    """The query for documents whose work is unfinished for longer than that."""
    return {"pending": {"$gte": 0, "$lte": int(time.time() * 1000) - older_than_ms}}


def archive_id(stream: str, subject: str, revision: int) -> str:
    """The id of an archived event; archiving twice is archiving once (A1)."""
    return f"{stream}:{subject}:{revision}"


class Relay:
    """Publishes the outboxes of one service's document collections."""

    def __init__(
        self, store: Store, producer: Producer, service: str, *, sweep_after_ms: int = 3_000, max_depth: int = 50_000
    ) -> None:
        self._store = store
        self._producer = producer
        self._service = service
        self._sweep_after_ms = sweep_after_ms
        self._max_depth = max_depth
        self._offered: dict[tuple[str, str], list[Doc] | None] = {}
        self._working: set[tuple[str, str]] = set()
        self._waiting = 0
        self._fresh: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._gathering = False
        self._tasks: list[asyncio.Task[None]] = []
        self._holder = new_id()
        self.collections: list[str] = []
        self.unhurried: set[str] = set()
        """Types of events that nobody waits for: those of a quarter of a second are announced together (ADR 78)."""
        self.stopped_subjects: dict[tuple[str, str], str] = {}

    # What a commit sees -------------------------------------------------------------------------------------------

    def offer(self, collection: str, doc_id: str, entries: list[Doc] | None) -> None:
        """These entries are the document's whole outbox; None, or a second offer before the first went out: read it again (A4)."""
        place = (collection, doc_id)
        known = place in self._offered or place in self._working
        self._offered[place] = None if known else entries
        self._fresh.add(place)
        if entries is None or not all(entry["type"] in self.unhurried for entry in entries):
            self._wake.set()
        elif not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        self._wake.set()

    def has_room(self) -> bool:
        """Whether the service's outbox is within its bound; past it writes are refused with 503 (W4)."""
        return self._waiting + len(self._fresh) < self._max_depth

    # Life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Create the archive's indexes and begin to publish and to sweep."""
        await self._store.ensure_index(ARCHIVE, ["subject", "revision"])
        self._tasks = [
            asyncio.create_task(self._run(), name="relay"),
            asyncio.create_task(self._sweep(), name="sweeper"),
        ]

    async def stop(self) -> None:
        """Publish what was offered, bounded, then stop; what is left the next sweeper finds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                while self._offered or self._working:
                    self._wake.set()
                    await asyncio.sleep(0.02)
        await end_all(self._tasks)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = dict(list(self._offered.items())[:BATCH])
            for place in batch:
                del self._offered[place]
            if self._offered:
                self._wake.set()
            self._working = set(batch)
            try:
                await self.publish(batch)
            except Exception as error:
                # The sweeper finds them again by their marker. Nothing may end this loop: nobody else publishes.
                log.warning("relay.failed", error=type(error).__name__, exc_info=error)
                await asyncio.sleep(0.5)
            finally:
                self._working = set()

    # The work -----------------------------------------------------------------------------------------------------

    async def publish(self, batch: dict[tuple[str, str], list[Doc] | None]) -> None:
        """Archive, publish, wait, clear: the whole prefix of each document, many documents side by side."""
        outboxes = await self._whole_prefixes(batch)
        if not outboxes:
            return
        with tracer.start_as_current_span("relay publish", links=_links(outboxes.values())):
            outboxes = await self._archive(outboxes)
            crash_point("after_archive_before_publish")
            sent = await self._send(outboxes)
            crash_point("after_publish_before_pull")
            await self._clear(outboxes, sent)

    async def _whole_prefixes(self, batch: dict[tuple[str, str], list[Doc] | None]) -> dict[tuple[str, str], list[Doc]]:
        outboxes = {place: entries for place, entries in batch.items() if entries}
        unread: dict[str, list[str]] = {}
        for (collection, doc_id), entries in batch.items():
            if entries is None:
                unread.setdefault(collection, []).append(doc_id)
        for collection, ids in unread.items():
            for doc_id, doc in (await self._store.get_many(collection, ids, ["outbox"])).items():
                if doc.get("outbox"):
                    outboxes[(collection, doc_id)] = doc["outbox"]
        return {place: entries for place, entries in outboxes.items() if place not in self.stopped_subjects}

    async def _archive(self, outboxes: dict[tuple[str, str], list[Doc]]) -> dict[tuple[str, str], list[Doc]]:
        """Write every entry to the archive; a repeat must be the same bytes, else that subject stops (A1)."""
        rows = {
            archive_id(entry["stream"], entry["subject"], entry["revision"]): (place, entry)
            for place, entries in outboxes.items()
            for entry in entries
            if "data" in entry
        }
        taken = await self._store.insert_many(ARCHIVE, [{"_id": key, **entry} for key, (_, entry) in rows.items()])
        if taken:
            there = await self._store.get_many(ARCHIVE, taken, ["data", "type"])
            for key in taken:
                place, entry = rows[key]
                if (there[key]["data"], there[key]["type"]) != (entry["data"], entry["type"]):
                    self._stop_subject(place, "archive-differs")
        return {place: entries for place, entries in outboxes.items() if place not in self.stopped_subjects}

    async def _send(self, outboxes: dict[tuple[str, str], list[Doc]]) -> dict[tuple[str, str], int]:
        """Rounds: the n-th event of every document together, the next only after the acknowledgement (A3).

        Gives the place (document revision) up to which each document was published.
        """
        sent: dict[tuple[str, str], int] = {}
        alive = dict(outboxes)
        step = 0
        while alive:
            places = [place for place, entries in alive.items() if step < len(entries)]
            if not places:
                break
            entries = [alive[place][step] for place in places]
            entries = await self._from_archive(entries)
            outcomes = await self._producer.send([to_message(entry, self._service) for entry in entries])
            for place, entry, failure in zip(places, entries, outcomes, strict=True):
                if failure is None:
                    sent[place] = entry["place"]
                    metrics.published.labels(entry["topic"]).inc()
                    continue
                del alive[place]
                metrics.publish_failures.labels(entry["topic"]).inc()
                if failure.final:
                    self._stop_subject(place, str(failure))
            step += 1
        return sent

    async def _from_archive(self, entries: list[Doc]) -> list[Doc]:
        """Entries that were archived ahead of publishing (A2) come back from there."""
        stubs = {archive_id(e["stream"], e["subject"], e["revision"]) for e in entries if "data" not in e}
        if not stubs:
            return entries
        rows = await self._store.get_many(ARCHIVE, stubs)
        return [e if "data" in e else rows[archive_id(e["stream"], e["subject"], e["revision"])] for e in entries]

    async def _clear(self, outboxes: dict[tuple[str, str], list[Doc]], sent: dict[tuple[str, str], int]) -> None:
        """Clear outbox and marker in one update guarded by what was published; else pull only that (A5).

        What Kafka did not take is archived, so its bodies leave the document: writes go on through a long outage (A2).
        """
        by_collection: dict[str, list[tuple[str, int]]] = {}
        for (collection, doc_id), place in sent.items():
            by_collection.setdefault(collection, []).append((doc_id, place))
        for collection, done in by_collection.items():
            whole: list[Insert | Update] = [
                Update(
                    {"_id": doc_id, "revision": place, **NOTHING_ELSE},
                    {"$set": {"outbox": []}, "$unset": {"pending": ""}},
                )
                for doc_id, place in done
            ]
            matched, _ = await self._store.bulk(collection, whole)
            places = {(collection, doc_id) for doc_id, _ in done}
            # What was not of late was counted by the sweeper.
            self._waiting = max(0, self._waiting - len(places - self._fresh))
            self._fresh -= places
            if matched < len(done):
                await self._store.bulk(
                    collection,
                    [
                        Update({"_id": doc_id}, {"$pull": {"outbox": {"place": {"$lte": place}}}})
                        for doc_id, place in done
                    ],
                )
                for doc_id, _ in done:
                    self._offered.setdefault((collection, doc_id), None)
                self._wake.set()
        for document, entries in outboxes.items():
            left = [entry for entry in entries if entry["place"] > sent.get(document, 0)]
            if left:
                await self._leave_stubs(document, left)

    async def _leave_stubs(self, document: tuple[str, str], left: list[Doc]) -> None:
        collection, doc_id = document
        for entry in left:
            if "data" in entry:
                stub = {key: value for key, value in entry.items() if key != "data"}
                await self._store.update(
                    collection, {"_id": doc_id, "outbox.place": entry["place"]}, {"$set": {"outbox.$": stub}}
                )

    def _stop_subject(self, place: tuple[str, str], why: str) -> None:
        self.stopped_subjects[place] = why
        metrics.stopped_subjects.labels(place[0]).set(sum(1 for one in self.stopped_subjects if one[0] == place[0]))
        log.error("relay.subject_stopped", collection=place[0], reason=why)

    # The sweeper --------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Find what a crash left behind; the lease saves work and guarantees nothing (A6)."""
        took = 0.0
        while True:
            # A sweep over tens of thousands of documents must not become what keeps the store busy.
            await asyncio.sleep(max(self._sweep_after_ms / 2_000, 4 * took))
            began = time.monotonic()
            try:
                await self._lead_or_follow()
            except Exception as error:
                log.warning("sweeper.failed", error=type(error).__name__, exc_info=error)
            took = time.monotonic() - began

    async def _lead_or_follow(self) -> None:
        """Sweep if this replica holds the lease; else learn from it how much waits."""
        if await take_lease(self._store, "sweeper", self._holder, seconds=10):
            await self._sweep_once()
        else:
            self._count((await self._store.get(LEASES, "sweeper") or {}).get("waiting", 0))

    async def _sweep_once(self) -> None:
        """Every document of every collection that waits too long: none can keep the sweeper from another."""
        now = int(time.time() * 1000)
        waiting = 0
        for collection in self.collections:
            left: list[str] = []
            idle: list[Insert | Update] = []
            oldest = now
            fields = ["pending", "outbox.place", "derive_at", "wanted"]
            async for doc in self._store.each(collection, unfinished(self._sweep_after_ms), fields=fields):
                if doc.get("outbox"):
                    left.append(doc["_id"])
                    oldest = min(oldest, doc["pending"])
                elif not (doc.get("wanted") or doc.get("derive_at")):
                    idle.append(Update({"_id": doc["_id"], "outbox": [], **NOTHING_ELSE}, {"$unset": {"pending": ""}}))
            for start in range(0, len(idle), BATCH):
                await self._store.bulk(collection, idle[start : start + BATCH])
            for doc_id in left:
                place = (collection, doc_id)
                self._fresh.discard(place)
                if place not in self._offered and place not in self._working:
                    self._offered[place] = None
            metrics.outbox_depth.labels(collection).set(len(left))
            metrics.outbox_age.labels(collection).set((now - oldest) / 1000)
            waiting += len(left)
        self._wake.set()
        await self._store.update(LEASES, {"_id": "sweeper"}, {"$set": {"waiting": waiting}})
        self._count(waiting)

    def _count(self, waiting: int) -> None:
        """What waits by the sweeper's count; what this process offered since then comes on top (W4)."""
        self._waiting = waiting
        self._fresh &= self._offered.keys() | self._working


def _links(outboxes: Iterable[list[Doc]]) -> list[trace.Link]:
    from shared.telemetry import link_to

    parents = {entry["traceparent"] for entries in outboxes for entry in entries if entry.get("traceparent")}
    return [link for link in map(link_to, sorted(parents)) if link is not None]


async def take_lease(store: Store, name: str, holder: str, *, seconds: int) -> int:
    """Take or keep a lease; its fencing token, or 0 when somebody else holds it.

    The token grows with every change of hands, so that a holder that was asleep can be told from the present one (G11).
    """
    now = time.time()
    lease = await store.get(LEASES, name)
    if lease is None:
        taken = await store.insert(LEASES, {"_id": name, "holder": holder, "token": 1, "until": now + seconds})
        return 1 if taken else 0
    token = int(lease["token"])
    if lease["holder"] == holder:
        kept = await store.update(
            LEASES, {"_id": name, "token": token, "holder": holder}, {"$set": {"until": now + seconds}}
        )
        return token if kept else 0
    if lease["until"] > now:
        return 0
    taken = await store.update(
        LEASES, {"_id": name, "token": token}, {"$set": {"holder": holder, "until": now + seconds, "token": token + 1}}
    )
    return token + 1 if taken else 0


async def archived(store: Store, stream: str, subject: str, after: int, limit: int = 500) -> list[dict[str, Any]]:
    """The archived events of a subject after a revision, in order: what healing and time machine read."""
    rows = await store.find(
        ARCHIVE, {"subject": subject, "revision": {"$gt": after, "$lte": after + limit}}, sort=[("revision", 1)]
    )
    return [row for row in rows if row["stream"] == stream]
