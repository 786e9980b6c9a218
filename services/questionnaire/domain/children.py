"""What questionnaire knows of a child: enough to say who may ask and answer for it, and what a form's head needs (a view of records)."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from shared.events.records import ConsentGiven, Dose, PersonName


@dataclass(slots=True)
class KnownChild:
    """One child as records tells of it.

    `others` are the closed records whose responses are this child's, `restored` those that another record stands for
    again, `merged_into` the record that this one became part of.
    """

    birth_date: date
    sex: str
    name: str
    name_kana: str
    municipality: str
    guardians: set[str] = field(default_factory=set)
    consents: dict[str, date | None] = field(default_factory=dict)
    doses: dict[str, "GivenDose"] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    restored: dict[str, str] = field(default_factory=dict)
    merged_into: str | None = None

    def is_guardian(self, subject: str) -> bool:
        """Whether this person is bound to the child."""
        return subject in self.guardians

    def lets_read(self, organisation: str | None, on: date) -> bool:
        """Whether the guardian's consent to this organisation is in force on that day (until: last day, inclusive)."""
        if organisation is None or organisation not in self.consents:
            return False
        until = self.consents[organisation]
        return until is None or on <= until

    def consent_given(self, event: ConsentGiven) -> None:
        """A clinic may read now, or longer or shorter than before."""
        if event.kind == "clinic":
            self.consents[event.organisation] = event.until


@dataclass(frozen=True, slots=True)
class GivenDose:
    """As much of a recorded dose as tells whether a response led to it."""

    given_on: date
    code: str
    cvx: str | None

    @classmethod
    def of(cls, dose: Dose) -> "GivenDose":
        """From the record."""
        return cls(dose.given_on, dose.code, dose.cvx)


def full_name(name: PersonName) -> tuple[str, str]:
    """(as written, as read)."""
    return f"{name.family} {name.given}", f"{name.family_kana} {name.given_kana}"


def heading(child: KnownChild) -> dict[str, Any]:
    """What the record fills into the head of a form."""
    return {
        "record.name": child.name,
        "record.name_kana": child.name_kana,
        "record.sex": child.sex.lower(),
        "record.birth_date": child.birth_date.isoformat(),
    }
