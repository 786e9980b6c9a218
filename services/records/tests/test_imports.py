"""A town hands in its old system's file: what is good comes in, each spoiled row is named, twice is once, and undone is gone."""

import datetime as dt
import io
import zipfile
from typing import Any

import openpyxl
import pytest

from services.records import store as kept
from services.records.commands import imports as commands
from services.records.domain import import_files
from services.records.domain.access import Caller
from services.records.tests.conftest import Door
from services.records.tests.families import CLINIC, MOTHER, NURSE, OTHER_NURSE, OTHER_TOWN, REGISTER, TOWN
from shared.problems import Invalid
from shared.testing import town_files as files

PATH = f"/v1/municipalities/{TOWN}/imports"
GOOD = files.good_rows(3)


class Imports:
    """The imports of one town, worked on when the test says so."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.records = door.app.state.records

    async def hands_in(
        self, data: bytes, kind: str = import_files.CSV_TYPE, who: Caller = NURSE, query: str = "", **headers: str
    ) -> Any:
        return await self.door.call(who, "POST", f"{PATH}{query}", data, content_type=kind, **headers)

    async def takes(self, data: bytes, **options: Any) -> dict[str, Any]:
        """The import of this file, worked on to its end."""
        answer = await self.hands_in(data, **options)
        assert answer.status_code == 202, answer.text
        await commands.work_on(self.records, answer.json()["id"])
        return await self.shown(answer.json()["id"])

    async def undoes(self, batch: str) -> dict[str, Any]:
        answer = await self.door.call(NURSE, "POST", f"{PATH}/{batch}/undo")
        assert answer.status_code == 202, answer.text
        await commands.work_on(self.records, batch)
        return await self.shown(batch)

    async def shown(self, batch: str) -> dict[str, Any]:
        return await self.door.does(NURSE, "GET", f"{PATH}/{batch}")

    async def rows(self, batch: str, query: str = "") -> list[dict[str, Any]]:
        """The whole report, page by page."""
        found: list[dict[str, Any]] = []
        path: str | None = f"{PATH}/{batch}/rows?limit=200{query}"
        while path:
            answer = await self.door.call(NURSE, "GET", path)
            found += answer.json()["items"]
            path = answer.links["next"]["url"] if "next" in answer.links else None
        return found

    async def children(self) -> dict[str, dict[str, Any]]:
        """Every child's document."""
        return {row["_id"]: row for row in await self.door.runtime.store.find(kept.collections.CHILDREN, {})}


@pytest.fixture
def imports(door: Door) -> Imports:
    return Imports(door)


# The file as a whole ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_csv_is_read_in_the_encodings_that_towns_use(encoding: str) -> None:
    # 髙 and 﨑 are in CP932, but not in Shift_JIS proper.
    rows = [[*GOOD[0][:3], "髙﨑", *GOOD[0][4:]], [*GOOD[1][:7], '一丁目, "北"\r\n二階', *GOOD[1][8:]]]
    found = import_files.read(files.as_csv(rows, encoding=encoding), "csv")
    assert found[0].cells["family"] == "髙﨑"
    assert found[1].cells["district"] == '一丁目, "北"\r\n二階'
    assert [line.number for line in found] == [2, 3]


def test_an_excel_workbook_is_read_like_a_csv() -> None:
    as_text = import_files.read(files.as_csv(GOOD), "csv")
    assert import_files.read(files.as_xlsx(GOOD), "xlsx") == as_text


def test_excel_days_and_numbers_are_read_as_they_are_meant() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(files.HEADING)
    # Excel knows no time zones.
    sheet.append([17, dt.datetime(2023, 5, 1), *GOOD[0][2:8], 8, dt.date(2023, 7, 5), "GB1", 0.5])  # noqa: DTZ001
    out = io.BytesIO()
    book.save(out)
    cells = import_files.read(out.getvalue(), "xlsx")[0].cells
    assert (cells["ref"], cells["birth_date"], cells["vaccine"], cells["given_on"], cells["dose_ml"]) == (
        "17",
        "2023-05-01",
        "8",
        "2023-07-05",
        "0.5",
    )


def _zip(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def _with_entity() -> bytes:
    parts = {}
    with zipfile.ZipFile(io.BytesIO(files.as_xlsx(GOOD))) as archive:
        for name in archive.namelist():
            parts[name] = archive.read(name)
    name = "xl/workbook.xml"
    parts[name] = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaa">]>' + parts[name]
    return _zip(parts)


@pytest.mark.parametrize(
    ("data", "kind", "pointer", "code"),
    [
        (b"", "csv", "", "file-empty"),
        (files.as_csv([]), "csv", "", "file-empty"),
        (files.as_csv(GOOD, encoding="utf-16"), "csv", "", "encoding"),
        (files.as_csv(GOOD) + "若".encode("cp932") + b",\xff\xff\n", "csv", "/rows/5", "encoding"),
        (files.as_csv(GOOD, encoding="cp932") + b"\x81\x01\n", "csv", "/rows/5", "encoding"),
        (files.as_csv(GOOD) + b'"an open quote,\n', "csv", "/rows/5", "csv-broken"),
        (files.as_csv(GOOD) + b'"a"b,c\n', "csv", "/rows/5", "csv-broken"),
        (files.as_csv(GOOD) + b"a\x00b\n", "csv", "", "csv-broken"),
        (files.as_csv(GOOD, heading=[*files.HEADING[:-1], "色"]), "csv", "/columns/12", "column-unknown"),
        (files.as_csv(GOOD, heading=[*files.HEADING[:-1], "個人番号"]), "csv", "/columns/12", "my-number"),
        (files.as_csv(GOOD, heading=[*files.HEADING[:-1], "ﾏｲﾅﾝﾊﾞｰ"]), "csv", "/columns/12", "my-number"),
        (files.as_csv(GOOD, heading=[*files.HEADING[:-1], "整理番号"]), "csv", "/columns/12", "column-twice"),
        (files.as_csv([row[1:] for row in GOOD], heading=files.HEADING[1:]), "csv", "", "column-missing"),
        (b"not a workbook", "xlsx", "", "xlsx-broken"),
        (files.as_csv(GOOD), "xlsx", "", "xlsx-broken"),
        (_zip({"a.xml": b"<a/>"}), "xlsx", "", "xlsx-broken"),
        (_zip({"xl/a.xml": b"\x00" * (import_files.MOST_UNPACKED + 1)}), "xlsx", "", "xlsx-too-large"),
        (_zip({"xl/vbaProject.bin": b"x"}), "xlsx", "", "xlsx-program"),
        (_with_entity(), "xlsx", "", "xlsx-broken"),
        (files.as_xlsx(GOOD, sheets=2), "xlsx", "", "one-sheet"),
        (files.as_xlsx(GOOD)[:-400], "xlsx", "", "xlsx-broken"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole_with_its_place(
    data: bytes, kind: import_files.Kind, pointer: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        import_files.read(data, kind)
    assert [(one.pointer, one.code) for one in refused.value.errors] == [(pointer, code)]


async def test_a_refused_file_leaves_nothing(imports: Imports) -> None:
    answer = await imports.hands_in(files.as_csv(GOOD) + b'"open,\n')
    assert answer.status_code == 422
    assert (await imports.door.does(NURSE, "GET", PATH))["items"] == []
    assert await imports.door.runtime.store.find("import_files.files", {}) == []


# Row by row -------------------------------------------------------------------------------------------------------


async def test_the_good_rows_come_in_and_each_spoiled_one_is_named(imports: Imports) -> None:
    rows, broken = files.spoil(files.good_rows(60), 40)
    done = await imports.takes(files.as_csv(rows))
    assert done["state"] == "done"
    assert (done["rows"], done["rows_done"]) == (60, 60)
    refused = await imports.rows(done["id"], "&outcome=refused")
    assert {one["row"]: (one["errors"][0]["field"], one["errors"][0]["code"]) for one in refused} == broken
    assert all(one["errors"][0]["detail"] for one in refused)
    assert len(await imports.rows(done["id"], "&outcome=new")) == 20
    # A wrong dose alone does not keep its child out.
    dose_only = sum(1 for field, _ in broken.values() if field in {"vaccine", "given_on", "lot", "dose_ml"})
    assert done["counts"] == {
        "rows_new": 20,
        "rows_refused": 40,
        "children_new": 20 + dose_only,
        "doses_new": 20,
    }
    children = await imports.children()
    assert len(children) == 20 + dose_only
    dose = next(iter(next(one for one in children.values() if one["state"]["doses"])["state"]["doses"].values()))
    assert (dose["provenance"], dose["organisation"]) == ("municipality", TOWN)


async def test_no_value_of_a_row_is_in_its_report(imports: Imports) -> None:
    row = [*GOOD[0][:4], "CANARY\u202e", *GOOD[0][5:]]
    done = await imports.takes(files.as_csv([row]))
    report = await imports.rows(done["id"])
    assert report[0]["outcome"] == "refused"
    assert "CANARY" not in str(report)
    assert "CANARY" not in str(await imports.door.runtime.store.find(kept.collections.IMPORT_ROWS, {}))


async def test_rows_of_one_number_are_one_child_and_its_doses_come_in_order(imports: Imports) -> None:
    facts = GOOD[0][:8]
    rows = [
        [*facts, "penta", "2024-09-01", "GB3", "0.5"],
        [*GOOD[1]],
        [*facts, "penta", "2024-08-01", "GB2", "0.5"],
        [*facts, "penta", "2024-08-01", "GB2", "0.5"],
        [*facts, "hepb", "2024-08-01", "HB1", "0.25"],
    ]
    done = await imports.takes(files.as_csv(rows))
    assert done["counts"]["children_new"] == 2
    outcomes = [(one["row"], one["outcome"]) for one in await imports.rows(done["id"])]
    assert outcomes == [(2, "new"), (3, "new"), (4, "new"), (5, "known"), (6, "new")]
    child = (await imports.rows(done["id"]))[0]["child"]
    told = [data["dose"] for _, kind, data in await imports.door.announced(child) if kind == "DoseRecorded"]
    assert [(dose["given_on"], dose["code"]) for dose in told] == [
        ("2024-08-01", "hepb"),
        ("2024-08-01", "penta"),
        ("2024-09-01", "penta"),
    ]


async def test_rows_that_say_two_things_of_one_child_are_refused(imports: Imports) -> None:
    other = [*GOOD[0][:1], "2023-04-02", *GOOD[0][2:]]
    done = await imports.takes(files.as_csv([GOOD[0], other]))
    report = await imports.rows(done["id"])
    assert [(one["row"], one["errors"][0]["code"]) for one in report] == [(2, "rows-differ"), (3, "child-refused")]
    assert await imports.children() == {}


async def test_an_import_puts_nothing_right(imports: Imports) -> None:
    first = await imports.takes(files.as_csv(GOOD[:1]))
    before = await imports.children()
    renamed = [*GOOD[0][:4], "別名", *GOOD[0][5:]]
    done = await imports.takes(files.as_csv([renamed]))
    report = await imports.rows(done["id"])
    assert [(one["errors"][0]["field"], one["errors"][0]["code"]) for one in report] == [
        ("given", "differs-from-record")
    ]
    assert await imports.children() == before
    assert first["counts"]["children_new"] == 1


async def test_two_numbers_for_one_child_are_shown_to_staff_and_come_in_all_the_same(imports: Imports) -> None:
    again = [
        "99999999",
        *GOOD[0][1:5],
        "わかば" if GOOD[0][5] == "ワカバ" else GOOD[0][5],
        *GOOD[0][6:8],
        "",
        "",
        "",
        "",
    ]
    data = files.as_csv([*GOOD, again])
    dry = await imports.takes(data, query="?dry_run=true")
    wet = await imports.takes(data)
    assert wet["counts"] == dry["counts"]
    assert (wet["counts"]["children_new"], wet["counts"]["children_similar"]) == (4, 2)
    for batch in (dry["id"], wet["id"]):
        rows = {one["row"]: one.get("similar") for one in await imports.rows(batch)}
        assert rows == {
            2: [{"row": 5, "strength": "sure"}],
            3: None,
            4: None,
            5: [{"row": 2, "strength": "sure"}],
        }
    listed = (await imports.door.does(NURSE, "GET", f"/v1/municipalities/{TOWN}/duplicates"))["items"]
    assert [one["strength"] for one in listed] == ["sure"]


async def test_a_number_is_its_towns_own_and_a_child_who_moved_away_is_refused(imports: Imports) -> None:
    door, data = imports.door, files.as_csv(GOOD[:1])
    first = (await imports.takes(data))["id"]
    child = (await imports.rows(first))[0]["child"]
    elsewhere = f"/v1/municipalities/{OTHER_TOWN}/imports"
    answer = await door.call(OTHER_NURSE, "POST", elsewhere, data, content_type="text/csv")
    await commands.work_on(imports.records, answer.json()["id"])
    report = await door.does(OTHER_NURSE, "GET", f"{elsewhere}/{answer.json()['id']}/rows")
    assert report["items"][0]["outcome"] == "new"
    assert report["items"][0]["child"] != child
    assert "similar" not in report["items"][0]

    going = {"to_municipality": OTHER_TOWN, "effective_on": "2026-11-20"}
    await door.does(NURSE, "POST", f"/v1/children/{child}/move", going)
    await door.does(OTHER_NURSE, "POST", f"/v1/children/{child}/move/confirmation")
    before = await imports.children()
    refused = (await imports.rows((await imports.takes(data))["id"]))[0]
    assert (refused["outcome"], refused["errors"][0]["field"], refused["errors"][0]["code"]) == (
        "refused",
        "ref",
        "not-resident",
    )
    assert "child" not in refused
    assert await imports.children() == before
    # Nor is it the old town's any more to take back.
    undone = await imports.undoes(first)
    assert undone["counts"].get("children_undone", 0) == 0
    assert await imports.children() == before
    # Where it lives now, it stands beside the one that came with that town's own file.
    listed = (await door.does(OTHER_NURSE, "GET", f"/v1/municipalities/{OTHER_TOWN}/duplicates"))["items"]
    assert [one["strength"] for one in listed] == ["sure"]


# Dry run, twice, undone -------------------------------------------------------------------------------------------


async def test_a_dry_run_says_the_same_and_changes_nothing(imports: Imports) -> None:
    rows, _ = files.spoil(files.good_rows(40), 20)
    data = files.as_csv(rows)
    dry = await imports.takes(data, query="?dry_run=true")
    assert await imports.children() == {}
    assert await imports.door.runtime.store.find(kept.collections.IMPORT_REFS, {}) == []
    wet = await imports.takes(data)
    assert dry["counts"] == wet["counts"]
    without = [{name: value for name, value in one.items() if name != "child"} for one in await imports.rows(wet["id"])]
    assert await imports.rows(dry["id"]) == without
    assert (await imports.door.call(NURSE, "POST", f"{PATH}/{dry['id']}/undo")).status_code == 409


async def test_the_same_file_again_changes_nothing(imports: Imports) -> None:
    data = files.as_csv(files.good_rows(30))
    await imports.takes(data)
    before = await imports.children()
    again = await imports.takes(data)
    assert again["counts"] == {"rows_known": 30}
    assert await imports.children() == before


async def test_the_same_request_again_is_the_same_import(imports: Imports) -> None:
    data = files.as_csv(GOOD)
    first = await imports.hands_in(data, Idempotency_Key="k1")
    again = await imports.hands_in(data, Idempotency_Key="k1")
    assert first.json() == again.json()
    assert (await imports.hands_in(data + b"\n", Idempotency_Key="k1")).status_code == 422
    assert len((await imports.door.does(NURSE, "GET", PATH))["items"]) == 1


async def test_what_was_undone_is_gone_from_every_read_and_told_to_every_reader(imports: Imports) -> None:
    data = files.as_csv(files.good_rows(20))
    done = await imports.takes(data)
    undone = await imports.undoes(done["id"])
    assert (undone["state"], undone["counts"]["children_undone"]) == ("undone", 20)
    for child, doc in (await imports.children()).items():
        assert set(doc["state"]) == {"retracted_at"}
        assert (await imports.door.call(NURSE, "GET", f"/v1/children/{child}/history")).status_code == 404
        body = {"given_on": "2026-07-02", "cvx": "08"}
        assert (await imports.door.call(NURSE, "POST", f"/v1/children/{child}/doses", body)).status_code == 404
        told = [kind for _, kind, _ in await imports.door.announced(child)]
        assert told == ["ChildRegistered", "DoseRecorded", "ChildRetracted"]
    assert (await imports.door.call(NURSE, "POST", f"{PATH}/{done['id']}/undo")).status_code == 409
    # The file may come again: as new children, since ids are never used again.
    again = await imports.takes(data)
    assert again["counts"]["children_new"] == 20
    assert len(await imports.children()) == 40


async def test_undoing_leaves_what_others_have_written(imports: Imports) -> None:
    done = await imports.takes(files.as_csv(GOOD))
    child = (await imports.rows(done["id"]))[0]["child"]
    growth = {"measured_on": "2024-08-10", "weight_kg": 8.1}
    await imports.door.does(NURSE, "POST", f"/v1/children/{child}/growth", growth)
    undone = await imports.undoes(done["id"])
    assert undone["counts"]["children_undone"] == 2
    state = (await imports.children())[child]["state"]
    assert state["doses"] == {}
    assert len(state["growth"]) == 1
    assert [kind for _, kind, _ in await imports.door.announced(child)][-1] == "DoseRetracted"


# Crashes and others -----------------------------------------------------------------------------------------------


class Killed(Exception):
    """The process dies here."""


@pytest.mark.parametrize("after", ["commit_many", "report_rows", "name_refs"])
async def test_an_import_goes_on_where_it_was_killed(
    imports: Imports, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, broken = files.spoil(files.good_rows(250), 30)
    answer = await imports.hands_in(files.as_csv(rows))
    batch = answer.json()["id"]
    await commands.work_on(imports.records, batch, pieces=1)
    owner: Any = imports.records.children if after == "commit_many" else kept
    real = getattr(owner, after)

    async def dies(*given: Any) -> Any:
        await real(*given)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, after, dies)
        with pytest.raises(Killed):
            await commands.work_on(imports.records, batch)
    await commands.work_on(imports.records, batch)
    done = await imports.shown(batch)
    assert (done["state"], done["rows_done"]) == ("done", 250)
    refused = await imports.rows(batch, "&outcome=refused")
    assert {one["row"] for one in refused} == set(broken)
    children = await imports.children()
    assert len(children) == done["counts"]["children_new"]
    assert all(len(doc["state"]["doses"]) <= 1 for doc in children.values())
    assert sum(len(doc["state"]["doses"]) for doc in children.values()) == done["counts"]["doses_new"] == 220
    undone = await imports.undoes(batch)
    assert undone["counts"]["children_undone"] == len(children)


@pytest.mark.parametrize("at", ["commit_many", "change"])
async def test_an_undoing_goes_on_where_it_was_killed_and_counts_each_child_once(
    imports: Imports, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await imports.takes(files.as_csv(files.good_rows(250)))
    path = f"{PATH}/{done['id']}/undo"
    assert (await imports.door.call(NURSE, "POST", path)).status_code == 202
    owner: Any = imports.records.children if at == "commit_many" else imports.records.imports
    real = getattr(owner, at)

    async def dies(*given: Any) -> Any:
        if at == "commit_many":
            await real(*given)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, at, dies)
        with pytest.raises(Killed):
            await commands.work_on(imports.records, done["id"])
    await commands.work_on(imports.records, done["id"])
    undone = await imports.shown(done["id"])
    assert (undone["state"], undone["counts"]["children_undone"]) == ("undone", 250)
    assert all(set(doc["state"]) == {"retracted_at"} for doc in (await imports.children()).values())


@pytest.mark.slow
async def test_ten_thousand_children_in_one_file(imports: Imports) -> None:
    rows, broken = files.spoil(files.good_rows(10_000), 300)
    data = files.as_csv(rows)
    batch = (await imports.hands_in(data)).json()["id"]
    seen = []
    while (await imports.shown(batch))["state"] == "working":
        await commands.work_on(imports.records, batch, pieces=25)
        seen.append((await imports.shown(batch))["rows_done"])
    done = await imports.shown(batch)
    assert seen == [2_500, 5_000, 7_500, 10_000]
    assert (done["counts"]["rows_new"], done["counts"]["rows_refused"]) == (9_700, 300)
    refused = await imports.rows(batch, "&outcome=refused")
    assert {one["row"]: (one["errors"][0]["field"], one["errors"][0]["code"]) for one in refused} == broken
    versions = {child: doc["version"] for child, doc in (await imports.children()).items()}
    assert len(versions) == done["counts"]["children_new"]

    again = await imports.takes(data)
    assert again["counts"] == {"rows_known": 9_700, "rows_refused": 300}
    assert {child: doc["version"] for child, doc in (await imports.children()).items()} == versions

    undone = await imports.undoes(batch)
    assert undone["counts"]["children_undone"] == len(versions)
    assert all(set(doc["state"]) == {"retracted_at"} for doc in (await imports.children()).values())


async def test_the_file_is_kept_no_longer_than_it_is_worked_on(imports: Imports) -> None:
    await imports.hands_in(files.as_csv(GOOD))
    store = imports.door.runtime.store
    assert len(await store.find("import_files.files", {})) == 1
    for batch in await kept.imports.open_imports(store):
        await commands.work_on(imports.records, batch)
    assert await store.find("import_files.chunks", {}) == []


async def test_only_the_towns_own_staff_imports(imports: Imports) -> None:
    done = await imports.takes(files.as_csv(GOOD))
    for who, status in ((OTHER_NURSE, 404), (MOTHER, 403), (CLINIC, 403), (REGISTER, 403)):
        assert (await imports.hands_in(files.as_csv(GOOD), who=who)).status_code == status
        for method, path in (
            ("GET", PATH),
            ("GET", f"{PATH}/{done['id']}"),
            ("GET", f"{PATH}/{done['id']}/rows"),
            ("POST", f"{PATH}/{done['id']}/undo"),
        ):
            assert (await imports.door.call(who, method, path)).status_code == status, (who.subject, path)
    other = f"/v1/municipalities/139921/imports/{done['id']}"
    assert (await imports.door.call(OTHER_NURSE, "GET", other)).status_code == 404
    assert (await imports.hands_in(b"{}", kind="application/json")).status_code == 415


async def test_what_the_work_asks_the_store_uses_an_index(imports: Imports) -> None:
    store = imports.door.runtime.store
    for collection, where in (
        (kept.collections.IMPORTS, {"state.open": {"$gte": 1, "$lte": 1}}),
        (kept.collections.IMPORTS, {"state.municipality": TOWN}),
        (kept.collections.IMPORT_ROWS, {"batch": "b", "row": {"$gt": 0, "$lt": 100}}),
    ):
        assert "IXSCAN" in str(await store.explain(collection, where)), collection
