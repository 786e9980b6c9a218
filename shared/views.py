"""View documents: what a service builds from other services' events, each event once, per subject in order (protocol R1, R2, R5)."""

import asyncio
import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from shared import metrics
from shared.context import set_cause
from shared.documents import Document, Documents, from_store, mark, unmark
from shared.events.base import REGISTRY, Envelope, Event
from shared.outbox import BATCH, NOTHING_ELSE, PARKED_FROM, unfinished
from shared.store import Doc, Insert, Store, Update

log = structlog.get_logger(__name__)

Apply = Callable[[Document, Any, Envelope], None]
Finish = Callable[[Document, Sequence[Envelope]], None]
ATTEMPTS = 20
VERSION_DIGITS = 10
DERIVE_AGAIN_AFTER_MS = 3_000
GAPS_AN_OWNER = 2_000
PENDING = {"pending": ""}
VERSIONS_APART = 1_000_000


GENERATIONS = "generations"
"""For each view that was ever rebuilt: the generation that is read, and the one that is fed beside it."""


def generation_name(collection: str, number: int) -> str:
    """The collection of a generation; the first has the plain name (protocol R8)."""
    return f"{collection}.g{number}" if number else collection


class Gap(NamedTuple):
    """A document waits for revisions after `applied`, up to `wanted`, of this subject."""

    document: str
    stream: str
    subject: str
    applied: int
    wanted: int


class Rejected(Exception):
    """A handler cannot apply this event, ever: the subject is parked with this code."""


@dataclass(frozen=True, slots=True)
class Derived:
    """Rows keyed otherwise than by the subject, wholly derived from one document's state (protocol R9).

    `rows` gives row id -> fields; a row that is no longer given is kept as a tombstone (`gone: True`), so that a late,
    older write cannot bring it back. Each row carries `of` (the document's id) and `version`.
    """

    collection: str
    rows: Callable[[Document], dict[str, Doc]]
    indexes: tuple[tuple[str, ...], ...] = ()

    async def write(self, store: Store, docs: Sequence[Document]) -> None:
        """Write what differs from what stood before; the newest version wins."""
        writes: list[Insert | Update] = []
        for doc in docs:
            rows = self.rows(doc)
            before = await self._rows_before(store, doc)
            writes += [
                _row(row_id, {**fields, "of": doc.id, "version": doc.version, "gone": False})
                for row_id, fields in rows.items()
                if before.get(row_id) != fields
            ]
            writes += [
                _row(row_id, {"of": doc.id, "version": doc.version, "gone": True})
                for row_id in before.keys() - rows.keys()
            ]
        # An upsert that meets a newer row is refused as a duplicate: the newer one stays.
        await store.bulk(self.collection, writes)

    async def _rows_before(self, store: Store, doc: Document) -> dict[str, Doc | None]:
        """What stands already, so that only differences are written; nothing is taken for granted after a crash."""
        if not doc.loaded:
            return {}
        if doc.loaded.get("derive_at"):
            found = await store.find(self.collection, {"of": doc.id}, fields=["_id"])
            return dict.fromkeys((row["_id"] for row in found), None)
        return {**self.rows(dataclasses.replace(doc, state=doc.loaded.get("state", {})))}

    async def ensure_indexes(self, store: Store) -> None:
        """Its own key to the document, and what its readers ask for."""
        await store.ensure_index(self.collection, ["of"])
        for keys in self.indexes:
            await store.ensure_index(self.collection, list(keys))


@dataclass(frozen=True, slots=True)
class Packed:
    """Short lines, many to a document, so that few documents hold what a query over a whole town reads (protocol R9).

    `rows` gives (pack, line) -> text; a document names every line that it ever gave, with an empty text for one that
    stands no longer. A line begins with the version of the document that it is of, and the greater text stays: writing
    in any order, or twice, gives the same. `fields` are a pack's own, which queries ask for.
    """

    collection: str
    rows: Callable[[Document], dict[tuple[str, str], str]]
    fields: Callable[[str], Doc]
    indexes: tuple[tuple[str, ...], ...] = ()

    async def write(self, store: Store, docs: Sequence[Document]) -> None:
        """Write the lines of these documents."""
        await self.put(store, {place: (doc.version, text) for doc in docs for place, text in self.rows(doc).items()})

    async def put(self, store: Store, lines: Mapping[tuple[str, str], tuple[int, str]]) -> None:
        """Write lines, each with the version that it is of."""
        packs: dict[str, Doc] = {}
        for (pack, line), (version, text) in lines.items():
            packs.setdefault(pack, {})[f"lines.{line}"] = f"{version:0{VERSION_DIGITS}}{text}"
        writes = [
            Update({"_id": pack}, {"$max": changed, "$set": self.fields(pack)}, upsert=True)
            for pack, changed in packs.items()
        ]
        while writes:
            # Two writers of a pack that was not there: one of them meets the other's, and tries again.
            _, taken = await store.bulk(self.collection, writes)
            writes = [writes[place] for place in taken]

    async def ensure_indexes(self, store: Store) -> None:
        """What its readers ask for."""
        for keys in self.indexes:
            await store.ensure_index(self.collection, list(keys))


def text_of(line: str) -> str:
    """The text of a packed line, without its version; empty for one that stands no longer."""
    return line[VERSION_DIGITS:]


class NobodyHears:
    """A relay for a generation that is being built: it has nothing to announce, and must not."""

    def offer(self, collection: str, doc_id: str, entries: list[Doc] | None) -> None:
        """Never called: only views that emit nothing are rebuilt."""
        raise RuntimeError("a rebuild emits nothing")

    def has_room(self) -> bool:
        """It needs none."""
        return True


class View:
    """One collection of documents built from events; a document may be an owner as well (schedule's plan).

    `handlers`  event class -> function that changes the document's state in place
    `target`    which document an event belongs to; the subject unless said otherwise, None for no document
    `finish`    called once per document and batch, after its events: recount, emit
    `derived`   rows under other keys; written after the document, found again by its `derive_at` marker after a crash
    `owns`      what these documents hold besides: such a view is not rebuilt in one piece (ADR 13)
    """

    def __init__(
        self,
        documents: Documents,
        handlers: dict[type[Event], Apply],
        *,
        target: Callable[[Envelope], str | None] | None = None,
        finish: Finish | None = None,
        derived: Sequence[Derived | Packed] = (),
        owns: str = "",
    ) -> None:
        self.documents = documents
        self.owns = owns
        self._beside: View | None = None
        self._derives_now = True
        self._derived = derived
        # `model_validate_json` would add an eighth to what it calls.
        self._handlers = {
            cls.event_type(): (cls.__pydantic_validator__.validate_json, apply) for cls, apply in handlers.items()
        }
        self._names = {kind.rpartition(".v")[0] for kind in self._handlers}
        self._by_subject = target is None
        self.target = target or (lambda envelope: envelope.subject)
        self._finish = finish

    @property
    def name(self) -> str:
        """The collection."""
        return self.documents.collection

    def twin(self, generation: int) -> "View":
        """The same view on the documents of another generation; rows under other keys wait until it is read.

        Its documents begin at a version that no earlier generation reached, so that their derived rows win afterwards.
        """
        found = copy.copy(self)
        found.documents = Documents(
            self.documents.store.with_names({self.name: generation_name(self.name, generation)}),
            self.name,
            relay=NobodyHears(),
            clock=self.documents.clock,
            first_version=generation * VERSIONS_APART + 1,
            as_text=self.documents.as_text,
        )
        found._beside = None
        found._derives_now = False
        return found

    async def follow_pointer(self) -> None:
        """Learn which generation is read and which is fed beside it (protocol R8)."""
        store = self.documents.store
        row = await store.get(GENERATIONS, self.name) or {}
        live, building = int(row.get("live", 0)), row.get("building")
        store.names[self.name] = generation_name(self.name, live)
        if building is None:
            self._beside = None
            return
        name = generation_name(self.name, building)
        if self._beside is None or self._beside.documents.store.names[self.name] != name:
            self._beside = self.twin(building)

    async def apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        """Apply a batch durably; the events that cannot be applied come back with a reason code (their subjects are parked)."""
        if self._derives_now and not self.owns:
            await self.follow_pointer()
        # As the pointer was when this batch began: a switch meanwhile does not let the new generation miss it.
        beside = self._beside
        rejected = await self._apply(batch)
        if beside is not None:
            # What it rejects, the generation that is read has put aside already.
            await beside._apply(batch)
        return rejected

    async def _apply(self, batch: Sequence[Envelope]) -> list[tuple[Envelope, str]]:
        waiting: dict[str, list[Envelope]] = {}
        for envelope in batch:
            target = envelope.subject if self._by_subject else self.target(envelope)
            if target in waiting:
                waiting[target].append(envelope)
            elif target is not None:
                waiting[target] = [envelope]
        rejected: list[tuple[Envelope, str]] = []
        for _ in range(ATTEMPTS):
            if not waiting:
                return rejected
            loaded = await self.documents.load_many(waiting)
            docs = []
            refused: dict[str, list[tuple[Envelope, str]]] = {}
            outcomes: Counter[tuple[str, str]] = Counter()
            for doc_id, envelopes in waiting.items():
                doc = loaded.get(doc_id) or Document(id=doc_id)
                failed = self._fold(doc, envelopes, outcomes)
                if failed:
                    refused[doc_id] = failed
                docs.append(doc)
            for (stream, outcome), count in outcomes.items():
                metrics.consumed_as(stream, outcome).inc(count)
            conflicts = {doc.id for doc in await self.documents.commit_many(docs)}
            await self.derive([doc for doc in docs if doc.derive and doc.id not in conflicts])
            for doc_id, failed in refused.items():
                if doc_id not in conflicts:
                    rejected += failed
            waiting = {doc_id: waiting[doc_id] for doc_id in conflicts}
        raise RuntimeError("a view document changed under every attempt")

    def _fold(
        self, doc: Document, envelopes: list[Envelope], outcomes: Counter[tuple[str, str]]
    ) -> list[tuple[Envelope, str]]:
        """Apply one document's events in order; what is known is dropped, what comes too early is wanted (R1)."""
        failed: list[tuple[Envelope, str]] = []
        done: list[Envelope] = []
        if len(envelopes) > 1:
            envelopes = sorted(envelopes, key=lambda e: (e.stream, e.subject, e.revision))
        for envelope in envelopes:
            stream, revision = envelope.stream, envelope.revision
            name = mark(stream, envelope.subject)
            at = doc.applied.get(name, 0)
            if revision <= at:
                if not self._passed_over(doc, name, envelope):
                    outcomes[stream, "known"] += 1
                    continue
                self._go_back(doc, name, revision - 1)
                at = revision - 1
                if not envelope.from_archive:
                    outcomes[stream, "held"] += 1
                    continue
            if revision > at + 1 or doc.parked:
                doc.wanted[name] = max(doc.wanted.get(name, 0), revision)
                outcomes[stream, "held"] += 1
                continue
            why, used = self._apply_one(doc, envelope)
            if why is not None:
                self._undo(doc, done)
                # Put aside now; the subject is parked when its owner's archive gives the same, else goes on (R6).
                if envelope.from_archive:
                    doc.parked = {"mark": name, "revision": revision, "reason": why}
                doc.wanted[name] = max(doc.wanted.get(name, 0), revision)
                failed.append((envelope, why))
                continue
            doc.applied[name] = revision
            if not used:
                doc.passed[name] = doc.passed.get(name, 0) + 1
            elif doc.passed:
                doc.passed.pop(name, None)
            outcomes[stream, "applied" if used else "unused"] += 1
            if doc.wanted and doc.wanted.get(name, 0) <= revision:
                doc.wanted.pop(name, None)
            done.append(envelope)
        if done:
            try:
                if self._finish is not None:
                    self._finish(doc, done)
                if self._derived:
                    self.mark_derived(doc)
            except Exception as error:
                log.error("view.finish_failed", view=self.name, exc_info=error)
                return self._park_whole(doc, done, f"finish-failed-{type(error).__name__}")
        return failed

    def _uses(self, kind: str) -> bool:
        return kind in self._handlers or kind.rpartition(".v")[0] in self._names

    def _passed_over(self, doc: Document, name: str, envelope: Envelope) -> bool:
        """Whether this revision was counted as one that says nothing here, and now comes as one that does (ADR 59)."""
        return envelope.revision > doc.applied[name] - doc.passed.get(name, 0) and self._uses(envelope.type)

    @staticmethod
    def _go_back(doc: Document, name: str, revision: int) -> None:
        """Two records claim one revision, and only the owner's archive says which is true: read on from there.

        What was passed over changed nothing, so there is nothing to undo. A parked document parks again where its
        archive says so.
        """
        at = doc.applied[name]
        doc.passed[name] -= at - revision
        doc.applied[name] = revision
        for marks in (doc.passed, doc.applied):
            if not marks[name]:
                del marks[name]
        doc.wanted[name] = max(doc.wanted.get(name, 0), at)
        doc.parked = {}

    def _undo(self, doc: Document, done: Sequence[Envelope]) -> None:
        """Take back what a handler had changed before it raised: the document as loaded, with what was applied since."""
        fresh = self._as_loaded(doc)
        for envelope in done:
            self._apply_one(fresh, envelope)
            fresh.applied[mark(envelope.stream, envelope.subject)] = envelope.revision
        doc.state, doc.tenant, doc.heads, doc.outgoing = fresh.state, fresh.tenant, fresh.heads, fresh.outgoing

    @staticmethod
    def _as_loaded(doc: Document) -> Document:
        return from_store(doc.loaded) if doc.exists else Document(id=doc.id)

    @classmethod
    def _park_whole(cls, doc: Document, done: list[Envelope], why: str) -> list[tuple[Envelope, str]]:
        """Take the batch back from this document and park it at its first event; others go on."""
        fresh = cls._as_loaded(doc)
        for envelope in done:
            name = mark(envelope.stream, envelope.subject)
            fresh.wanted[name] = max(fresh.wanted.get(name, 0), envelope.revision)
        first = done[0]
        if first.from_archive:
            fresh.parked = {"mark": mark(first.stream, first.subject), "revision": first.revision, "reason": why}
        for slot in dataclasses.fields(Document):
            setattr(doc, slot.name, getattr(fresh, slot.name))
        return [(first, why)]

    def mark_derived(self, doc: Document) -> None:
        """Have the derived rows written after this document's commit, if they differ from those of what was loaded."""
        before = dataclasses.replace(doc, state=doc.loaded.get("state", {})) if doc.exists else None
        doc.derive = any(
            derived.rows(doc) != (derived.rows(before) if before is not None else {}) for derived in self._derived
        )

    async def derive(self, docs: Sequence[Document]) -> None:
        """Write the rows derived from these committed documents, newest version wins, then clear their marker."""
        if not docs or not self._derives_now:
            return
        # They meet nowhere: each is a collection of its own.
        await asyncio.gather(*(derived.write(self.documents.store, docs) for derived in self._derived))
        idle = [doc for doc in docs if not (doc.depth or doc.wanted)]
        busy = [doc for doc in docs if doc.depth or doc.wanted]
        done = {"derive_at": ""}
        cleared, _ = await self.documents.store.bulk(
            self.name,
            [
                Update({"_id": doc.id, "version": doc.version, "outbox": [], "wanted": {}}, {"$unset": done | PENDING})
                for doc in idle
            ]
            + [Update({"_id": doc.id, "version": doc.version}, {"$unset": done}) for doc in busy],
        )
        if cleared < len(docs):
            # Somebody wrote one of them meanwhile: each marker goes by its own guard.
            await self.documents.store.bulk(
                self.name, [Update({"_id": doc.id, "version": doc.version}, {"$unset": done}) for doc in idle]
            )
            await self.documents.store.bulk(
                self.name, [Update({"_id": doc.id, "outbox": [], **NOTHING_ELSE}, {"$unset": PENDING}) for doc in idle]
            )

    async def derive_again(self) -> None:
        """Write the rows of documents whose writer died in between."""
        if not self._derived or not self._derives_now:
            return
        left: list[str] = []
        async for row in self.documents.store.each(
            self.name, unfinished(DERIVE_AGAIN_AFTER_MS), fields=["derive_at"], batch=BATCH
        ):
            if row.get("derive_at"):
                left.append(row["_id"])
        for start in range(0, len(left), BATCH):
            await self.derive(list((await self.documents.load_many(left[start : start + BATCH])).values()))

    async def ensure_indexes(self) -> None:
        """Indexes of the derived rows."""
        for derived in self._derived:
            await derived.ensure_indexes(self.documents.store)

    def _apply_one(self, doc: Document, envelope: Envelope) -> tuple[str | None, bool]:
        """(why it never can be applied, or None; whether it says anything here)."""
        known = self._handlers.get(envelope.type)
        if known is None:
            return ("major-version-unknown", True) if self._uses(envelope.type) else (None, False)
        validate, apply = known
        try:
            event = validate(envelope.data)
        except ValidationError:
            return "schema-broken", True
        set_cause(envelope)
        try:
            apply(doc, event, envelope)
        except Rejected as error:
            return str(error), True
        except Exception as error:
            # A fold is a pure function: what raises once raises always.
            log.error("view.handler_failed", view=self.name, type=envelope.type, exc_info=error)
            return f"handler-failed-{type(error).__name__}", True
        return None, True

    async def gaps(self, *, older_than_ms: int = 0) -> list[Gap]:
        """What documents wait for and are not parked: every one, but at most GAPS_AN_OWNER of each owner in one round.

        A parked document leaves the range that is searched, so that any number of them holds up nobody: its marker
        is moved behind PARKED_FROM until somebody writes it again.
        """
        found: list[Gap] = []
        of_owner: dict[str, int] = {}
        aside: list[Insert | Update] = []
        fields = ["wanted", "applied", "parked", "version", "outbox.place", "derive_at", "pending"]
        async for row in self.documents.store.each(self.name, unfinished(older_than_ms), fields=fields):
            if row.get("parked"):
                if not row.get("outbox") and not row.get("derive_at"):
                    guard = {"_id": row["_id"], "version": row["version"], "outbox": [], "derive_at": None}
                    aside.append(Update(guard, {"$set": {"pending": PARKED_FROM + int(row["pending"])}}))
                continue
            for name, wanted in row.get("wanted", {}).items():
                stream, subject = unmark(name)
                owner = stream.partition(".")[0]
                if of_owner.setdefault(owner, 0) < GAPS_AN_OWNER:
                    of_owner[owner] += 1
                    found.append(Gap(row["_id"], stream, subject, row.get("applied", {}).get(name, 0), wanted))
        for start in range(0, len(aside), BATCH):
            await self.documents.store.bulk(self.name, aside[start : start + BATCH])
        metrics.gaps.labels(self.name).set(len(found))
        return found

    async def reading(self, stream: str) -> "Reached":
        """How far this view has read that stream, for the reconciler: one cursor over the view."""
        prefix = mark(stream, "")
        table: dict[str, str] = {}
        count = 0
        async for row in self.documents.store.each(self.name, {}, fields=["applied"], batch=BATCH):
            for name in row.get("applied", {}):
                if name.startswith(prefix):
                    count += 1
                    if not self._by_subject:
                        table[unmark(name)[1]] = row["_id"]
        return Reached(self.documents, stream, count, None if self._by_subject else table)

    async def count_parked(self) -> int:
        """How many documents are parked; also told as a metric."""
        parked = await self.documents.store.count(self.name, {"pending": {"$gte": PARKED_FROM}})
        metrics.parked.labels(self.name).set(parked)
        return parked

    async def forget_wanted(self, gap: Gap, head: int, *, elsewhere: bool = False) -> None:
        """The owner's stream ends at `head`: what was wanted beyond it was forged or a mistake (R6).

        `elsewhere`: what was missing belongs to another document, which has it now.
        """
        doc = await self.documents.load(gap.document)
        name = mark(gap.stream, gap.subject)
        # What came to be wanted after the owner was asked is not judged by its answer.
        if doc is None or doc.wanted.get(name) != gap.wanted:
            return
        if elsewhere or (gap.wanted > head and doc.applied.get(name, 0) >= head):
            doc.wanted.pop(name)
            await self.documents.commit(doc)


class Reached:
    """How far a view has read one stream, asked by subject."""

    def __init__(self, documents: Documents, stream: str, count: int, place: dict[str, str] | None) -> None:
        self.count = count
        self._documents = documents
        self._stream = stream
        self._place = place

    async def of(self, subjects: Iterable[str]) -> dict[str, tuple[int, int]]:
        """By subject: (the last revision that was applied, the last that is known to exist: its gap heals by itself)."""
        place = {subject: subject if self._place is None else self._place.get(subject, "") for subject in subjects}
        rows = await self._documents.store.get_many(
            self._documents.collection, filter(None, place.values()), ["applied", "wanted"]
        )
        found: dict[str, tuple[int, int]] = {}
        for subject, doc_id in place.items():
            name = mark(self._stream, subject)
            row = rows.get(doc_id, {})
            applied = row.get("applied", {}).get(name, 0)
            found[subject] = applied, max(applied, row.get("wanted", {}).get(name, 0))
        return found


def _row(row_id: str, fields: Doc) -> Update:
    return Update({"_id": row_id, "version": {"$lt": fields["version"]}}, {"$set": fields}, upsert=True)


def decode(envelope: Envelope) -> Event | None:
    """The typed event, or None for a type that this build does not know."""
    cls = REGISTRY.get(envelope.type)
    return cls.model_validate_json(envelope.data) if cls is not None else None
