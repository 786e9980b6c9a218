"""Answers: what an item accepts, what is still missing, and how a given answer is kept for ever as it was asked."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from services.questionnaire.domain.forms import Form, Item, Scalar
from shared.events.questionnaire import Answer
from shared.problems import FieldProblem, Invalid

MAX_ANSWERS = 300
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Control characters, and the marks that reverse the direction of text for whoever reads it later.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def read_answers(form: Form, given: Sequence[tuple[str, Any]], *, today: date, born: date) -> dict[str, Scalar]:
    """The answers by link id, checked one by one; an answer of nothing (null or blank) is no answer.

    What is said about a read-only item is not taken: the record's own value stands (a client may send a whole form back).
    Raises Invalid with every broken rule at its place in the body: `/answers/3/value`, `/answers/3/link_id`.
    """
    errors: list[FieldProblem] = []
    kept: dict[str, Scalar] = {}
    seen: set[str] = set()
    questions = {item.link_id: item for item in form.questions()}
    for place, (link_id, value) in enumerate(given):
        item = questions.get(link_id)
        if item is None:
            errors.append(
                _problem(place, "link_id", "unknown", "この様式にない項目です。", "This form has no such item.")
            )
            continue
        if link_id in seen:
            errors.append(
                _problem(place, "link_id", "duplicate", "同じ項目が2回あります。", "This item is answered twice.")
            )
            continue
        seen.add(link_id)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if item.filled_from is not None:
            continue
        wrong = _wrong(item, value, today, born)
        if wrong is not None:
            errors.append(_problem(place, "value", *wrong))
            continue
        kept[link_id] = value
    if errors:
        raise Invalid(errors=tuple(errors))
    return kept


def _problem(place: int, part: str, code: str, ja: str, en: str) -> FieldProblem:
    return FieldProblem(f"/answers/{place}/{part}", code, ja, en)


Wrong = tuple[str, str, str]


def _wrong(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    """None when the item accepts the value; else (code, ja, en)."""
    return _CHECKS[item.kind](item, value, today, born)


def _boolean(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    return None if isinstance(value, bool) else ("type", "はい・いいえで答えてください。", "Answer with true or false.")


def _choice(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    if not isinstance(value, str):
        return ("type", "選択肢のコードを入力してください。", "Answer with an option's code.")
    if value not in {option.code for option in item.options}:
        return ("not-an-option", "選択肢にない値です。", "This is not one of the options.")
    return None


def _string(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    if not isinstance(value, str):
        return ("type", "文字で入力してください。", "Answer with text.")
    if item.max_length is not None and len(value) > item.max_length:
        return ("too-long", f"{item.max_length}文字以内で入力してください。", f"At most {item.max_length} characters.")
    if _UNSEEN.search(value):
        return ("characters", "使えない文字が含まれています。", "It has characters that are not accepted.")
    return None


def _integer(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return ("type", "整数を入力してください。", "Answer with a whole number.")
    return _range(item, value)


def _decimal(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ("type", "数値を入力してください。", "Answer with a number.")
    wrong = _range(item, value)
    if wrong is None and abs(round(value, item.decimals) - value) > 1e-9:
        wrong = ("decimals", f"小数点以下は{item.decimals}桁までです。", f"At most {item.decimals} decimal places.")
    return wrong


def _range(item: Item, value: float) -> Wrong | None:
    if item.min is not None and value < item.min:
        return ("too-small", f"{item.min}以上で入力してください。", f"At least {item.min}.")
    if item.max is not None and value > item.max:
        return ("too-large", f"{item.max}以下で入力してください。", f"At most {item.max}.")
    return None


def _date(item: Item, value: Any, today: date, born: date) -> Wrong | None:
    unreadable = ("type", "日付の形式が正しくありません (YYYY-MM-DD)。", "Answer with a date, YYYY-MM-DD.")
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return unreadable
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return ("impossible-date", "存在しない日付です。", "There is no such day.")
    if day > today:
        return ("in-the-future", "未来の日付です。", "This day is yet to come.")
    if day < born:
        return ("before-birth", "生年月日より前の日付です。", "This day is before the birth.")
    return None


_CHECKS: dict[str, Callable[[Item, Any, date, date], Wrong | None]] = {
    "boolean": _boolean,
    "choice": _choice,
    "string": _string,
    "integer": _integer,
    "decimal": _decimal,
    "date": _date,
}


def missing(form: Form, answers: Mapping[str, Scalar]) -> tuple[FieldProblem, ...]:
    """Every required question that is asked and not answered, at its place: `/answers/<link id>`."""
    return tuple(
        FieldProblem(
            f"/answers/{item.link_id}",
            "required",
            f"「{item.text.ja}」({item.link_id}) に答えてください。",
            f"Please answer “{item.text.en}” ({item.link_id}).",
        )
        for item in form.enabled(answers)
        if item.required and item.link_id not in answers
    )


def as_asked(form: Form, answers: Mapping[str, Scalar], language: str) -> tuple[Answer, ...]:
    """The answers to the questions that were asked, each with its words: this is what is kept and shown for ever."""
    return tuple(
        Answer(
            link_id=item.link_id,
            text=item.text.ja,
            value=answers[item.link_id],
            type=item.kind,
            display=shown(item, answers[item.link_id], "ja"),
            unit=item.unit,
            asked_as=item.text.of(language) if language != "ja" else None,
        )
        for item in form.enabled(answers)
        if item.link_id in answers
    )


def shown(item: Item, value: Scalar, language: str) -> str:
    """The answer in words: はい, an option's text, a number with its unit."""
    if isinstance(value, bool):
        return {("en", True): "Yes", ("en", False): "No", ("ja", True): "はい", ("ja", False): "いいえ"}[
            ("en" if language == "en" else "ja", value)
        ]
    for option in item.options:
        if option.code == value:
            return option.text.of(language)
    unit = {"Cel": "℃", "mo": "mo" if language == "en" else "か月"}.get(item.unit or "", item.unit or "")
    return f"{value}{' ' if unit and language == 'en' else ''}{unit}"


def raised_flags(form: Form, answers: Mapping[str, Scalar], *, today: date, born: date) -> tuple[str, ...]:
    """Codes of what the doctor must see at once, in the form's order."""
    asked = {item.link_id for item in form.enabled(answers)}
    counted = {link_id: value for link_id, value in answers.items() if link_id in asked}
    age = (today - born).days
    return tuple(
        flag.code
        for flag in form.flags
        if all(condition.holds(counted) for condition in flag.when)
        and (flag.age_days_at_least is None or age >= flag.age_days_at_least)
    )
