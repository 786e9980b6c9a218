"""The turn of the day: every plan is counted anew, and only what changes is read whole and written (ADR 71)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.schedule import store as kept
from services.schedule.commands.planning import Planning, view_of
from services.schedule.commands.recounting import recount, stands
from shared.clock import tokyo_day
from shared.documents import Document
from shared.ending import end_all
from shared.store import Doc

log = structlog.get_logger(__name__)

SETTLED = timedelta(seconds=15)
"""After midnight: what was counted on the day before is committed by then, or its call to the store has been given up."""
AT_ONCE = 100
"""So many are counted in one go, a twentieth of a second: requests are answered beside the turn."""
WRITTEN_AT_ONCE = 50
"""Of those that change so many are read whole and written in one go."""
BESIDE = 2
"""So many buckets at once: while the documents of one are on their way those of the other are counted."""
PAUSE_S = 0.2


@dataclass(slots=True)
class Turned:
    """How many documents a turn counted anew, and how many of them said something new."""

    counted: int = 0
    changed: int = 0


async def turn_the_day(planning: Planning) -> Turned:
    """Count every plan anew that was not yet counted today, or under these rule files.

    What a process that died had done of it is not done again.
    """
    store = planning.plans.store
    if tokyo_day(planning.now - SETTLED) < planning.today:
        return Turned()
    today = planning.today.isoformat()
    last = await store.get(kept.DAYS, "last")
    rules = planning.rules.digest
    before = last if last is not None and last["day"] >= today else {}
    if before and rules in {before["rules"], *before.get("superseded", ())}:
        # Of two processes with different rules (a rollout) the newer one's hold: they only move forward (protocol R2).
        return Turned()
    turn = {"day": today, "rules": rules}
    begun = await store.get(kept.DAYS, "turn") or {}
    done = begun["buckets"] if turn.items() <= begun.items() else []
    if not done:
        await store.update(kept.DAYS, {"_id": "turn"}, {"$set": {**turn, "buckets": []}}, upsert=True)

    turned = Turned()

    async def turn_buckets(first: int) -> None:
        for bucket in range(first, kept.BUCKETS, BESIDE):
            if bucket not in done:
                await _turn(planning, await kept.in_bucket(store, bucket), turned)
                await store.update(kept.DAYS, {"_id": "turn", **turn}, {"$push": {"buckets": bucket}})

    # Before the buckets: what has no row yet when they are read was committed on this day.
    await _turn(planning, await kept.without_rows(store), turned)
    works = [asyncio.create_task(turn_buckets(first)) for first in range(BESIDE)]
    try:
        await asyncio.gather(*works)
    finally:
        await end_all(works)
    superseded = [*before.get("superseded", ()), before["rules"]] if before else []
    await store.update(kept.DAYS, {"_id": "last"}, {"$set": {**turn, "superseded": superseded}}, upsert=True)
    await store.delete(kept.DAYS, {"_id": "turn"})
    log.info("day.turned", day=today, counted=turned.counted, changed=turned.changed)
    return turned


async def _turn(planning: Planning, children: Sequence[str], turned: Turned) -> None:
    moved: list[str] = []
    for start in range(0, len(children), AT_ONCE):
        some = await planning.plans.store.get_many(kept.PLANS, children[start : start + AT_ONCE], kept.COUNTED)
        moved += [child for child, row in some.items() if not _stands(planning, row)]
        while len(moved) >= WRITTEN_AT_ONCE:
            await _rewrite(planning, moved[:WRITTEN_AT_ONCE], turned)
            del moved[:WRITTEN_AT_ONCE]
        turned.counted += len(some)
    await _rewrite(planning, moved, turned)


def _stands(planning: Planning, row: Doc) -> bool:
    return stands(planning, Document(row["_id"], state=row.get("state", {})))


async def _rewrite(planning: Planning, children: Sequence[str], turned: Turned) -> None:
    """Recount these from the whole document and commit, again where somebody else committed first."""
    view = view_of(planning)
    waiting = set(children)
    while waiting:
        while not planning.plans.has_room():  # noqa: ASYNC110 - the relay makes room, and tells nobody
            await asyncio.sleep(PAUSE_S)
        docs = list((await planning.plans.load_many(waiting)).values())
        for doc in docs:
            recount(planning, doc, after_events=False)
            view.mark_derived(doc)
        news = {doc.id for doc in docs if doc.outgoing}
        waiting = {doc.id for doc in await planning.plans.commit_many(docs)}
        await view.derive([doc for doc in docs if doc.derive and doc.id not in waiting])
        turned.changed += len(news - waiting)
