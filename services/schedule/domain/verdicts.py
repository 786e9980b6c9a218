"""What the engine says about doses: verdicts with their reasons, in plain sentences with rule and source.

Sentences are put together only when somebody reads them: most plans are compared, not read.
"""

from datetime import date
from typing import Literal, NamedTuple

Legal = Literal["valid", "not_valid", "voluntary", "as_recorded"]
"""定期接種: valid, not_valid (given outside the law of its day), voluntary (任意: never routine for this child),
as_recorded (older than the rules on file, or a vaccine unknown to them: taken as recorded)."""

Immunological = Literal["valid", "not_valid", "extraneous", "as_recorded"]
"""Counts in the series; does not count; more than the series needs; cannot be judged."""

Says = Literal["legal", "immunological"]


class Cited(NamedTuple):
    """A rule as it is cited: its id, its source, and how sure we are of it."""

    id: str
    source: str
    confidence: str

    @property
    def may_refuse(self) -> bool:
        """A rule of low confidence, or known from memory only, warns and never refuses."""
        return self.confidence not in {"low", "memory"}


class Sentence(NamedTuple):
    """A sentence with gaps, in Japanese and English."""

    ja: str
    en: str


class Because(NamedTuple):
    """A rule and a sentence with what fills its gaps: text, numbers, or days as ordinals behind names ending in _day."""

    rule: Cited
    text: Sentence
    facts: tuple[tuple[str, object], ...] = ()

    @property
    def sentence(self) -> str:
        """The sentence in Japanese."""
        return in_words(self).ja

    @property
    def sentence_en(self) -> str:
        """The sentence in English."""
        return in_words(self).en


def in_words(why: Because) -> Sentence:
    """The sentence in both languages, its gaps filled."""
    if not why.facts:
        return why.text
    japanese: dict[str, object] = {}
    english: dict[str, object] = {}
    for name, fact in why.facts:
        if isinstance(fact, Sentence):
            japanese[name], english[name] = fact.ja, fact.en
        elif isinstance(fact, int) and fact > 0 and name.endswith("_day"):
            day = date.fromordinal(fact)
            japanese[name] = f"{day.year}年{day.month}月{day.day}日"
            english[name] = day.isoformat()
        else:
            japanese[name] = english[name] = fact
    if (number := japanese.get("number")) is not None:
        # A vaccine that is given once (number 0) has no first dose: 「BCG1回目」 would promise a second.
        called, called_en = japanese.get("name", ""), english.get("name", "")
        japanese["dose"] = f"{called}{number}回目" if number else called
        english["dose"] = f"{called_en} dose {number}" if number else called_en
    return Sentence(why.text.ja.format_map(japanese), why.text.en.format_map(english))


class Reason(NamedTuple):
    """One reason of a verdict: whose verdict, a stable code, and why. `refuses` is False where it only warns."""

    verdict: Says
    code: str
    because: Because
    refuses: bool = True


class DoseVerdict(NamedTuple):
    """Both verdicts on one dose in one series; `dose_number` is its place in the series, None where it has none.

    `law` is the free window in which it lay (None where in none), `course` the course that it was counted in;
    `reasons` are those that failed or warn.
    """

    id: str
    series: str
    given_on: date
    dose_number: int | None
    legal: Legal
    immunological: Immunological
    law: Cited | None
    course: Cited
    reasons: tuple[Reason, ...] = ()
