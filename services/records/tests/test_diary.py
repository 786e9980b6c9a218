"""The diary: whose words it holds, who sees which entry, and that what is deleted is gone."""

import dataclasses
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.records import store as kept
from services.records.commands import diary as commands
from services.records.commands.diary import add_photo, read_photo
from services.records.domain.access import Caller
from services.records.domain.photos import MAX_BYTES
from services.records.tests.conftest import Door
from services.records.tests.families import (
    CLINIC,
    FATHER,
    MOTHER,
    NURSE,
    OPERATOR,
    OTHER_NURSE,
    REGISTER,
    STRANGER,
    TODAY,
)
from shared.documents import Command, Document
from shared.files import files_of
from shared.ids import new_id
from shared.testing import photos as invented
from shared.testing.photos import CANARY, FORMATS, Format
from shared.testing.s3_server import S3Server
from shared.tests.test_files import s3, s3_settings  # noqa: F401 - a fixture

ENTRY: dict[str, Any] = {"on": "2026-11-20", "text": "はじめて笑った。\n家族みんなで👨‍👩‍👧", "first": "smile"}


class Diary:
    """The diary of one child with two parents."""

    def __init__(self, door: Door, child: str) -> None:
        self.door = door
        self.child = child
        self.path = f"/v1/children/{child}/diary"

    async def writes(self, who: Caller = MOTHER, **changes: Any) -> str:
        return str((await self.door.does(who, "POST", self.path, {**ENTRY, **changes}))["id"])

    async def reads(self, who: Caller = MOTHER, query: str = "") -> list[dict[str, Any]]:
        return list((await self.door.does(who, "GET", f"{self.path}{query}"))["items"])

    async def entry(self, entry: str, who: Caller = MOTHER) -> dict[str, Any]:
        return await self.door.does(who, "GET", f"{self.path}/{entry}")

    async def version(self, entry: str) -> str:
        found = await self.door.runtime.store.get(kept.collections.DIARY, entry)
        assert found is not None
        return f'"{found["version"]}"'

    async def adds(
        self, entry: str, data: bytes, who: Caller = MOTHER, kind: str = "image/jpeg", **headers: str
    ) -> httpx.Response:
        return await self.door.call(who, "POST", f"{self.path}/{entry}/photos", data, content_type=kind, **headers)

    async def files(self) -> list[str]:
        """The files that are kept, and those that somebody has to look after."""
        store = self.door.runtime.store
        kept_files = await store.find("photo_files.files", {})
        rows = await store.find(kept.collections.PHOTOS, {})
        chunks = {one["files_id"] for one in await store.find("photo_files.chunks", {}, fields=["files_id"])}
        assert chunks == {one["_id"] for one in kept_files}
        assert {one["_id"] for one in kept_files} == {
            f"{row['_id']}.{size}" for row in rows for size in ("full", "small")
        }
        return sorted(chunks)


@pytest.fixture
async def diary(door: Door) -> Diary:
    """A child bound to mother-1 and father-1."""
    child = await door.family()
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes")
    await door.does(FATHER, "POST", "/v1/guardian-links", {"code": codes["codes"][0]["code"]})
    return Diary(door, child)


# Entries ----------------------------------------------------------------------------------------------------------


async def test_an_entry_is_read_as_it_was_written(diary: Diary) -> None:
    entry = await diary.writes()
    found = await diary.entry(entry)
    assert {name: found[name] for name in ENTRY} == ENTRY
    assert found["yours"] is True
    assert (await diary.entry(entry, FATHER))["yours"] is False
    assert "mother-1" not in str(await diary.entry(entry, FATHER))


async def test_writing_twice_is_writing_once(diary: Diary) -> None:
    keys = {"Idempotency_Key": "k1"}
    first = await diary.door.call(MOTHER, "POST", diary.path, ENTRY, **keys)
    again = await diary.door.call(MOTHER, "POST", diary.path, ENTRY, **keys)
    assert first.json() == again.json()
    assert len(await diary.reads()) == 1
    other = await diary.door.call(MOTHER, "POST", diary.path, {**ENTRY, "first": "walk"}, **keys)
    assert other.status_code == 422


async def test_an_entry_is_changed_by_the_version_that_was_read(diary: Diary) -> None:
    entry = await diary.writes()
    path, version = f"{diary.path}/{entry}", await diary.version(entry)
    assert (await diary.door.call(MOTHER, "PUT", path, ENTRY)).status_code == 428
    changed = {"on": "2026-11-19", "text": "一日前でした", "shared_with": "author"}
    await diary.door.does(MOTHER, "PUT", path, changed, If_Match=version)
    found = await diary.entry(entry)
    assert {name: found.get(name) for name in changed} == changed
    assert "first" not in found
    assert (await diary.door.call(MOTHER, "PUT", path, ENTRY, If_Match=version)).status_code == 412
    assert (await diary.door.call(MOTHER, "DELETE", path, If_Match=version)).status_code == 412
    assert (await diary.entry(entry))["text"] == "一日前でした"


async def test_a_deleted_entry_leaves_no_word_and_does_not_come_back(diary: Diary) -> None:
    entry = await diary.writes()
    created = await diary.door.call(MOTHER, "POST", diary.path, {**ENTRY, "text": "二つ目"}, Idempotency_Key="k2")
    second = created.json()["id"]
    await diary.door.does(MOTHER, "DELETE", f"{diary.path}/{second}", If_Match=await diary.version(second))
    assert [one["id"] for one in await diary.reads()] == [entry]
    assert (await diary.door.call(MOTHER, "GET", f"{diary.path}/{second}")).status_code == 404
    left = await diary.door.runtime.store.get(kept.collections.DIARY, second)
    assert "二つ目" not in str(left)
    assert "mother-1" not in str(left)
    await diary.door.call(MOTHER, "POST", diary.path, {**ENTRY, "text": "二つ目"}, Idempotency_Key="k2")
    assert [one["id"] for one in await diary.reads()] == [entry]
    for method in ("PUT", "DELETE"):
        answer = await diary.door.call(MOTHER, method, f"{diary.path}/{second}", ENTRY, If_Match='"2"')
        assert answer.status_code == 404


async def test_each_entry_is_seen_by_those_it_is_shared_with(diary: Diary) -> None:
    own = await diary.writes(shared_with="author")
    both = await diary.writes(shared_with="guardians")
    assert {one["id"] for one in await diary.reads(MOTHER)} == {own, both}
    assert {one["id"] for one in await diary.reads(FATHER)} == {both}
    assert (await diary.door.call(FATHER, "GET", f"{diary.path}/{own}")).status_code == 404


async def test_only_its_author_changes_an_entry(diary: Diary) -> None:
    entry = await diary.writes()
    hidden = await diary.writes(shared_with="author")
    photo = (await diary.adds(entry, invented.photo("jpeg"))).json()["id"]
    version = await diary.version(entry)
    for method, path in (("PUT", ""), ("DELETE", ""), ("DELETE", f"/photos/{photo}")):
        answer = await diary.door.call(FATHER, method, f"{diary.path}/{entry}{path}", ENTRY, If_Match=version)
        assert answer.status_code == 403, (method, path)
        answer = await diary.door.call(FATHER, method, f"{diary.path}/{hidden}{path}", ENTRY, If_Match='"1"')
        assert answer.status_code == 404, (method, path)
    assert (await diary.adds(entry, invented.photo("png"), FATHER)).status_code == 403
    assert await diary.version(entry) == version


async def test_what_a_former_guardian_wrote_is_the_familys_to_take_out(diary: Diary) -> None:
    entry = await diary.writes(FATHER, shared_with="author")

    def leaves(doc: Document) -> dict[str, Any]:
        doc.state["guardians"] = [one for one in doc.state["guardians"] if one["guardian"] != "father-1"]
        return {}

    await diary.door.runtime.documents(kept.collections.CHILDREN).change(diary.child, leaves)
    assert (await diary.door.call(FATHER, "GET", diary.path)).status_code == 404
    await diary.door.does(MOTHER, "DELETE", f"{diary.path}/{entry}", If_Match=await diary.version(entry))
    assert await diary.reads() == []


async def test_nobody_outside_the_family_reads_or_writes_it(diary: Diary) -> None:
    entry = await diary.writes()
    photo = (await diary.adds(entry, invented.photo("jpeg"))).json()["id"]
    calls = [
        ("GET", diary.path),
        ("POST", diary.path),
        ("GET", f"{diary.path}/{entry}"),
        ("PUT", f"{diary.path}/{entry}"),
        ("DELETE", f"{diary.path}/{entry}"),
        ("GET", f"{diary.path}/{entry}/photos/{photo}"),
        ("DELETE", f"{diary.path}/{entry}/photos/{photo}"),
    ]
    for who, status in (
        (STRANGER, 404),
        (CLINIC, 403),
        (NURSE, 403),
        (OTHER_NURSE, 403),
        (REGISTER, 403),
        (OPERATOR, 403),
    ):
        for method, path in calls:
            answer = await diary.door.call(
                who, method, path, ENTRY if method in {"POST", "PUT"} else None, If_Match='"1"'
            )
            assert answer.status_code == status, (who.subject, method, path)
            assert "笑" not in answer.text
        assert (await diary.adds(entry, invented.photo("jpeg"), who)).status_code == status
    assert len((await diary.entry(entry))["photos"]) == 1


async def test_an_entry_is_found_under_its_own_child_only(diary: Diary) -> None:
    entry = await diary.writes()
    photo = (await diary.adds(entry, invented.photo("jpeg"))).json()["id"]
    other = await diary.door.born(MOTHER)
    for path in (f"/{entry}", f"/{entry}/photos/{photo}"):
        assert (await diary.door.call(MOTHER, "GET", f"/v1/children/{other}/diary{path}")).status_code == 404
    deleted = await diary.door.call(MOTHER, "DELETE", f"/v1/children/{other}/diary/{entry}", If_Match='"2"')
    assert deleted.status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"on": "2026-11-24"}, "/on", "in-the-future"),
        ({"on": "2025-06-01"}, "/on", "too-long-ago"),
        ({"on": "2026-02-30"}, "/on", "date-parsing"),
        ({"on": 1}, "/on", "date-parsing"),
        ({"text": ""}, "/text", "string-too-short"),
        ({"text": "あ" * 4_001}, "/text", "string-too-long"),
        ({"text": "a\u202eb"}, "/text", "text-characters"),
        ({"text": "a\x00b"}, "/text", "text-characters"),
        ({"text": {"$gt": ""}}, "/text", "string-type"),
        ({"first": "flew"}, "/first", "literal-error"),
        ({"first": "other", "text": None}, "/text", "missing"),
        ({"shared_with": "world"}, "/shared_with", "literal-error"),
        ({"author": "father-1"}, "/author", "extra-forbidden"),
        ({"photos": []}, "/photos", "extra-forbidden"),
    ],
)
async def test_each_wrong_field_is_named_and_nothing_is_written(
    diary: Diary, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await diary.door.call(MOTHER, "POST", diary.path, {**ENTRY, **changes})
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["pointer"], answer.json()["errors"][0]["code"]) == (pointer, code)
    assert await diary.reads() == []


# The list ---------------------------------------------------------------------------------------------------------


async def test_the_whole_diary_is_read_page_by_page_newest_first(diary: Diary) -> None:
    days = [TODAY - timedelta(days=number * 7) for number in range(23)] + [date(2025, 9, 1)] * 4
    written = [await diary.writes(FATHER, on=day.isoformat(), text=f"{day}") for day in days]
    hidden = [await diary.writes(MOTHER, on=day.isoformat(), shared_with="author") for day in days[:5]]
    found: list[dict[str, Any]] = []
    path: str | None = f"{diary.path}?limit=5"
    while path:
        page = await diary.door.call(FATHER, "GET", path)
        found += page.json()["items"]
        assert len(page.json()["items"]) <= 5
        path = page.links["next"]["url"] if "next" in page.links else None
        assert bool(page.json()["next"]) == bool(path)
    assert sorted(one["id"] for one in found) == sorted(written)
    assert [one["on"] for one in found] == sorted((day.isoformat() for day in days), reverse=True)
    assert not {one["id"] for one in found} & set(hidden)


async def test_the_firsts_are_a_list_of_their_own(diary: Diary) -> None:
    await diary.writes(first=None)
    walk = await diary.writes(first="walk", on="2026-11-22")
    assert [one["id"] for one in await diary.reads(query="?firsts=true")] == [walk]


async def test_a_cursor_of_another_list_or_of_nobody_is_refused(diary: Diary) -> None:
    for _ in range(3):
        await diary.writes()
    cursor = (await diary.door.does(MOTHER, "GET", f"{diary.path}?limit=1"))["next"]
    other = await diary.door.born(MOTHER)
    history = (await diary.door.does(MOTHER, "GET", f"/v1/children/{diary.child}/history?limit=1"))["next"]
    for path in (
        f"/v1/children/{other}/diary?cursor={cursor}",
        f"{diary.path}?cursor={cursor}&firsts=true",
        f"{diary.path}?cursor={history}",
        f"{diary.path}?cursor={cursor[:-1]}x",
        f"{diary.path}?cursor=..%2F..%2Fetc%2Fpasswd",
        f"/v1/children/{diary.child}/history?cursor={cursor}",
    ):
        answer = await diary.door.call(MOTHER, "GET", path)
        assert answer.status_code == 422, path


async def test_the_list_and_the_keepers_round_use_an_index(diary: Diary) -> None:
    store = diary.door.runtime.store
    for collection, where in (
        (kept.collections.DIARY, {"state.child": "c", "state.place": {"$gte": "2026-01-01", "$lt": "2026-02-01:x"}}),
        (kept.collections.PHOTOS, {"look_at": {"$gte": 0, "$lte": 1.0}}),
    ):
        assert "IXSCAN" in str(await store.explain(collection, where)), collection


# Photos -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
async def test_no_stored_and_no_served_byte_tells_where_a_photo_was_taken(diary: Diary, kind: Format) -> None:
    entry = await diary.writes()
    added = await diary.adds(entry, invented.photo(kind, orientation=6), kind=f"image/{kind}")
    assert added.status_code == 201, added.text
    photo = added.json()
    assert (photo["width"], photo["height"]) == (480, 640)
    served = []
    for query in ("", "?small=true"):
        answer = await diary.door.call(FATHER, "GET", f"{diary.path}/{entry}/photos/{photo['id']}{query}")
        assert answer.headers["content-type"] == "image/jpeg"
        served.append(answer.content)
    assert len(served[0]) == photo["bytes"]
    store = diary.door.runtime.store
    stored = [
        repr(row).encode() for collection in await store.collections() for row in await store.find(collection, {})
    ]
    stored += [row["data"] for row in await store.find("photo_files.chunks", {})]
    for data in (*served, *stored):
        for word in (CANARY.encode(), b"Exif", b"GPS", b"xmpmeta", b"ICC_PROFILE"):
            assert word not in data
    assert len(await diary.files()) == 2


async def test_no_byte_on_an_s3_server_tells_where_a_photo_was_taken(
    diary: Diary,
    s3: tuple[S3Server, int],  # noqa: F811
    tmp_path: Path,
) -> None:
    server, port = s3
    files = files_of(s3_settings(tmp_path, port), diary.door.runtime.store, "photo_files")
    records = dataclasses.replace(diary.door.app.state.records, files=files)
    for number, data in enumerate([*map(invented.photo, FORMATS), invented.polyglot()]):
        entry = await diary.writes()
        given, _ = await add_photo(records, MOTHER, diary.child, entry, data, Command(f"{number:032}", ""))
        for small in (False, True):
            served = await read_photo(records, FATHER, diary.child, entry, given["id"], small=small)
            assert served in server.objects.values()
    assert len(server.objects) == 2 * (len(FORMATS) + 1)
    for stored in server.objects.values():
        for word in (CANARY.encode(), b"Exif", b"GPS", b"xmpmeta", b"ICC_PROFILE", b"<script"):
            assert word not in stored
    await files.close()


async def test_a_photo_sent_twice_is_one_photo(diary: Diary) -> None:
    entry = await diary.writes()
    data = invented.photo("jpeg")
    first = await diary.adds(entry, data, Idempotency_Key="p1")
    again = await diary.adds(entry, data, Idempotency_Key="p1")
    assert first.json() == again.json()
    assert (await diary.adds(entry, invented.photo("png"), kind="image/png", Idempotency_Key="p1")).status_code == 422
    assert len((await diary.entry(entry))["photos"]) == 1
    assert len(await diary.files()) == 2


async def test_a_deleted_photo_is_gone_and_so_is_that_of_a_deleted_entry(diary: Diary) -> None:
    entry = await diary.writes()
    one = (await diary.adds(entry, invented.photo("jpeg"))).json()["id"]
    two = (await diary.adds(entry, invented.photo("png"), kind="image/png")).json()["id"]
    assert len(await diary.files()) == 4
    path = f"{diary.path}/{entry}/photos/{one}"
    assert (await diary.door.call(MOTHER, "DELETE", path)).status_code == 428
    await diary.door.does(MOTHER, "DELETE", path, If_Match=await diary.version(entry))
    assert (await diary.door.call(MOTHER, "GET", path)).status_code == 404
    assert [photo["id"] for photo in (await diary.entry(entry))["photos"]] == [two]
    assert len(await diary.files()) == 2
    await diary.door.does(MOTHER, "DELETE", f"{diary.path}/{entry}", If_Match=await diary.version(entry))
    assert await diary.files() == []


async def test_an_entry_has_room_for_ten_photos(diary: Diary) -> None:
    entry = await diary.writes()
    for _ in range(10):
        assert (await diary.adds(entry, invented.photo("jpeg", width=32, height=32))).status_code == 201
    refused = await diary.adds(entry, invented.photo("jpeg", width=32, height=32))
    assert refused.json()["errors"][0]["code"] == "too-many"
    assert len(await diary.files()) == 20


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (invented.png_bomb(), "image/png", 422),
        (invented.png_text_bomb(), "image/png", 422),
        (b"<html><script>alert(1)</script>", "image/jpeg", 422),
        (invented.photo("jpeg"), "image/gif", 415),
        (invented.photo("jpeg"), "text/html", 415),
        (invented.photo("jpeg"), "image/svg+xml", 415),
        (b"\xff\xd8" + b"\x00" * MAX_BYTES, "image/jpeg", 413),
    ],
)
async def test_what_is_no_photo_is_refused_and_nothing_is_kept(
    diary: Diary, data: bytes, kind: str, status: int
) -> None:
    entry = await diary.writes()
    version = await diary.version(entry)
    assert (await diary.adds(entry, data, kind=kind)).status_code == status
    assert await diary.files() == []
    assert await diary.version(entry) == version


async def test_other_bodies_stay_as_bounded_as_they_were(diary: Diary) -> None:
    answer = await diary.door.call(MOTHER, "POST", diary.path, {**ENTRY, "text": "x" * 300_000})
    assert answer.status_code == 413


async def test_names_that_look_like_paths_open_nothing(diary: Diary) -> None:
    entry = await diary.writes()
    photo = (await diary.adds(entry, invented.photo("jpeg"))).json()["id"]
    stored = await diary.files()
    for name in ("..%2F..%2Fetc%2Fpasswd", "....//", stored[0], f"{photo}.full", "%00", "$where"):
        answer = await diary.door.call(MOTHER, "GET", f"{diary.path}/{entry}/photos/{name}")
        assert answer.status_code == 404, name


async def test_what_a_crash_left_behind_is_deleted_and_nothing_else(diary: Diary) -> None:
    app = diary.door.app.state
    records = app.records
    entry = await diary.writes()
    photo = (await diary.adds(entry, invented.photo("jpeg"))).json()["id"]
    named = set(await diary.files())
    # A photo whose entry never came to name it, and one that was doubted though its entry names it.
    lost = new_id()
    await kept.diary.expect_photo(records.store, lost, entry, 1.0)
    for size in ("full", "small"):
        await records.files.put(f"{lost}.{size}", b"x")
    file = next(iter(named)).partition(".")[0]
    await kept.diary.doubt_photos(records.store, [file], 1.0)
    await commands.keep_photos(records)
    assert set(await diary.files()) == named
    assert (await diary.door.call(MOTHER, "GET", f"{diary.path}/{entry}/photos/{photo}")).status_code == 200
    assert await kept.diary.doubtful_photos(records.store, 1e12) == []
