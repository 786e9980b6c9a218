"""Days on which something can have been done to a child: between its birth and today."""

from datetime import date

from services.records.domain.findings import Findings


def check_day(day: date, birth: date, today: date, pointer: str, findings: Findings) -> None:
    """Find a day before birth or after today (civil days in Tokyo)."""
    if day < birth:
        findings.add(pointer, "before-birth", "生年月日より前の日付です。", "This day is before the birth.")
    if day > today:
        findings.add(pointer, "in-the-future", "未来の日付です。", "This day is in the future.")
