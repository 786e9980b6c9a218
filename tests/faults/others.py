"""A whole town's guardians for a fan-out, known to notify alone: through the door they would take hours to register."""

import dataclasses
from datetime import timedelta

from services.notify import store as kept
from shared.clock import Clock, wire_instant
from shared.documents import Document
from shared.ids import derived_id, new_id
from shared.store import Doc, Store
from shared.testing.push_service import PushService, Receiver
from tests.faults.rig import TOWN, Rig

DEVICES = 5
"""Of so many guardians one has a browser."""
KEYS = 64
"""Key pairs of browsers; who has one shares it with others, each at an address of its own."""
AT_ONCE = 2_000


async def move_in(rig: Rig, push: PushService, number: int) -> list[Receiver]:
    """Write so many one-child families as notify's own view writes them; the browsers that some of them have."""
    rig.others = [f"other-{one}" for one in range(number)]
    keys = [Receiver(push, "") for _ in range(KEYS if number else 0)]
    receivers = [
        dataclasses.replace(keys[place % KEYS], name=guardian) for place, guardian in enumerate(rig.others[::DEVICES])
    ]
    store = Store.connect(rig.platform.store_url("notify"), "notify", timeout_ms=60_000)
    try:
        for start in range(0, number, AT_ONCE):
            docs = [_family(rig, guardian) for guardian in rig.others[start : start + AT_ONCE]]
            await kept.LINES.write(store, docs)
            await store.insert_many(
                kept.BONDS,
                [
                    {"_id": key, **fields, "of": doc.id, "version": 1, "gone": False}
                    for doc in docs
                    for key, fields in kept.bond_rows(doc).items()
                ],
            )
        for start in range(0, len(receivers), AT_ONCE):
            await store.insert_many(kept.SUBSCRIPTIONS, [_browser(one) for one in receivers[start : start + AT_ONCE]])
    finally:
        await store.close()
    return receivers


def _family(rig: Rig, guardian: str) -> Document:
    born = rig.today - timedelta(days=400)
    child: Doc = {"birth_date": born.isoformat(), "municipality": TOWN, "district": None, "attributes": []}
    return Document(id=new_id(), version=1, state={"child": child, "guardians": {guardian: True}})


def _browser(receiver: Receiver) -> Doc:
    subscription = receiver.subscription()
    return {
        "_id": derived_id(receiver.name, "phone", "subscription"),
        "recipient": receiver.name,
        "channel": "web_push",
        "name": "phone",
        "endpoint": subscription["endpoint"],
        "device": derived_id(subscription["endpoint"], "browser"),
        "keys": subscription["keys"],
        "created_at": wire_instant(Clock().now()),
    }
