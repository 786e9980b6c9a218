"""Which records may be of one child (重複): the same reading, birth date and sex, and what else binds them.

One matcher for every way in: a guardian's registration, staff, the municipal intake and an import keep the same `key`.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Literal

from services.records.domain.words import katakana
from shared.events.records import ChildFacts, Sex

Strength = Literal["sure", "likely"]

_LARGE = str.maketrans("ァィゥェォッャュョヮヵヶヂヅヲヰヱヴ", "アイウエオツヤユヨワカケジズオイエブ")
_ROWS = {
    "ア": "アカガサザタダナハバパマヤラワ",
    "イ": "イキギシジチニヒビピミリ",
    "ウ": "ウクグスズツヌフブプムユル",
    "エ": "エケゲセゼテデネヘベペメレ",
    "オ": "オコゴソゾトドノホボポモヨロ",
}
_VOWEL = {letter: vowel for vowel, row in _ROWS.items() for letter in row}
_LENGTHENS = {("オ", "ウ"): "オ", ("エ", "イ"): "エ"}
"""ヨウコ and ヨオコ, ケイ and ケエ are heard alike."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a child is known by among others."""

    birth_date: date
    sex: Sex
    family_kana: str
    given_kana: str
    municipality: str
    guardians: frozenset[str] = frozenset()

    @classmethod
    def of(cls, facts: ChildFacts, guardians: Iterable[str] = ()) -> "Traits":
        """A record's."""
        name = facts.name
        return cls(
            facts.birth_date, facts.sex, name.family_kana, name.given_kana, facts.municipality, frozenset(guardians)
        )

    @property
    def key(self) -> str:
        """Equal for all who may be one child in one town; a record that moves away is compared with its new neighbours."""
        return f"{self.municipality}:{self.birth_date.isoformat()}:{folded(self.given_kana)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records that may be of one child; the older id first."""

    first: str
    second: str
    strength: Strength


def folded(kana: str) -> str:
    """A reading as desks hear it: small letters as large, a long vowel in one spelling, no marks or spaces, ヂ as ジ.

    What is long stays long: オノ (小野) is not オオノ (大野).
    """
    heard: list[str] = []
    for letter in (katakana(kana) or kana).translate(_LARGE):
        last = heard[-1] if heard else ""
        if letter in "ヽヾ":
            # The letter before once more, ヾ with its voice.
            again = unicodedata.normalize("NFC", f"{last}\u3099") if letter == "ヾ" and last else last
            heard += again[:1].translate(_LARGE)
        elif letter == "ー":
            heard += _VOWEL.get(last, "")
        elif letter.isalpha():
            heard.append(_LENGTHENS.get((_VOWEL.get(last, ""), letter), letter))
    return "".join(heard)


def pairs(known: Iterable[tuple[str, Traits]]) -> list[Pair]:
    """The pairs among these, surest first. Twins share everything but the given name, so that decides."""
    same: defaultdict[tuple[object, str], list[tuple[str, Traits]]] = defaultdict(list)
    for child, traits in known:
        same[traits.birth_date, folded(traits.given_kana)].append((child, traits))
    found = [
        Pair(min(one[0], two[0]), max(one[0], two[0]), strength)
        for group in same.values()
        for one, two in combinations(group, 2)
        if (strength := alike(one[1], two[1])) is not None
    ]
    return sorted(found, key=lambda pair: (pair.strength != "sure", pair.first, pair.second))


def alike(one: Traits, two: Traits) -> Strength | None:
    """How surely the two are of one child; None when they are not."""
    if one.birth_date != two.birth_date or folded(one.given_kana) != folded(two.given_kana):
        return None
    if one.sex != two.sex and "U" not in {one.sex, two.sex}:
        return None
    family = folded(one.family_kana) == folded(two.family_kana)
    guardian = bool(one.guardians & two.guardians)
    if family and (guardian or one.municipality == two.municipality):
        return "sure"
    return "likely" if family or guardian else None
