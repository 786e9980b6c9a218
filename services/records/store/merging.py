"""Records that may be of one child, and what is under way between two of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.records.domain.access import Caller
from services.records.domain.duplicates import Traits
from services.records.store.collections import APART, CHILDREN, DIARY, SAGAS
from shared.documents import Command, Document
from shared.events.records import (
    ChildFacts,
)
from shared.store import IDS_PER_QUERY, Doc, Store


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
