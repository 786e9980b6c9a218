"""R1 to R3: a town's file taken over, the handbook on paper, a page of a long diary."""

import statistics
import time
from datetime import timedelta

from joserfc.jwk import ECKey

from bench.harness import Row, Stopwatch
from deploy.local.store import LocalStore
from services.records import store as kept
from services.records.app import create_app
from services.records.commands import diary, imports
from services.records.commands.records import Records
from services.records.domain.access import Caller
from services.records.domain.diary import EntryWish
from services.records.tests.families import TOWN
from services.records.tests.samples import sample_pdf
from shared.documents import Command
from shared.ids import new_id
from shared.settings import Settings
from shared.testing import town_files

NURSE = Caller("nurse-1", "staff", municipality=TOWN)


async def _service(store: LocalStore) -> Records:
    """The service on an empty database; no broker, so that what is measured is its own work and the store's."""
    settings = Settings(
        service="records", environment="development", mongo_url=store.url, mongo_database=f"b{new_id()[:8]}"
    )
    app = create_app(settings)
    for begin in app.state.runtime.on_start:
        await begin()
    records: Records = app.state.records
    return records


async def taking_over(store: LocalStore, rows: int) -> Row:
    """R1: rows of a file a second, each with a child and a dose, against raw insert_many of the documents that came of them."""
    records = await _service(store)
    data = town_files.as_csv(town_files.good_rows(rows))
    command = Command.of("bench", new_id(), "import", {})
    given = await imports.begin(records, NURSE, TOWN, data, "csv", dry_run=False, command=command)
    with Stopwatch() as ours:
        await imports.work_on(records, given["id"])
    made = [{**doc, "_id": new_id()} for doc in await records.store.find(kept.collections.CHILDREN, {})]
    with Stopwatch() as raw:
        for start in range(0, len(made), imports.CHILDREN_AT_ONCE):
            await records.store.insert_many("raw", made[start : start + imports.CHILDREN_AT_ONCE])
    return Row(
        "R1",
        f"import of {rows:,} rows (a child and a dose each)",
        "rows/s",
        rows / ours.wall,
        len(made) / raw.wall,
        "record, row's report and number: three inserts where raw has one",
        costs=f"{ours.cpu / rows * 1e6:.0f} µs of CPU a row",
    )


async def on_paper(count: int = 10) -> Row:
    """R2: handbooks of three pages a second, on one core."""
    key = ECKey.generate_key("P-256", {"kid": "bench"}, private=True)
    sample_pdf(key)
    with Stopwatch() as ours:
        for _ in range(count):
            sample_pdf(key)
    return Row("R2", "handbook as PDF, three pages with furigana and code", "PDF/s", count / ours.wall, None, "≥ 1")


async def diary_page(store: LocalStore, entries: int, reads: int = 20) -> Row:
    """R3: a page of 30 entries from a diary that has years of them; milliseconds at the median."""
    records = await _service(store)
    rows = town_files.good_rows(1)
    command = Command.of("bench", new_id(), "import", {})
    given = await imports.begin(records, NURSE, TOWN, town_files.as_csv(rows), "csv", dry_run=False, command=command)
    await imports.work_on(records, given["id"])
    child = (await records.store.find(kept.collections.CHILDREN, {}))[0]["_id"]
    mother = Caller("mother-1", "guardian")

    def binds(doc: object) -> dict[str, str]:
        doc.state["guardians"] = [{"guardian": mother.subject, "proven_by": "code"}]  # type: ignore[attr-defined]
        return {}

    await records.children.change(child, binds)
    for number in range(entries):
        wish = EntryWish(on=records.today - timedelta(days=number % 1_000), text="よく笑い、よく眠った。")
        await diary.write_entry(records, mother, child, wish, Command.of("bench", new_id(), "entry", {}))
    taken = []
    for _ in range(reads):
        started = time.perf_counter()
        found, _more = await diary.read_diary(records, mother, child, before=None, limit=30, firsts=False)
        taken.append((time.perf_counter() - started) * 1_000)
    return Row(
        "R3",
        f"first page of a diary of {entries:,} entries ({len(found)} shown)",
        "ms",
        statistics.median(taken),
        None,
        "≤ 100 ms",
        more_is_better=False,
    )
