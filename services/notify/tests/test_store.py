"""Every query that notify asks its store finds an index: one that scans is fast in a test and slow in a town."""

import json
from typing import Any

import pytest

from services.notify import store as kept
from services.notify.tests.town import Town

pytestmark = pytest.mark.integration

# Each shape that the store's room, or a command, hands to `find`, `update` or `delete`. A guard beside `_id` is left out: the embedded
# store's plan calls it a scan, while it takes as long as by `_id` alone (measured among 20,000).
SHAPES: list[tuple[str, dict[str, Any]]] = [
    (kept.AUDIENCE, {"municipality": "131016"}),
    (kept.BONDS, {"guardian": "g1"}),
    (kept.BONDS, {"of": "c1"}),
    (kept.BONDS, {"of": {"$in": ["c1", "c2"]}}),
    (kept.INBOX, {"recipient": "g1"}),
    (kept.INBOX, {"announcement": "a1"}),
    (kept.INBOX, {"_id": "i1"}),
    (kept.INBOX, {"_id": {"$in": ["i1", "i2"]}}),
    (kept.PUSHES, {"announcement": "a1"}),
    (kept.PUSHES, {"announcement": "a1", "recipient": {"$in": ["g1", "g2"]}}),
    (kept.PUSHES, {"_id": "p1"}),
    (kept.SUBSCRIPTIONS, {"recipient": "g1"}),
    (kept.SUBSCRIPTIONS, {"recipient": {"$in": ["g1", "g2"]}}),
    (kept.SUBSCRIPTIONS, {"device": "b1"}),
    (kept.PUSHES, {"tell": {"$gte": 0}}),
    (kept.PROOFS, {"recipient": "g1"}),
    (kept.PROOFS, {"device": "d1"}),
    (kept.LADDERS, {"announcement": "a1"}),
    (kept.LADDERS, {"next_at": {"$gte": 0, "$lte": 1.0}}),
    (kept.CALLS, {"announcement": "a1"}),
    (kept.CALLS, {"_id": {"$in": ["c1", "c2"]}}),
    (kept.LATER, {"at": {"$gte": 0, "$lte": 1.0}}),
    (kept.DIGESTS, {"at": {"$gte": 0, "$lte": 1.0}}),
    (kept.BONDS, {"guardian": {"$in": ["g1", "g2"]}}),
    (kept.PUSHES, {"_id": {"$in": ["p1", "p2"]}}),
    (kept.PREFERENCES, {"_id": {"$in": ["g1", "g2"]}}),
    (kept.SUBSCRIPTIONS, {"_id": "s1"}),
    (kept.SCHEDULED, {"at": {"$gte": 0, "$lte": 1.0}}),
    (kept.ALARMS, {"state.climbs_at": {"$gte": 0, "$lte": 1}}),
    (kept.ALARMS, {"state.municipality": "131016"}),
    (kept.COMPLETIONS, {"staff": "n1"}),
    (kept.COMPLETIONS, {"municipality": "131016"}),
    (kept.SAFETY, {"announcement": "a1"}),
    (kept.SAFETY, {"_id": "s1"}),
    (kept.SHELTERS, {"municipality": "131016"}),
    (kept.SHELTERS, {"_id": "s1"}),
    (kept.CALENDARS, {"guardian": "g1"}),
    (kept.CALENDARS, {"_id": "c1"}),
    (kept.ANNOUNCEMENTS, {"state.municipality": "131016"}),
    (kept.WAITING, {"at": {"$gte": 0}}),
    (kept.RECIPIENTS, {"_id": "f1:0"}),
]


async def test_no_query_scans(town: Town) -> None:
    store = town.runtime.store
    for collection, _ in SHAPES:
        rows = [{"_id": f"{collection}{number}", "version": 1} for number in range(50)]
        await store.insert_many(collection, rows)
    plans = {
        f"{collection} {sorted(where)}": json.dumps((await store.explain(collection, where))["queryPlanner"])
        for collection, where in SHAPES
    }
    assert [shape for shape, plan in plans.items() if "IXSCAN" not in plan or "COLLSCAN" in plan] == []
    unknown = await store.explain(kept.INBOX, {"no_such_field": 1})
    assert "COLLSCAN" in json.dumps(unknown["queryPlanner"])
