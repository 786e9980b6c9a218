"""An invented family, its clinics and its towns, as the record's tests speak of them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from services.records.domain import children, doses
from services.records.domain.access import Caller
from services.records.domain.record import Record, apply, opened
from shared.events.records import ChildEvent, ChildRegistered, ConsentGiven, Dose, DoseRecorded

NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
"""Noon of 2026-11-23 in Tokyo."""
TODAY = date(2026, 11, 23)
BORN = date(2026, 5, 1)
TOWN, OTHER_TOWN = "139912", "139921"

MOTHER = Caller("mother-1", "guardian")
FATHER = Caller("father-1", "guardian")
STRANGER = Caller("mother-2", "guardian")
CLINIC = Caller("doctor-1", "clinic", organisation="clinic-1")
OTHER_CLINIC = Caller("doctor-2", "clinic", organisation="clinic-2")
NURSE = Caller("nurse-1", "staff", municipality=TOWN)
REGISTER = Caller("juki-1", "system", municipality=TOWN)
OTHER_NURSE = Caller("nurse-2", "staff", municipality=OTHER_TOWN)
OPERATOR = Caller("operator-1", "operator")


def facts(**changes: Any) -> children.ChildWish:
    """A healthy child of the town."""
    given: dict[str, Any] = {
        "birth_date": BORN,
        "sex": "F",
        "family": "若葉",
        "given": "ひかり",
        "family_kana": "ワカバ",
        "given_kana": "ヒカリ",
        "municipality": TOWN,
        "gestation_days": 275,
        **changes,
    }
    return children.ChildWish(**given)


class Child:
    """A child's record as the domain changes it: what was announced, and what it made of the record."""

    def __init__(self, by: Caller = REGISTER, **changes: Any) -> None:
        self.events: list[ChildEvent] = children.register(facts(**changes), by, TODAY)
        first = self.events[0]
        assert isinstance(first, ChildRegistered)
        self.record: Record = opened(first)
        for event in self.events[1:]:
            apply(self.record, event)
        self._next = 0

    def happens(self, events: Iterable[ChildEvent]) -> list[ChildEvent]:
        """Let the record take these facts; they come back."""
        found = list(events)
        for event in found:
            apply(self.record, event)
        self.events += found
        return found

    def trusts(self, *clinics: Caller, until: date | None = None) -> None:
        """A guardian's consent to these clinics."""
        for clinic in clinics:
            self.happens(
                [
                    ConsentGiven(
                        organisation=clinic.organisation or "",
                        kind="clinic",
                        purpose="care",
                        until=until,
                        by=MOTHER.actor,
                    )
                ]
            )

    def gets(self, cvx: str, given_on: date, by: Caller = CLINIC, **more: Any) -> Dose:
        """A dose is recorded; as it stands afterwards."""
        self._next += 1
        dose_id = f"dose-{self._next}"
        wish = doses.DoseWish(given_on=given_on, cvx=cvx, **more)
        told = self.happens(doses.record_dose(self.record, wish, by, dose_id=dose_id, today=TODAY, now=NOON))
        assert any(isinstance(event, DoseRecorded) and event.dose.id == dose_id for event in told)
        return self.record.doses[dose_id]


def family() -> Child:
    """A child of mother-1 whom the municipality registered and clinic-1 may read."""
    child = Child()
    child.record.guardians["mother-1"] = "code"
    child.trusts(CLINIC)
    return child
