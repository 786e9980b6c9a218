"""N2: the turn of the day: every plan counted anew for a new day, its reminders armed and cancelled, stored; time per child.

Children of all ages up to six with the doses that are usual at their age; then the clock shows tomorrow.
"""

import random
from datetime import UTC, date, datetime, timedelta

from bench.backbone import BATCH, Silent
from bench.harness import Row, Stopwatch
from bench.schedule_plan import PLAIN
from deploy.local.store import LocalStore
from services.schedule import store as kept
from services.schedule.commands.planning import Planning
from services.schedule.commands.recounting import turn_the_day
from services.schedule.rule_files import load_rule_set
from services.schedule.subscribers import subscribe
from shared.bus import envelope_of
from shared.clock import Clock
from shared.documents import Document, Documents
from shared.events.base import Envelope
from shared.events.records import Actor, ChildFacts, ChildRegistered, Dose, DoseRecorded, PersonName
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings
from shared.store import Store

COUNTRY = 220_000
NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
BY = Actor(subject="bench", role="staff")
NAME = PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ")


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


async def turn(store: LocalStore, children: int) -> Row:
    """N2: milliseconds per child of one day's turn; what a country would take is said beside it."""
    client = Store.connect(store.url, f"b{new_id()[:10]}", timeout_ms=60_000)
    clock = Clock()
    clock.move_to(NOON)
    documents = Documents(client, kept.PLANS, relay=Silent(), clock=clock)
    runtime = Runtime(Settings(service="schedule", mongo_url=store.url, mongo_database=f"b{new_id()[:10]}"))
    planning = Planning(rules=load_rule_set(), plans=documents, lots=documents)
    view = planning.view = subscribe(runtime, planning)
    await documents.ensure_indexes()
    await view.ensure_indexes()
    rng = random.Random(11)
    for start in range(0, children, BATCH):
        many = [event for _ in range(min(BATCH, children - start)) for event in _events(rng)]
        await view.apply(many)
    clock.move_to(NOON + timedelta(days=1))
    with Stopwatch() as watch:
        changed = await turn_the_day(planning)
    armed = 0
    async for row in client.each(kept.PLANS, {}, fields=["state.reminders"]):
        armed += sum(1 for one in row["state"].get("reminders", {}).values() if one["state"] == "armed")
    await client.close()
    each = watch.wall * 1_000 / children
    return Row(
        "N2",
        f"turn of the day, {children:,} children, {changed:,} changed, {armed:,} reminders armed",
        "ms a child",
        each,
        None,
        "printed",
        costs=f"{watch.cpu * 1_000 / children:.2f} ms CPU; {COUNTRY:,} children: {each * COUNTRY / 60_000:.0f} min on one process",
        more_is_better=False,
    )
