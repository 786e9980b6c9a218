"""Photos: whatever comes in is looked at, bounded, decoded and drawn anew, so that only the picture itself is kept.

A new JPEG is drawn from the pixels, upright, in sRGB. What is not pixels does not survive: EXIF with its position (GPS),
XMP, IPTC, comments, embedded previews, depth maps, further frames, colour profiles, and anything that was hidden in or
behind the file (polyglots). The colour profile is applied before it is dropped, so that colours stay what they were.
"""

import contextlib
import io
import warnings
from dataclasses import dataclass

import pillow_heif
from PIL import Image, ImageCms, ImageOps

from shared.problems import Invalid, TooLarge, invalid

pillow_heif.register_heif_opener()

MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif")
MAX_BYTES = 15_000_000
MAX_PIXELS = 64_000_000
"""A little more than the largest photos that telephones take by themselves (48 to 50 million)."""
MAX_SCANS = 64
"""A progressive JPEG has about ten scans; each costs a pass over the whole picture, thousands are an attack."""
LONGEST_SIDE = 2_560
LONGEST_SIDE_SMALL = 360
_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
_SRGB = ImageCms.createProfile("sRGB")


@dataclass(frozen=True, slots=True)
class Picture:
    """What is kept of a photo: two JPEGs, and the size of the larger one in pixels."""

    full: bytes
    small: bytes
    width: int
    height: int


def develop(data: bytes) -> Picture:
    """Draw the photo anew, once large and once small. Raises TooLarge, Invalid; takes up to seconds: use a thread."""
    if len(data) > MAX_BYTES:
        raise TooLarge
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = _upright(_opened(data))
        except (Invalid, TooLarge):
            raise
        except Exception as error:
            # Decoders of broken files fail in every way there is; none of them says anything about us.
            raise _unreadable() from error
        full = _fitted(image, LONGEST_SIDE)
        return Picture(_jpeg(full, 86), _jpeg(_fitted(full, LONGEST_SIDE_SMALL), 80), *full.size)


def _opened(data: bytes) -> Image.Image:
    """The image, decoded; its size is known from the header before a single pixel is."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels()
    if image.format in {"JPEG", "MPO"}:
        if data.count(b"\xff\xda") > MAX_SCANS:
            raise _unreadable()
        # The decoder halves while it reads: a photo of 48 million pixels never lies in memory whole.
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    image.load()
    return image


def _upright(image: Image.Image) -> Image.Image:
    """The pixels as the photographer saw them, in sRGB, without transparency and without anything else."""
    profile = image.info.get("icc_profile")
    with contextlib.suppress(Exception):  # a broken EXIF block says nothing about the pixels
        image = ImageOps.exif_transpose(image)
    if profile and image.mode in {"RGB", "CMYK", "L"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile: the pixels are taken as they are
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        return ground
    clean = Image.new("RGB", image.size)
    clean.paste(image.convert("RGB"))
    return clean


def _fitted(image: Image.Image, longest: int) -> Image.Image:
    found = image.copy()
    found.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return found


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    return out.getvalue()


def _too_many_pixels() -> Invalid:
    return invalid(
        "",
        "photo-too-many-pixels",
        f"写真は{MAX_PIXELS // 1_000_000}メガピクセルまでです。",
        f"A photo has at most {MAX_PIXELS // 1_000_000} million pixels.",
    )


def _unreadable() -> Invalid:
    return invalid(
        "",
        "photo-unreadable",
        "写真を読み取れませんでした (JPEG、PNG、WebP、HEICに対応しています)。",
        "This is no photo that can be read (JPEG, PNG, WebP, HEIC).",
    )
