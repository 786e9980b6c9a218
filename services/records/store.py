"""Documents and domain objects of records; the only file that names its collections.

Primary (never rebuilt): `children` (the records and the head of records.child), `guardian_codes` (which child a code
belongs to), `days` (on which day a child is looked at again), `sagas` (merges that are under way), `told_apart`, `pregnancies` (and the head of records.pregnancy), `lent_pregnancies` (what an organisation finds among them), `diary`
(entries), `photos` (which files there should be), `imports` (files that towns handed in, and how far each is),
`import_rows` (what became of each row), `import_refs` (which child a town's own number means). View (rebuilt from the
gateway's history): `organisations`.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.records.domain.access import Caller
from services.records.domain.duplicates import Traits
from services.records.domain.pregnancy import Pregnancy
from services.records.domain.record import GuardianCode, Record, Share
from shared.clock import read_instant, wire_instant
from shared.documents import Command, Document, from_store
from shared.events.base import Data
from shared.events.records import (
    AccessGranted,
    AdverseReactionRecorded,
    AllergyRecorded,
    CheckupRecorded,
    ChildDied,
    ChildEvent,
    ChildFacts,
    ChildRegistered,
    ConditionRecorded,
    ConsentGiven,
    Dose,
    GrowthMeasured,
    GuardianAdded,
    MilestoneRecorded,
    MoveAnnounced,
    PregnancyCheckupRecorded,
    PregnancyConsentGiven,
    PregnancyEnded,
    QuestionnaireFiled,
    Residence,
    StayPlanned,
)
from shared.outbox import archived
from shared.problems import Conflict, KeyReused, NotFound
from shared.store import IDS_PER_QUERY, Doc, Store

CHILDREN = "children"
ORGANISATIONS = "organisations"
GUARDIAN_CODES = "guardian_codes"
DIARY = "diary"
PHOTOS = "photos"
DAYS = "days"
SAGAS = "sagas"
APART = "told_apart"
IMPORTS = "imports"
IMPORT_ROWS = "import_rows"
IMPORT_REFS = "import_refs"
PREGNANCIES = "pregnancies"
LENT = "lent_pregnancies"
CODES_KEPT_S = 90 * 24 * 3600

_PARTS: dict[str, type[Data]] = {
    "doses": Dose,
    "retracted_doses": Dose,
    "checkups": CheckupRecorded,
    "retracted_checkups": CheckupRecorded,
    "reactions": AdverseReactionRecorded,
    "retracted_reactions": AdverseReactionRecorded,
    "allergies": AllergyRecorded,
    "retracted_allergies": AllergyRecorded,
    "milestones": MilestoneRecorded,
    "retracted_milestones": MilestoneRecorded,
    "growth": GrowthMeasured,
    "retracted_growth": GrowthMeasured,
    "conditions": ConditionRecorded,
    "retracted_conditions": ConditionRecorded,
    "consents": ConsentGiven,
    "grants": AccessGranted,
    "stays": StayPlanned,
    "questionnaires": QuestionnaireFiled,
}


async def ensure_indexes(store: Store) -> None:
    """The indexes that only this service needs."""
    await store.ensure_index(GUARDIAN_CODES, ["made_at"], expire_seconds=CODES_KEPT_S)
    await store.ensure_index(DAYS, ["on"])
    await store.ensure_index(SAGAS, ["at"])
    await store.ensure_index(APART, ["town"])
    # A move or a correction changes it, hardly anything else does: it costs a dose nothing.
    await store.ensure_index(CHILDREN, ["state.match"])
    await store.ensure_index(DIARY, ["state.child", "state.place"])
    await store.ensure_index(IMPORTS, ["state.municipality"])
    await store.ensure_index(PREGNANCIES, ["state.woman"])
    await store.ensure_index(PREGNANCIES, ["state.municipality"])
    await store.ensure_index(PREGNANCIES, ["state.moving_to"])
    await store.ensure_index(LENT, ["organisation"])
    await store.ensure_index(IMPORTS, ["state.open"], where={"state.open": {"$gte": 1}})
    await store.ensure_index(IMPORT_ROWS, ["batch", "row"])
    await store.ensure_index(PHOTOS, ["look_at"], where={"look_at": {"$gte": 0}})


# The child --------------------------------------------------------------------------------------------------------


def record_of(doc: Document, *, even_frozen: bool = False) -> Record:
    """The record that a child's document holds.

    Raises NotFound for one that was taken back or became part of another, Conflict for one that is being merged: it refuses every write.
    """
    state = doc.state
    if "facts" not in state or (not even_frozen and state.get("merged_into")):
        raise NotFound
    if not even_frozen and state.get("frozen"):
        raise Conflict("This record is being merged.")
    return Record(
        facts=ChildFacts.model_validate(state["facts"]),
        confirmed_by_register=state.get("confirmed_by_register", False),
        # A list, not a map: a subject comes from outside and is no key for the store.
        guardians={one["guardian"]: one["proven_by"] for one in state.get("guardians", ())},
        cut_off={one["guardian"] for one in state.get("guardians", ()) if one.get("cut_off")},
        codes={key: _code(code) for key, code in state.get("codes", {}).items()},
        begun=set(state.get("begun", ())),
        move=MoveAnnounced.model_validate(state["move"]) if state.get("move") else None,
        move_confirmed=state.get("move_confirmed", False),
        death=ChildDied.model_validate(state["death"]) if state.get("death") else None,
        lived=[Residence.model_validate(one) for one in state.get("lived", ())],
        **{name: _read(cls, state.get(name, {})) for name, cls in _PARTS.items()},
    )


def keep(doc: Document, record: Record) -> None:
    """Put the record into its document, for the commit that is to come."""
    state = doc.state
    state["facts"] = _plain(record.facts)
    state["match"] = Traits.of(record.facts).key
    state["confirmed_by_register"] = record.confirmed_by_register
    state["guardians"] = [
        {"guardian": guardian, "proven_by": proven_by, **({"cut_off": True} if guardian in record.cut_off else {})}
        for guardian, proven_by in record.guardians.items()
    ]
    state["codes"] = {key: _plain_code(code) for key, code in record.codes.items()}
    state["begun"] = sorted(record.begun)
    state["move"] = _plain(record.move) if record.move is not None else None
    state["move_confirmed"] = record.move_confirmed
    state["death"] = _plain(record.death) if record.death is not None else None
    state["lived"] = [_plain(one) for one in record.lived]
    for name in _PARTS:
        state[name] = {key: _plain(entry) for key, entry in getattr(record, name).items()}


def _code(kept: Doc) -> GuardianCode:
    share = kept.get("share")
    return GuardianCode(
        read_instant(kept["expires_at"]),
        kept.get("used_by"),
        kept.get("issued_by"),
        Share(share["relation"], tuple(share["sections"]), date.fromisoformat(share["until"])) if share else None,
    )


def _plain_code(code: GuardianCode) -> Doc:
    kept: Doc = {"expires_at": wire_instant(code.expires_at)}
    if code.used_by is not None:
        kept["used_by"] = code.used_by
    if code.issued_by is not None:
        kept["issued_by"] = code.issued_by
    if code.share is not None:
        share = code.share
        kept["share"] = {
            "relation": share.relation,
            "sections": list(share.sections),
            "until": share.until.isoformat(),
        }
    return kept


def _read(cls: type[Data], entries: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cls.model_validate(entry) for key, entry in entries.items()}


def _plain(value: Data) -> Doc:
    return value.model_dump(mode="json", exclude_none=True)


def made_before(doc: Document, command: Command) -> Doc | None:
    """The answer that this command got when it made an entry, however long ago; raises KeyReused for another body.

    A document remembers its last commands; that a key makes one entry must hold for the entry's whole life (W2).
    """
    known = doc.state.get("made", {}).get(command.id)
    if known is None:
        return None
    if known["digest"] != command.digest:
        raise KeyReused
    answer: Doc = known["answer"]
    return answer


def remember_made(doc: Document, command: Command, answer: Doc) -> None:
    """Keep what this command made and was told, with the entry."""
    doc.state.setdefault("made", {})[command.id] = {"digest": command.digest, "answer": answer}


# Guardian codes ---------------------------------------------------------------------------------------------------


async def name_codes(store: Store, hashes: Iterable[str], child: str) -> None:
    """Say which child these codes belong to; saying it again changes nothing.

    Two documents, one truth: whether a code is open, used or out of time stands in the child's document alone, and this
    row only says where to look. It is written before the child's commit. A crash in between leaves a row whose child
    does not know the code: it is refused like any wrong one, and the repeated request writes the same row again. After
    the commit, and so before any answer, both are there. The other order could acknowledge a code that finds nobody.
    """
    # Housekeeping runs by the wall clock: a moved development clock must not let the server sweep rows at once.
    made_at = datetime.now(UTC)
    for key in hashes:
        await store.insert(GUARDIAN_CODES, {"_id": key, "child": child, "made_at": made_at})


async def child_of_code(store: Store, key: str) -> str | None:
    """The child that a code's hash belongs to."""
    row = await store.get(GUARDIAN_CODES, key)
    return row["child"] if row is not None else None


# The diary --------------------------------------------------------------------------------------------------------


async def diary_before(store: Store, child: str, first_day: date, place: str) -> AsyncIterator[Document]:
    """The child's entries before a place, newest first, for as long as the caller reads on.

    In windows that grow: the embedded store sorts all that a query finds before it counts to a limit.
    """
    last = date.fromisoformat(place[:10])
    days = 60
    while last >= first_day:
        since = max(first_day, last - timedelta(days=days))
        rows = await store.find(
            DIARY,
            {"state.child": child, "state.place": {"$gte": since.isoformat(), "$lt": place}},
            sort=[("state.place", -1)],
        )
        for row in rows:
            yield from_store(row)
        place, last, days = since.isoformat(), since - timedelta(days=1), days * 2


# Photos -----------------------------------------------------------------------------------------------------------


async def expect_photo(store: Store, file: str, entry: str, look_at: float) -> None:
    """Say, before a file is kept, which entry is going to name it; after `look_at` the keeper looks whether one does."""
    await store.insert(PHOTOS, {"_id": file, "entry": entry, "look_at": look_at})


async def doubt_photos(store: Store, files: Iterable[str], look_at: float) -> None:
    """Say, before an entry lets go of files, that the keeper has to look after them."""
    for file in files:
        await store.update(PHOTOS, {"_id": file}, {"$set": {"look_at": look_at}})


async def settle_photo(store: Store, file: str) -> None:
    """An entry names this file: nobody has to look any more."""
    await store.update(PHOTOS, {"_id": file}, {"$unset": {"look_at": ""}})


async def forget_photo(store: Store, file: str) -> None:
    """The file is gone."""
    await store.delete(PHOTOS, {"_id": file})


async def doubtful_photos(store: Store, now: float, limit: int = 100) -> list[tuple[str, str]]:
    """(file, entry) of the files that have to be looked after by now."""
    rows = await store.find(PHOTOS, {"look_at": {"$gte": 0, "$lte": now}}, limit=limit)
    return [(row["_id"], row["entry"]) for row in rows]


# Merging ----------------------------------------------------------------------------------------------------------


def saga(kind: str, command: Command, first: str, second: str, reason: str, caller: Caller) -> Doc:
    """What is needed to go on with a merge or a separation in another process."""
    return {
        "_id": command.id,
        "digest": command.digest,
        "kind": kind,
        "first": first,
        "second": second,
        "reason": reason,
        "subject": caller.subject,
        "municipality": caller.municipality,
        "at": datetime.now(UTC),
    }


async def begin_saga(store: Store, saga: Doc) -> None:
    """Written before the first step: a crash at any point is found by it."""
    await store.insert(SAGAS, saga)


async def end_saga(store: Store, saga: str) -> None:
    """Every step is done, or taken back."""
    await store.delete(SAGAS, {"_id": saga})


async def sagas_before(store: Store, instant: datetime) -> list[Doc]:
    """The sagas that were begun before an instant, and not ended."""
    return await store.find(SAGAS, {"at": {"$gte": datetime(2000, 1, 1, tzinfo=UTC), "$lte": instant}})


def caller_of_saga(saga: Doc) -> Caller:
    """The member of staff who asked for it."""
    return Caller(saga["subject"], "staff", municipality=saga["municipality"])


def command_of_saga(saga: Doc) -> Command:
    """The command by which it was asked for."""
    return Command(saga["_id"], saga["digest"])


def freeze(doc: Document, saga: Doc) -> None:
    """From now on the record refuses writes."""
    doc.state["frozen"] = saga["_id"]


def is_frozen_by(doc: Document, saga: Doc) -> bool:
    """Whether this very saga froze it."""
    return bool(doc.state.get("frozen") == saga["_id"])


def thaw(doc: Document, saga: Doc) -> None:
    """Let the record take writes again, if this saga froze it."""
    if is_frozen_by(doc, saga):
        del doc.state["frozen"]


def close(doc: Document, into: str) -> None:
    """A tombstone with its last revision: the id is never used again; what it held is kept for a separation."""
    doc.state["merged_into"] = into
    doc.state.pop("frozen", None)
    doc.state.pop("match", None)


def merged_into(doc: Document) -> str | None:
    """The record that this one became part of."""
    return doc.state.get("merged_into")


def reopened(doc: Document, third: str) -> None:
    """A third record stands for this closed one again."""
    doc.state["restored_as"] = third


def stands_for(doc: Document) -> str | None:
    """The record that has to be asked instead of this closed one; None for one that is open."""
    return doc.state.get("restored_as") or merged_into(doc)


def merges(doc: Document) -> Mapping[str, Any]:
    """What became part of this record: id -> what it carried."""
    found: Mapping[str, Any] = doc.state.get("merges", {})
    return found


def remember_merge(doc: Document, other: str, carried: Mapping[str, Sequence[str]], moves: int) -> None:
    """Keep what came with the other record, and how often this one had moved by then, for a separation."""
    came = {name: list(keys) for name, keys in carried.items()}
    doc.state.setdefault("merges", {})[other] = {"carried": came, "moves": moves}


def forget_merge(doc: Document, other: str) -> None:
    """It is separate again."""
    doc.state.get("merges", {}).pop(other, None)


async def diary_of(store: Store, child: str) -> list[str]:
    """The ids of a child's diary entries."""
    return [row["_id"] for row in await store.find(DIARY, {"state.child": child}, fields=["_id"])]


async def namesakes(store: Store, town: str) -> list[tuple[str, Traits]]:
    """The town's residents who share their key with another one; closed and retracted records have none."""
    rows = await store.find(CHILDREN, {"state.match": {"$gte": f"{town}:", "$lt": f"{town};"}}, fields=["state.match"])
    times = Counter(row["state"]["match"] for row in rows)
    alike = [row["_id"] for row in rows if times[row["state"]["match"]] > 1]
    found = await store.get_many(CHILDREN, alike, _TRAITS)
    return [(child, _traits(row["state"])) for child, row in found.items() if "match" in row["state"]]


async def children_like(store: Store, keys: Iterable[str]) -> dict[str, list[tuple[str, Traits]]]:
    """The children with these keys, key by key."""
    found: dict[str, list[tuple[str, Traits]]] = {}
    wanted = sorted(set(keys))
    for start in range(0, len(wanted), IDS_PER_QUERY):
        where = {"state.match": {"$in": wanted[start : start + IDS_PER_QUERY]}}
        for row in await store.find(CHILDREN, where, fields=_TRAITS):
            found.setdefault(row["state"]["match"], []).append((row["_id"], _traits(row["state"])))
    return found


_TRAITS = ("state.match", "state.facts", "state.guardians")


def _traits(state: Doc) -> Traits:
    guardians = (one["guardian"] for one in state.get("guardians", ()))
    return Traits.of(ChildFacts.model_validate(state["facts"]), guardians)


async def keep_apart(store: Store, town: str, pair: str) -> None:
    """These two are two children."""
    await store.insert(APART, {"_id": pair, "town": town})


async def told_apart(store: Store, town: str) -> set[str]:
    """The pairs of which somebody said that they are two children."""
    return {row["_id"] for row in await store.find(APART, {"town": town}, fields=["_id"])}


# Pregnancies ------------------------------------------------------------------------------------------------------


def pregnancy_of(doc: Document) -> Pregnancy:
    """The pregnancy that a document holds."""
    state = doc.state
    return Pregnancy(
        woman=state["woman"],
        municipality=state["municipality"],
        expected=date.fromisoformat(state["expected"]),
        confirmed=state["confirmed"],
        checkups=_read(PregnancyCheckupRecorded, state["checkups"]),
        doses=_read(Dose, state["doses"]),
        retracted_checkups=_read(PregnancyCheckupRecorded, state.get("retracted_checkups", {})),
        retracted_doses=_read(Dose, state.get("retracted_doses", {})),
        consents=_read(PregnancyConsentGiven, state.get("consents", {})),
        moving_to=state.get("moving_to"),
        ended=PregnancyEnded.model_validate(state["ended"]) if state.get("ended") else None,
    )


def keep_pregnancy(doc: Document, pregnancy: Pregnancy) -> None:
    """Put the pregnancy into its document, for the commit that is to come."""
    doc.state |= {
        "woman": pregnancy.woman,
        "municipality": pregnancy.municipality,
        "expected": pregnancy.expected.isoformat(),
        "confirmed": pregnancy.confirmed,
        "checkups": {key: _plain(one) for key, one in pregnancy.checkups.items()},
        "doses": {key: _plain(one) for key, one in pregnancy.doses.items()},
        "retracted_checkups": {key: _plain(one) for key, one in pregnancy.retracted_checkups.items()},
        "retracted_doses": {key: _plain(one) for key, one in pregnancy.retracted_doses.items()},
        "consents": {key: _plain(one) for key, one in pregnancy.consents.items()},
        "moving_to": pregnancy.moving_to,
        "ended": _plain(pregnancy.ended) if pregnancy.ended is not None else None,
    }


def begin_birth(doc: Document, children: Mapping[str, Sequence[Data]], ended: PregnancyEnded, command: Command) -> None:
    """From here on the birth only goes forward; whoever finds it half done has all that is needed."""
    doc.state["birth"] = {
        "children": {child: [_plain(event) for event in events] for child, events in children.items()},
        "ended": _plain(ended),
        "command": [command.id, command.digest],
    }


def birth_of(doc: Document) -> tuple[dict[str, tuple[ChildRegistered, GuardianAdded]], PregnancyEnded, Command] | None:
    """What is left of a birth that was begun: (the children's first facts, the end that is to be told, its command)."""
    birth = doc.state.get("birth")
    if birth is None:
        return None
    children = {
        child: (ChildRegistered.model_validate(first), GuardianAdded.model_validate(second))
        for child, (first, second) in birth["children"].items()
    }
    return children, PregnancyEnded.model_validate(birth["ended"]), Command(*birth["command"])


def end_birth(doc: Document) -> None:
    """Every child has its record."""
    del doc.state["birth"]


async def pregnancies_of(store: Store, field: str, whose: str) -> list[Document]:
    """A woman's pregnancies, a town's (`municipality`), or those that are to move to a town (`moving_to`)."""
    return [from_store(row) for row in await store.find(PREGNANCIES, {f"state.{field}": whose})]


async def name_reader(store: Store, organisation: str, pregnancy: str) -> None:
    """Say where an organisation finds what is lent to it, before the consent is committed: the consent alone lets it read."""
    await store.insert(
        LENT, {"_id": f"{organisation}:{pregnancy}", "organisation": organisation, "pregnancy": pregnancy}
    )


async def lent_pregnancies(store: Store, organisation: str) -> list[Document]:
    """The pregnancies that were ever lent to it."""
    rows = await store.find(LENT, {"organisation": organisation}, fields=["pregnancy"])
    found = await store.get_many(PREGNANCIES, [row["pregnancy"] for row in rows])
    return [from_store(row) for row in found.values()]


# Days -------------------------------------------------------------------------------------------------------------


async def remember_days(store: Store, child: str, cause: str, days: Iterable[date]) -> None:
    """Look at this child again on these days, because of a move or a stay; saying it again changes nothing.

    Written before the child's commit: a row whose child knows of nothing is looked at once, and gone.
    """
    for day in days:
        await store.insert(DAYS, {"_id": f"{child}:{cause}:{day.isoformat()}", "child": child, "on": day.isoformat()})


async def days_until(store: Store, today: date) -> list[Doc]:
    """The rows whose day has come."""
    return await store.find(DAYS, {"on": {"$gte": "", "$lte": today.isoformat()}}, limit=500)


async def forget_day(store: Store, row: str) -> None:
    """What the day brought has happened."""
    await store.delete(DAYS, {"_id": row})


# Imports ----------------------------------------------------------------------------------------------------------


async def open_imports(store: Store) -> list[str]:
    """The imports that there is work for."""
    rows = await store.find(IMPORTS, {"state.open": {"$gte": 1, "$lte": 1}}, fields=["_id"])
    return sorted(row["_id"] for row in rows)


async def imports_of(store: Store, municipality: str) -> list[Document]:
    """A town's imports."""
    return [from_store(row) for row in await store.find(IMPORTS, {"state.municipality": municipality})]


async def children_of_refs(store: Store, keys: Iterable[str]) -> dict[str, str]:
    """Which child each of a town's own numbers means, where it means one."""
    return {key: row["child"] for key, row in (await store.get_many(IMPORT_REFS, keys)).items()}


async def name_refs(store: Store, children: Mapping[str, str], before: Mapping[str, str]) -> None:
    """Say which child each number means, before the child's commit: a row without a child is as good as none."""
    fresh = [{"_id": key, "child": child} for key, child in children.items() if key not in before]
    await store.insert_many(IMPORT_REFS, fresh)
    for key, child in children.items():
        if key in before and before[key] != child:
            await store.update(IMPORT_REFS, {"_id": key, "child": before[key]}, {"$set": {"child": child}})


async def report_rows(store: Store, batch: str, rows: Iterable[Doc]) -> None:
    """Keep what became of rows; a repeat changes nothing."""
    await store.insert_many(IMPORT_ROWS, [{"_id": f"{batch}:{row['row']}", "batch": batch, **row} for row in rows])


async def import_rows(store: Store, batch: str, after: int, before: int) -> list[Doc]:
    """What became of the rows between two, in order."""
    where = {"batch": batch, "row": {"$gt": after, "$lt": before}}
    return await store.find(IMPORT_ROWS, where, sort=[("row", 1)])


# History ----------------------------------------------------------------------------------------------------------


async def history(store: Store, doc: Document, after: int, limit: int) -> list[tuple[int, str, str, Doc]]:
    """(revision, instant, kind, fact) of a child after a revision, in order: from the archive and what is on its way there."""
    rows = await archived(store, ChildEvent.stream, doc.id, after, limit)
    found = {row["revision"]: row for row in doc.loaded.get("outbox", ()) if "data" in row and row["revision"] > after}
    found |= {row["revision"]: row for row in rows}
    return [
        (row["revision"], row["time"], row["type"].split(".")[-2], json.loads(row["data"]))
        for _, row in sorted(found.items())[:limit]
    ]
