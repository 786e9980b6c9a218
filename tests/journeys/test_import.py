"""A town moves in with its old system's file, through the whole platform: every spoiled row named, the good ones in every
service's view, twice without change, undone without a trace.

300 children here; ten thousand with 300 spoiled rows: `SCALE=full make test ARGS=tests/journeys/test_import.py`.
"""

import asyncio
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient

from deploy.local.client import Caller, until
from deploy.local.platform import Platform
from shared.testing import town_files as files
from tests.conftest import OTHER_TOWN, TOWN, Town

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]
FULL = os.environ.get("SCALE") == "full"
CHILDREN, SPOILED = (10_000, 300) if FULL else (300, 30)
WITHIN_S = 3_000 if FULL else 240
PATH = f"/v1/municipalities/{TOWN}/imports"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
VIEWS = (("schedule", "plans"), ("questionnaire", "children"), ("notify", "families"), ("gateway", "children"))
"""Where a child's record is followed."""


async def hand_in(who: Caller, path: str, data: bytes, kind: str = "text/csv") -> httpx.Response:
    headers = {"Authorization": f"Bearer {who.token}", "Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex}
    return await who.http.request("POST", path, content=data, headers=headers)


async def worked(who: Caller, batch: str, state: str) -> tuple[dict[str, Any], list[int]]:
    """(the import when it has come to this state, the numbers of rows done that were seen on the way)."""
    seen: list[int] = []
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = await who.get(f"{PATH}/{batch}", fresh=False)
            seen.append(found["rows_done"])
            if found["state"] == state:
                return found, seen
            assert found["state"] in {"working", "undoing"}
            await asyncio.sleep(0.2)


async def takes(who: Caller, data: bytes, kind: str = "text/csv", query: str = "") -> tuple[dict[str, Any], list[int]]:
    answer = await hand_in(who, f"{PATH}{query}", data, kind)
    assert answer.status_code == 202, answer.text
    return await worked(who, answer.json()["id"], "done")


async def report(who: Caller, batch: str, outcome: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = f"{PATH}/{batch}/rows?outcome={outcome}&limit=200"
    while path:
        answer = await who.call("GET", path, fresh=False)
        found += answer.json()["items"]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    return found


async def planned(who: Caller, child: str) -> bool:
    answer = await who.call("GET", f"/v1/children/{child}/plan", fresh=False)
    return answer.status_code == 200 and bool(answer.json()["items"])


class Stores:
    """The services' stores, read past the services, as only a test may."""

    def __init__(self, platform: Platform) -> None:
        self._clients: dict[str, AsyncMongoClient[dict[str, Any]]] = {
            service: AsyncMongoClient(platform.store_url(service), retryWrites=False) for service in platform.services
        }

    async def heads(self, children: Iterable[str]) -> dict[str, int]:
        """The revision of each record."""
        return {doc["_id"]: doc["revision"] async for doc in self._find("records", "children", children, "revision")}

    async def follow(self, children: Iterable[str]) -> None:
        """Wait until every view has read every one of these records to its end."""
        heads = await self.heads(children)
        deadline = time.monotonic() + WITHIN_S
        for service, view in VIEWS:
            left = dict(heads)
            while left:
                # One is asked for until it is there, then those around it: asking for all would be most of the stores' work.
                behind = next(iter(left))
                for some in ([behind], list(left)[:50]):
                    async for doc in self._find(service, view, some, "applied"):
                        if doc["applied"].get(f"records/child:{doc['_id']}", 0) >= left.get(doc["_id"], 0):
                            left.pop(doc["_id"], None)
                    if behind in left:
                        assert time.monotonic() < deadline, f"{service} lacks {len(left)} of {len(heads)} records"
                        await asyncio.sleep(0.5)
                        break

    async def where(self, mark: str) -> set[str]:
        """The collections in which a word stands. An archive is the history, and a document's outbox is on its way there."""
        found = set()
        for service, client in self._clients.items():
            database = client[service]
            for name in await database.list_collection_names():
                async for doc in database[name].find({} if name != "events" else {"_id": ""}):
                    if mark in str(doc):
                        found.add(f"{service}.{name}")
                        break
        return found

    async def whose_birth_is_known(self, children: Iterable[str]) -> dict[str, int]:
        """How many of these each view still knows something of."""
        every = list(children)
        found: Counter[str] = Counter()
        for service, view in (("records", "children"), *VIEWS):
            async for doc in self._find(service, view, every, "state"):
                found[service] += "birth_date" in str(doc["state"])
        return dict(+found)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _find(self, service: str, name: str, ids: Iterable[str], *fields: str) -> Any:
        every = list(ids)
        for start in range(0, len(every), 50):
            where = {"_id": {"$in": every[start : start + 50]}}
            async for doc in self._clients[service][service][name].find(where, dict.fromkeys(fields, 1)):
                yield doc


# Ten thousand rows, four times over, through every view: on a busy machine that takes longer than a test may.
@pytest.mark.timeout(3_600 if FULL else 600)
async def test_a_towns_children_come_in_once_and_go_without_a_trace(town: Town, platform: Platform) -> None:
    nurse = await town.api.sign_in("nurse-import", "staff", municipality=TOWN)
    stores = Stores(platform)
    mark = uuid.uuid4().hex[:8]
    rows = [[f"{mark}-{row[0]}", *row[1:7], f"{mark}町", *row[8:]] for row in files.good_rows(CHILDREN)]
    rows, broken = files.spoil(rows, SPOILED)

    # Looked at first, as a workbook; then for good, as a CSV with its mark.
    dry, _ = await takes(nurse, files.as_xlsx(rows), XLSX, "?dry_run=true")
    begun = time.perf_counter()
    done, progress = await takes(nurse, files.as_csv(rows, encoding="utf-8-sig"))
    took = time.perf_counter() - begun
    assert done["counts"] == dry["counts"]
    for batch in (dry["id"], done["id"]):
        refused = await report(nurse, batch, "refused")
        assert {one["row"]: (one["errors"][0]["field"], one["errors"][0]["code"]) for one in refused} == broken
        assert all(one["errors"][0]["detail"] for one in refused)
    assert done["counts"]["rows_new"] == CHILDREN - SPOILED
    assert progress == sorted(progress)
    assert progress[-1] == CHILDREN
    assert len(set(progress)) > 20 or not FULL
    came = [one["child"] for one in await report(nurse, done["id"], "new")]
    assert len(set(came)) == CHILDREN - SPOILED
    await stores.follow(came)
    followed = time.perf_counter() - begun
    for child in (came[0], came[-1]):
        assert len((await nurse.get(f"/v1/children/{child}", fresh=False))["doses"]) == 1
        await until(partial(planned, nurse, child), "the plan is shown", within=WITHIN_S)
    assert {"records.children", "gateway.children"} <= await stores.where(f"{mark}町")

    # Again, every cell in quotes, and in Shift_JIS.
    heads = await stores.heads(came)
    again, _ = await takes(nurse, files.as_csv(rows, quoted=True))
    assert again["counts"] == {"rows_known": CHILDREN - SPOILED, "rows_refused": SPOILED}
    good = [row for place, row in enumerate(rows) if place + 2 not in broken]
    again, _ = await takes(nurse, files.as_csv(good[:50], encoding="cp932"))
    assert again["counts"] == {"rows_known": 50}
    assert await stores.heads(came) == heads

    stranger = await town.api.sign_in("nurse-elsewhere", "staff", municipality=OTHER_TOWN)
    for path in (PATH, f"{PATH}/{done['id']}", f"{PATH}/{done['id']}/rows"):
        assert (await stranger.call("GET", path)).status_code == 404

    begun = time.perf_counter()
    assert (await nurse.call("POST", f"{PATH}/{done['id']}/undo")).status_code == 202
    undone, _ = await worked(nurse, done["id"], "undone")
    taken_back = time.perf_counter() - begun
    assert undone["counts"]["children_undone"] == done["counts"]["children_new"]
    await stores.follow(came)
    for child in (came[0], came[-1]):
        for path in ("", "/history", "/plan"):
            assert (await nurse.call("GET", f"/v1/children/{child}{path}", fresh=False)).status_code == 404
        assert (await nurse.call("GET", f"/fhir/R4/Patient/{child}", fresh=False)).status_code == 404

    assert await stores.where(f"{mark}町") == set()
    assert await stores.whose_birth_is_known(came) == {}
    print(
        f"{CHILDREN:,} rows, {SPOILED} spoiled: in {took:.1f} s ({CHILDREN / took:.0f} rows/s), "
        f"in every view {followed:.1f} s after the file; undone in {taken_back:.1f} s"
    )
    await stores.close()


async def test_a_file_that_cannot_be_read_ends_with_its_place(town: Town) -> None:
    nurse = town.people["nurse"]
    good = files.good_rows(3)
    before = (await nurse.get(PATH))["items"]
    for data, kind, pointer, code in (
        (files.as_csv(good) + b'"open\n', "text/csv", "/rows/5", "csv-broken"),
        (files.as_csv(good) + b"\x81\x01\n", "text/csv", "/rows/5", "encoding"),
        (files.as_csv(good, heading=[*files.HEADING[:-1], "個人番号"]), "text/csv", "/columns/12", "my-number"),
        (b"PK\x03\x04", XLSX, "", "xlsx-broken"),
    ):
        answer = await hand_in(nurse, PATH, data, kind)
        assert answer.status_code == 422, answer.text
        assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]
    assert (await hand_in(nurse, PATH, b"x", "application/json")).status_code == 415
    assert (await hand_in(nurse, PATH, b"x" * 20_000_001)).status_code == 413
    assert (await nurse.get(PATH))["items"] == before
