"""P3, P6: a notice on its way into every inbox, beside a raw insert_many of as many items into the same indexes."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from pymongo import AsyncMongoClient, WriteConcern

from bench.backbone import BATCH, Silent
from bench.harness import Counter, Row, Stopwatch, paired, peak_rss_mb
from deploy.local.client import Api
from deploy.local.organisations import Organisations
from deploy.local.platform import Platform
from deploy.local.store import LocalStore
from services.notify import store as kept
from services.notify.commands.announcements import Notices
from services.notify.commands.fanout import PAGES_AT_ONCE, expand_pages
from shared.bus import envelope_of
from shared.clock import Clock, wire_instant
from shared.documents import Document, Documents
from shared.events.base import Envelope
from shared.events.notify import FanoutPage
from shared.ids import derived_id, new_id
from shared.store import Doc, Store
from shared.testing.push_service import PushService, Receiver

TOWN = "139912"
TERMS = f"items of 0.3 kB in pages of {kept.PAGE_SIZE}, indexes recipient and announcement, j: true, one writer"
RSS_MB = 300
DEVICES = 5
"""Of so many guardians one has a device: what is measured is the inbox; the pushes go beside it."""
RECEIVERS = 64
"""Key pairs of browsers; the devices share them, each at an address of its own."""
LOOK_EVERY_S = 0.05


def _item(announcement: str, recipient: str) -> Doc:
    """An inbox item as the service writes it, made here so that the ceiling needs none of its code."""
    return {
        "_id": derived_id(announcement, recipient, "raw"),
        "recipient": recipient,
        "at": time.time(),
        "read_at": None,
        "announcement": announcement,
        "municipality": TOWN,
    }


async def _raw(client: AsyncMongoClient[Doc], database: str, collection: str, recipients: Sequence[str]) -> float:
    """Items a second of the bare driver into a collection with an inbox's indexes."""
    bare = client.get_database(database, write_concern=WriteConcern(w="majority", j=True))[collection]
    await bare.create_index("recipient")
    await bare.create_index("announcement")
    announcement = new_id()
    items = [_item(announcement, one) for one in recipients]
    with Stopwatch() as watch:
        for start in range(0, len(items), kept.PAGE_SIZE):
            await bare.insert_many(items[start : start + kept.PAGE_SIZE], ordered=False)
    return len(items) / watch.wall


def _notices(store: Store) -> Notices:
    """The commands of notify on this store, with nobody who publishes and no push."""

    def documents(collection: str) -> Documents:
        return Documents(store, collection, relay=Silent(), clock=clock)

    clock = Clock()
    no_pusher: Any = None
    return Notices(
        store, documents(kept.ANNOUNCEMENTS), documents(kept.MAILBOXES), documents(kept.PAGES), pusher=no_pusher
    )


async def _published(notices: Notices, recipients: Sequence[str]) -> list[Envelope]:
    """A published notice of these recipients; the events of its pages."""
    frozen, pages = await kept.freeze(notices.store, recipients)
    doc = Document(id=new_id(), state={"frozen": frozen, "municipality": TOWN, "urgency": "info"})
    for page in range(pages):
        event = FanoutPage(announcement=doc.id, page=page, first=page * kept.PAGE_SIZE, count=kept.PAGE_SIZE)
        doc.emit(event, notices.now, subject=f"{doc.id}:{page}")
    events = [envelope_of(entry, "notify") for entry in doc.outgoing]
    doc.outgoing.clear()
    await notices.announcements.commit(doc)
    return events


async def ingest(store: LocalStore, items: int) -> Row:
    """P3: pages of frozen recipients become inbox items and a page's own event, against the bare insert of the items."""
    database = f"b{new_id()[:10]}"
    client = Store.connect(store.url, database, timeout_ms=60_000)
    bare: AsyncMongoClient[Doc] = AsyncMongoClient(store.url)
    notices = _notices(client)
    await kept.ensure_indexes(client)
    await notices.pages.ensure_indexes()
    recipients = [new_id() for _ in range(items)]

    async def expand(on: Notices) -> float:
        events = await _published(on, recipients)
        with Stopwatch() as watch:
            for start in range(0, len(events), PAGES_AT_ONCE):
                await expand_pages(on, events[start : start + PAGES_AT_ONCE])
        return items / watch.wall

    mine, ceiling, runs = await paired(lambda: expand(notices), lambda: _raw(bare, database, "raw_inbox", recipients))
    counter = Counter()
    counted = Store(AsyncMongoClient(store.url, event_listeners=[counter]), database)
    events = await _published(_notices(counted), recipients)
    counter.begin()
    with Stopwatch() as watch:
        await expand_pages(_notices(counted), events)
    costs = counter.costs(items, watch.cpu, "item")
    await counted.close()
    await client.close()
    await bare.close()
    return Row("P3", f"inbox ingest, {items:,} items", "items/s", mine, ceiling, "≥ 0.70", costs=costs, terms=TERMS, runs=runs,
               reached=median(runs) >= 0.70)  # fmt: skip


async def _families(store: Store, push: PushService, guardians: int) -> None:
    """A town of one-child families and some browsers, written as notify's own code writes them."""
    rng, people = random.Random(3), [f"guardian-{number}" for number in range(guardians)]
    for start in range(0, guardians, 10 * BATCH):
        docs = []
        for one in people[start : start + 10 * BATCH]:
            born = Clock().today() - timedelta(days=rng.randrange(30, 6 * 365))
            child: Doc = {"birth_date": born.isoformat(), "municipality": TOWN, "district": None, "attributes": []}
            docs.append(Document(id=new_id(), version=1, state={"child": child, "guardians": {one: True}}))
        await kept.LINES.write(store, docs)
    keys = [Receiver(push, "").subscription()["keys"] for _ in range(RECEIVERS)]
    rows = []
    for number, one in enumerate(people[::DEVICES]):
        endpoint = f"{push.origin}/push/{number}"
        rows.append(
            {
                "_id": derived_id(one, "phone", "subscription"),
                "recipient": one,
                "channel": "web_push",
                "name": "phone",
                "endpoint": endpoint,
                "device": derived_id(endpoint, "browser"),
                "keys": keys[number % RECEIVERS],
                "created_at": wire_instant(datetime.now(UTC)),
            }
        )
    for start in range(0, len(rows), BATCH):
        await store.insert_many(kept.SUBSCRIPTIONS, rows[start : start + BATCH])


async def _until(holds: Any, within: float) -> float:
    """When it came to hold; raises TimeoutError."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(LOOK_EVERY_S)
    return time.perf_counter()


async def _announce(platform: Platform, guardians: int) -> list[Row]:
    store = Store.connect(platform.store_url("notify"), "notify", timeout_ms=60_000)
    bare: AsyncMongoClient[Doc] = AsyncMongoClient(platform.store_url("notify"))
    async with contextlib.AsyncExitStack() as stack:
        push = await stack.enter_async_context(PushService(platform.push_origin))
        api = Api(platform.gateway_url)
        stack.push_async_callback(api.close)
        await Organisations(platform.data / "secrets" / "organisations.json").open(api)
        staff, second = [await api.sign_in(f"nurse-bench-{one}", "staff", municipality=TOWN) for one in (1, 2)]
        await _families(store, push, guardians)
        recipients = [new_id() for _ in range(guardians)]
        raw = [await _raw(bare, "notify", "bench_inbox", recipients)]

        body = {
            "title": {"ja": "お知らせ"},
            "body": {"ja": "乳幼児健診の会場が変わります。"},
            "audience": {"age_months": {"from": 0, "under": 216}},
            "urgency": "emergency",
            "confirm": guardians,
        }
        notice = (await staff.post("/v1/announcements", body, expect=202))["id"]
        asked = time.perf_counter()
        # An emergency goes out when a second person has approved it.
        await second.post(f"/v1/announcements/{notice}/approval", expect=200)
        published = time.perf_counter()
        pages, devices = -(-guardians // kept.PAGE_SIZE), -(-guardians // DEVICES)
        patience = 60.0 + guardians / 20

        async def first_push() -> bool:
            return bool(push.requests)

        async def all_items() -> bool:
            return await store.count(kept.PAGES, {}) == pages

        async def all_pushes() -> bool:
            return len(push.requests) >= devices

        first, durable, pushed = await asyncio.gather(
            _until(first_push, patience), _until(all_items, patience), _until(all_pushes, patience)
        )
        found, _ = await kept.counts_of(store, notice)
        refused = sum(one.status != 201 for one in push.requests)
        asked_for = time.perf_counter()
        board = await staff.get(f"/v1/announcements/{notice}/board")
        counted = time.perf_counter()
        await staff.get(f"/v1/announcements/{notice}/deliveries")
        listed = time.perf_counter()
        everybody = sum(board[name] for name in ("reached", "waiting", "to_call"))
        raw.append(await _raw(bare, "notify", "bench_inbox", [new_id() for _ in range(guardians)]))
        rss = peak_rss_mb(platform.service("notify").pid)
    await store.close()
    await bare.close()
    rate, ceiling = guardians / (durable - asked), sum(raw) / len(raw)
    return [
        Row("P6", f"emergency to {guardians:,} guardians: every inbox item durable", "items/s", rate, ceiling, "≥ 0.50",
            f"{durable - asked:.1f} s from the approval on, {published - asked:.2f} s of them until its answer; "
            f"{found:,} items; notify's peak memory {rss:.0f} MB", terms=TERMS + "; pushes go beside it",
            reached=rate / ceiling >= 0.50 and found == guardians and rss < RSS_MB),
        Row("P6 first", "first push after the approval's answer", "s", first - published, None, "≤ 1 s",
            f"{devices:,} devices, {devices / (pushed - first):,.0f} pushes/s, refused {refused}", more_is_better=False,
            reached=first - published <= 1.0 and len(push.requests) == devices),
        Row("P6 board", f"live board of {guardians:,}, reached + waiting + to call = {everybody:,}", "s",
            counted - asked_for, None, "sum = audience", f"the ledger's first page {listed - counted:.2f} s",
            more_is_better=False, reached=everybody == guardians),
    ]  # fmt: skip


def announcement_rows(folder: Path, guardians: int) -> list[Row]:
    """Start a platform with a town, publish to everybody, stop it."""
    with ExitStack() as stack:
        platform = stack.enter_context(Platform.start(folder))
        return asyncio.run(_announce(platform, guardians))
