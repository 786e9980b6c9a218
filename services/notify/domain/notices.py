"""What a notice may say, and what becomes of it: published, corrected, recalled."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from services.notify.domain import furigana
from shared.clock import tokyo_day
from shared.problems import FieldProblem

LANGUAGES = ("ja", "ja-Hrkt", "en", "zh", "vi", "pt", "ne")
"""Japanese, やさしい日本語, English, 中文, Tiếng Việt, Português, नेपाली."""
TITLE_LENGTH = 100
BODY_LENGTH = 4_000
_MARKUP = re.compile(r"<[a-zA-Z!/?]")
_UNSEEN = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}|\$\{.*?\}|\{%.*?%\}")
PLACEHOLDERS = frozenset({"town", "published_on", "expires_on"})
"""What is filled in when a notice is published: the town's name and two days."""
MAX_LINKS, LINK_LENGTH = 10, 1_000
MAX_ATTACHMENTS = 5
LONGEST_TOWN_NAME = 40
"""What a text with placeholders is allowed for each when its length is checked."""


def text_problems(name: str, texts: Mapping[str, str], limit: int) -> list[FieldProblem]:
    """Every broken rule of a text in several languages: Japanese is needed, no markup, no unseen signs, bounded."""
    found: list[FieldProblem] = []
    if "ja" not in texts:
        found.append(FieldProblem(f"/{name}/ja", "required", "日本語の文が必要です。", "Japanese is required."))
    for language, text in texts.items():
        place = f"/{name}/{language}"
        if language not in LANGUAGES:
            found.append(
                FieldProblem(place, "language-unknown", "この言語には対応していません。", "This language is not known.")
            )
        elif not text.strip():
            found.append(FieldProblem(place, "empty", "空の文は送れません。", "The text is empty."))
        elif _full_length(text) > limit:
            found.append(FieldProblem(place, "too-long", f"{limit}文字までです。", f"At most {limit} characters."))
        elif _MARKUP.search(text):
            found.append(FieldProblem(place, "markup", "HTML やスクリプトは使えません。", "Markup is not accepted."))
        elif _UNSEEN.search(text):
            found.append(
                FieldProblem(place, "unseen-sign", "見えない制御文字が含まれています。", "It holds unseen signs.")
            )
        elif any(one[1] not in PLACEHOLDERS for one in _PLACEHOLDER.finditer(text)):
            found.append(FieldProblem(place, "placeholder-unknown", "未知の差し込み項目です。", "Unknown placeholder."))
        elif furigana.broken(text):
            found.append(
                FieldProblem(
                    place, "furigana-broken", "ふりがなは 漢字《かな》 と書きます。", "A reading is 漢字《かな》."
                )
            )
    return found


def unseen_or_markup(text: str) -> bool:
    """Whether a short free text holds what no text here may."""
    return bool(_MARKUP.search(text) or _UNSEEN.search(text))


def _full_length(text: str) -> int:
    """How long a text can become where it is shown: without readings, with what is filled in."""
    return len(_PLACEHOLDER.sub("x" * LONGEST_TOWN_NAME, furigana.plain(text)))


def fill_in(texts: Mapping[str, str], town: str, published: date, expires: date | None) -> dict[str, str]:
    """The texts with their placeholders filled in; days as each language writes them."""

    def words(language: str, name: str) -> str:
        if name == "town":
            return town[:LONGEST_TOWN_NAME]
        day = published if name == "published_on" else expires
        if day is None:
            return ""
        return f"{day.year}年{day.month}月{day.day}日" if language in {"ja", "ja-Hrkt", "zh"} else day.isoformat()

    return {
        language: _PLACEHOLDER.sub(lambda found: words(language, found[1]), text)  # noqa: B023 - used at once
        for language, text in texts.items()
    }


def asks_for_expiry(texts: Mapping[str, str]) -> bool:
    """Whether a text says until when, so that there must be a time."""
    return any(one[1] == "expires_on" for text in texts.values() for one in _PLACEHOLDER.finditer(text))


def link_problems(links: Sequence[Mapping[str, Any]]) -> list[FieldProblem]:
    """Every broken rule of the links: https only, no credentials in it, each with a title as texts are."""
    found: list[FieldProblem] = []
    if len(links) > MAX_LINKS:
        return [FieldProblem("/links", "too-many", f"リンクは{MAX_LINKS}件までです。", f"At most {MAX_LINKS} links.")]
    for number, link in enumerate(links):
        if not _is_web_address(link["url"]):
            words = ("https の URL だけ使えます。", "Only an https URL is accepted.")
            found.append(FieldProblem(f"/links/{number}/url", "url-not-https", *words))
        found += text_problems(f"links/{number}/title", link["title"], TITLE_LENGTH)
    return found


def _is_web_address(url: str) -> bool:
    if len(url) > LINK_LENGTH or not url.isprintable() or re.search(r"[\s<>\"'\\]", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and "." in parts.netloc and "@" not in parts.netloc


def time_problems(publish_at: datetime | None, expires_at: datetime | None, now: datetime) -> list[FieldProblem]:
    """A notice is not published in the past and does not expire before it is published."""
    found: list[FieldProblem] = []
    for name, value in (("publish_at", publish_at), ("expires_at", expires_at)):
        if value is not None and value.tzinfo is None:
            found.append(FieldProblem(f"/{name}", "zone-missing", "時差の指定が必要です。", "The offset is missing."))
            return found
    if publish_at is not None and publish_at < now:
        found.append(FieldProblem("/publish_at", "past", "過去の日時です。", "This is in the past."))
    if expires_at is not None and expires_at <= (publish_at or now):
        found.append(FieldProblem("/expires_at", "past", "公開より前に終わります。", "It ends before it is published."))
    return found


def in_language(texts: Mapping[str, str], language: str) -> str:
    """The text in this language, else in Japanese; without readings."""
    return furigana.plain(texts.get(language) or texts["ja"])


def shown_language(texts: Mapping[str, str], language: str) -> str:
    """The language in which a reader of this one is shown a text: やさしい日本語 falls back to Japanese like every other."""
    return language if texts.get(language) else "ja"


def day_of(instant: datetime | None) -> date | None:
    """The civil day in Tokyo, or None."""
    return tokyo_day(instant) if instant is not None else None
