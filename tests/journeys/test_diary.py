"""A family's diary through the real gateway: words, firsts, photos; what is theirs and what is nobody else's."""

import io
import uuid
from typing import Any

import httpx
import pytest
from PIL import Image

from deploy.local.client import Caller
from shared.testing import photos as invented
from shared.testing.photos import CANARY, FORMATS
from tests.conftest import Town

pytestmark = [pytest.mark.integration, pytest.mark.journey, pytest.mark.slow]


async def upload(who: Caller, path: str, data: bytes, kind: str, **headers: str) -> httpx.Response:
    sent = {
        "Authorization": f"Bearer {who.token}",
        "Content-Type": kind,
        "Idempotency-Key": uuid.uuid4().hex,
        **headers,
    }
    return await who.http.request("POST", path, content=data, headers=sent)


async def test_the_first_step_and_its_photos(town: Town) -> None:
    mother, day = town.people["mother"], "2026-11-20"
    path = f"/v1/children/{town.child}/diary"
    entry = await mother.post(path, {"on": day, "text": "はじめて寝返りをした", "first": "roll_over"})
    entry_path = f"{path}/{entry['id']}"
    for kind in FORMATS:
        added = await upload(mother, f"{entry_path}/photos", invented.photo(kind, orientation=8), f"image/{kind}")
        assert added.status_code == 201, added.text
    page = await mother.get(f"{path}?firsts=true")
    assert [(one["on"], one["first"], len(one["photos"])) for one in page["items"]] == [(day, "roll_over", 4)]
    for photo in page["items"][0]["photos"]:
        for query in ("", "?small=true"):
            answer = await mother.call("GET", f"{entry_path}/photos/{photo['id']}{query}")
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            for word in (CANARY.encode(), b"Exif", b"GPS", b"xmpmeta"):
                assert word not in answer.content
            with Image.open(io.BytesIO(answer.content)) as image:
                assert image.height > image.width

    for who in ("other_mother", "clinic", "other_clinic", "nurse", "other_nurse", "operator"):
        caller = town.people[who]
        expected = {404} if who == "other_mother" else {403}
        for method, place, body in _calls(path, entry["id"], page["items"][0]["photos"][0]["id"]):
            answer = await caller.call(method, place, body, headers={"If-Match": '"1"'}, fresh=False)
            assert answer.status_code in expected, (who, method, place)
        refused = await upload(caller, f"{entry_path}/photos", invented.photo("jpeg"), "image/jpeg")
        assert refused.status_code in expected

    version = (await mother.call("GET", entry_path)).headers["ETag"]
    assert (await mother.call("DELETE", entry_path)).status_code == 428
    assert (await mother.call("DELETE", entry_path, headers={"If-Match": version})).status_code == 200
    assert (await mother.get(path))["items"] == []


def _calls(path: str, entry: str, photo: str) -> list[tuple[str, str, Any]]:
    body = {"on": "2026-11-20", "text": "CANARY"}
    return [
        ("GET", path, None),
        ("POST", path, body),
        ("GET", f"{path}/{entry}", None),
        ("PUT", f"{path}/{entry}", body),
        ("DELETE", f"{path}/{entry}", None),
        ("GET", f"{path}/{entry}/photos/{photo}", None),
        ("DELETE", f"{path}/{entry}/photos/{photo}", None),
    ]


async def test_what_is_no_photo_ends_at_the_door_or_at_the_darkroom(town: Town) -> None:
    mother = town.people["mother"]
    entry = await mother.post(f"/v1/children/{town.child}/diary", {"on": "2026-11-20"})
    path = f"/v1/children/{town.child}/diary/{entry['id']}/photos"
    for data, kind, status in (
        (invented.png_bomb(), "image/png", 422),
        (invented.png_text_bomb(), "image/png", 422),
        (b"\xff\xd8" + b"\x00" * 15_000_000, "image/jpeg", 413),
        (invented.photo("jpeg"), "application/json", 415),
        (invented.photo("jpeg"), "multipart/form-data", 415),
    ):
        answer = await upload(mother, path, data, kind)
        assert answer.status_code == status, (kind, answer.text)
    packed = await upload(mother, path, invented.photo("jpeg"), "image/jpeg", **{"Content-Encoding": "gzip"})
    assert packed.status_code == 415
    large = await mother.call("POST", f"/v1/children/{town.child}/diary", {"on": "2026-11-20", "text": "x" * 300_000})
    assert large.status_code == 413
    found = await mother.get(f"/v1/children/{town.child}/diary")
    assert [one["photos"] for one in found["items"]] == [[]]
