"""Readings beside words (ふりがな), written 漢字《かんじ》, or ｜words《reading》 where the words are not all kanji."""

import re
from collections.abc import Mapping

_RUBY = re.compile(r"(?:｜([^｜《》]+)|([\u4e00-\u9fff\u3400-\u4dbf々〆ヶ]+))《([ぁ-ゖァ-ヺー・ ]+)》")

Segment = tuple[str, str | None]
"""Words, and how they are read where that is said."""


def broken(text: str) -> bool:
    """Whether a reading has no words before it, is not in kana, or does not end."""
    return any(sign in _RUBY.sub("", text) for sign in "《》｜")


def plain(text: str) -> str:
    """The text without its readings, as channels show it that have no room for them."""
    return _RUBY.sub(lambda found: found[1] or found[2], text)


def segments(text: str) -> list[Segment]:
    """The text in parts, each with its reading or None, for `<ruby>` or a text that is read aloud."""
    parts: list[Segment] = []
    at = 0
    for found in _RUBY.finditer(text):
        if found.start() > at:
            parts.append((text[at : found.start()], None))
        parts.append((found[1] or found[2], found[3]))
        at = found.end()
    if at < len(text):
        parts.append((text[at:], None))
    return parts


def with_readings(texts: Mapping[str, str]) -> dict[str, list[Segment]]:
    """The languages whose text has readings, in parts."""
    return {language: segments(text) for language, text in texts.items() if "《" in text}


def without_readings(texts: Mapping[str, str]) -> dict[str, str]:
    """Every language's text without readings."""
    return {language: plain(text) for language, text in texts.items()}
