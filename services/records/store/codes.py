"""Which child a one-time code belongs to."""

from collections.abc import Iterable
from datetime import UTC, datetime

from services.records.store.collections import GUARDIAN_CODES
from shared.store import Store


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
