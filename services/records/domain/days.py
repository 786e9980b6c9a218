"""Days on which something can have been done to a child: between its birth and today."""

from datetime import date

from services.records.domain.findings import Findings
from services.records.domain.record import Record


def check_day(day: date, record: Record, today: date, pointer: str, findings: Findings) -> None:
    """Find a day before birth, after a death that is told, or after today (civil days in Tokyo)."""
    if day < record.facts.birth_date:
        findings.add(pointer, "before-birth", "生年月日より前の日付です。", "This day is before the birth.")
    if day > today:
        findings.add(pointer, "in-the-future", "未来の日付です。", "This day is in the future.")
    elif record.died_on is not None and day > record.died_on:
        findings.add(pointer, "after-death", "亡くなった日より後の日付です。", "This day is after the day of death.")
