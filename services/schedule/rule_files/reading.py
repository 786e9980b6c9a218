"""Reads the words of a rule file into typed values: points, intervals, days, citations."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from services.schedule.domain import legal_points
from services.schedule.domain.legal_points import Between, Point
from services.schedule.domain.rule_set import RuleError
from services.schedule.domain.verdicts import Cited, Sentence

Doc = Mapping[str, Any]

POINT = (
    r"(before )?(birth( \+ \d+d)?|reached \d+[my]|after \d+[my]|week \d+w[0-6]d|school( [+-]\d+[yd])?"
    r"|fiscal-start \d+y|fiscal-end \d+y|pregnancy \d+w[0-6]d)"
)
BETWEEN = r"\d+(\.5)?[dmy]"
_WEEKS = re.compile(r"(\d+)w([0-6])d")


class Place:
    """Where in the rule files we are, so that an error can say it."""

    def __init__(self, file: str, rule: str, sources: Mapping[str, str]) -> None:
        self.file, self.rule, self.sources = file, rule, sources

    def of(self, doc: Doc) -> "Place":
        """The same file, at the rule that this part names, if it names one."""
        return Place(self.file, str(doc.get("id", self.rule)), self.sources)

    def error(self, field: str, why: str) -> RuleError:
        """The error for a field of this rule."""
        return RuleError(self.file, self.rule, field, why)


def point(place: Place, field: str, text: str) -> Point:
    """A point of the legal calendar: "reached 7m", "after 7m", "week 14w6d", "school -1y", "before reached 9y"."""
    if not re.fullmatch(POINT, text):
        raise place.error(field, f"{text!r} is not a point of the calendar")
    shift = 0
    if text.startswith("before "):
        shift, text = -1, text.removeprefix("before ")
    word, _, rest = text.partition(" ")
    if word == "birth":
        return Point(legal_points.BIRTH, int(rest.strip("+ d") or 0), shift)
    if word in {"reached", "after"}:
        kind = legal_points.REACHED if word == "reached" else legal_points.AFTER
        return Point(kind, int(rest[:-1]) * (12 if rest.endswith("y") else 1), shift)
    if word == "school":
        amount = int(rest[:-1]) if rest else 0
        days = rest.endswith("d")
        return Point(legal_points.SCHOOL, 0 if days else amount, shift + (amount if days else 0))
    if word.startswith("fiscal"):
        kind = legal_points.FISCAL_START if word == "fiscal-start" else legal_points.FISCAL_END
        return Point(kind, int(rest[:-1]), shift)
    found = _WEEKS.fullmatch(rest)
    if found is None:
        raise place.error(field, f"{text!r} is not a point of the calendar")
    days_after = 7 * int(found[1]) + int(found[2])
    return Point(legal_points.PREGNANCY if word == "pregnancy" else legal_points.BIRTH, days_after, shift)


def maybe_point(place: Place, field: str, doc: Doc) -> Point | None:
    """The point under a key, or None where the key is absent."""
    text = doc.get(field)
    return None if text is None else point(place, field, text)


def between(place: Place, field: str, text: str) -> Between:
    """An interval: "27d" = 27日以上, "6m" = 6月以上, "2.5m" = 2月半以上, "1y" = 12 months."""
    if not re.fullmatch(BETWEEN, text):
        raise place.error(field, f"{text!r} is not an interval")
    number, unit = text[:-1], text[-1]
    half = number.endswith(".5")
    whole = int(number.removesuffix(".5"))
    if half and unit != "m":
        raise place.error(field, "only months have halves")
    if unit == "d":
        return Between(whole, 0)
    return Between(0, whole * (12 if unit == "y" else 1), half)


def maybe_between(place: Place, field: str, doc: Doc) -> Between | None:
    """The interval under a key, or None where the key is absent."""
    text = doc.get(field)
    return None if text is None else between(place, field, text)


def ordinal(place: Place, field: str, text: str) -> int:
    """A civil day as its ordinal."""
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        raise place.error(field, f"{text!r} is not a day") from None


def effective(place: Place, doc: Doc) -> tuple[int, int | None]:
    """First and last day on which a rule holds; None = still in force."""
    first = ordinal(place, "effective_from", doc["effective_from"])
    last = None if doc["effective_to"] is None else ordinal(place, "effective_to", doc["effective_to"])
    if last is not None and last < first:
        raise place.error("effective_to", "lies before effective_from")
    return first, last


def cited(place: Place, doc: Doc, rule: str | None = None) -> Cited:
    """Rule id, source in words, and confidence."""
    keys: Sequence[str] = [doc["source"]] if isinstance(doc["source"], str) else doc["source"]
    for key in keys:
        if key not in place.sources:
            raise place.error("source", f"{key!r} is not among the sources of the set")
    return Cited(rule or doc["id"], "; ".join(place.sources[key] for key in keys), doc["confidence"])


def sentence(doc: Doc) -> Sentence:
    """A text in Japanese and English."""
    return Sentence(doc["ja"], doc["en"])
