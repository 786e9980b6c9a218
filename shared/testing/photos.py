"""Invented photos that carry what must not be kept: a position (GPS), comments, previews, and things hidden behind them."""

import io
import struct
import zlib
from typing import Any, Literal

import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

pillow_heif.register_heif_opener()

Format = Literal["jpeg", "png", "webp", "heic"]
FORMATS: tuple[Format, ...] = ("jpeg", "png", "webp", "heic")
CANARY = "CANARY-35.6586N-139.7454E"
"""Stands in every block of metadata that these photos have."""
_GPS = {
    1: "N",
    2: (IFDRational(35), IFDRational(39), IFDRational(31)),
    3: "E",
    4: (IFDRational(139), IFDRational(44), IFDRational(43)),
}


def pixels(width: int = 640, height: int = 480) -> Image.Image:
    """A picture whose corners differ, so that turning it is seen: red, green, blue, white from the top left, clockwise."""
    image = Image.new("RGB", (width, height), "grey")
    for colour, place in (
        ("red", (0, 0)),
        ("green", (width - width // 4, 0)),
        ("blue", (width - width // 4, height - height // 4)),
        ("white", (0, height - height // 4)),
    ):
        image.paste(colour, (*place, place[0] + width // 4, place[1] + height // 4))
    return image


def exif(orientation: int = 1) -> bytes:
    """An EXIF block with a position, a maker's note and an orientation."""
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010E] = CANARY
    found[0x9286] = CANARY
    gps = found.get_ifd(0x8825)
    gps.update(_GPS)
    gps[0x001B] = CANARY.encode()
    return found.tobytes()


def photo(kind: Format, *, orientation: int = 1, width: int = 640, height: int = 480) -> bytes:
    """A photo as a telephone makes it, with everything in it that a telephone puts there."""
    image = pixels(width, height)
    out = io.BytesIO()
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>{CANARY}</exif:GPSLatitude></x:xmpmeta>'.encode()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"exif": exif(orientation), "icc_profile": profile}
    if kind == "jpeg":
        image.save(out, "JPEG", quality=92, comment=CANARY.encode(), xmp=xmp, **options)
    elif kind == "png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", CANARY)
        text.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
        image.save(out, "PNG", pnginfo=text, **options)
    elif kind == "webp":
        image.save(out, "WEBP", quality=92, xmp=xmp, **options)
    else:
        image.save(out, "HEIF", quality=80, xmp=xmp, **options)
    return out.getvalue()


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few hundred kilobytes that would be gigabytes of pixels."""
    row = zlib.compress(b"\x00" * (1 + width * 3) * 64, 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", row)
        + _chunk(b"IEND", b"")
    )


def png_text_bomb() -> bytes:
    """A small picture with 64 MB of text, packed to 64 kB."""
    plain = io.BytesIO()
    pixels(64, 64).save(plain, "PNG")
    data = plain.getvalue()
    packed = b"Comment\x00\x00" + zlib.compress(b"x" * 64_000_000, 9)
    return data[:33] + _chunk(b"zTXt", packed) + data[33:]


def jpeg_of_many_scans() -> bytes:
    """A progressive JPEG whose last scan is repeated a thousand times."""
    out = io.BytesIO()
    pixels().save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 1_000 + data[-2:]


def polyglot() -> bytes:
    """A JPEG that is a web page and an archive too."""
    page = f"<script>alert('{CANARY}')</script>".encode()
    return photo("jpeg") + page + b"PK\x03\x04" + CANARY.encode()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
