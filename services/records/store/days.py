"""On which days a child is looked at again."""

from collections.abc import Iterable
from datetime import date

from services.records.store.collections import DAYS
from shared.store import Doc, Store


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
