"""Documents and their commits: state and events in one conditional update (protocol W1 to W4, R1)."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Protocol
from weakref import WeakValueDictionary

import orjson
from opentelemetry import propagate

from shared.clock import Clock, wire_instant
from shared.context import cause
from shared.events.base import Event
from shared.faults import crash_point
from shared.ids import derived_id, new_id
from shared.native.changes import copied, diff, diff_flat, refuse_operators
from shared.problems import Busy, Conflict, KeyReused, NotFound, PreconditionFailed, PreconditionRequired, TooLarge
from shared.store import Doc, Insert, Store, Update, unanswered

MAX_EVENT_BYTES = 900_000
REMEMBERED_COMMANDS = 64
ATTEMPTS = 12
WRITES_AT_ONCE = 2
GROUP = 50
_DIFF_DEPTH = 3


def mark(stream: str, subject: str) -> str:
    """The name under which a view document keeps how far it has read a subject: `records/child:<id>`."""
    return _prefix(stream) + subject


@cache
def _prefix(stream: str) -> str:
    return f"{stream.replace('.', '/')}:"


def unmark(name: str) -> tuple[str, str]:
    """The (stream, subject) of a mark."""
    stream, _, subject = name.partition(":")
    return stream.replace("/", "."), subject


@dataclass(frozen=True, slots=True)
class Command:
    """A caller's wish under its key: the same key and body give the same answer (protocol W2)."""

    id: str
    digest: str

    @classmethod
    def of(cls, principal: str, key: str, where: str, body: Any) -> "Command":
        """The command of this principal's idempotency key at this place (method and path), with its body's digest."""
        canonical = json.dumps(body, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
        return cls(derived_id("command", principal, key, where), derived_id("body", canonical))


@dataclass(slots=True)
class Document:
    """One aggregate or view as loaded; change `state` in place, `emit` events, then commit."""

    id: str
    version: int = 0
    revision: int = 0
    tenant: str = ""
    state: Doc = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    """How many of the last revisions of a subject changed nothing here: no handler uses their types."""
    parked: dict[str, Any] = field(default_factory=dict)
    depth: int = 0
    commands: list[Doc] = field(default_factory=list)
    loaded: Doc = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """What the store keeps as text of `state`, as loaded. Such a part is replaced, never changed in place."""
    outgoing: list[Doc] = field(default_factory=list)
    derive: bool = False

    @property
    def exists(self) -> bool:
        """Whether it was in the store when loaded."""
        return self.version > 0

    def emit(
        self,
        event: Event,
        now: datetime,
        *,
        tenant: str | None = None,
        stream: str | None = None,
        topic: str | None = None,
        subject: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Announce a fact with this document's next commit; the event's revision comes back.

        `subject` is the document's id unless said otherwise. Raises TooLarge when Kafka would refuse it (W4).
        """
        data = event.model_dump_json(exclude_none=True)
        return self.emit_raw(
            data,
            now,
            type_=event.event_type(),
            stream=stream or event.stream,
            topic=topic or event.topic(),
            subject=subject,
            key=key,
            tenant=tenant,
            headers=headers,
        )

    def emit_raw(
        self,
        data: str,
        now: datetime,
        *,
        type_: str,
        stream: str,
        topic: str,
        subject: str | None = None,
        key: str | None = None,
        tenant: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Announce already rendered JSON (a FHIR resource); otherwise as `emit`."""
        if len(data) > MAX_EVENT_BYTES // 4 and len(data.encode()) > MAX_EVENT_BYTES:
            raise TooLarge(f"an event may have {MAX_EVENT_BYTES} bytes")
        subject = subject or self.id
        name = mark(stream, subject)
        revision = self.heads.get(name, 0) + 1
        self.heads[name] = revision
        because = cause()
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        self.outgoing.append(
            {
                "place": self.revision + len(self.outgoing) + 1,
                "stream": stream,
                "topic": topic,
                "subject": subject,
                "key": key or subject,
                "revision": revision,
                "type": type_,
                "time": wire_instant(now),
                "tenant": tenant if tenant is not None else self.tenant,
                "correlation": because.correlation,
                "causation": because.causation,
                "traceparent": carrier.get("traceparent", ""),
                "headers": dict(headers or {}),
                "data": data,
            }
        )
        return revision

    def read_to(self, stream: str, subject: str) -> int:
        """The last revision of that subject that is in this document."""
        return self.applied.get(mark(stream, subject), 0)


def from_store(doc: Doc, as_text: Iterable[str] = ()) -> Document:
    """The document as the store holds it; the parts of its state that are kept as text are read."""
    loaded = doc.get("state", _NOTHING)
    texts = {name: loaded[name] for name in as_text if isinstance(loaded.get(name), str)} if as_text else {}
    state = copied(_without(loaded, texts.keys()) if texts else loaded)
    if texts:
        parts = {name: orjson.loads(text) for name, text in texts.items()}
        doc = {**doc, "state": {**loaded, **parts}}
        state |= parts
    # By position: names take half as long again, and this is done for every document of every batch.
    return Document(
        doc["_id"],
        doc["version"],
        doc.get("revision", 0),
        doc.get("tenant", ""),
        state,
        {**doc.get("heads", _NOTHING)},
        {**doc.get("applied", _NOTHING)},
        {**doc.get("wanted", _NOTHING)},
        {**doc.get("passed", _NOTHING)},
        {**doc.get("parked", _NOTHING)},
        len(doc.get("outbox", ())),
        doc.get("last_commands", []),
        doc,
        texts,
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A write that waits for its group."""

    doc_id: str
    write: Insert | Update
    done: "asyncio.Future[bool]"

    def settle(self, done: bool) -> None:
        """Say whether it was written."""
        if not self.done.done():
            self.done.set_result(done)

    def fail(self, error: Exception) -> None:
        """Say that nobody knows."""
        if not self.done.done():
            self.done.set_exception(error)


class Announcer(Protocol):
    """What the relay offers to a commit: tell it what was committed, ask it whether there is room."""

    def offer(self, collection: str, doc_id: str, entries: list[Doc] | None) -> None:
        """These entries are the document's whole outbox; None means: read it again (A4)."""

    def has_room(self) -> bool:
        """Whether the service's outbox is within its bound (W4)."""


Decide = Callable[[Document], Awaitable[Doc] | Doc]


class Documents:
    """One collection of documents, its commits and its relay."""

    def __init__(
        self,
        store: Store,
        collection: str,
        *,
        relay: Announcer,
        clock: Clock,
        max_depth: int = 500,
        first_version: int = 1,
        as_text: frozenset[str] = frozenset(),
    ) -> None:
        self.store = store
        self.collection = collection
        self.clock = clock
        self._relay = relay
        self._max_depth = max_depth
        self._first_version = first_version
        self.as_text = as_text
        self._writing = 0
        self._waiting: list[_Waiting] = []
        self._expected: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self) -> bool:
        """Whether the service's outbox is within its bound: a bulk writer waits until it is (W4)."""
        return self._relay.has_room()

    async def ensure_indexes(self) -> None:
        """The one index that relay, healer and derivation share: each more would slow every write, touched or not."""
        await self.store.ensure_index(self.collection, ["pending"], where={"pending": {"$gte": 0}})

    async def load(self, doc_id: str) -> Document | None:
        """The document, or None."""
        doc = await self.store.get(self.collection, doc_id)
        return self.read(doc) if doc is not None else None

    async def load_many(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents that exist, by id."""
        return {key: self.read(doc) for key, doc in (await self.store.get_many(self.collection, ids)).items()}

    def next_commit(self, doc_id: str) -> asyncio.Event:
        """Set when this process has committed that document; what other processes commit is not told."""
        return self._expected.setdefault(doc_id, asyncio.Event())

    def read(self, doc: Doc) -> Document:
        """A row of this collection as a document."""
        return from_store(doc, self.as_text)

    async def create(self, doc_id: str, decide: Decide, command: Command | None = None) -> tuple[Doc, Document]:
        """Decide on a document that must not exist yet, and commit; (answer, document). A repeat gets the same answer."""
        return await self._settle(doc_id, decide, command, must_exist=False, if_match=None)

    async def change(
        self,
        doc_id: str,
        decide: Decide,
        command: Command | None = None,
        *,
        if_match: str | None = None,
        match_required: bool = False,
        loaded: Document | None = None,
    ) -> tuple[Doc, Document]:
        """Load, decide, commit; again after a conflict; (answer, document).

        `loaded` is the document where the caller has just loaded it: the first attempt begins with it.
        `if_match` is the document's version, or `r` and the revision: that is what a reader of a view knows.
        Raises NotFound, PreconditionFailed (412), PreconditionRequired (428), KeyReused (422), Busy (503), Conflict (409).
        """
        if match_required and if_match is None:
            raise PreconditionRequired
        return await self._settle(doc_id, decide, command, must_exist=True, if_match=if_match, loaded=loaded)

    async def upsert(self, doc_id: str, decide: Decide, command: Command | None = None) -> tuple[Doc, Document]:
        """Load or begin, decide, commit."""
        return await self._settle(doc_id, decide, command, must_exist=None, if_match=None)

    async def _settle(
        self,
        doc_id: str,
        decide: Decide,
        command: Command | None,
        *,
        must_exist: bool | None,
        if_match: str | None,
        loaded: Document | None = None,
    ) -> tuple[Doc, Document]:
        for _ in range(ATTEMPTS):
            doc = loaded or await self.load(doc_id) or Document(id=doc_id)
            loaded = None
            if doc.exists and command is not None:
                remembered = _remembered(doc, command)
                if remembered is not None:
                    return remembered, doc
            if must_exist is True and not doc.exists:
                raise NotFound
            if must_exist is False and doc.exists:
                raise Conflict
            answer = decide(doc)
            if not isinstance(answer, dict):
                answer = await answer
            # After the decision, which knows who may: to a stranger a wrong version must look like a missing document.
            if if_match is not None and if_match.strip('" ') not in {str(doc.version), f"r{doc.revision}"}:
                raise PreconditionFailed
            if await self.commit(doc, command, answer):
                return answer, doc
        raise Conflict

    async def commit(self, doc: Document, command: Command | None = None, answer: Doc | None = None) -> bool:
        """One conditional write of state and events; False when somebody else committed first. Nothing to write: True."""
        if doc.outgoing and (doc.depth + len(doc.outgoing) > self._max_depth or not self._relay.has_room()):
            raise Busy
        # Only a command is remembered, so only it can be told from another's when a group's outcome is in doubt.
        grouped = command is not None and self._writing >= WRITES_AT_ONCE
        token = new_id() if grouped else None
        write = self._write(doc, command, answer, token)
        if write is None:
            return True
        if token is not None:
            done = await self._in_group(doc.id, write)
        else:
            self._writing += 1
            try:
                done = await self._alone(write)
            finally:
                self._next_group()
        if done:
            self._committed(doc)
        return done

    async def _alone(self, write: Insert | Update) -> bool:
        if isinstance(write, Insert):
            return await self.store.insert(self.collection, write.doc)
        return await self.store.update(self.collection, write.where, write.change)

    async def _in_group(self, doc_id: str, write: Insert | Update) -> bool:
        """Written with all that come while the store is writing: one round trip, one journal for many (ADR 75)."""
        waiting = _Waiting(doc_id, write, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        # Whoever asked may go away: their write is under way all the same.
        return await asyncio.shield(waiting.done)

    def _next_group(self) -> None:
        self._writing -= 1
        group: dict[str, _Waiting] = {}
        later: list[_Waiting] = []
        for one in self._waiting:
            # Two writes of one document never meet in a group: both have the same guard, and only one may hold.
            if len(group) < GROUP and one.doc_id not in group:
                group[one.doc_id] = one
            else:
                later.append(one)
        self._waiting = later
        if group:
            self._writing += 1
            task = asyncio.create_task(self._write_group(list(group.values())))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _write_group(self, group: list["_Waiting"]) -> None:
        try:
            lost = await self._bulk([one.write for one in group])
        except Exception as error:
            for one in group:
                if unanswered(error):
                    one.fail(error)
                else:
                    # The store refuses one of them: each is tried for itself. What was written already carries its token.
                    await self._write_after_all(one)
        else:
            for one in group:
                one.settle(one.doc_id not in lost)
        finally:
            self._next_group()

    async def _write_after_all(self, one: "_Waiting") -> None:
        try:
            one.settle(not await self._bulk([one.write]))
        except Exception as error:
            one.fail(error)

    async def commit_many(self, docs: list[Document]) -> list[Document]:
        """Commit many documents in one round trip; those that somebody else committed first come back."""
        token = new_id()
        writes: list[Insert | Update] = []
        written: list[Document] = []
        for doc in docs:
            write = self._write(doc, None, None, token)
            if write is not None:
                writes.append(write)
                written.append(doc)
        if not writes:
            return []
        lost = await self._bulk(writes)
        for doc in written:
            if doc.id not in lost:
                self._committed(doc)
        return [doc for doc in written if doc.id in lost]

    async def _bulk(self, writes: Sequence[Insert | Update]) -> set[str]:
        """Write these documents, each with a token; the ids of those that somebody else wrote first come back."""
        done, taken = await self.store.bulk(self.collection, writes)
        lost = {_id_of(writes[position]) for position in taken}
        if done + len(taken) < len(writes):
            # The server says how many guarded updates matched, not which: our own carry the token.
            tokens = {_id_of(write): _token_of(write) for write in writes}
            seen = await self.store.get_many(self.collection, tokens, ["write"])
            lost |= {doc_id for doc_id, token in tokens.items() if seen.get(doc_id, {}).get("write") != token}
        return lost

    def _committed(self, doc: Document) -> None:
        doc.version = doc.version + 1 if doc.exists else self._first_version
        doc.revision += len(doc.outgoing)
        if doc.outgoing:
            crash_point("after_commit_before_archive")
            self._relay.offer(self.collection, doc.id, doc.outgoing if doc.depth == 0 else None)
        doc.depth += len(doc.outgoing)
        doc.outgoing = []
        if self._expected and (event := self._expected.pop(doc.id, None)) is not None:
            event.set()

    def _write(
        self, doc: Document, command: Command | None, answer: Doc | None, token: str | None = None
    ) -> Insert | Update | None:
        """The insert or the guarded update that carries everything that changed; None when nothing did."""
        remembered = (
            [{"id": command.id, "digest": command.digest, "answer": _as_text(answer)}] if command is not None else []
        )
        if not doc.exists:
            body: Doc = {
                "_id": doc.id,
                "version": self._first_version,
                "revision": len(doc.outgoing),
                "tenant": doc.tenant,
                "state": {**doc.state, **self._texts(doc)},
                "heads": doc.heads,
                "applied": doc.applied,
                "wanted": doc.wanted,
                "outbox": doc.outgoing,
                "last_commands": remembered,
                "write": token,
            }
            refuse_operators(body["state"])
            if doc.outgoing or doc.wanted or doc.derive:
                body["pending"] = _now_ms()
            if doc.passed:
                body["passed"] = doc.passed
            if doc.parked:
                body["parked"] = doc.parked
            if doc.derive:
                body["derive_at"] = _now_ms()
            return Insert(body)
        sets: Doc = {}
        unsets: Doc = {}
        before, state = doc.loaded.get("state", _NOTHING), doc.state
        if self.as_text:
            texts = self.as_text & state.keys()
            before, state = _without(before, texts), _without(state, texts)
            sets |= {f"state.{name}": text for name, text in self._texts(doc).items() if text != doc.texts.get(name)}
        diff(before, state, "state", sets, unsets, _DIFF_DEPTH)
        marks = {
            "heads": doc.heads,
            "applied": doc.applied,
            "wanted": doc.wanted,
            "passed": doc.passed,
            "parked": doc.parked,
        }
        diff_flat(doc.loaded, marks, sets, unsets)
        if doc.tenant != doc.loaded.get("tenant", ""):
            sets["tenant"] = doc.tenant
        if not (sets or unsets or doc.outgoing or remembered):
            return None
        if doc.derive:
            sets["derive_at"] = _now_ms()
        change: Doc = {"$inc": {"version": 1}}
        if doc.outgoing:
            change["$inc"]["revision"] = len(doc.outgoing)
            change["$push"] = {"outbox": {"$each": doc.outgoing}}
        if doc.outgoing or doc.wanted or doc.derive:
            # Always: the relay may have cleared the marker since this document was loaded (A5). The oldest one stands.
            change["$min"] = {"pending": _now_ms()}
        if remembered:
            change.setdefault("$push", {})["last_commands"] = {"$each": remembered, "$slice": -REMEMBERED_COMMANDS}
        if token is not None:
            sets["write"] = token
        if sets:
            change["$set"] = sets
        if unsets:
            change["$unset"] = unsets
        return Update({"_id": doc.id, "version": doc.version}, change)

    def _texts(self, doc: Document) -> dict[str, str]:
        """The parts of the state that the store keeps as text, where they are others than those that were loaded."""
        before = doc.loaded.get("state", {})
        return {
            name: orjson.dumps(doc.state[name], option=orjson.OPT_SORT_KEYS).decode()
            for name in self.as_text
            if name in doc.state
            and doc.state[name] is not before.get(name)
            and (name in doc.texts or doc.state[name] != before.get(name))
        }


def _id_of(write: Insert | Update) -> str:
    found: str = write.doc["_id"] if isinstance(write, Insert) else write.where["_id"]
    return found


def _token_of(write: Insert | Update) -> str:
    found: str = write.doc["write"] if isinstance(write, Insert) else write.change["$set"]["write"]
    return found


def _now_ms() -> int:
    return int(time.time() * 1000)


def _without(state: Doc, names: AbstractSet[str]) -> Doc:
    return {name: value for name, value in state.items() if name not in names} if names else state


def _as_text(answer: Doc | None) -> Doc | str | None:
    """An answer as one text, for the store pays for each value of a document at every write; as it is where JSON cannot say it."""
    try:
        return orjson.dumps(answer, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        return answer


def _remembered(doc: Document, command: Command) -> Doc | None:
    for known in doc.commands:
        if known["id"] == command.id:
            if known["digest"] != command.digest:
                raise KeyReused
            answer: Doc | str = known["answer"]
            return orjson.loads(answer) if isinstance(answer, str) else answer
    return None


_NOTHING: Doc = {}
