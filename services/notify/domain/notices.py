"""What a notice may say, and what becomes of it: published, corrected, recalled."""

import re
from collections.abc import Mapping
from datetime import datetime

from shared.problems import FieldProblem

LANGUAGES = ("ja", "ja-Hrkt", "en", "zh", "vi", "pt", "ne")
"""Japanese, やさしい日本語, English, 中文, Tiếng Việt, Português, नेपाली."""
TITLE_LENGTH = 100
BODY_LENGTH = 4_000
_MARKUP = re.compile(r"<[a-zA-Z!/?]")
_UNSEEN = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\$\{.*?\}")


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
        elif len(text) > limit:
            found.append(FieldProblem(place, "too-long", f"{limit}文字までです。", f"At most {limit} characters."))
        elif _MARKUP.search(text):
            found.append(FieldProblem(place, "markup", "HTML やスクリプトは使えません。", "Markup is not accepted."))
        elif _UNSEEN.search(text):
            found.append(
                FieldProblem(place, "unseen-sign", "見えない制御文字が含まれています。", "It holds unseen signs.")
            )
        elif _PLACEHOLDER.search(text):
            found.append(FieldProblem(place, "placeholder-unknown", "未知の差し込み項目です。", "Unknown placeholder."))
    return found


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
    """The text in this language, else in Japanese."""
    return texts.get(language) or texts["ja"]
