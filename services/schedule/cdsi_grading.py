"""Grades what the engine finds against the expected columns of CDC cases.

Words are compared by their letters only, without case. Dates and the number are graded where the expected status is
Not Complete; there an empty column means that the value must be absent. A column without an expectation is not graded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.schedule.cdsi_answers import Answer, DoseAnswer
from services.schedule.cdsi_cases import Case, CaseError, letters, read_day, whole

_NOT_COMPLETE = letters("Not Complete")


@dataclass(frozen=True, slots=True)
class Field:
    """One graded column: what was expected, what was found, whether that is right."""

    expected: str | None
    got: str | None
    right: bool


@dataclass(frozen=True, slots=True)
class Graded:
    """A case with its answer and its graded columns."""

    case: Case
    answer: Answer
    fields: Mapping[str, Field]

    @property
    def all_right(self) -> bool | None:
        """Whether every graded column is right; None when the case expects nothing."""
        return all(field.right for field in self.fields.values()) if self.fields else None

    def as_json(self) -> dict[str, object]:
        """The case as the command writes it: days in ISO, None for what is absent."""
        found = self.answer
        return {
            "id": self.case.id,
            "all_right": self.all_right,
            "got": {
                "series_status": found.series_status,
                "forecast_number": found.forecast_number,
                "earliest": _iso(found.earliest),
                "recommended": _iso(found.recommended),
                "past_due": _iso(found.past_due),
                "doses": [
                    {"n": n, "standard": _dose_as_json(standard), "risk": _dose_as_json(risk)}
                    for n, (standard, risk) in sorted(found.doses.items())
                ],
            },
            "fields": {
                name: {"expected": field.expected, "got": field.got, "right": field.right}
                for name, field in self.fields.items()
            },
        }


def grade(case: Case, found: Answer) -> Graded:
    """Grade one case; CaseError where an expected day is not a day."""
    fields: dict[str, Field] = {}
    status = _expected(case, "series_status")
    if status:
        fields["Series_Status"] = _words(status, found.series_status)
    if letters(status) == _NOT_COMPLETE:
        number = None if found.forecast_number is None else str(found.forecast_number)
        fields["Forecast_#"] = _exact(whole(_expected(case, "forecast_#")), number)
        for column, got in (
            ("Earliest_Date", found.earliest),
            ("Recommended_Date", found.recommended),
            ("Past_Due_Date", found.past_due),
        ):
            fields[column] = _exact(_expected_day(case, column), _iso(got))
    for n, verdicts in sorted(found.doses.items()):
        _grade_dose(case, n, verdicts, fields)
    return Graded(case, found, fields)


def _grade_dose(
    case: Case, n: int, verdicts: tuple[DoseAnswer | None, DoseAnswer | None], fields: dict[str, Field]
) -> None:
    """Series_Type_n says which kind of series judges the dose; without it, or without a series of that kind (an
    indication may have ended by the day of assessment), the standard one does before the risk one."""
    status = _expected(case, f"evaluation_status_{n}")
    reason = _expected(case, f"evaluation_reason_{n}")
    standard, risk = verdicts
    asked = letters(_expected(case, f"series_type_{n}"))
    verdict = risk or standard if asked == "risk" else standard or risk
    if status:
        fields[f"Evaluation_Status_{n}"] = _words(status, verdict.status if verdict else None)
    if reason:
        reasons = verdict.reasons if verdict else ()
        right = letters(reason) in {letters(each) for each in reasons}
        fields[f"Evaluation_Reason_{n}"] = Field(reason, "; ".join(reasons) or None, right)


def _expected(case: Case, column: str) -> str:
    text = case.columns.get(column, "")
    return "" if text == "-" or text.lower() == "n/a" else text


def _expected_day(case: Case, column: str) -> str:
    text = _expected(case, column.lower())
    try:
        return read_day(text).isoformat() if text else ""
    except ValueError as error:
        raise CaseError(case.row, column, str(error), case.id) from None


def _words(expected: str, got: str | None) -> Field:
    return Field(expected, got, got is not None and letters(expected) == letters(got))


def _exact(expected: str, got: str | None) -> Field:
    return Field(expected or None, got, expected == (got or ""))


def _iso(day: object) -> str | None:
    return None if day is None else str(day)


def _dose_as_json(verdict: DoseAnswer | None) -> dict[str, object] | None:
    return None if verdict is None else {"status": verdict.status, "reasons": list(verdict.reasons)}
