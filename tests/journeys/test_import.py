"""A town moves in with its old system's file, through the gateway: in once, shown everywhere, undone, gone from every read.

Ten thousand children in one file: services/records/tests/test_imports.py, where no other service has to follow.
"""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from deploy.local.client import Caller, until
from shared.testing import town_files as files
from tests.conftest import OTHER_TOWN, TOWN, Town

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]
CHILDREN, SPOILED = 300, 30
PATH = f"/v1/municipalities/{TOWN}/imports"


async def hand_in(who: Caller, path: str, data: bytes, kind: str = "text/csv") -> httpx.Response:
    headers = {"Authorization": f"Bearer {who.token}", "Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex}
    return await who.http.request("POST", path, content=data, headers=headers)


async def worked(who: Caller, batch: str, state: str) -> tuple[dict[str, Any], set[int]]:
    """(the import when it has come to this state, every number of rows done that was seen on the way)."""
    seen: set[int] = set()
    async with asyncio.timeout(240):
        while True:
            found = await who.get(f"{PATH}/{batch}", fresh=False)
            seen.add(found["rows_done"])
            if found["state"] == state:
                return found, seen
            assert found["state"] in {"working", "undoing"}
            await asyncio.sleep(0.2)


async def report(who: Caller, batch: str, outcome: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = f"{PATH}/{batch}/rows?outcome={outcome}&limit=200"
    while path:
        answer = await who.call("GET", path, fresh=False)
        found += answer.json()["items"]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    return found


async def test_a_towns_children_come_in_once_and_go_without_a_trace(town: Town) -> None:
    nurse = await town.api.sign_in("nurse-import", "staff", municipality=TOWN)
    mark = uuid.uuid4().hex[:6]
    rows = [[f"{mark}-{row[0]}", *row[1:]] for row in files.good_rows(CHILDREN)]
    rows, broken = files.spoil(rows, SPOILED)
    data = files.as_csv(rows, encoding="utf-8-sig")

    accepted = await hand_in(nurse, f"{PATH}?dry_run=true", data)
    assert accepted.status_code == 202, accepted.text
    dry, _ = await worked(nurse, accepted.json()["id"], "done")

    batch = (await hand_in(nurse, PATH, data)).json()["id"]
    done, _ = await worked(nurse, batch, "done")
    assert done["counts"] == dry["counts"]
    refused = await report(nurse, batch, "refused")
    assert {one["row"]: (one["errors"][0]["field"], one["errors"][0]["code"]) for one in refused} == broken
    assert done["counts"]["rows_new"] == CHILDREN - SPOILED
    came = [one["child"] for one in await report(nurse, batch, "new")]
    assert len(set(came)) == CHILDREN - SPOILED
    shown = [came[0], came[-1]]

    async def all_shown() -> bool:
        answers = [await nurse.call("GET", f"/v1/children/{child}", fresh=False) for child in shown]
        return all(answer.status_code == 200 and answer.json()["doses"] for answer in answers)

    await until(all_shown, "the gateway shows the children", within=240)

    twice = (await hand_in(nurse, PATH, data)).json()["id"]
    again, _ = await worked(nurse, twice, "done")
    assert set(again["counts"]) == {"rows_known", "rows_refused"}
    assert again["counts"]["rows_known"] == CHILDREN - SPOILED

    stranger = await town.api.sign_in("nurse-elsewhere", "staff", municipality=OTHER_TOWN)
    for path in (PATH, f"{PATH}/{batch}", f"{PATH}/{batch}/rows"):
        assert (await stranger.call("GET", path)).status_code == 404

    assert (await nurse.call("POST", f"{PATH}/{batch}/undo")).status_code == 202
    undone, _ = await worked(nurse, batch, "undone")
    assert undone["counts"]["children_undone"] == done["counts"]["children_new"]

    async def all_gone() -> bool:
        answers = [
            await nurse.call("GET", f"/v1/children/{child}{path}", fresh=False)
            for child in shown
            for path in ("", "/history", "/plan")
        ]
        answers += [await nurse.call("GET", f"/fhir/R4/Patient/{child}", fresh=False) for child in shown]
        return all(answer.status_code == 404 for answer in answers)

    await until(all_gone, "no read shows the children", within=240)


async def test_a_file_that_cannot_be_read_ends_with_its_place(town: Town) -> None:
    nurse = town.people["nurse"]
    good = files.good_rows(3)
    before = (await nurse.get(PATH))["items"]
    xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    for data, kind, pointer, code in (
        (files.as_csv(good) + b'"open\n', "text/csv", "/rows/5", "csv-broken"),
        (files.as_csv(good) + b"\x81\x01\n", "text/csv", "/rows/5", "encoding"),
        (files.as_csv(good, heading=[*files.HEADING[:-1], "個人番号"]), "text/csv", "/columns/12", "my-number"),
        (b"PK\x03\x04", xlsx, "", "xlsx-broken"),
    ):
        answer = await hand_in(nurse, PATH, data, kind)
        assert answer.status_code == 422, answer.text
        assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]
    assert (await hand_in(nurse, PATH, b"x", "application/json")).status_code == 415
    assert (await hand_in(nurse, PATH, b"x" * 20_000_001)).status_code == 413
    assert (await nurse.get(PATH))["items"] == before
