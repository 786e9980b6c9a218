"""Rows of an import (過去の記録の取り込み): children and their municipal doses, judged by the same rules as every other entry.

Rows with the same number (整理番号) are one child. The order is fixed, whatever the file's: children by their first row,
each child's doses by day, then vaccine, then row. A child whose facts are wrong is refused with all its rows; a wrong
dose alone. What is on record already changes nothing and is said to be known.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from services.records.domain import children, doses
from services.records.domain.access import Caller
from services.records.domain.duplicates import Strength, Traits, alike, pairs
from services.records.domain.import_files import FORMULA, NEEDED, Line
from services.records.domain.record import Record, apply, opened
from shared.events.records import ChildEvent, ChildRegistered, ChildRetracted, Sex, VaccineCode
from shared.problems import FieldProblem, Invalid
from shared.vaccines import OWN

Outcome = Literal["new", "known", "refused"]
LONGEST = {"ref": 64, "district": 200}
LONGEST_TEXT = 100
_SEXES: dict[str, Sex] = {"F": "F", "M": "M", "U": "U", "女": "F", "男": "M", "不明": "U"}
_DOSE = ("vaccine", "given_on", "product", "lot", "expires_on", "site", "dose_ml")
_FIELDS = {
    "/name/family_kana": "family_kana",
    "/name/given_kana": "given_kana",
    "/vaccine/code": "vaccine",
    "/vaccine/system": "vaccine",
    "/cvx": "vaccine",
}
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A rule that a row breaks: the column, a stable code, words in two languages; never the value."""

    field: str
    code: str
    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Similar:
    """Who may be the same child (重複): one on record, or one further down or up in the file. It comes in all the same."""

    strength: Strength
    child: str | None = None
    row: int | None = None


@dataclass(slots=True)
class RowReport:
    """What became of a row."""

    row: int
    outcome: Outcome
    problems: list[RowProblem] = field(default_factory=list)
    similar: list[Similar] = field(default_factory=list)


@dataclass(slots=True)
class DoseRow:
    """A dose and the row that it stands in."""

    row: int
    wish: doses.DoseWish | None
    problems: list[RowProblem]


@dataclass(slots=True)
class ChildRows:
    """All rows of one child."""

    ref: str
    row: int
    rows: list[int]
    wish: children.ChildWish | None
    problems: list[RowProblem]
    doses: list[DoseRow]
    traits: Traits | None = None
    similar: list[Similar] = field(default_factory=list)


@dataclass(slots=True)
class Taken:
    """What the rows of one child come to: facts to announce, the record after them, a report for each row."""

    events: list[ChildEvent]
    record: Record | None
    reports: list[RowReport]
    created: bool
    doses: list[str]


def children_of(lines: Iterable[Line], municipality: str) -> list[ChildRows]:
    """The rows by child, in the fixed order; a row without a number stands alone and is refused."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.cells.get("ref") or f"\x00{line.number}", []).append(line)
    groups = [_child(ref, rows, municipality) for ref, rows in found.items()]
    _compare(groups)
    return groups


def _compare(groups: list[ChildRows]) -> None:
    """Say of each child which others in the file may be the same one: two numbers for one child are a slip."""
    by_row = {str(rows.row): rows for rows in groups}
    for pair in pairs((row, rows.traits) for row, rows in by_row.items() if rows.traits is not None):
        one, two = by_row[pair.first], by_row[pair.second]
        one.similar.append(Similar(pair.strength, row=two.row))
        two.similar.append(Similar(pair.strength, row=one.row))


def _child(ref: str, lines: list[Line], municipality: str) -> ChildRows:
    problems: list[RowProblem] = []
    first = lines[0]
    facts = [_facts(line, municipality, problems if line is first else []) for line in lines]
    for line, (_, said) in zip(lines[1:], facts[1:], strict=True):
        if {name: said.get(name) for name in NEEDED} != {name: facts[0][1].get(name) for name in NEEDED}:
            problems.append(
                RowProblem(
                    "ref",
                    "rows-differ",
                    f"{line.number}行目と内容が異なります。",
                    f"Row {line.number} says something else of this child.",
                )
            )
    dosed = [_dose(line) for line in lines if any(name in line.cells for name in _DOSE)]
    dosed.sort(key=lambda one: (one.wish.given_on, _code(one.wish), one.row) if one.wish else (date.max, "", one.row))
    wish = facts[0][0] if not problems else None
    traits = Traits(wish.birth_date, wish.sex, wish.family_kana, wish.given_kana, wish.municipality) if wish else None
    return ChildRows(ref, first.number, [line.number for line in lines], wish, problems, dosed, traits)


def _code(wish: doses.DoseWish) -> str:
    return wish.cvx or (wish.vaccine.code if wish.vaccine else "")


def _facts(
    line: Line, municipality: str, problems: list[RowProblem]
) -> tuple[children.ChildWish | None, dict[str, str]]:
    cells = _checked(line, problems)
    for name in NEEDED:
        if name not in line.cells:
            problems.append(RowProblem(name, "missing", "必須項目です。", "This is required."))
    birth = _day(cells, "birth_date", problems)
    sex = _SEXES.get(unicodedata.normalize("NFKC", cells.get("sex", "")).upper())
    if "sex" in cells and sex is None:
        problems.append(RowProblem("sex", "literal-error", "女、男、不明のいずれかです。", "It is F, M or U."))
    gestation, weight = (_number(cells, name, problems) for name in ("gestation_days", "birth_weight_g"))
    if problems or birth is None or sex is None:
        return None, cells
    return (
        children.ChildWish(
            birth_date=birth,
            sex=sex,
            family=cells["family"],
            given=cells["given"],
            family_kana=cells["family_kana"],
            given_kana=cells["given_kana"],
            municipality=municipality,
            district=cells.get("district"),
            gestation_days=gestation,
            birth_weight_g=weight,
        ),
        cells,
    )


def _dose(line: Line) -> DoseRow:
    problems: list[RowProblem] = []
    cells = _checked(line, problems, _DOSE)
    for name in ("vaccine", "given_on"):
        if name not in line.cells:
            problems.append(RowProblem(name, "missing", "必須項目です。", "This is required."))
    given_on, expires_on = _day(cells, "given_on", problems), _day(cells, "expires_on", problems)
    amount = _amount(cells, problems)
    if problems or given_on is None:
        return DoseRow(line.number, None, problems)
    code = unicodedata.normalize("NFKC", cells["vaccine"])
    wish = doses.DoseWish(
        given_on=given_on,
        cvx=code if code.isdigit() else None,
        vaccine=None if code.isdigit() else VaccineCode(system=OWN, code=code),
        product=cells.get("product"),
        lot=cells.get("lot"),
        expires_on=expires_on,
        site=cells.get("site"),
        dose_ml=amount,
    )
    return DoseRow(line.number, wish, problems)


def _checked(line: Line, problems: list[RowProblem], names: tuple[str, ...] = ()) -> dict[str, str]:
    """The cells that can be read at all; child's and dose's cells are looked at apart, so that each is told once."""
    mine = {name: cell for name, cell in line.cells.items() if (name in names if names else name not in _DOSE)}
    if not names and not line.whole:
        problems.append(RowProblem("", "columns", "列の数が見出しと違います。", "It has more cells than the heading."))
    good: dict[str, str] = {}
    for name, cell in mine.items():
        if cell == FORMULA:
            problems.append(RowProblem(name, "formula", "数式は使えません。", "A formula is not accepted."))
        elif len(cell) > LONGEST.get(name, LONGEST_TEXT):
            problems.append(RowProblem(name, "string-too-long", "長すぎます。", "It is too long."))
        elif any(unicodedata.category(letter) in _UNWANTED for letter in cell):
            problems.append(
                RowProblem(name, "text-characters", "使えない文字があります。", "Control characters are not accepted.")
            )
        else:
            good[name] = cell
    return good


def _day(cells: dict[str, str], name: str, problems: list[RowProblem]) -> date | None:
    if name not in cells:
        return None
    parts = unicodedata.normalize("NFKC", cells[name]).replace("/", "-").split("-")
    try:
        if len(parts) == 3 and len(parts[0]) == 4 and all(part.isascii() and part.isdigit() for part in parts):
            return date(int(parts[0]), int(parts[1]), int(parts[2]))
    except ValueError:
        pass
    problems.append(
        RowProblem(name, "date-parsing", "日付は2026-04-01の形で入力してください。", "A day is written 2026-04-01.")
    )
    return None


def _number(cells: dict[str, str], name: str, problems: list[RowProblem]) -> int | None:
    if name not in cells:
        return None
    written = unicodedata.normalize("NFKC", cells[name]).replace(",", "")
    if written.isascii() and written.isdigit() and len(written) < 9:
        return int(written)
    problems.append(RowProblem(name, "int-parsing", "整数を入力してください。", "It must be a whole number."))
    return None


def _amount(cells: dict[str, str], problems: list[RowProblem]) -> float | None:
    if "dose_ml" not in cells:
        return None
    written = unicodedata.normalize("NFKC", cells["dose_ml"])
    if len(written) < 9 and written.replace(".", "", 1).isascii() and written.replace(".", "", 1).isdigit():
        return float(written)
    problems.append(RowProblem("dose_ml", "float-parsing", "数値を入力してください。", "It must be a number."))
    return None


# What a child's rows come to --------------------------------------------------------------------------------------


def take(
    rows: ChildRows,
    record: Record | None,
    caller: Caller,
    *,
    created: bool,
    ids: dict[int, str],
    today: date,
    now: datetime,
    others: Iterable[tuple[str, Traits]] = (),
) -> Taken:
    """Judge a child's rows against its record, if it has one; `ids` are the ids of the doses that they would make.

    `others` are the children on record that one may be taken for. `created` says that this very import opened the record: an earlier attempt did, before its process died.
    """
    if rows.problems or rows.wish is None:
        return Taken([], record, _all_refused(rows, rows.problems), created=False, doses=[])
    try:
        told = children.register(rows.wish, caller, today)
    except Invalid as refused:
        return Taken([], record, _all_refused(rows, _problems(refused.errors)), created=False, doses=[])
    first = told[0]
    if not isinstance(first, ChildRegistered):
        raise TypeError("a record opens with ChildRegistered")
    events: list[ChildEvent] = []
    if record is None:
        record, created, events = opened(first), True, [first]
    elif differing := _differing(record, first, rows.wish):
        return Taken([], record, _all_refused(rows, differing), created=created, doses=[])
    reports = {number: RowReport(number, "new" if created else "known") for number in rows.rows}
    brought: list[str] = []
    for dose in rows.doses:
        reports[dose.row] = report = RowReport(dose.row, "new", dose.problems)
        if dose.wish is None:
            report.outcome = "refused"
            continue
        dose_id = ids[dose.row]
        if dose_id in record.doses:
            brought.append(dose_id)
            continue
        try:
            found = doses.record_dose(record, dose.wish, caller, dose_id=dose_id, today=today, now=now)
        except Invalid as refused:
            known = {error.code for error in refused.errors} == {"already-recorded"}
            report.outcome = "known" if known else "refused"
            report.problems = [] if known else _problems(refused.errors)
            continue
        for event in found:
            apply(record, event)
        events += found
        brought.append(dose_id)
    if created:
        mine = Traits.of(record.facts)
        on_record = [Similar(strength, child=child) for child, theirs in others if (strength := alike(mine, theirs))]
        reports[rows.row].similar = [*sorted(on_record, key=lambda one: one.child or ""), *rows.similar]
    return Taken(events, record, list(reports.values()), created=created, doses=brought)


def _differing(record: Record, first: ChildRegistered, wish: children.ChildWish) -> list[RowProblem]:
    """Where the file says something else than the record: an import puts nothing right, and never silently."""
    mine, theirs = first.child, record.facts
    pairs: dict[str, tuple[Any, Any]] = {
        "birth_date": (mine.birth_date, theirs.birth_date),
        "sex": (mine.sex, theirs.sex),
        "family": (mine.name.family, theirs.name.family),
        "given": (mine.name.given, theirs.name.given),
        "family_kana": (mine.name.family_kana, theirs.name.family_kana),
        "given_kana": (mine.name.given_kana, theirs.name.given_kana),
        "ref": (mine.municipality, theirs.municipality),
    }
    for name in ("district", "gestation_days", "birth_weight_g"):
        if getattr(wish, name) is not None:
            pairs[name] = (getattr(mine, name), getattr(theirs, name))
    if record.facts.municipality != first.child.municipality:
        return [
            RowProblem("ref", "not-resident", "現在の住民ではありません。", "The child does not live here any more.")
        ]
    return [
        RowProblem(name, "differs-from-record", "登録済みの内容と異なります。", "The record says something else.")
        for name, (ours, known) in pairs.items()
        if ours != known
    ]


def _all_refused(rows: ChildRows, problems: list[RowProblem]) -> list[RowReport]:
    """The first row says what is wrong, the others that they belong to it; each dose's own problems are told too."""
    reports = {number: RowReport(number, "refused", [_with_child(rows.row)]) for number in rows.rows}
    for dose in rows.doses:
        reports[dose.row].problems += dose.problems
    reports[rows.row].problems = [
        *problems,
        *(one for one in reports[rows.row].problems if one.code != "child-refused"),
    ]
    return list(reports.values())


def _with_child(row: int) -> RowProblem:
    return RowProblem(
        "ref", "child-refused", f"{row}行目のこどもが登録できません。", f"The child of row {row} was refused."
    )


def _problems(errors: Iterable[FieldProblem]) -> list[RowProblem]:
    return [
        RowProblem(_FIELDS.get(error.pointer, error.pointer.rsplit("/", 1)[-1]), error.code, error.ja, error.en)
        for error in errors
    ]


# Undo -------------------------------------------------------------------------------------------------------------


def undo(record: Record, brought: list[str], caller: Caller, *, alone: bool) -> Iterator[ChildEvent]:
    """What takes back an import's part of a record.

    `alone`: the import opened the record and nobody has written to it since; then the record itself is taken back.
    """
    if alone:
        yield ChildRetracted(reason="import-undone", by=caller.actor)
        return
    for dose_id in brought:
        if dose_id in record.doses:
            for event in doses.take_back(record, dose_id, "import-undone", caller):
                apply(record, event)
                yield event
