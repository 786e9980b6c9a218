"""Files as a town's old system writes them: invented children with their past doses, and rows that are spoiled on purpose."""

import csv
import io
import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import openpyxl

HEADING = [
    "整理番号",
    "生年月日",
    "性別",
    "氏",
    "名",
    "氏カナ",
    "名カナ",
    "地区",
    "ワクチン",
    "接種日",
    "製造番号",
    "接種量",
]
_FAMILY = [("若葉", "ワカバ"), ("髙橋", "タカハシ"), ("﨑山", "サキヤマ"), ("青空", "アオゾラ"), ("小川", "オガワ")]
_SYLLABLES = [("あ", "ア"), ("葵", "アオ"), ("い", "イ"), ("か", "カ"), ("さ", "サ"), ("翔", "ショウ"), ("な", "ナ"), ("の", "ノ"), ("陽", "ハル"), ("ま", "マ"),
              ("湊", "ミナト"), ("も", "モ"), ("ゆ", "ユ"), ("ら", "ラ"), ("凛", "リン"), ("る", "ル"), ("れ", "レ"), ("ろ", "ロ"), ("和", "カズ"), ("希", "キ"),
              ("子", "コ"), ("み", "ミ"), ("と", "ト")]  # fmt: skip
_DOSES = (("penta", 62), ("pcv20", 62), ("hepb", 63), ("bcg", 155), ("mr", 370))
BORN = date(2023, 4, 1)

Row = list[str]
Spoil = tuple[str, str, Callable[[Row], Row]]


def _with(column: int, value: str) -> Callable[[Row], Row]:
    return lambda row: [*row[:column], value, *row[column + 1 :]]


SPOILED: tuple[Spoil, ...] = (
    ("birth_date", "date-parsing", _with(1, "令和5年4月1日")),
    ("birth_date", "date-parsing", _with(1, "2023-02-30")),
    ("birth_date", "in-the-future", _with(1, "2090-01-01")),
    ("birth_date", "missing", _with(1, "")),
    ("sex", "literal-error", _with(2, "X")),
    ("family", "missing", _with(3, "")),
    ("family_kana", "kana", _with(5, "wakaba")),
    ("given", "string-too-long", _with(4, "あ" * 101)),
    ("given", "text-characters", _with(4, "光\u202e")),
    ("given", "formula", _with(4, '=HYPERLINK("x")')),
    ("", "columns", lambda row: [*row, "extra"]),
    ("vaccine", "vaccine-unknown", _with(8, "pentaa")),
    ("vaccine", "missing", _with(8, "")),
    ("given_on", "before-birth", _with(9, "2020-01-01")),
    ("given_on", "in-the-future", _with(9, "2090-01-01")),
    ("given_on", "missing", _with(9, "")),
    ("lot", "lot-characters", _with(10, "ロット１番")),
    ("dose_ml", "out-of-range", _with(11, "50")),
    ("dose_ml", "float-parsing", _with(11, "half")),
    ("vaccine", "vaccine-of-pregnancy", _with(8, "rsv_maternal")),
)
"""(field, rule, how a good row is spoiled)."""


def _given(number: int) -> tuple[str, str]:
    """A name that 12,000 children in a row do not share: nobody is taken for a namesake."""
    many = len(_SYLLABLES)
    written, read = zip(*(_SYLLABLES[number // many**place % many] for place in range(3)), strict=True)
    return "".join(written), "".join(read)


def good_rows(children: int, *, first: int = 0) -> list[Row]:
    """One row for each of these children, with one past dose."""
    order = random.Random(20261123 + first)
    rows = []
    for number in range(first, first + children):
        born = BORN + timedelta(days=order.randrange(400))
        family, family_kana = order.choice(_FAMILY)
        given, given_kana = _given(number)
        vaccine, age = order.choice(_DOSES)
        given_on = born + timedelta(days=age + order.randrange(20))
        rows.append(
            [
                f"{number:08}",
                born.isoformat(),
                order.choice(("女", "男")),
                family,
                given,
                family_kana,
                given_kana,
                "一丁目",
                vaccine,
                given_on.strftime("%Y/%m/%d"),
                f"GB{number % 9_000:04}",
                "0.5",
            ]
        )
    return rows


def spoil(rows: list[Row], count: int) -> tuple[list[Row], dict[int, tuple[str, str]]]:
    """(the rows with so many of them spoiled, row number -> field and rule); the heading is row 1."""
    order = random.Random(7)
    broken: dict[int, tuple[str, str]] = {}
    found = list(rows)
    for turn, place in enumerate(sorted(order.sample(range(len(rows)), count))):
        field, code, how = SPOILED[turn % len(SPOILED)]
        found[place] = how(rows[place])
        broken[place + 2] = (field, code)
    return found, broken


def as_csv(
    rows: Sequence[Row], *, encoding: str = "utf-8", heading: Sequence[str] = HEADING, quoted: bool = False
) -> bytes:
    """A CSV file; `quoted`: every cell stands in quotes."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerow(heading)
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def as_xlsx(rows: Sequence[Row], *, heading: Sequence[str] = HEADING, sheets: int = 1) -> bytes:
    """An Excel workbook; a cell that begins with = is a formula there."""
    book = openpyxl.Workbook(write_only=True)
    for number in range(sheets):
        sheet = book.create_sheet(f"s{number}")
        sheet.append(list(heading))
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
