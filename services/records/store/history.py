"""What happened to a child, from the archive and what is on its way there."""

import json

from shared.documents import Document
from shared.events.records import (
    ChildEvent,
)
from shared.outbox import archived
from shared.store import Doc, Store


async def history(store: Store, doc: Document, after: int, limit: int) -> list[tuple[int, str, str, Doc]]:
    """(revision, instant, kind, fact) of a child after a revision, in order: from the archive and what is on its way there."""
    rows = await archived(store, ChildEvent.stream, doc.id, after, limit)
    found = {row["revision"]: row for row in doc.loaded.get("outbox", ()) if "data" in row and row["revision"] > after}
    found |= {row["revision"]: row for row in rows}
    return [
        (row["revision"], row["time"], row["type"].split(".")[-2], json.loads(row["data"]))
        for _, row in sorted(found.items())[:limit]
    ]
