"""Take a town's file over: dry run or for good, piece by piece in the background, resumed after a crash, and undone.

Everything is idempotent by derived ids: a child's by the import and the town's own number, a dose's by the import and its
row. A piece that was done when the process died is done again and finds itself; a second worker harms nothing, the lease
only saves work.
"""

import asyncio
import hmac
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import structlog

from services.records import store as kept
from services.records.commands.records import Records, head
from services.records.domain import import_files, import_rows
from services.records.domain.access import Caller, check_role
from services.records.domain.import_rows import ChildRows, Taken
from shared.clock import wire_instant
from shared.context import Cause, set_cause
from shared.documents import Command, Document
from shared.events.records import ChildEvent
from shared.ids import derived_id, new_id
from shared.outbox import take_lease
from shared.problems import Conflict, NotFound
from shared.store import Doc

log = structlog.get_logger(__name__)
CHILDREN_AT_ONCE = 100
ROWS_AT_ONCE = 1_000
UNDONE_AT_ONCE = 200
LEASE_S = 30
PAUSE_S = 0.5
_HOLDER = new_id()
_reading = asyncio.Semaphore(1)
"""A large workbook may need 200 MB while it is read."""


def _check(caller: Caller, municipality: str) -> None:
    check_role(caller, "import")
    if caller.municipality != municipality:
        raise NotFound


async def _import(records: Records, caller: Caller, municipality: str, batch: str) -> Document:
    _check(caller, municipality)
    doc = await records.imports.load(batch)
    if doc is None or doc.state["municipality"] != municipality:
        raise NotFound
    return doc


# What the town asks -----------------------------------------------------------------------------------------------


async def begin(
    records: Records,
    caller: Caller,
    municipality: str,
    data: bytes,
    kind: import_files.Kind,
    *,
    dry_run: bool,
    command: Command,
) -> Doc:
    """Accept a file that can be read; what becomes of its rows is told by the import. Raises Invalid for the file."""
    _check(caller, municipality)
    known = await records.imports.load(command.id)
    if known is None:
        async with _reading:
            lines = await asyncio.to_thread(import_files.read, data, kind)
        file = new_id()
        await records.import_files.put(file, data)
    else:
        lines, file = [], ""

    def decide(doc: Document) -> Doc:
        doc.tenant = municipality
        doc.state = {
            "municipality": municipality,
            "by": asdict(caller),
            "dry_run": dry_run,
            "kind": kind,
            "file": file,
            "state": "working",
            "open": 1,
            "rows": len(lines),
            "position": 0,
            "counts": {},
            "begun_at": wire_instant(records.now),
        }
        answer = {"id": doc.id, "rows": len(lines)}
        kept.children.remember_made(doc, command, answer)
        return answer

    try:
        given, _ = await records.imports.create(command.id, decide, command)
    except Conflict:
        doc = await _import(records, caller, municipality, command.id)
        found = kept.children.made_before(doc, command)
        if found is None:
            raise
        return found
    return given


async def read_import(records: Records, caller: Caller, municipality: str, batch: str) -> Doc:
    """How far an import is, and what it came to."""
    return _shown(await _import(records, caller, municipality, batch))


async def list_imports(records: Records, caller: Caller, municipality: str) -> list[Doc]:
    """A town's imports, newest first."""
    _check(caller, municipality)
    found = [_shown(doc) for doc in await kept.imports.imports_of(records.store, municipality)]
    return sorted(found, key=lambda one: (one["begun_at"], one["id"]), reverse=True)


def _shown(doc: Document) -> Doc:
    names = ("dry_run", "state", "rows", "counts", "begun_at", "ended_at")
    done = sum(doc.state["counts"].get(name, 0) for name in ("rows_new", "rows_known", "rows_refused"))
    return {"id": doc.id, **{name: doc.state[name] for name in names if name in doc.state}, "rows_done": done}


async def read_rows(
    records: Records, caller: Caller, municipality: str, batch: str, *, outcome: str | None, after: int, limit: int
) -> tuple[list[Doc], int | None]:
    """(rows and what became of them, the row after which to read on)."""
    doc = await _import(records, caller, municipality, batch)
    last = doc.state["last_row"] if "last_row" in doc.state else doc.state["rows"] + 1
    found: list[Doc] = []
    while after <= last and len(found) <= limit:
        rows = await kept.imports.import_rows(records.store, batch, after, after + ROWS_AT_ONCE + 1)
        found += [row for row in rows if outcome is None or row["outcome"] == outcome]
        after += ROWS_AT_ONCE
    return found[:limit], found[limit - 1]["row"] if len(found) > limit else None


async def begin_undo(records: Records, caller: Caller, municipality: str, batch: str, command: Command) -> Doc:
    """Take back what an import brought. Raises Conflict while it is being worked on, or when there is nothing to undo."""
    await _import(records, caller, municipality, batch)

    def decide(doc: Document) -> Doc:
        if doc.state["state"] != "done" or doc.state["dry_run"]:
            raise Conflict("Only an import that is done can be undone.")
        doc.state |= {"state": "undoing", "open": 1, "position": 0, "by": asdict(caller)}
        return {"id": batch}

    given, _ = await records.imports.change(batch, decide, command)
    return given


# The work ---------------------------------------------------------------------------------------------------------


async def worker(records: Records) -> None:
    """One round of the background work, for `Runtime.background`."""
    for batch in await kept.imports.open_imports(records.store):
        await work_on(records, batch)
    await asyncio.sleep(PAUSE_S)


async def work_on(records: Records, batch: str, *, pieces: int | None = None) -> None:
    """Work on an import until it is done (or for so many pieces), unless another process does."""
    doc = await records.imports.load(batch)
    if doc is None or not await _mine(records, batch):
        return
    set_cause(Cause(correlation=batch))
    groups: list[ChildRows] = []
    own: set[str] = set()
    if doc.state["state"] == "working":
        data = await records.import_files.get(doc.state["file"])
        if data is None:
            await _advance(records, batch, {"state": "failed"}, Counter())
            return
        async with _reading:
            lines = await asyncio.to_thread(import_files.read, data, doc.state["kind"])
        groups = import_rows.children_of(lines, doc.state["municipality"])
        own = {_made(records, doc, rows.ref) for rows in groups}
        doc = await _advance(records, batch, {"last_row": max(line.number for line in lines)}, Counter())
    while doc.state["open"] and (pieces is None or pieces > 0):
        if not await _mine(records, batch):
            return
        if not records.children.has_room():
            await asyncio.sleep(PAUSE_S)
            continue
        if doc.state["state"] == "working":
            doc = await _take_piece(records, doc, groups, own)
        else:
            doc = await _undo_piece(records, doc)
        pieces = pieces - 1 if pieces is not None else None
    if not doc.state["open"]:
        log.info("imports.done", state=doc.state["state"], **doc.state["counts"])


async def _mine(records: Records, batch: str) -> bool:
    return bool(await take_lease(records.store, f"import:{batch}", _HOLDER, seconds=LEASE_S))


async def _advance(records: Records, batch: str, changes: Doc, counts: Counter[str]) -> Document:
    """Note how far the work is; counts and position change together, so that nothing is counted twice."""

    def decide(doc: Document) -> Doc:
        doc.state |= changes
        doc.state["counts"] = dict(Counter(doc.state["counts"]) + counts)
        return {}

    _, doc = await records.imports.change(batch, decide)
    return doc


async def _take_piece(records: Records, doc: Document, groups: list[ChildRows], own: set[str]) -> Document:
    """Take the next children over, report their rows, and note how far it is.

    `own` are the children that this import opens: they are compared row by row, so that a dry run says the same.
    """
    start = doc.state["position"]
    piece = groups[start : start + CHILDREN_AT_ONCE]
    caller, dry_run = Caller(**doc.state["by"]), doc.state["dry_run"]
    keys = {rows.ref: _ref_key(records, doc.state["municipality"], rows.ref) for rows in piece}
    before = await kept.imports.children_of_refs(records.store, keys.values())
    known = await records.children.load_many(before.values())
    # A record that became part of another one is read there, one that was taken out again where it stands alone.
    while merged := {key: into for key, child in known.items() if (into := kept.merging.stands_for(child)) is not None}:
        others = await records.children.load_many(merged.values())
        known |= {key: others.get(into, Document(id=into)) for key, into in merged.items()}
    alike = await kept.merging.children_like(records.store, (rows.traits.key for rows in piece if rows.traits))
    taken: dict[str, tuple[ChildRows, Taken, Document]] = {}
    while piece:
        docs: dict[str, Document] = {}
        for rows in piece:
            made = _made(records, doc, rows.ref)
            child = known.get(before.get(keys[rows.ref], ""))
            child = child if child is not None and "facts" in child.state else Document(id=made)
            ids = {dose.row: derived_id("imported-dose", doc.id, str(dose.row)) for dose in rows.doses}
            record = kept.children.record_of(child) if child.exists else None
            found = import_rows.take(
                rows,
                record,
                caller,
                created=child.id == made and child.exists,
                ids=ids,
                today=records.today,
                now=records.now,
                others=[one for one in alike.get(rows.traits.key, ()) if one[0] not in own] if rows.traits else (),
            )
            if found.events and found.record is not None:
                child.tenant = found.record.facts.municipality
                for event in found.events:
                    child.emit(event, records.now)
                kept.children.keep(child, found.record)
                docs[rows.ref] = child
            taken[rows.ref] = (rows, found, child)
        if dry_run or not docs:
            break
        await kept.imports.name_refs(records.store, {keys[ref]: child.id for ref, child in docs.items()}, before)
        lost = {child.id for child in await records.children.commit_many(list(docs.values()))}
        # Somebody else wrote to them in between: they are judged anew by what stands there now.
        piece = [rows for rows in piece if rows.ref in docs and docs[rows.ref].id in lost]
        again = await records.children.load_many(lost)
        known |= again
        before |= {keys[rows.ref]: docs[rows.ref].id for rows in piece}
    counts: Counter[str] = Counter()
    reports: list[Doc] = []
    for rows, found, child in taken.values():
        counts += _counts(found)
        reports += _reports(rows, found, child)
    await kept.imports.report_rows(records.store, doc.id, reports)
    end = start + CHILDREN_AT_ONCE
    changes: Doc = {"position": end}
    if end >= len(groups):
        changes |= {"state": "done", "open": 0, "ended_at": wire_instant(records.now)}
    after = await _advance(records, doc.id, changes, counts)
    if not after.state["open"]:
        # What was handed in is health data: it is kept no longer than it is worked on.
        await records.import_files.delete(doc.state["file"])
    return after


def _counts(found: Taken) -> Counter[str]:
    counts: Counter[str] = Counter(f"rows_{report.outcome}" for report in found.reports)
    counts["children_new"] += found.created
    counts["doses_new"] += len(found.doses)
    counts["children_similar"] += any(report.similar for report in found.reports)
    return counts


def _reports(rows: ChildRows, found: Taken, child: Document) -> Iterable[Doc]:
    for report in found.reports:
        row: Doc = {"row": report.row, "outcome": report.outcome}
        if report.problems:
            row["problems"] = [asdict(problem) for problem in report.problems]
        if report.similar:
            row["similar"] = [asdict(one) for one in report.similar]
        if child.exists and report.outcome != "refused":
            row["child"] = child.id
        if child.exists and report.row == rows.row and (found.created or found.doses):
            row["brought"] = {
                "child": child.id,
                "created": found.created,
                "doses": found.doses,
                "head": head(child),
            }
        yield row


def _made(records: Records, doc: Document, ref: str) -> str:
    """The child that this import opens for a number."""
    return derived_id("imported-child", doc.id, _ref_key(records, doc.state["municipality"], ref))


def _ref_key(records: Records, municipality: str, ref: str) -> str:
    """A town's own number as a key: nobody who sees the store can try the numbers out."""
    return hmac.digest(records.secret, f"import-ref\x1f{municipality}\x1f{ref}".encode(), "sha256").hex()


async def _undo_piece(records: Records, doc: Document) -> Document:
    """Take back what the next rows brought."""
    caller = Caller(**doc.state["by"])
    after = doc.state["position"]
    rows = await kept.imports.import_rows(records.store, doc.id, after, after + UNDONE_AT_ONCE + 1)
    brought: dict[str, Doc] = {row["brought"]["child"]: row["brought"] for row in rows if "brought" in row}
    undone: set[str] = set()
    ids: Sequence[str] = list(brought)
    while ids:
        docs = await records.children.load_many(ids)
        changed: list[Document] = []
        for child in docs.values():
            if "facts" not in child.state:
                # By an attempt before this one, which died before it could say so.
                undone.add(child.id)
            elif _is_the_towns(child, caller) and _take_back(records, child, brought[child.id], caller):
                changed.append(child)
        lost = {child.id for child in await records.children.commit_many(changed)}
        undone |= {child.id for child in changed if child.id not in lost and "facts" not in child.state}
        ids = sorted(lost)
    counts = Counter(children_undone=sum(1 for child in undone if brought[child]["created"]))
    end = after + UNDONE_AT_ONCE
    changes: Doc = {"position": end}
    if end >= doc.state["last_row"]:
        changes |= {"state": "undone", "open": 0, "ended_at": wire_instant(records.now)}
    return await _advance(records, doc.id, changes, counts)


def _is_the_towns(child: Document, caller: Caller) -> bool:
    """What moved away or became part of another record is not taken back: it is not the town's to change any more."""
    return not child.state.get("merged_into") and child.tenant == caller.municipality


def _take_back(records: Records, child: Document, brought: Doc, caller: Caller) -> bool:
    record = kept.children.record_of(child)
    alone = brought["created"] and head(child) == brought["head"]
    events: list[ChildEvent] = list(import_rows.undo(record, brought["doses"], caller, alone=alone))
    for event in events:
        child.emit(event, records.now)
    if alone:
        child.state = {"retracted_at": wire_instant(records.now)}
    elif events:
        kept.children.keep(child, record)
    return bool(events)
