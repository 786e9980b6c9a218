"""Reads test cases in the CDC's columns.

What a case expects stays in its row, which only the grader looks at. The names by which cases call vaccine groups are
known here and nowhere else.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from services.schedule.domain.patient import Administered, Observed, Patient
from services.schedule.domain.rules import Rules, VaccineGroup
from services.schedule.rule_files.cdsi_reading import cvx, observation_code, text_of

# Every name of one vaccine group that cases and releases of the data use: a case may be of another release than the
# data, and a group that this release does not have is a group all the same.
_GROUP_NAMES: tuple[tuple[str, ...], ...] = (
    ("Chikungunya",),
    ("Cholera",),
    ("COVID-19",),
    ("Dengue",),
    ("DTaP/Tdap/Td", "DTaP", "Tdap", "Td"),
    ("Ebola",),
    ("HepA", "Hepatitis A"),
    ("HepB", "Hepatitis B"),
    ("Hib",),
    ("HPV",),
    ("Influenza", "Flu"),
    ("Japanese Encephalitis", "JE"),
    ("Meningococcal", "Meningococcal ACWY", "MCV", "MenACWY"),
    ("Meningococcal B", "MenB"),
    ("MMR",),
    ("Orthopoxvirus", "Mpox", "Smallpox"),
    ("Pneumococcal", "PCV", "Pneumo"),
    ("Polio", "POL", "IPOL", "IPV"),
    ("Rabies",),
    ("Rotavirus", "Rota", "RV"),
    ("RSV",),
    ("TBE", "Tick-borne Encephalitis"),
    ("Typhoid",),
    ("Varicella", "VAR", "VZ"),
    ("Yellow Fever", "YF"),
    ("Zoster", "ZOS", "Shingles"),
)
_GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}
_DAY_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y")
_LONGEST_CVX = 3
_EARLIEST_YEAR = 1900
_LATEST_YEAR = 2199


class CaseError(ValueError):
    """A case, or a whole file, that cannot be read: names the row (the header is row 1) and the column, and the case if it has a name."""

    def __init__(self, row: int, column: str, why: str, case_id: str | None = None) -> None:
        super().__init__(f"row {row}, column {column}: {why}")
        self.row, self.column, self.why, self.case_id = row, column, why, case_id

    def as_json(self) -> dict[str, object]:
        """In the place of the case: nothing was found, and why."""
        return {"id": self.case_id, "all_right": None, "got": None, "fields": {}, "error": str(self)}


@dataclass(frozen=True, slots=True)
class Case:
    """One case: who, in which vaccine group, on which day; `columns` is the whole row for the grader.

    A group that the rules do not have has no antigens.
    """

    id: str
    row: int
    patient: Patient
    group: VaccineGroup
    assessment: int
    columns: Mapping[str, str]


def read_cases(path: Path, rules: Rules) -> list[Case]:
    """The cases of a file in its order; CaseError where the file or one of them cannot be understood."""
    cases: list[Case] = []
    for row in read_rows(path, rules):
        if isinstance(row, CaseError):
            raise row
        cases.append(row)
    return cases


def read_rows(path: Path, rules: Rules) -> list[Case | CaseError]:
    """The cases of a file in its order, and what is wrong with those that cannot be understood; CaseError where the file cannot."""
    try:
        text = text_of(path.read_bytes())
    except FileNotFoundError:
        raise CaseError(1, "-", f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(1, "-", f"{path} cannot be read: {error}") from None
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise CaseError(1, "-", f"{path} is not a table of comma-separated values: {error}") from None
    found = [_case(number, row, rules) for number, row in enumerate(rows, 2) if any(row.values())]
    if not found:
        raise CaseError(1, "-", f"{path} holds no case")
    return found


def _case(number: int, row: Mapping[str | None, object], rules: Rules) -> Case | CaseError:
    try:
        return _Row(number, row).case(rules)
    except CaseError as error:
        return error


def letters(text: str) -> str:
    """Letters only, in lower case: how names and words of cases are compared."""
    return "".join(character for character in text.lower() if character.isalpha())


def whole(text: str) -> str:
    """A code or number without the ".0" that spreadsheets write where a column has empty cells."""
    return text.removesuffix(".0")


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
        return CaseError(self.number, column, why, self.text("CDC_Test_ID") or None)

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
        text = self.required(column)
        try:
            return read_day(text).toordinal()
        except ValueError as error:
            raise self.error(column, str(error)) from None

    def case(self, rules: Rules) -> Case:
        birth = self.day("DOB")
        assessment = self.day("Assessment_Date")
        if assessment < birth:
            raise self.error("Assessment_Date", "lies before the day of birth")
        patient = Patient(
            birth=birth,
            gender=_GENDERS.get(self.text("gender").lower(), "unknown"),
            doses=tuple(self._dose(number, birth) for number in self._numbers("date_administered_", "cvx_")),
            observations=(*self._observations(), *self._medical_history(rules)),
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
        code = whole(self.required(f"CVX_{number}"))
        if not (code.isascii() and code.isdecimal() and len(code) <= _LONGEST_CVX):
            raise self.error(f"CVX_{number}", f"{code!r} is not a CVX code")
        return Administered(str(number), day, cvx(code), self.text(f"MVX_{number}").upper() or None)

    def _observations(self) -> Iterable[Observed]:
        for number in self._numbers("observation_code_"):
            column = f"Observation_Date_{number}"
            code = observation_code(whole(self.text(f"Observation_Code_{number}")))
            yield Observed(code, self.day(column) if self.text(column) else None)

    def _medical_history(self, rules: Rules) -> Iterable[Observed]:
        """Codes of observations, or of another system (SNOMED CT) in which the data say the same."""
        for part in self.text("Med_History_Code").replace(",", ";").split(";"):
            code = whole(part.strip())
            if code:
                yield from (Observed(known) for known in rules.coded.get(code, (observation_code(code),)))

    def _group(self, rules: Rules) -> VaccineGroup:
        said = letters(self.required("Vaccine_Group"))
        one = next((names for names in _GROUP_NAMES if said in map(letters, names)), ())
        called = {said, *map(letters, one)}
        for name, group in rules.vaccine_groups.items():
            if letters(name) in called:
                return group
        if one:
            return VaccineGroup(one[0], ())
        raise self.error(
            "Vaccine_Group", f"{self.text('Vaccine_Group')!r} is not a vaccine group that data or cases know"
        )
