"""Write, change, delete and read entries of the diary, and their photos."""

import asyncio
import time

import structlog

from services.records import store as kept
from services.records.commands.records import Records
from services.records.domain import diary, photos
from services.records.domain.access import Caller, check, check_role
from services.records.domain.record import Record
from shared.documents import Command, Document
from shared.faults import crash_point
from shared.ids import new_id
from shared.problems import Conflict, NotFound
from shared.store import Doc

log = structlog.get_logger(__name__)
LOOK_AFTER_S = 3_600.0
"""A photo that no entry names this long after it was kept was left by a crash."""
KEEPER_PAUSE_S = 60.0
_developing = asyncio.Semaphore(2)
"""Each photo in work may need 200 MB for a moment."""


async def _record(records: Records, child: str) -> Record:
    doc = await records.children.load(child)
    if doc is None:
        raise NotFound
    return kept.children.record_of(doc)


async def _entry(records: Records, child: str, entry: str) -> Document:
    doc = await records.diary.load(entry)
    if doc is None or doc.state.get("child") != child:
        raise NotFound
    return doc


# Entries ----------------------------------------------------------------------------------------------------------


async def write_entry(
    records: Records, caller: Caller, child: str, wish: diary.EntryWish, command: Command
) -> tuple[Doc, Document]:
    """Write an entry; its id is the command's, so that writing twice is writing once."""
    check_role(caller, "write_diary")
    record = await _record(records, child)

    def decide(doc: Document) -> Doc:
        doc.state = diary.write(record, wish, caller, child=child, entry=doc.id, now=records.now, today=records.today)
        answer = {"id": doc.id}
        kept.children.remember_made(doc, command, answer)
        return answer

    try:
        given, doc = await records.diary.create(command.id, decide, command)
    except Conflict:
        doc = await _entry(records, child, command.id)
        known = kept.children.made_before(doc, command)
        if known is None:
            raise
        return known, doc
    crash_point("entry_written_before_it_follows")
    await _follow(records, child, command.id)
    return given, doc


async def _follow(records: Records, child: str, entry: str) -> None:
    """Take an entry along whose record was merged away while it was written: the merge looked before it was there."""
    known = await records.children.load(child)
    into = kept.merging.stands_for(known) if known is not None else None
    if into is None:
        return

    def decide(doc: Document) -> Doc:
        if doc.state.get("child") == child:
            doc.state |= {"child": into, "came_with": child}
        return {}

    await records.diary.change(entry, decide)


async def rewrite_entry(
    records: Records, caller: Caller, child: str, entry: str, wish: diary.EntryWish, if_match: str | None
) -> tuple[Doc, Document]:
    """Write an entry anew; its photos stay."""
    check_role(caller, "write_diary")
    record = await _record(records, child)
    await _entry(records, child, entry)

    def decide(doc: Document) -> Doc:
        doc.state = diary.rewrite(record, doc.state, wish, caller, entry=entry, now=records.now, today=records.today)
        return {"id": entry}

    return await records.diary.change(entry, decide, if_match=if_match, match_required=True)


async def delete_entry(records: Records, caller: Caller, child: str, entry: str, if_match: str | None) -> None:
    """Delete an entry and its photos; nothing of them is kept."""
    check_role(caller, "write_diary")
    record = await _record(records, child)
    files: list[str] = []

    def decide(doc: Document) -> Doc:
        diary.check_own(record, doc.state, caller, records.today)
        files[:] = [photo["file"] for photo in doc.state["photos"]]
        # The key that made it stays, so that a late repeat of the request does not write the entry again.
        doc.state = {"child": child, "made": doc.state["made"]}
        return {}

    doc = await _entry(records, child, entry)
    diary.check_own(record, doc.state, caller, records.today)
    await kept.diary.doubt_photos(
        records.store, [photo["file"] for photo in doc.state["photos"]], time.time() + LOOK_AFTER_S
    )
    await records.diary.change(entry, decide, if_match=if_match, match_required=True)
    crash_point("entry_deleted_before_its_photos")
    for file in files:
        await _drop(records, file)


async def read_entry(records: Records, caller: Caller, child: str, entry: str) -> tuple[Doc, Document]:
    """One entry."""
    check_role(caller, "read_diary")
    record = await _record(records, child)
    check(record, caller, "read_diary", records.today)
    doc = await _entry(records, child, entry)
    diary.check_visible(record, doc.state, caller, records.today)
    return diary.shown(entry, doc.state, caller), doc


async def read_diary(
    records: Records, caller: Caller, child: str, *, before: str | None, limit: int, firsts: bool
) -> tuple[list[Doc], str | None]:
    """(entries that the caller sees, newest first; the place after which to read on, or None)."""
    check_role(caller, "read_diary")
    record = await _record(records, child)
    check(record, caller, "read_diary", records.today)
    first_day = record.facts.birth_date - diary.BEFORE_BIRTH
    found: list[Document] = []
    place = before or f"{records.today.isoformat()}:~"
    async for doc in kept.diary.diary_before(records.store, child, first_day, place):
        if diary.is_visible(doc.state, record, caller) and (not firsts or "first" in doc.state):
            found.append(doc)
            if len(found) > limit:
                break
    more = found[limit - 1].state["place"] if len(found) > limit else None
    return [diary.shown(doc.id, doc.state, caller) for doc in found[:limit]], more


async def entries_seen(records: Records, record: Record, caller: Caller, child: str) -> list[Doc]:
    """Every entry that the caller sees, newest first; the caller has checked that they may read the diary."""
    first_day = record.facts.birth_date - diary.BEFORE_BIRTH
    place = f"{records.today.isoformat()}:~"
    return [
        diary.shown(doc.id, doc.state, caller)
        async for doc in kept.diary.diary_before(records.store, child, first_day, place)
        if diary.is_visible(doc.state, record, caller)
    ]


# Photos -----------------------------------------------------------------------------------------------------------


async def add_photo(
    records: Records, caller: Caller, child: str, entry: str, data: bytes, command: Command
) -> tuple[Doc, Document]:
    """Add a photo to an entry: drawn anew, kept, then named by the entry; a crash in between leaves nothing behind."""
    check_role(caller, "write_diary")
    record = await _record(records, child)
    before = await _entry(records, child, entry)
    diary.check_own(record, before.state, caller, records.today)
    known = kept.children.made_before(before, command)
    if known is not None:
        return known, before
    diary.check_room(record, before.state, caller, records.today)
    async with _developing:
        picture = await asyncio.to_thread(photos.develop, data)
    # A key of its own for each attempt: nothing that was kept is ever written over.
    file = new_id()
    await kept.diary.expect_photo(records.store, file, entry, time.time() + LOOK_AFTER_S)
    await records.files.put(f"{file}.full", picture.full)
    await records.files.put(f"{file}.small", picture.small)
    crash_point("photo_kept_before_its_entry")

    def decide(doc: Document) -> Doc:
        earlier = kept.children.made_before(doc, command)
        if earlier is not None:
            return earlier
        photo = diary.described(command.id, file, picture)
        doc.state = diary.with_photo(record, doc.state, photo, caller, today=records.today)
        answer = {name: photo[name] for name in ("id", "width", "height", "bytes")}
        kept.children.remember_made(doc, command, answer)
        return answer

    try:
        given, doc = await records.diary.change(entry, decide)
    except Exception:
        # It may have been committed all the same; the keeper knows which.
        await kept.diary.doubt_photos(records.store, [file], time.time())
        raise
    if any(photo["file"] == file for photo in doc.state["photos"]):
        await kept.diary.settle_photo(records.store, file)
    else:
        await _drop(records, file)
    return given, doc


async def read_photo(records: Records, caller: Caller, child: str, entry: str, photo: str, *, small: bool) -> bytes:
    """The JPEG."""
    check_role(caller, "read_diary")
    record = await _record(records, child)
    check(record, caller, "read_diary", records.today)
    doc = await _entry(records, child, entry)
    diary.check_visible(record, doc.state, caller, records.today)
    file = diary.photo_of(doc.state, photo)["file"]
    data = await records.files.get(f"{file}.{'small' if small else 'full'}")
    if data is None:
        raise NotFound
    return data


async def delete_photo(
    records: Records, caller: Caller, child: str, entry: str, photo: str, if_match: str | None
) -> tuple[Doc, Document]:
    """Take a photo out of an entry and delete it."""
    check_role(caller, "write_diary")
    record = await _record(records, child)
    before = await _entry(records, child, entry)
    diary.check_own(record, before.state, caller, records.today)
    file = diary.photo_of(before.state, photo)["file"]
    await kept.diary.doubt_photos(records.store, [file], time.time() + LOOK_AFTER_S)

    def decide(doc: Document) -> Doc:
        doc.state = diary.without_photo(record, doc.state, photo, caller, today=records.today)
        return {"id": entry}

    given, doc = await records.diary.change(entry, decide, if_match=if_match, match_required=True)
    await _drop(records, file)
    return given, doc


async def _drop(records: Records, file: str) -> None:
    for size in ("full", "small"):
        await records.files.delete(f"{file}.{size}")
    await kept.diary.forget_photo(records.store, file)


async def keep_photos(records: Records) -> None:
    """Delete the photos that no entry names; what an entry names stays, whatever was doubted."""
    for file, entry in await kept.diary.doubtful_photos(records.store, time.time()):
        doc = await records.diary.load(entry)
        if doc is not None and any(photo["file"] == file for photo in doc.state.get("photos", ())):
            await kept.diary.settle_photo(records.store, file)
        else:
            await _drop(records, file)
            log.info("photos.left_behind_deleted")


async def keeper(records: Records) -> None:
    """The keeper's round, for `Runtime.background`."""
    await keep_photos(records)
    await asyncio.sleep(KEEPER_PAUSE_S)
