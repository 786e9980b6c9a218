"""N1: the preview of an audience in a municipality of 50,000 families, beside the raw read of what it is counted from.

The town is made by the view's own writing of lines; what is counted is the whole command, from the store to the answer.
"""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bench.backbone import BATCH, Silent
from bench.harness import Row, Stopwatch, paired
from deploy.local.store import LocalStore
from services.notify import store as kept
from services.notify.commands import announcements
from services.notify.commands.announcements import Notices
from shared.auth import Principal
from shared.clock import Clock
from shared.documents import Document, Documents
from shared.ids import new_id
from shared.store import Store

TOWN = "131016"
NURSE = Principal("nurse", "staff", municipality=TOWN)
SERIES = ("rv1", "hepb", "pcv", "penta", "bcg", "mr1", "mr2", "var", "je1", "je2", "dt2", "hpv", "flu", "mumps",
          "checkup_18m", "checkup_3y", "checkup_5y")  # fmt: skip
AUDIENCE: dict[str, Any] = {
    "all": [
        {"age_months": {"from": 3, "under": 60}},
        {"not": {"district": "三丁目"}},
        {"any": [{"due": {"series": "mr1"}}, {"language": "vi"}, {"attribute": "preterm"}]},
    ]
}


def _family(rng: random.Random) -> Document:
    born = date(2026, 11, 1) - timedelta(days=rng.randrange(6 * 365))
    child = {
        "birth_date": born.isoformat(),
        "municipality": TOWN,
        "district": f"{'一二三四五'[rng.randrange(5)]}丁目",
        "attributes": ["preterm"] if rng.random() < 0.05 else [],
    }
    guardians = {new_id(): True for _ in range(1 + (rng.random() < 0.5))}
    due = {name: rng.choice(("due", "overdue", "upcoming", "done")) for name in SERIES}
    return Document(id=new_id(), version=1, state={"child": child, "guardians": guardians, "due": due})


async def preview(store: LocalStore, families: int = 50_000) -> Row:
    """N1: seconds for one preview, the median of some, with the raw read of the same lines as its ceiling."""
    client = Store.connect(store.url, f"b{new_id()[:10]}", timeout_ms=60_000)
    clock = Clock()
    clock.move_to(datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
    silent = Silent()
    announced = Documents(client, kept.ANNOUNCEMENTS, relay=silent, clock=clock)
    notices: Any = Notices(client, announced, announced, announced, pusher=None)  # type: ignore[arg-type]
    await kept.LINES.ensure_indexes(client)
    rng = random.Random(7)
    town = [_family(rng) for _ in range(families)]
    for start in range(0, families, 20 * BATCH):
        await kept.LINES.write(client, town[start : start + 20 * BATCH])
    guardians = [guardian for doc in town for guardian in doc.state["guardians"]]
    contacts = [
        Document(id=one, version=1, state={"language": rng.choice(("ja", "ja", "en", "vi")), "channels": ["web_push"]})
        for one in guardians[: len(guardians) // 2]
    ]
    for start in range(0, len(contacts), 20 * BATCH):
        await kept.put_contacts(client, [(TOWN, doc) for doc in contacts[start : start + 20 * BATCH]])
    del town, guardians, contacts  # a service does not have them in its memory either
    found: dict[str, Any] = {}

    async def ours() -> float:
        with Stopwatch() as watch:
            found.update(await announcements.preview(notices, NURSE, AUDIENCE))
        return watch.wall

    async def raw() -> float:
        with Stopwatch() as watch:
            await client.find(kept.AUDIENCE, {"municipality": TOWN})
        return watch.wall

    seconds, ceiling, _ = await paired(ours, raw, rounds=5)
    await client.close()
    return Row(
        "N1",
        f"preview in a town of {families:,} families, {found['recipients']:,} recipients",
        "s",
        seconds,
        ceiling,
        "≤ 1 s",
        costs=f"1 read of {kept.PACKS} documents",
        more_is_better=False,
        reached=seconds <= 1.0,
    )
