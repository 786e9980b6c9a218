"""The check of a proposed dose before the needle (接種前確認): allow, warn or stop, with coded reasons."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.schedule.domain.history import History

Answer = Literal["allow", "warn", "stop"]


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another child of the same guardians, for the question whether that one was meant."""

    id: str
    history: History


@dataclass(frozen=True, slots=True)
class Proposal:
    """A dose that somebody is about to give; `consent` is None where nobody has said anything."""

    code: str
    on: date
    product: str | None = None
    lot: str | None = None
    expires_on: date | None = None
    recalled_lots: frozenset[str] = frozenset()
    siblings: tuple[Sibling, ...] = ()
    consent: bool | None = None
    contraindications: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReason:
    """Why a dose is stopped or warned of; `stops` is False for a warning."""

    code: str
    rule: str
    sentence: str
    sentence_en: str
    source: str
    stops: bool


@dataclass(frozen=True, slots=True)
class PreCheck:
    """The answer: stop when any reason stops, warn when there are only warnings, otherwise allow."""

    verdict: Answer
    reasons: tuple[CheckReason, ...]
