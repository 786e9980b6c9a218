"""Which records may be of one child (重複): the same reading, birth date and sex, and what else binds them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from services.records.domain.record import Record
from services.records.domain.words import katakana

_LARGE = str.maketrans("ァィゥェォッャュョヮヵヶヂヅヲ", "アイウエオツヤユヨワカケジズオ")
Strength = Literal["sure", "likely"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records that may be of one child; the older id first."""

    first: str
    second: str
    strength: Strength


def folded(kana: str) -> str:
    """A reading as desks hear it: small letters as large, no long vowels, marks or spaces, ヂ as ジ."""
    plain = (katakana(kana) or kana).translate(_LARGE)
    return "".join(letter for letter in plain if letter.isalpha() and letter != "ー")


def pairs(records: Iterable[tuple[str, Record]]) -> list[Pair]:
    """The pairs among these, surest first. Twins share everything but the given name, so that decides."""
    same: defaultdict[tuple[object, str], list[tuple[str, Record]]] = defaultdict(list)
    for child, record in records:
        same[record.facts.birth_date, folded(record.facts.name.given_kana)].append((child, record))
    found = [
        Pair(min(one[0], two[0]), max(one[0], two[0]), strength)
        for group in same.values()
        for one, two in combinations(group, 2)
        if (strength := alike(one[1], two[1])) is not None
    ]
    return sorted(found, key=lambda pair: (pair.strength != "sure", pair.first, pair.second))


def alike(one: Record, two: Record) -> Strength | None:
    """How surely the two are of one child; None when they are not."""
    a, b = one.facts, two.facts
    if a.birth_date != b.birth_date or folded(a.name.given_kana) != folded(b.name.given_kana):
        return None
    if a.sex != b.sex and "U" not in {a.sex, b.sex}:
        return None
    family = folded(a.name.family_kana) == folded(b.name.family_kana)
    guardian = bool(one.guardians.keys() & two.guardians.keys())
    if family and (guardian or a.municipality == b.municipality):
        return "sure"
    return "likely" if family or guardian else None
