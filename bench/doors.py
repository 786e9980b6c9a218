"""P7, P8, P9, P13: what a family and a clinic wait for, at the door of the running platform, beside bare ceilings."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import date, timedelta
from functools import reduce
from operator import getitem
from pathlib import Path

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from bench.harness import Row, Spent
from bench.http_load import Answer, Connection, as_fast_as_it_goes, at_a_rate, request
from deploy.local.client import Api, Caller
from deploy.local.organisations import Organisations
from deploy.local.platform import Platform
from deploy.local.ports import free_port
from shared.clock import Clock
from shared.store import Doc, Store

TOWN, CLINIC = "139912", "wakaba"
CONNECTIONS = 64
VACCINES = {"p8": "88", "p9": "08"}
"""CVX of what each measurement records, so that none asks for a dose that another recorded."""
BARE = """
import sys
from fastapi import FastAPI, Response
import uvicorn
app, body = FastAPI(), b"x" * int(sys.argv[2])
@app.get("/{path:path}")
async def read(path: str) -> Response:
    return Response(body, media_type="application/json")
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", loop="uvloop", log_level="critical", access_log=False)
"""


class Town:
    """A platform with some children, and what their people send."""

    def __init__(
        self, platform: Platform, clinic: Caller, guardians: list[Caller], children: list[str], birth: date
    ) -> None:
        self.platform, self.clinic, self.guardians = platform, clinic, guardians
        self.children, self.birth = children, birth

    @classmethod
    async def open(cls, platform: Platform, children: int) -> "Town":
        """Each child with a guardian of its own, one clinic with the consent of all."""
        api = Api(platform.gateway_url)
        await Organisations(platform.data / "secrets" / "organisations.json").open(api)
        clinic = await api.sign_in("doctor-bench", "clinic", organisation=CLINIC)
        birth = Clock().today() - timedelta(days=400)
        found: list[str] = []
        guardians: list[Caller] = []
        for number in range(children):
            guardian = await api.sign_in(f"guardian-{number}", "guardian")
            guardians.append(guardian)
            facts = {
                "birth_date": (birth - timedelta(days=number)).isoformat(),
                "sex": "FM"[number % 2],
                "name": {"family": "ベンチ", "given": f"{number}", "family_kana": "ベンチ", "given_kana": "ベンチ"},
                "municipality": TOWN,
            }
            child = (await guardian.post("/v1/children", facts))["id"]
            await guardian.put(f"/v1/children/{child}/consents/{CLINIC}", {"purpose": "care"})
            found.append(child)
        await api.close()
        return cls(platform, clinic, guardians, found, birth)

    def child(self, number: int) -> str:
        """The children in turn."""
        return self.children[number % len(self.children)]

    def guardian(self, number: int) -> Caller:
        """The guardian of that child."""
        return self.guardians[number % len(self.guardians)]

    def dose(self, number: int, run: str) -> bytes:
        """A clinic records a dose; each request is another one."""
        body = {
            "given_on": (self.birth + timedelta(days=number % 390)).isoformat(),
            "cvx": VACCINES[run],
            "lot": f"{run}{number}",
        }
        headers = self.headers(self.clinic) | {"idempotency-key": f"{run}-{number}"}
        return request("POST", f"/v1/children/{self.child(number)}/doses", headers, json.dumps(body).encode())

    def read(self, number: int) -> bytes:
        """A guardian reads a record."""
        return request("GET", f"/v1/children/{self.child(number)}", self.headers(self.guardian(number)))

    def check(self, number: int, run: str) -> bytes:
        """A clinic asks before the needle."""
        body = {"child": self.child(number), "cvx": "04", "lot": "B1", "on": Clock().today().isoformat()}
        headers = self.headers(self.clinic) | {"idempotency-key": f"{run}-{number}"}
        return request("POST", "/v1/pre-checks", headers, json.dumps(body).encode())

    @staticmethod
    def headers(caller: Caller) -> dict[str, str]:
        """Who asks."""
        return {"authorization": f"Bearer {caller.token}", "content-type": "application/json"}


def _success(answer: Answer) -> bool:
    return answer.status < 300


async def _bare_reads(size: int, count: int) -> float:
    """A bare FastAPI route that answers as many bytes, in a process of its own, as ours is."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BARE, str(port), str(size))
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                await Connection(url).ask(request("GET", "/", {}))
                break
            except OSError:
                await asyncio.sleep(0.05)
        measured = await as_fast_as_it_goes(url, lambda n: request("GET", f"/{n}", {}), count, CONNECTIONS, _success)
        return measured.rate
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _raw(url: str, database: str) -> AsyncIterator[AsyncDatabase[Doc]]:
    """The driver alone, with the write concern that ours has."""
    client: AsyncMongoClient[Doc] = AsyncMongoClient(url, retryWrites=False, maxPoolSize=32)
    async with client:
        yield client.get_database(database, write_concern=WriteConcern(w="majority", j=True))


async def _raw_reads(database: AsyncDatabase[Doc], children: list[str], count: int) -> float:
    """A find of the same document and a journalled insert of an audit row, grouped as many as wait, into the audit's indexes."""
    audit, documents = database["bench_audit"], database["children"]
    await audit.create_index(["chain", "seq"])
    await audit.create_index(["whose", "at"])
    waiting: list[asyncio.Future[None]] = []
    rows = iter(range(count * 2))
    wake = asyncio.Event()

    async def group() -> None:
        while True:
            await wake.wait()
            wake.clear()
            batch = waiting[:]
            waiting.clear()
            if batch:
                await audit.insert_many([_audit_row(next(rows), children) for _ in batch], ordered=False)
                for one in batch:
                    one.set_result(None)

    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await documents.find_one({"_id": children[number % len(children)]})
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(written)
            wake.set()
            await written

    grouping = asyncio.create_task(group())
    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    rate = count / (time.perf_counter() - begun)
    grouping.cancel()
    return rate


def _audit_row(number: int, children: list[str]) -> dict[str, object]:
    """A row as the gateway's audit keeps it, in fields and size."""
    at = f"2026-04-01T00:00:{number:06}Z"
    row = {"chain": "c" * 32, "seq": number, "at": at, "whose": children[number % len(children)], "rest": "x" * 400}
    return {"_id": f"{time.time_ns()}-{number}", **row}


async def _raw_writes(database: AsyncDatabase[Doc], documents: int, count: int, size: int) -> float:
    """Guarded updates of documents of the same size and index, 64 at a time, journalled."""
    body = "x" * size
    guarded = database["bench_guarded"]
    await guarded.create_index("pending", partialFilterExpression={"pending": {"$gte": 0}})
    await guarded.insert_many([{"_id": str(n), "version": 0, "body": body} for n in range(documents)])
    versions = [0] * documents
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            place = number % documents
            seen, versions[place] = versions[place], versions[place] + 1
            await guarded.update_one(
                {"_id": str(place), "version": seen},
                {
                    "$set": {"version": seen + 1, "body": body, "pending": number},
                    "$push": {"outbox": {"n": number}},
                },
            )

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return count / (time.perf_counter() - begun)


async def _heard(owner: Store, collection: str, gateway: Store, field: str, stream: str) -> None:
    """Wait until this field of the gateway's plans has seen all that an owner said of its documents."""
    while True:
        heads = {doc["_id"]: doc["revision"] for doc in await owner.find(collection, {}, fields=["revision"])}
        plans = await gateway.find("plans", {}, fields=[field])
        marks = {doc["_id"]: reduce(getitem, field.split("."), doc) for doc in plans}
        if all(marks.get(key, {}).get(f"{stream}:{key}", 0) == head for key, head in heads.items()):
            return
        await asyncio.sleep(0.2)


async def _drained(records: Store, gateway: Store) -> None:
    """Wait until the gateway's plans have seen every child's record."""
    await _heard(records, "children", gateway, "state.based_on", "records/child")


async def _plan_after_dose(town: Town, connection: Connection, number: int) -> float | None:
    """Milliseconds from the acknowledgement of a dose until its plan was readable."""
    answer = await connection.ask(town.dose(number, "p9"))
    if not _success(answer):
        return None
    acknowledged = time.perf_counter()
    headers = town.headers(town.guardian(number)) | {"hagukumi-revision": answer.headers[b"hagukumi-revision"].decode()}
    plan = await connection.ask(request("GET", f"/v1/children/{town.child(number)}/plan", headers))
    return (time.perf_counter() - acknowledged) * 1e3 if _success(plan) else None


async def _pairs(town: Town, url: str, count: int) -> float:
    """How many doses a second can be recorded where each one's plan is read after it: what P9 takes the half of."""
    numbers = iter(range(100_000, 100_000 + count))

    async def work() -> None:
        connection = Connection(url)
        for number in numbers:
            await _plan_after_dose(town, connection, number)
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return count / (time.perf_counter() - begun)


async def _pre_check(town: Town, connection: Connection, number: int) -> float | None:
    return -1.0 if _success(await connection.ask(town.check(number, "p13"))) else None


async def measure(platform: Platform, scale: int) -> list[Row]:
    """All four, on a platform that has just started."""
    town = await Town.open(platform, 64)
    url, count = platform.gateway_url, 640 * scale
    store = Store.connect(platform.store_url("gateway"), "gateway")
    records = Store.connect(platform.store_url("records"), "records")
    schedule = Store.connect(platform.store_url("schedule"), "schedule")
    rows: list[Row] = []
    try:
        size = len((await Connection(url).ask(town.read(0))).body)
        await as_fast_as_it_goes(url, town.read, 200, CONNECTIONS, _success)
        bare = await _bare_reads(size, 2 * count)
        async with _raw(platform.store_url("gateway"), "gateway") as database:
            raw = await _raw_reads(database, town.children, count)
        spent = Spent(platform)
        reads = await as_fast_as_it_goes(url, town.read, count, CONNECTIONS, _success)
        rows.append(
            Row("P7", "gateway read: token, policy, find, audit row before the answer", "/s", reads.rate, min(bare, raw),
                "≥ 0.70", f"bare route {bare:,.0f}/s, raw find + grouped insert {raw:,.0f}/s, refused {reads.refused}; {spent.costs(count, 'read')}",
                reached=reads.rate / min(bare, raw) >= 0.70 and not reads.refused)
        )  # fmt: skip

        async with _raw(platform.store_url("records"), "records") as database:
            raw = await _raw_writes(database, len(town.children), count, 2_000)
        spent, begun = Spent(platform), time.perf_counter()
        writes = await as_fast_as_it_goes(url, lambda n: town.dose(n, "p8"), count, CONNECTIONS, _success)
        # Load is what all services together keep up with, not what records alone can take in.
        await _drained(records, store)
        sustained = count / (time.perf_counter() - begun)
        each = spent.written(count)
        rows.append(
            Row("P8", "acknowledged write at 64 connections", "/s", writes.rate, raw, "≥ 0.70",
                f"p99 {writes.percentile(99):,.0f} ms, refused {writes.refused}; until all have read it: "
                f"{sustained:,.0f}/s, {spent.costs(count, 'dose')}",
                reached=writes.rate / raw >= 0.70 and not writes.refused)
        )  # fmt: skip
        rows.append(
            Row("P8 documents", f"what those writes led to, {each:.1f} documents each, in five stores", "/s", sustained * each, raw,
                "≥ 0.70", f"the store's own rate allows {raw / each:,.0f} doses/s, whatever the services cost",
                reached=sustained * each / raw >= 0.70)
        )  # fmt: skip
        pairs = await _pairs(town, url, count // 2)
        await _drained(records, store)
        waited = await at_a_rate(pairs / 2, 4.0 * scale, lambda c, n: _plan_after_dose(town, c, n), url)
        rows += [
            Row("P9 p50", f"dose acknowledged → plan readable, at {waited.rate:,.0f}/s (half load: {pairs:,.0f}/s are the most)", "ms",
                waited.percentile(50), None, "≤ 100 ms", f"unanswered {waited.refused}", more_is_better=False,
                reached=waited.percentile(50) <= 100 and not waited.refused),
            Row("P9 p99", "the same", "ms", waited.percentile(99), None, "≤ 1,000 ms", more_is_better=False,
                reached=waited.percentile(99) <= 1_000),
        ]  # fmt: skip

        await _drained(records, store)
        spent = Spent(platform)
        fastest = await as_fast_as_it_goes(url, lambda n: town.check(n, "warm"), 400 * scale, 16, _success)
        costs = spent.costs(400 * scale, "check")
        # Half load begins with nothing waiting.
        await _heard(schedule, "plans", store, "applied", "schedule/plan")
        checks = await at_a_rate(fastest.rate / 2, 10.0 * scale, lambda c, n: _pre_check(town, c, n), url)
        rows.append(
            Row("P13", f"pre-check over HTTP, p99 at {checks.rate:,.0f}/s (half load)", "ms", checks.percentile(99), None,
                "≤ 100 ms", f"p50 {checks.percentile(50):,.1f} ms, refused {checks.refused}; {costs}", more_is_better=False,
                reached=checks.percentile(99) <= 100 and not checks.refused)
        )  # fmt: skip
    finally:
        await store.close()
        await records.close()
        await schedule.close()
    return rows


def door_rows(folder: Path, scale: int) -> list[Row]:
    """Start a platform, measure, stop it."""
    with ExitStack() as stack:
        # One clinic and one guardian ask here as fast as a town does.
        settings = {"HAGUKUMI_REQUESTS_PER_SECOND": "1000000"}
        platform = stack.enter_context(Platform.start(folder, settings=settings))
        return asyncio.run(measure(platform, scale))
