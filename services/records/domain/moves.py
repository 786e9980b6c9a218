"""A change of residence (転出・転入): who may read changes, the record does not."""

from dataclasses import dataclass
from datetime import date

from services.records.domain.access import Caller, check
from services.records.domain.days import check_day
from services.records.domain.findings import Findings
from services.records.domain.record import Record
from shared.events.records import ChildEvent, ChildMoved
from shared.ids import is_municipality_code


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveWish:
    """A move as the municipality of residence reports it."""

    to_municipality: str
    effective_on: date


def move(record: Record, wish: MoveWish, caller: Caller, today: date) -> list[ChildEvent]:
    """Hand the child to its new municipality; from then on the old one has no access.

    Raises Forbidden, NotFound, Invalid with every broken rule.
    """
    check(record, caller, "move", today)
    findings = Findings()
    if not is_municipality_code(wish.to_municipality):
        findings.add(
            "/to_municipality",
            "municipality-code",
            "全国地方公共団体コード (検査数字を含む6桁) ではありません。",
            "This is no municipality code: 6 digits with check digit (JIS X 0402).",
        )
    if wish.to_municipality == record.facts.municipality:
        findings.add(
            "/to_municipality", "same-municipality", "現在の住所地と同じです。", "The child lives there already."
        )
    check_day(wish.effective_on, record.facts.birth_date, today, "/effective_on", findings)
    findings.refuse()
    return [
        ChildMoved(
            from_municipality=record.facts.municipality,
            to_municipality=wish.to_municipality,
            effective_on=wish.effective_on,
            by=caller.actor,
        )
    ]
