"""N2: the turn of the day: every plan counted anew for a new day, its reminders armed and cancelled, stored; time per child.

Children of all ages up to six with the doses that are usual at their age; then the clock shows tomorrow. One in TWINS
comes of its events through the view's own fold; the others are its like, each under an id of its own with its own
reminders and rows, written as view and relay leave them. The turn runs in a process of its own, as a service does.
"""

import asyncio
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

import uvloop

from bench.backbone import BATCH, Silent
from bench.harness import Row, Stopwatch, peak_rss_mb
from bench.schedule_plan import PLAIN
from deploy.local.store import LocalStore
from services.schedule import store as kept
from services.schedule.commands.day_turn import Turned, turn_the_day
from services.schedule.commands.planning import Planning
from services.schedule.commands.recounting import recount
from services.schedule.rule_files import load_rule_set
from services.schedule.subscribers import subscribe
from shared.bus import envelope_of
from shared.clock import Clock
from shared.documents import Document, Documents
from shared.events.base import Envelope
from shared.events.records import Actor, ChildFacts, ChildRegistered, Dose, DoseRecorded, PersonName
from shared.ids import derived_id, new_id
from shared.runtime import Runtime, collect_seldom
from shared.settings import Settings
from shared.store import Doc, Store
from shared.views import Derived

COUNTRY = 220_000
TWINS = 10
SAMPLE = 500
NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
BY = Actor(subject="bench", role="staff")
NAME = PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ")
RSS_MB = 300


class Heard(Silent):
    """A relay that remembers whose documents had something to say."""

    def __init__(self) -> None:
        self.of: set[str] = set()

    def offer(self, collection: str, doc_id: str, entries: list[Doc] | None) -> None:
        """Nobody publishes here."""
        self.of.add(doc_id)


@dataclass(slots=True)
class Day:
    """What one turn did, and what it cost."""

    turned: Turned
    heard: set[str]
    seconds: float
    cpu: float
    rss_mb: float


def _planning(store: Store, moment: datetime, relay: Silent) -> Planning:
    """The plans of this store at this moment, wired as the service wires them."""
    clock = Clock()
    clock.move_to(moment)
    documents = Documents(store, kept.PLANS, relay=relay, clock=clock, as_text=kept.AS_TEXT)
    planning = Planning(rules=load_rule_set(), plans=documents, lots=documents)
    # The runtime is there to be subscribed to; it starts nothing.
    planning.view = subscribe(Runtime(Settings(service="schedule")), planning)
    return planning


def _events(rng: random.Random) -> list[Envelope]:
    """A child and the doses that it has at its age."""
    doc = Document(id=new_id())
    born = NOON.date() - timedelta(days=rng.randrange(6 * 365))
    facts = ChildFacts(birth_date=born, sex=rng.choice("FM"), name=NAME, municipality="131016")
    doc.emit(ChildRegistered(child=facts, guardians=(new_id(),), by=BY), NOON)
    for code, days in PLAIN.items():
        for day in days:
            given: date = born + timedelta(days=day + rng.randrange(20))
            if given < NOON.date():
                dose = Dose(id=new_id(), given_on=given, code=code, provenance="clinic", recorded_at=NOON)
                doc.emit(DoseRecorded(dose=dose, by=BY), NOON)
    return [envelope_of(entry, "records") for entry in doc.outgoing]


def _alike(first: Document, many: int) -> Iterator[Document]:
    """The child and others of its birthday and doses; nobody shares an id, a guardian or a reminder."""
    yield first
    for _ in range(many - 1):
        child = new_id()
        reminders = {
            derived_id("reminder", child, one["key"]): one for one in first.state.get("reminders", {}).values()
        }
        state = {**first.state, "guardians": {new_id(): True}, "reminders": reminders}
        applied = {f"records/child:{child}": revision for revision in first.applied.values()}
        heads = {f"schedule/plan:{child}": revision for revision in first.heads.values()}
        yield Document(child, 1, first.revision, first.tenant, state, heads, applied)


def _stored(doc: Document) -> Doc:
    """The document after its events were published and its rows written."""
    return {
        "_id": doc.id, "version": doc.version, "revision": doc.revision, "tenant": doc.tenant, "state": doc.state,
        "heads": doc.heads, "applied": doc.applied, "wanted": {}, "outbox": [], "last_commands": [],
    }  # fmt: skip


def _rows(derived: Derived, docs: list[Document]) -> list[Doc]:
    return [
        {"_id": key, **fields, "of": doc.id, "version": doc.version, "gone": False}
        for doc in docs
        for key, fields in derived.rows(doc).items()
    ]


def _armed(state: Doc) -> int:
    return sum(one["state"] == "armed" for one in state.get("reminders", {}).values())


async def _settle(store: Store, children: int) -> dict[str, int]:
    """A country of so many children; how many reminders each has armed."""
    planning = _planning(store, NOON, Silent())
    view, rng = planning.view, random.Random(11)
    assert view is not None
    await planning.plans.ensure_indexes()
    await view.ensure_indexes()
    armed: dict[str, int] = {}
    while len(armed) < children:
        docs: list[Document] = []
        while len(docs) < min(BATCH, children - len(armed)):
            events = _events(rng)
            first = Document(id=events[0].subject)
            assert view._fold(first, events, Counter()) == []
            first.version, first.revision = 1, len(first.outgoing)
            docs += _alike(first, min(TWINS, children - len(armed) - len(docs)))
        armed |= {doc.id: _armed(doc.state) for doc in docs}
        parts = [docs[start : start + BATCH // 4] for start in range(0, len(docs), BATCH // 4)]
        await asyncio.gather(
            *(store.insert_many(kept.PLANS, [_stored(doc) for doc in part]) for part in parts),
            *(store.insert_many(derived.collection, _rows(derived, docs)) for derived in kept.PLAN_DERIVED),
        )
    return armed


def _in_a_process(url: str, database: str, moment: datetime) -> Day:
    async def turn() -> Day:
        # The bound on a call is the service's own, so that a turn that leans on one long call is seen.
        store = Store.connect(url, database)
        collect_seldom()
        heard = Heard()
        planning = _planning(store, moment, heard)
        with Stopwatch() as watch:
            turned = await turn_the_day(planning)
        await store.close()
        return Day(turned, heard.of, watch.wall, watch.cpu, peak_rss_mb(os.getpid()))

    return uvloop.run(turn())


async def _wrong(store: Store, moment: datetime, children: list[str]) -> int:
    """Of how many of these a recount from the whole history would change the plan, the reminders or what was told."""
    planning = _planning(store, moment, Silent())
    wrong = 0
    for start in range(0, len(children), BATCH):
        for row in (await store.get_many(kept.PLANS, children[start : start + BATCH])).values():
            doc = planning.plans.read(row)
            recount(planning, doc, after_events=False)
            wrong += bool(doc.outgoing) or doc.state != doc.loaded["state"] or doc.state["plan"]["items"] == []
    return wrong


async def turn(local: LocalStore, children: int) -> Row:
    """N2: milliseconds per child of one day's turn, and whether everything is as a recount has it."""
    database = f"b{new_id()[:10]}"
    store = Store.connect(local.url, database, timeout_ms=60_000)
    with Stopwatch() as settling:
        armed = await _settle(store, children)
    tomorrow = NOON + timedelta(days=1)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        work = partial(_in_a_process, local.url, database, tomorrow)
        day = await asyncio.get_running_loop().run_in_executor(pool, work)
    changed = sorted(day.heard)
    for start in range(0, len(changed), BATCH):
        rows = await store.get_many(kept.PLANS, changed[start : start + BATCH], ["state.reminders"])
        armed |= {child: _armed(row["state"]) for child, row in rows.items()}
    some = random.Random(5).sample(sorted(armed), min(SAMPLE, children))
    wrong = await _wrong(store, tomorrow, some + changed[:SAMPLE])
    await store.close()
    each = day.seconds * 1_000 / children
    whole = f"{COUNTRY:,} children: {each * COUNTRY / 60_000:.1f} min" if children < COUNTRY else "the whole country"
    return Row(
        "N2",
        f"turn of the day, {children:,} children: {day.turned.counted:,} counted, {day.turned.changed:,} changed, "
        f"{sum(armed.values()):,} reminders armed, {wrong} of a sample not as a recount has them",
        "ms a child",
        each,
        None,
        "printed",
        costs=f"{day.seconds:.0f} s in one process, {day.cpu * 1_000 / children:.2f} ms CPU a child, peak memory "
        f"{day.rss_mb:.0f} MB; {whole}; set up in {settling.wall:.0f} s",
        more_is_better=False,
        reached=day.turned.counted == children
        and len(changed) == day.turned.changed > 0
        and wrong == 0
        and day.rss_mb < RSS_MB,
    )
