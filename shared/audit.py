"""The audit: who did what with whose record, for which purpose, and how it ended; a hash chain per process, durable by group commit.

A row names its predecessor's hash, so an edited, deleted or moved row breaks the chain behind it. The chain's head is
kept apart and signed (the anchor), so a cut tail is found. The first row of a chain names the heads of those before
it, so a chain that vanished whole is found too.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from shared.clock import Clock, wire_instant
from shared.ending import end_all
from shared.ids import new_id
from shared.problems import Busy
from shared.store import Doc, Store, StoreError

log = structlog.get_logger(__name__)

AUDIT = "audit"
CHAINS = "audit_chains"
GENESIS = "0" * 64
GROUP = 500
ANCHOR_EVERY_S = 0.25
WAIT_S = 8.0
NAMED_BEFORE = 16
NEVER = "9999-12-31T00:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Access:
    """One access as it is kept: `whose` are opaque ids of the children it concerned, none for anything else."""

    who: str
    role: str
    organisation: str | None
    action: str
    whose: tuple[str, ...]
    purpose: str
    outcome: str
    status: int
    route: str
    correlation: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """The first row of a chain that is not as it was written, and in which way."""

    row: str
    why: str


class Audit:
    """One process's chain."""

    def __init__(self, store: Store, clock: Clock, key: Mapping[str, Any] | None) -> None:
        self._store = store
        self._clock = clock
        self._key = ECKey.import_key(dict(key)) if key else None
        self._chain = new_id()
        self._opened = ""
        self._seq = 0
        self._hash = GENESIS
        self._anchored = 0
        self._waiting: asyncio.Queue[tuple[Sequence[Doc], asyncio.Future[None]]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Create the indexes, open this process's chain behind the latest ones, and begin to commit."""
        await self._store.ensure_index(AUDIT, ["chain", "seq"])
        await self._store.ensure_index(AUDIT, ["whose", "at"])
        await self._open()
        self._tasks = [
            asyncio.create_task(self._run(), name="audit"),
            asyncio.create_task(self._anchor(), name="audit-anchor"),
        ]

    async def _open(self) -> None:
        """Begin a chain; its first row names the heads of the latest ones."""
        earlier = sorted(await self._store.find(CHAINS, {}), key=lambda one: str(one["opened"]), reverse=True)
        heads = [{"chain": one["_id"], "seq": one["seq"], "hash": one["hash"]} for one in earlier[:NAMED_BEFORE]]
        self._chain, self._seq, self._hash, self._anchored = new_id(), 0, GENESIS, 0
        self._opened = wire_instant(self._clock.now())
        await self._store.insert_many(AUDIT, [self._link({"at": self._opened, "action": "open-chain", "after": heads})])
        await self._write_anchor()

    async def stop(self) -> None:
        """Write what waits and the anchor, bounded."""
        with contextlib.suppress(TimeoutError, StoreError):
            async with asyncio.timeout(3.0):
                await self._waiting.join()
                await self._write_anchor()
        await end_all(self._tasks)

    async def write(self, access: Access) -> None:
        """Keep this access; durable when it returns, one row per child. Raises Busy when the store cannot take it."""
        content = {
            "at": wire_instant(self._clock.now()),
            "who": access.who,
            "role": access.role,
            "organisation": access.organisation,
            "action": access.action,
            "purpose": access.purpose,
            "outcome": access.outcome,
            "status": access.status,
            "route": access.route,
            "correlation": access.correlation,
        }
        rows = [{**content, "whose": one} for one in access.whose or (None,)]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((rows, done))
        try:
            await asyncio.wait_for(asyncio.shield(done), WAIT_S)
        except TimeoutError:
            raise Busy from None

    def _link(self, content: Doc) -> Doc:
        """The content as the next row of this chain."""
        self._seq += 1
        body = {"chain": self._chain, "seq": self._seq, "prev": self._hash, **content}
        self._hash = _digest(body)
        return {"_id": f"{self._chain}:{self._seq}", **body, "hash": self._hash}

    async def _run(self) -> None:
        while True:
            group = [await self._waiting.get()]
            count = len(group[0][0])
            while count < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
                count += len(group[-1][0])
            await self._commit([content for contents, _ in group for content in contents])
            for _, done in group:
                if not done.done():
                    done.set_result(None)
                self._waiting.task_done()

    async def _commit(self, contents: list[Doc]) -> None:
        """Write these very rows, however often it takes: another group behind an unwritten one would break the chain."""
        rows: list[Doc] = []
        pause = 0.05
        while True:
            try:
                rows = rows or [self._link(content) for content in contents]
                if await self._insert(rows):
                    return
                # Somebody else wrote into this chain. It ends here, for `verify` to name, and another one begins.
                log.error("audit.chain_was_written_by_somebody_else")
                rows = []
                await self._open()
            except (StoreError, TimeoutError, OSError) as error:
                log.warning("audit.store_failed", error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def _insert(self, rows: list[Doc]) -> bool:
        """Whether the rows are there; those of an attempt whose outcome was unknown count."""
        taken = await self._store.insert_many(AUDIT, rows)
        if not taken:
            return True
        there = await self._store.get_many(AUDIT, taken, ["hash"])
        return all(there[row["_id"]]["hash"] == row["hash"] for row in rows if row["_id"] in taken)

    async def _anchor(self) -> None:
        while True:
            await asyncio.sleep(ANCHOR_EVERY_S)
            with contextlib.suppress(StoreError, TimeoutError, OSError):
                await self._write_anchor()

    async def _write_anchor(self) -> None:
        """Keep the head apart, once what it names is durable."""
        if self._anchored == self._seq:
            return
        head = await self._store.find(AUDIT, {"chain": self._chain, "seq": self._seq}, fields=["seq", "hash"])
        if not head:
            return
        seq, digest = head[0]["seq"], head[0]["hash"]
        kept = {"opened": self._opened, "seq": seq, "hash": digest, "signature": self._sign(seq, digest)}
        await self._store.update(CHAINS, {"_id": self._chain}, {"$set": kept}, upsert=True)
        self._anchored = seq

    def _sign(self, seq: int, digest: str) -> str:
        if self._key is None:
            return ""
        return jws.serialize_compact({"alg": "ES256"}, _claim(self._chain, self._opened, seq, digest), self._key)


async def accesses_of(store: Store, child: str, before: tuple[str, str] | None, limit: int) -> list[Doc]:
    """The accesses to one child's record, newest first, behind the (instant, id) of the last one that was given."""
    at, row_id = before or (NEVER, "")
    rows = await store.find(
        AUDIT,
        {"whose": child, "at": {"$gte": "0", "$lte": at}},
        sort=[("at", -1), ("_id", -1)],
        # Those of the same millisecond that were given already come again.
        limit=limit + GROUP,
    )
    return [row for row in rows if before is None or (row["at"], row["_id"]) < (at, row_id)][:limit]


# Checking ---------------------------------------------------------------------------------------------------------


async def verify(store: Store, public: Mapping[str, Any] | None = None) -> AsyncIterator[BadRow]:
    """The first bad row of each chain, by name: edited, deleted, moved, or cut off; nothing when all is as written.

    `public` is the key (JWK) that checks the anchors' signatures; without it they are not checked.
    """
    key = ECKey.import_key(dict(public)) if public else None
    anchors = {one["_id"]: one for one in await store.find(CHAINS, {})}
    chains = {row["_id"] for row in await store.aggregate(AUDIT, [{"$group": {"_id": "$chain"}}])}
    named: dict[str, Doc] = {}
    for chain in sorted(anchors.keys() | chains):
        bad, heads = await _check_chain(store, chain, anchors.get(chain), key, named)
        for head in heads:
            if head["chain"] not in named or named[head["chain"]]["seq"] < head["seq"]:
                named[head["chain"]] = head
        if bad is not None:
            yield bad
    for chain, head in sorted(named.items()):
        if chain not in chains:
            yield BadRow(f"{chain}:1", "the whole chain is gone")
            continue
        rows = await store.find(AUDIT, {"chain": chain, "seq": head["seq"]}, fields=["hash"])
        if not rows or rows[0]["hash"] != head["hash"]:
            yield BadRow(f"{chain}:{head['seq']}", "it is not the row that a later chain names")


async def _check_chain(
    store: Store, chain: str, anchor: Doc | None, key: ECKey | None, named: Mapping[str, Doc]
) -> tuple[BadRow | None, list[Doc]]:
    """The first bad row of one chain, and the heads of earlier chains that it names."""
    expected, previous = 1, GENESIS
    heads: list[Doc] = []
    while True:
        rows = await store.find(
            AUDIT, {"chain": chain, "seq": {"$gte": expected, "$lt": expected + 1_000}}, sort=[("seq", 1)]
        )
        if not rows:
            break
        for row in rows:
            name = str(row["_id"])
            if row["seq"] != expected or name != f"{chain}:{expected}":
                return BadRow(f"{chain}:{expected}", "deleted or moved"), heads
            body = {field: value for field, value in row.items() if field not in {"_id", "hash"}}
            if row.get("prev") != previous:
                return BadRow(name, "it does not follow the row before it"), heads
            if _digest(body) != row.get("hash"):
                return BadRow(name, "edited"), heads
            if row.get("action") == "open-chain":
                heads = list(row.get("after", []))
            if anchor is not None and row["seq"] == anchor["seq"] and row["hash"] != anchor["hash"]:
                return BadRow(name, "it is not the row that the anchor names"), heads
            expected, previous = expected + 1, row["hash"]
    if anchor is None:
        return BadRow(f"{chain}:{expected - 1}", "the chain's anchor is gone"), heads
    if expected - 1 < anchor["seq"]:
        return BadRow(f"{chain}:{expected}", "deleted or cut off"), heads
    if key is not None and not _signed(anchor, key):
        return BadRow(f"{chain}:{anchor['seq']}", "the anchor's signature is wrong"), heads
    return None, heads


def _signed(anchor: Doc, key: ECKey) -> bool:
    try:
        found = jws.deserialize_compact(str(anchor.get("signature", "")), key, algorithms=["ES256"])
    except (JoseError, ValueError):
        return False
    return found.payload == _claim(anchor["_id"], anchor["opened"], anchor["seq"], anchor["hash"])


def _claim(chain: str, opened: str, seq: int, digest: str) -> bytes:
    return f"{chain}\x1f{opened}\x1f{seq}\x1f{digest}".encode()


def _digest(body: Doc) -> str:
    return hashlib.sha256(
        json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()
