"""Files that towns handed in, what became of each row, and a town's own numbers."""

from collections.abc import Iterable, Mapping

from services.records.store.collections import IMPORT_REFS, IMPORT_ROWS, IMPORTS
from shared.documents import Document, from_store
from shared.store import Doc, Store


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
