"""Reads test cases in the CDC's columns and says in their words what the engine finds.

What is computed never looks at an expected column: those are read apart, by the grader. The names by which cases call
vaccine groups, and the words in which they state reasons, are known here and nowhere else.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from services.schedule.domain.engine import Assessment, assess, is_risk
from services.schedule.domain.forecast import counted_places
from services.schedule.domain.patient import Administered, Observed, Patient
from services.schedule.domain.rules import Rules
from services.schedule.domain.statuses import Code, DoseStatus, SeriesStatus
from services.schedule.domain.vaccine_groups import GroupForecast
from services.schedule.rule_files.cdsi_reading import cvx

GROUP_ALIASES: Mapping[str, str] = {
    "covid": "COVID-19",
    "dtap": "DTaP/Tdap/Td",
    "flu": "Influenza",
    "hepatitisa": "HepA",
    "hepatitisb": "HepB",
    "ipol": "Polio",
    "ipv": "Polio",
    "je": "Japanese Encephalitis",
    "mcv": "Meningococcal",
    "menacwy": "Meningococcal",
    "menb": "Meningococcal B",
    "mpox": "Orthopoxvirus",
    "pcv": "Pneumococcal",
    "pneumo": "Pneumococcal",
    "pol": "Polio",
    "rota": "Rotavirus",
    "rv": "Rotavirus",
    "shingles": "Zoster",
    "smallpox": "Orthopoxvirus",
    "td": "DTaP/Tdap/Td",
    "tdap": "DTaP/Tdap/Td",
    "var": "Varicella",
    "yf": "Yellow Fever",
    "zos": "Zoster",
}
REASON_WORDS: Mapping[Code, str] = {
    Code.EXPIRED_LOT: "Expired Vaccine",
    Code.DOSE_CONDITION: "Dose Condition",
    Code.INADVERTENT: "Inadvertent Vaccine",
    Code.TOO_YOUNG: "Age: Too Young",
    Code.TOO_OLD: "Age: Too Old",
    Code.TOO_SOON: "Interval: Too Soon",
    Code.CONFLICT: "Live Virus Conflict",
    Code.WRONG_VACCINE: "Not a preferable or allowable vaccine",
    Code.LESS_VOLUME: "Volume administered is less than recommended volume",
    Code.SERIES_COMPLETE: "Series Already Complete",
}
_GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}
_DAY_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y")
_LONGEST_CVX = 3
_EARLIEST_YEAR = 1900
_LATEST_YEAR = 2199
# Across the best series of one antigen a dose that counts anywhere counts; across antigens one that must be repeated
# for any of them must be repeated.
_WITHIN_ANTIGEN = (DoseStatus.VALID, DoseStatus.EXTRANEOUS, DoseStatus.NOT_VALID, DoseStatus.SUB_STANDARD)
_ACROSS_ANTIGENS = (DoseStatus.SUB_STANDARD, DoseStatus.NOT_VALID, DoseStatus.VALID, DoseStatus.EXTRANEOUS)

# A risk forecast that asks for nothing any more does not silence the standard one.
_PAST = (SeriesStatus.AGED_OUT, SeriesStatus.NOT_RECOMMENDED)


class CaseError(ValueError):
    """A case file that cannot be read: names the row (the header is row 1) and the column."""

    def __init__(self, row: int, column: str, why: str) -> None:
        super().__init__(f"row {row}, column {column}: {why}")
        self.row, self.column, self.why = row, column, why


@dataclass(frozen=True, slots=True)
class Case:
    """One case: who, in which vaccine group, on which day; `columns` is the whole row for the grader."""

    id: str
    row: int
    patient: Patient
    group: str
    assessment: int
    columns: Mapping[str, str]


class DoseAnswer(NamedTuple):
    """The status of a dose for one kind of series, with every reason in the cases' words."""

    status: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine finds for a case; `doses` goes by column number: for standard and for risk series."""

    series_status: str | None
    forecast_number: int | None
    earliest: date | None
    recommended: date | None
    past_due: date | None
    doses: Mapping[int, tuple[DoseAnswer | None, DoseAnswer | None]]


def letters(text: str) -> str:
    """Letters only, in lower case: how names and words of cases are compared."""
    return "".join(character for character in text.lower() if character.isalpha())


def read_cases(path: Path, rules: Rules) -> list[Case]:
    """The cases of a file in its order; CaseError where the file cannot be understood."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CaseError(1, "-", f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(1, "-", f"{path} cannot be read: {error}") from None
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise CaseError(1, "-", f"{path} is not a table of comma-separated values: {error}") from None
    cases = [_Row(number, row).case(rules) for number, row in enumerate(rows, 2) if any(row.values())]
    if not cases:
        raise CaseError(1, "-", f"{path} holds no case")
    return cases


def read_day(text: str) -> date:
    """A day as cases write it: ISO, without dashes, or month/day/year; ValueError otherwise."""
    for form in _DAY_FORMATS:
        try:
            day = datetime.strptime(text, form).date()  # noqa: DTZ007 - a civil day has no time zone
        except ValueError:
            continue
        if _EARLIEST_YEAR <= day.year <= _LATEST_YEAR:
            return day
    raise ValueError(f"{text!r} is not a day (YYYY-MM-DD, {_EARLIEST_YEAR} to {_LATEST_YEAR})")


class _Row:
    """One row of a case file, read column by column; column names are compared without case."""

    def __init__(self, number: int, row: Mapping[str | None, object]) -> None:
        self.number = number
        self.columns = {
            name.strip().lower(): value.strip() if isinstance(value, str) else "" for name, value in row.items() if name
        }
        if None in row:
            raise self.error("-", "has more fields than the header has columns")

    def error(self, column: str, why: str) -> CaseError:
        return CaseError(self.number, column, why)

    def text(self, column: str) -> str:
        text = self.columns.get(column.lower(), "")
        return "" if text == "-" or text.lower() == "n/a" else text

    def required(self, column: str) -> str:
        if column.lower() not in self.columns:
            raise self.error(column, "is missing")
        text = self.text(column)
        if not text:
            raise self.error(column, "is empty")
        return text

    def day(self, column: str) -> int:
        try:
            return read_day(self.required(column)).toordinal()
        except ValueError as error:
            raise error if isinstance(error, CaseError) else self.error(column, str(error)) from None

    def case(self, rules: Rules) -> Case:
        birth = self.day("DOB")
        assessment = self.day("Assessment_Date")
        if assessment < birth:
            raise self.error("Assessment_Date", "lies before the day of birth")
        patient = Patient(
            birth=birth,
            gender=_GENDERS.get(self.text("gender").lower(), "unknown"),
            doses=tuple(self._dose(number, birth) for number in self._numbers("date_administered_", "cvx_")),
            observations=tuple(self._observations()),
        )
        return Case(self.required("CDC_Test_ID"), self.number, patient, self._group(rules), assessment, self.columns)

    def _numbers(self, *prefixes: str) -> list[int]:
        """The numbers of the columns with one of these prefixes that hold anything."""
        found = {
            int(column.removeprefix(prefix))
            for prefix in prefixes
            for column in self.columns
            if column.startswith(prefix) and column.removeprefix(prefix).isdecimal() and self.text(column)
        }
        return sorted(found)

    def _dose(self, number: int, birth: int) -> Administered:
        day = self.day(f"Date_Administered_{number}")
        if day < birth:
            raise self.error(f"Date_Administered_{number}", "lies before the day of birth")
        code = self.required(f"CVX_{number}")
        if not (code.isascii() and code.isdecimal() and len(code) <= _LONGEST_CVX):
            raise self.error(f"CVX_{number}", f"{code!r} is not a CVX code")
        return Administered(str(number), day, cvx(code), self.text(f"MVX_{number}").upper() or None)

    def _observations(self) -> Iterable[Observed]:
        for number in self._numbers("observation_code_"):
            column = f"Observation_Date_{number}"
            # Codes are three digits with leading zeros, which spreadsheets like to drop.
            code = self.text(f"Observation_Code_{number}").zfill(3)
            yield Observed(code, self.day(column) if self.text(column) else None)
        for code in self.text("Med_History_Code").replace(",", ";").split(";"):
            if code.strip():
                yield Observed(code.strip().zfill(3))

    def _group(self, rules: Rules) -> str:
        said = self.required("Vaccine_Group")
        names = {letters(name): name for name in rules.vaccine_groups}
        for called in (said, GROUP_ALIASES.get(letters(said), said)):
            if letters(called) in names:
                return names[letters(called)]
        raise self.error("Vaccine_Group", f"{said!r} is not a vaccine group of the supporting data")


def answer(rules: Rules, case: Case) -> Answer:
    """Run the engine for a case."""
    found = assess(rules, case.patient, case.assessment, _groups_to_assess(rules, case))
    risk, standard = found.risk.get(case.group), found.standard.get(case.group)
    group = _asked_for(risk, standard)
    doses = {int(dose.key): _judged(found, case.group, place) for place, dose in enumerate(found.chart.doses)}
    if group is None:
        return Answer(None, None, None, None, None, doses)
    dates = group.dates
    return Answer(
        str(group.status),
        _number_for_risk(found, case.group) if group is risk else group.number,
        _as_date(dates.earliest),
        _as_date(dates.recommended),
        _as_date(dates.past_due),
        doses,
    )


def _asked_for(risk: GroupForecast | None, standard: GroupForecast | None) -> GroupForecast | None:
    """Cases ask for the risk forecast where there is one, unless the patient is past it and the standard one speaks."""
    if risk is not None and (standard is None or risk.status not in _PAST):
        return risk
    return standard


def _number_for_risk(found: Assessment, name: str) -> int | None:
    """The number as cases count it for those at risk: doses that are valid in any best series of the antigen.

    FORECASTDN-1 counts in the forecast series alone; there a standard series that was completed before counts nothing.
    """
    group = found.chart.rules.vaccine_groups[name]
    made = found.risk[name]
    if made.number is None:
        return None
    numbers = [
        1 + len({place for each in found.antigens[antigen].best for place in counted_places(each.walk)})
        for antigen in {each.series.antigen for each in made.members if each.forecast.number is not None}
    ]
    return min(numbers) if group.full else max(numbers)


def _as_date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


def _groups_to_assess(rules: Rules, case: Case) -> list[str]:
    """The group of the case, and those of doses that are not of it: each dose is judged somewhere."""
    given = {
        association.antigen for dose in case.patient.doses for association in rules.associations.get(dose.vaccine, ())
    }
    others = [
        name
        for name, group in rules.vaccine_groups.items()
        if name != case.group and not given.isdisjoint(group.antigens)
    ]
    return [case.group, *others]


def _judged(found: Assessment, group: str, place: int) -> tuple[DoseAnswer | None, DoseAnswer | None]:
    """The dose in standard and in risk series: of the case's group, or of its own antigens where it is not of it."""
    chart = found.chart
    antigens = [name for name, places in chart.of_antigen.items() if place in places and name in found.antigens]
    of_group = chart.rules.vaccine_groups[group].antigens
    judging = [name for name in antigens if name in of_group] or antigens
    return _judged_for_kind(found, judging, place, risk=False), _judged_for_kind(found, judging, place, risk=True)


def _judged_for_kind(found: Assessment, antigens: list[str], place: int, *, risk: bool) -> DoseAnswer | None:
    verdicts = [
        verdict for antigen in antigens if (verdict := _judged_for_antigen(found, antigen, place, risk)) is not None
    ]
    return _joined(verdicts, _ACROSS_ANTIGENS)


def _judged_for_antigen(found: Assessment, antigen: str, place: int, risk: bool) -> DoseAnswer | None:
    """In the best series of the kind; where none is best, in the prioritized ones."""
    rules = found.chart.rules
    assessed = found.antigens[antigen]
    for chosen in (assessed.best, assessed.prioritized):
        verdicts = [
            DoseAnswer(
                each.walk.statuses[place],
                tuple(REASON_WORDS[reason.code] for reason in each.walk.reasons.get(place, ())),
            )
            for each in chosen
            if is_risk(each.series, rules) is risk and place in each.walk.statuses
        ]
        if verdicts:
            return _joined(verdicts, _WITHIN_ANTIGEN)
    return None


def _joined(verdicts: list[DoseAnswer], order: tuple[DoseStatus, ...]) -> DoseAnswer | None:
    """The status that comes first in the order, with the reasons of all that share it."""
    for status in order:
        reasons = [reason for verdict in verdicts if verdict.status == status for reason in verdict.reasons]
        if any(verdict.status == status for verdict in verdicts):
            return DoseAnswer(str(status), tuple(dict.fromkeys(reasons)))
    return None
