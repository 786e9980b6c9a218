"""Photos drawn anew: nothing but the picture is kept, and what is no photo is refused before it costs anything (S7, S8)."""

import contextlib
import io
import random
import tracemalloc

import pytest
from PIL import Image, ImageCms

from services.records.domain import photos
from shared.problems import Invalid, TooLarge
from shared.testing import photos as invented
from shared.testing.photos import CANARY, FORMATS, Format


def segments(jpeg: bytes) -> list[int]:
    """The markers of a JPEG before its pixels; raises unless the file ends where the picture ends."""
    assert jpeg.startswith(b"\xff\xd8")
    assert jpeg.endswith(b"\xff\xd9")
    found, place = [], 2
    while jpeg[place + 1] != 0xDA:
        assert jpeg[place] == 0xFF
        found.append(jpeg[place + 1])
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4])
    assert jpeg.count(b"\xff\xd9") == 1, "something lies behind the picture"
    return found


def bare(data: bytes) -> None:
    """Nothing but pixels: no application segment but JFIF's, no comment, no profile, none of the canaries."""
    assert {marker for marker in segments(data) if 0xE0 <= marker <= 0xEF or marker == 0xFE} <= {0xE0}
    with Image.open(io.BytesIO(data)) as image:
        assert dict(image.getexif()) == {}
        assert not {"exif", "xmp", "icc_profile", "comment", "photoshop"} & set(image.info)
    for written in (CANARY.encode(), CANARY.encode("utf-16-le"), b"GPS", b"<x:xmpmeta", b"Exif", b"<script"):
        assert written not in data


def test_the_invented_photos_do_carry_a_position() -> None:
    for kind in FORMATS:
        with Image.open(io.BytesIO(invented.photo(kind))) as image:
            assert image.getexif().get_ifd(0x8825)[1] == "N", kind
            assert image.info.get("icc_profile"), kind


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_but_the_picture_is_kept(kind: Format) -> None:
    picture = photos.develop(invented.photo(kind))
    bare(picture.full)
    bare(picture.small)
    assert (picture.width, picture.height) == (640, 480)
    with Image.open(io.BytesIO(picture.small)) as small:
        assert max(small.size) == photos.LONGEST_SIDE_SMALL


@pytest.mark.parametrize("kind", FORMATS)
def test_the_picture_stands_as_the_photographer_saw_it(kind: Format) -> None:
    # Orientation 6: the camera was turned, the picture has to be turned a quarter clockwise to stand.
    picture = photos.develop(invented.photo(kind, orientation=6))
    with Image.open(io.BytesIO(picture.full)) as image:
        assert image.size == (480, 640)
        corners = {"red": (470, 10), "green": (470, 630), "blue": (10, 630), "white": (10, 10)}
        for colour, place in corners.items():
            expected = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
            found = image.getpixel(place)
            assert isinstance(expected, tuple)
            assert isinstance(found, tuple)
            assert all(abs(a - b) < 40 for a, b in zip(expected, found, strict=True)), (kind, colour, found)


def _red_and_green_exchanged() -> bytes:
    """A colour profile in which the first number means green: sRGB's, with two of its primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * profile[131], 12)}
    red, green = places[b"rXYZ"] + 4, places[b"gXYZ"] + 4
    profile[red : red + 8], profile[green : green + 8] = profile[green : green + 8], profile[red : red + 8]
    return bytes(profile)


@pytest.mark.parametrize(
    ("profile", "colour"), [(_red_and_green_exchanged(), (30, 200, 30)), (b"no profile", (200, 30, 30))]
)
def test_colours_stay_when_the_profile_goes(profile: bytes, colour: tuple[int, int, int]) -> None:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(out, "JPEG", quality=95, icc_profile=profile)
    with Image.open(io.BytesIO(photos.develop(out.getvalue()).full)) as image:
        found = image.getpixel((16, 16))
        assert isinstance(found, tuple)
        assert all(abs(a - b) < 12 for a, b in zip(found, colour, strict=True)), found


def test_a_large_photo_is_made_smaller() -> None:
    picture = photos.develop(invented.photo("jpeg", width=6_000, height=4_000))
    assert (picture.width, picture.height) == (2_560, 1_707)


def test_a_transparent_picture_lies_on_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(out, "PNG")
    with Image.open(io.BytesIO(photos.develop(out.getvalue()).full)) as image:
        assert image.getpixel((20, 20)) == (255, 255, 255)


def test_a_polyglot_loses_what_it_hid() -> None:
    bare(photos.develop(invented.polyglot()).full)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("pixels", invented.png_bomb(), "photo-too-many-pixels"),
        ("just too many", invented.png_bomb(8_001, 8_000), "photo-too-many-pixels"),
        ("text", invented.png_text_bomb(), "photo-unreadable"),
        ("scans", invented.jpeg_of_many_scans(), "photo-unreadable"),
        ("cut off", invented.photo("jpeg")[:4_000], "photo-unreadable"),
        ("cut off", invented.photo("heic")[:2_000], "photo-unreadable"),
        ("empty", b"", "photo-unreadable"),
        ("vector", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "photo-unreadable"),
        ("moving", b"GIF89a" + b"\x00" * 100, "photo-unreadable"),
        ("document", b"%PDF-1.7\n%%EOF", "photo-unreadable"),
        ("wrong name", b"\xff\xd8\xff\xe0" + b"\x00" * 400, "photo-unreadable"),
    ],
)
def test_what_is_no_photo_is_refused_before_it_costs_memory(name: str, data: bytes, code: str) -> None:
    tracemalloc.start()
    with pytest.raises(Invalid) as refused:
        photos.develop(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.errors[0].code == code
    assert peak < 20_000_000


def test_a_file_over_the_limit_is_not_looked_at() -> None:
    with pytest.raises(TooLarge):
        photos.develop(b"\xff\xd8" + b"\x00" * photos.MAX_BYTES)


def test_no_broken_photo_ends_in_anything_but_a_refusal() -> None:
    order = random.Random(20261123)
    for kind in FORMATS:
        whole = invented.photo(kind, width=64, height=48)
        for _ in range(60):
            broken = bytearray(whole)
            for _ in range(order.randint(1, 12)):
                broken[order.randrange(len(broken))] = order.randrange(256)
            with contextlib.suppress(Invalid):
                bare(photos.develop(bytes(broken)).full)
