"""Consent (閲覧の同意): a guardian lets an organisation read the record for a purpose, for a time, and takes it back.

Not to be mixed up with the consent to a vaccination, which is questionnaire's (予診票).
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.records.domain.access import Caller, check
from services.records.domain.record import Record
from shared.events.records import ChildEvent, ConsentGiven, ConsentWithdrawn
from shared.problems import NotFound, invalid

MOST_CONSENTS = 100
OrganisationKind = Literal["clinic", "municipality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentWish:
    """A consent as a guardian wishes to give it; the last day is part of it."""

    organisation: str
    kind: OrganisationKind
    purpose: str
    until: date | None = None


def give(record: Record, wish: ConsentWish, caller: Caller, today: date) -> list[ChildEvent]:
    """Give consent, or change it; the same consent again changes nothing. Raises Forbidden, NotFound, Invalid."""
    check(record, caller, "consent", today)
    if wish.until is not None and wish.until < today:
        raise invalid("/until", "in-the-past", "過去の日付です。", "This day has passed.")
    known = record.consents.get(wish.organisation)
    if known is None and len(record.consents) >= MOST_CONSENTS:
        raise invalid("", "too-many", "同意先の上限に達しました。", f"A record has at most {MOST_CONSENTS} consents.")
    if known is not None and (known.kind, known.purpose, known.until) == (wish.kind, wish.purpose, wish.until):
        return []
    return [
        ConsentGiven(
            organisation=wish.organisation, kind=wish.kind, purpose=wish.purpose, until=wish.until, by=caller.actor
        )
    ]


def withdraw(record: Record, organisation: str, caller: Caller, today: date) -> list[ChildEvent]:
    """Take a consent back; nothing later of this child reaches the organisation (G12). Raises Forbidden, NotFound."""
    check(record, caller, "consent", today)
    if organisation not in record.consents:
        raise NotFound
    return [ConsentWithdrawn(organisation=organisation, by=caller.actor)]
