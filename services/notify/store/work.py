"""What staff do: alarms on duty, courses completed."""

from services.notify.store.names import ALARMS, COMPLETIONS
from shared.documents import Document, from_store
from shared.store import Doc, Store


async def completions_of(store: Store, whose: str, key: str) -> list[Doc]:
    """The courses completed by a member of staff (`staff`) or in a town (`municipality`)."""
    return await store.find(COMPLETIONS, {whose: key})


async def alarms_until(store: Store, milliseconds: int) -> list[str]:
    """Alarms that nobody took by then."""
    rows = await store.find(ALARMS, {"state.climbs_at": {"$gte": 0, "$lte": milliseconds}}, limit=500, fields=["_id"])
    return [row["_id"] for row in rows]


async def alarms_of(store: Store, municipality: str) -> list[Document]:
    """A town's alarms, the newest first."""
    rows = await store.find(ALARMS, {"state.municipality": municipality})
    return [from_store(row) for row in sorted(rows, key=lambda row: row["state"]["raised_at"], reverse=True)]
