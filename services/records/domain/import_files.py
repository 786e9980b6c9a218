"""Files that a town hands in to be taken over (CSV, Excel): read into rows of text, or refused whole with the reason.

What is refused here is the file: another encoding, a broken quote, an unknown column, a workbook that unpacks to
gigabytes. What is wrong with a row is found row by row (import_rows.py).
"""

import csv
import io
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import openpyxl

from shared.problems import Invalid, invalid

Kind = Literal["csv", "xlsx"]
CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
KINDS: dict[str, Kind] = {CSV_TYPE: "csv", XLSX_TYPE: "xlsx"}
MAX_BYTES = 20_000_000
MOST_UNPACKED = 200_000_000
MOST_ROWS = 100_000
FORMULA = "\x00formula"
"""Stands in a cell whose value would be computed: no text of a file can be it."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "ref": ("整理番号",),
    "birth_date": ("生年月日",),
    "sex": ("性別",),
    "family": ("氏", "姓"),
    "given": ("名",),
    "family_kana": ("氏カナ", "姓カナ"),
    "given_kana": ("名カナ",),
    "district": ("地区",),
    "gestation_days": ("在胎日数",),
    "birth_weight_g": ("出生体重", "出生体重g"),
    "vaccine": ("ワクチン", "ワクチンコード"),
    "given_on": ("接種日", "接種年月日"),
    "product": ("製品名", "製剤名"),
    "lot": ("製造番号", "ロット番号"),
    "expires_on": ("有効期限",),
    "site": ("接種部位",),
    "dose_ml": ("接種量", "接種量ml"),
}
"""Each column's name on the wire, and what Japanese systems call it."""
NEEDED = ("ref", "birth_date", "sex", "family", "given", "family_kana", "given_kana")
MY_NUMBER = ("個人番号", "マイナンバー", "mynumber", "my_number")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the file: its number as a person counts (the heading is 1), and its cells by column."""

    number: int
    cells: dict[str, str]
    whole: bool = True
    """Whether it has as many cells as the heading."""


def read(data: bytes, kind: Kind) -> list[Line]:
    """The rows of the file. Raises Invalid with what makes it unreadable; takes seconds for a large one: use a thread."""
    rows = _csv(data) if kind == "csv" else _xlsx(data)
    heading = next(rows, None)
    if heading is None:
        raise _refused("file-empty", "ファイルが空です。", "The file is empty.")
    columns = _columns(heading[1])
    found = [
        Line(
            number,
            {name: cell.strip() for name, cell in zip(columns, cells, strict=False) if cell.strip()},
            whole=len(cells) == len(columns) or not any(cell.strip() for cell in cells[len(columns) :]),
        )
        for number, cells in rows
        if any(cell.strip() for cell in cells)
    ]
    if not found:
        raise _refused("file-empty", "データ行がありません。", "There are no rows below the heading.")
    if len(found) > MOST_ROWS:
        raise _refused("too-many-rows", f"{MOST_ROWS}行までです。", f"A file has at most {MOST_ROWS} rows.")
    return found


def _columns(heading: list[str]) -> list[str]:
    while heading and not heading[-1].strip():
        heading = heading[:-1]
    names = {_folded(word): name for name, words in COLUMNS.items() for word in (name, *words)}
    found: list[str] = []
    for place, cell in enumerate(heading):
        word = _folded(cell)
        pointer = f"/columns/{place + 1}"
        if word in map(_folded, MY_NUMBER):
            raise invalid(
                pointer,
                "my-number",
                "個人番号は受け付けられません。",
                "The individual number (My Number) is never accepted.",
            )
        if word not in names:
            raise invalid(pointer, "column-unknown", "この列名は使えません。", "This column is not known.")
        if names[word] in found:
            raise invalid(pointer, "column-twice", "同じ列が2つあります。", "This column is there twice.")
        found.append(names[word])
    missing = [name for name in NEEDED if name not in found]
    if missing:
        words = "、".join(COLUMNS[name][0] for name in missing)
        raise _refused("column-missing", f"列がありません: {words}", f"Columns are missing: {', '.join(missing)}")
    return found


def _folded(word: str) -> str:
    plain = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in plain if letter.isalnum() or letter == "_")


# CSV --------------------------------------------------------------------------------------------------------------


def _csv(data: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _text(data)
    if "\x00" in text:
        raise _refused("csv-broken", "CSVとして読めません。", "This is no CSV.")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise invalid(
                f"/rows/{number}",
                "csv-broken",
                f"{number}行目をCSVとして読めません (引用符を確認してください)。",
                f"Row {number} is no CSV: look at its quotes.",
            ) from error
        yield number, [_plain(cell) for cell in cells]


def _plain(cell: str) -> str:
    # A cell that a spreadsheet would compute when somebody opens the file (CSV injection).
    return FORMULA if cell.lstrip()[:1] in {"=", "@"} or cell.lstrip()[:2] in {"+=", "-="} else cell


def _text(data: bytes) -> str:
    """UTF-8 with or without its mark, or Shift_JIS as Windows writes it (CP932); nothing is replaced or guessed."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused("encoding", "UTF-8かShift_JISで保存してください。", "Save it as UTF-8 or Shift_JIS.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as utf8:
        try:
            return data.decode("cp932")
        except UnicodeDecodeError as cp932:
            # The encoding that came further is the one that was meant.
            broken = max(utf8.start, cp932.start)
            number = data.count(b"\n", 0, broken) + 1
            raise invalid(
                f"/rows/{number}",
                "encoding",
                f"{number}行目に文字化けがあります。UTF-8かShift_JISで保存し直してください。",
                f"Row {number} is neither UTF-8 nor Shift_JIS. Save the file again.",
            ) from cp932


# Excel ------------------------------------------------------------------------------------------------------------


def _xlsx(data: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        _look_inside(data)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if len(sheets) != 1:
            raise _refused(
                "one-sheet", "シートは1枚だけにしてください。", "The workbook has to have exactly one sheet."
            )
        # What a sheet says about its own size may be wrong or a trap: rows are counted as they come.
        sheets[0].reset_dimensions()
        for number, row in enumerate(sheets[0].iter_rows(), 1):
            if number > MOST_ROWS + 1:
                raise _refused("too-many-rows", f"{MOST_ROWS}行までです。", f"A file has at most {MOST_ROWS} rows.")
            yield number, [_cell(cell) for cell in row[:200]]
    except Invalid:
        raise
    except Exception as error:
        raise _refused("xlsx-broken", "Excelファイルとして読めません。", "This is no Excel workbook.") from error


def _look_inside(data: bytes) -> None:
    """Raise for a workbook that unpacks to more than it may, holds a program, or has XML that defines things."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        if len(parts) > 2_000 or sum(part.file_size for part in parts) > MOST_UNPACKED:
            raise _refused("xlsx-too-large", "展開後のサイズが大きすぎます。", "It unpacks to more than it may.")
        for part in parts:
            if part.filename.lower().endswith((".bin", ".exe", ".dll", ".js", ".vbs")):
                raise _refused("xlsx-program", "マクロを含むファイルは使えません。", "It holds a program.")
            with archive.open(part) as opened:
                start = opened.read(4_096)
            if b"<!DOCTYPE" in start or b"<!ENTITY" in start or start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
                raise _refused("xlsx-broken", "Excelファイルとして読めません。", "This is no Excel workbook.")


def _cell(cell: Any) -> str:
    value = cell.value
    if cell.data_type == "f":
        return FORMULA
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _plain(str(value))


def _refused(code: str, ja: str, en: str) -> Invalid:
    return invalid("", code, ja, en)


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV, for files that this project makes itself."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
