"""Reads the words of CDSi supporting data: elements, lengths of time, days, codes and lists.

An element that is absent, empty or "n/a" says nothing; what says something that cannot be understood is an error that
names the file, the series or dose, and the element.
"""

import re
from collections.abc import Collection, Iterator
from datetime import date
from functools import cache
from xml.etree.ElementTree import Element

from services.schedule.domain.offsets import Offset
from services.schedule.domain.rule_set import RuleError

_TERM = re.compile(r"([+-]?)\s*(\d+)\s*(day|week|month|year)s?", re.IGNORECASE)
_LONGEST_YEARS = 300
_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}
_CODE_IN_TEXT = re.compile(r"\((\d+)\)\s*$")


def text_of(content: bytes) -> str:
    """The text of a file: UTF-8 or UTF-16, or with the signs of a spreadsheet from which its texts came."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("windows-1252")


def cvx(text: str) -> str:
    """A CVX code as the rules hold it: at least two digits, so that "3" and "03" are one; ValueError if none."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a CVX code")
    return f"{int(text):02d}"


def observation_code(text: str) -> str:
    """The code of an observation: three digits, whose leading zeros spreadsheets like to drop."""
    return text.zfill(3)


@cache
def offset(text: str) -> Offset:
    """ "6 weeks - 4 days" as months and days; ValueError when it is nothing of the kind."""
    months = days = 0
    rest = text.replace("\N{EN DASH}", "-").replace("\N{MINUS SIGN}", "-")
    for sign, amount, unit in _TERM.findall(rest):
        signed = -int(amount) if sign == "-" else int(amount)
        months += signed * _MONTHS.get(unit.lower(), 0)
        days += signed * _DAYS.get(unit.lower(), 0)
    if _TERM.sub("", rest).strip() or not rest.strip():
        raise ValueError(f"{text!r} is not a length of time")
    if abs(months) > 12 * _LONGEST_YEARS or abs(days) > 366 * _LONGEST_YEARS:
        raise ValueError(f"{text!r} is longer than {_LONGEST_YEARS} years")
    return Offset(months, days)


def code_in(text: str | None) -> str | None:
    """The code in brackets at the end of a text, as older releases write it."""
    found = _CODE_IN_TEXT.search(text or "")
    return found[1] if found else None


class Place:
    """An element with where it stands, so that an error can say it."""

    __slots__ = ("element", "file", "rule")

    def __init__(self, file: str, element: Element, rule: str = "-") -> None:
        self.file, self.element, self.rule = file, element, rule

    def error(self, field: str, why: str) -> RuleError:
        """The error for an element of this series or dose."""
        return RuleError(self.file, self.rule, field, why)

    def all(self, path: str, rule: str | None = None) -> Iterator["Place"]:
        """The elements under a path in which anything is said: in any other there is no rule."""
        for element in self.element.iterfind(path):
            if len(element) and any(said(part.text) is not None for part in element.iter()):
                yield Place(self.file, element, rule or self.rule)

    def text(self, path: str) -> str | None:
        """The text under a path; None where it is absent, empty or "n/a"."""
        return said(self.element.findtext(path))

    def texts(self, path: str) -> list[str]:
        """Every text under a path that says something."""
        return [text for element in self.element.iterfind(path) if (text := said(element.text)) is not None]

    def required(self, path: str) -> str:
        """The text under a path, which must say something."""
        text = self.text(path)
        if text is None:
            raise self.error(path, "is missing")
        return text

    def one_of(self, path: str, words: Collection[str], default: str | None = None) -> str:
        """The text under a path as one of these words in lower case; without a default it must say something."""
        text = (self.text(path) or default or self.required(path)).lower()
        if text not in words:
            raise self.error(path, f"{text!r} is not one of {', '.join(words)}")
        return text

    def observations(self, path: str) -> frozenset[str]:
        """The codes of observations under a path."""
        return frozenset(observation_code(text) for text in self.texts(path))

    def observation(self, path: str) -> str | None:
        """The code of an observation; older releases write its text and put the code in brackets."""
        text = self.text(path)
        code = self.text(f"{path}/code") or code_in(text) or (text if text and text.isdecimal() else None)
        return None if code is None else observation_code(code)

    def is_yes(self, path: str) -> bool:
        """Whether a flag is set: data write Yes or Y."""
        return (self.text(path) or "").lower() in {"y", "yes"}

    def number(self, path: str) -> int | None:
        """The first whole number under a path: "Dose 2" is 2."""
        text = self.text(path)
        if text is None:
            return None
        found = re.search(r"\d+", text)
        if found is None:
            raise self.error(path, f"{text!r} holds no number")
        return int(found[0])

    def offset(self, path: str) -> Offset | None:
        """A length of time."""
        text = self.text(path)
        if text is None:
            return None
        try:
            return offset(text)
        except ValueError as error:
            raise self.error(path, str(error)) from None

    def day(self, path: str, default: int) -> int:
        """The ordinal of a day as YYYYMMDD, YYYY-MM-DD or MM/DD/YYYY."""
        text = self.text(path)
        if text is None:
            return default
        try:
            if "/" in text:
                month, day, year = text.split("/")
                return date(int(year), int(month), int(day)).toordinal()
            return date.fromisoformat(text).toordinal()
        except ValueError:
            raise self.error(path, f"{text!r} is not a day") from None

    def vaccines(self, path: str) -> frozenset[str]:
        """A list of CVX codes with semicolons; older releases name the vaccine and put the code in brackets."""
        parts = [part.strip() for part in (self.text(path) or "").split(";")]
        return frozenset(self.vaccine(path, part) for part in parts if part)

    def vaccine(self, path: str, text: str) -> str:
        """One CVX code that was read under a path."""
        try:
            return cvx(code_in(text) or text)
        except ValueError as error:
            raise self.error(path, str(error)) from None


def said(text: str | None) -> str | None:
    """A text without the space around it; None where it says nothing."""
    stripped = (text or "").strip()
    return None if not stripped or stripped.lower() == "n/a" else stripped


def listed(text: str | None) -> frozenset[str]:
    """The members of a list with semicolons, of which there may be one too many."""
    return frozenset(part.strip() for part in (text or "").split(";") if part.strip())
