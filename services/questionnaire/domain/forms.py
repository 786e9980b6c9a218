"""A form (問診票・予診票) as data: its items, its branching, and the checks that a form file must pass before anybody sees it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

Scalar = bool | int | float | str
Kind = Literal["group", "boolean", "choice", "string", "integer", "decimal", "date"]


class FormBroken(ValueError):
    """A form file contradicts itself; the service does not start with it."""


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in Japanese (as printed), English, and easy Japanese (やさしい日本語) where there are some."""

    ja: str
    en: str
    easy: str | None = None

    def of(self, language: str) -> str:
        """The words in `ja`, `en` or `easy`; Japanese when there are none."""
        return {"en": self.en, "easy": self.easy or self.ja}.get(language, self.ja)


@dataclass(frozen=True, slots=True)
class Condition:
    """Another question's answer compared with a value (FHIR enableWhen)."""

    question: str
    operator: str
    value: Scalar

    def holds(self, answers: Mapping[str, Scalar]) -> bool:
        """Whether it is so; an answer that is not there satisfies only `exists` = false and `!=`."""
        answer = answers.get(self.question)
        if self.operator == "exists":
            return (answer is not None) == self.value
        if answer is None:
            return self.operator == "!="
        if self.operator in {"=", "!="}:
            return (answer == self.value and isinstance(answer, bool) == isinstance(self.value, bool)) == (
                self.operator == "="
            )
        left, right = answer, self.value
        if isinstance(left, str) != isinstance(right, str):
            return False
        return bool(
            {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[self.operator]  # type: ignore[operator]
        )


@dataclass(frozen=True, slots=True)
class Option:
    """One choice; `score` where the scale is scored by option."""

    code: str
    text: Text
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A question, or a group of them. `unit` is UCUM; bounds are inclusive."""

    link_id: str
    kind: Kind
    text: Text
    number: str | None = None
    required: bool = False
    enable_when: tuple[Condition, ...] = ()
    enable_any: bool = False
    options: tuple[Option, ...] = ()
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    decimals: int = 0
    max_length: int | None = None
    carry_over: bool = False
    filled_from: str | None = None
    items: tuple["Item", ...] = ()

    def asked(self, answers: Mapping[str, Scalar]) -> bool:
        """Whether these answers lead to this item (its parents apart)."""
        if not self.enable_when:
            return True
        met = [condition.holds(answers) for condition in self.enable_when]
        return any(met) if self.enable_any else all(met)


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that the doctor must see at once; it `stops` when a decision to go ahead needs a new measurement."""

    code: str
    text: Text
    when: tuple[Condition, ...]
    age_days_at_least: int | None = None
    stops: bool = False


@dataclass(frozen=True, slots=True)
class ConsentItem:
    """The item in which the guardian agrees to the vaccination or refuses it (同意・不同意)."""

    item: str
    agree: str
    refuse: str


@dataclass(frozen=True, slots=True)
class Form:
    """One version of one form."""

    id: str
    version: str
    kind: str
    title: Text
    effective_from: date
    effective_to: date | None
    items: tuple[Item, ...]
    flags: tuple[Flag, ...]
    consent: ConsentItem | None
    temperature: str | None
    vaccine_needed: bool
    source: str
    confidence: str
    legal_basis: str | None = None
    note: str | None = None
    wording: str = "ours"

    def in_force(self, on: date) -> bool:
        """Whether a response may begin with it on that day."""
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)

    def questions(self) -> Iterator[Item]:
        """Every question in the order of the form, without the groups."""
        return (item for item in walk(self.items) if item.kind != "group")

    def question(self, link_id: str) -> Item | None:
        """The question of that link id."""
        return next((item for item in self.questions() if item.link_id == link_id), None)

    def enabled(self, answers: Mapping[str, Scalar]) -> list[Item]:
        """The questions that these answers lead to, in order; an answer to a question that is not asked counts for nothing."""
        counted: dict[str, Scalar] = {}
        found: list[Item] = []

        def visit(items: Sequence[Item]) -> None:
            for item in items:
                if not item.asked(counted):
                    continue
                if item.kind == "group":
                    visit(item.items)
                    continue
                found.append(item)
                if item.link_id in answers:
                    counted[item.link_id] = answers[item.link_id]

        visit(self.items)
        return found


def walk(items: Sequence[Item]) -> Iterator[Item]:
    """All items, parents before their children."""
    for item in items:
        yield item
        yield from walk(item.items)


def read_form(data: Mapping[str, Any]) -> Form:
    """The form of a file that satisfies form.schema.json; raises FormBroken where it contradicts itself."""
    consent = data.get("consent")
    form = Form(
        id=data["id"],
        version=data["version"],
        kind=data["kind"],
        title=Text(**data["title"]),
        effective_from=date.fromisoformat(data["effective_from"]),
        effective_to=date.fromisoformat(data["effective_to"]) if "effective_to" in data else None,
        items=tuple(_item(one) for one in data["items"]),
        flags=tuple(_flag(one) for one in data.get("flags", ())),
        consent=ConsentItem(**consent) if consent else None,
        temperature=data.get("temperature"),
        vaccine_needed=data.get("vaccine_needed", False),
        source=data["source"],
        confidence=data["confidence"],
        legal_basis=data.get("legal_basis"),
        note=data.get("note"),
        wording=data.get("wording", "ours"),
    )
    _check(form)
    return form


def _item(data: Mapping[str, Any]) -> Item:
    return Item(
        link_id=data["link_id"],
        kind=data["type"],
        text=Text(**data["text"]),
        number=data.get("number"),
        required=data.get("required", False),
        enable_when=_conditions(data.get("enable_when", ())),
        enable_any=data.get("enable_behavior") == "any",
        options=tuple(Option(one["code"], Text(**one["text"]), one.get("score")) for one in data.get("options", ())),
        unit=data.get("unit"),
        min=data.get("min"),
        max=data.get("max"),
        decimals=data.get("decimals", 0),
        max_length=data.get("max_length"),
        carry_over=data.get("carry_over", False),
        filled_from=data.get("filled_from"),
        items=tuple(_item(one) for one in data.get("items", ())),
    )


def _flag(data: Mapping[str, Any]) -> Flag:
    return Flag(
        data["code"],
        Text(**data["text"]),
        _conditions(data["when"]),
        data.get("age_days_at_least"),
        data.get("stops", False),
    )


def _conditions(data: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    return tuple(Condition(one["question"], one["operator"], one["value"]) for one in data)


def _check(form: Form) -> None:
    """Link ids are unique, branches look back only, conditions compare what can be compared."""
    seen: dict[str, Item] = {}
    for item in walk(form.items):
        if item.link_id in seen:
            raise FormBroken(f"{form.id}: {item.link_id} stands twice")
        for condition in item.enable_when:
            _check_condition(form, condition, seen)
        codes = [option.code for option in item.options]
        if len(set(codes)) != len(codes):
            raise FormBroken(f"{form.id}: {item.link_id} has an option twice")
        if item.min is not None and item.max is not None and item.min > item.max:
            raise FormBroken(f"{form.id}: {item.link_id} has no possible value")
        seen[item.link_id] = item
    for flag in form.flags:
        for condition in flag.when:
            _check_condition(form, condition, seen)
    if len({flag.code for flag in form.flags}) != len(form.flags):
        raise FormBroken(f"{form.id}: a flag stands twice")
    if form.consent is not None:
        asked = seen.get(form.consent.item)
        if asked is None or {option.code for option in asked.options} != {form.consent.agree, form.consent.refuse}:
            raise FormBroken(f"{form.id}: the consent item does not offer exactly to agree and to refuse")
        if not asked.required or asked.carry_over:
            raise FormBroken(f"{form.id}: consent is asked anew each time")
    if form.temperature is not None:
        measured = seen.get(form.temperature)
        if measured is None or measured.kind != "decimal" or measured.carry_over:
            raise FormBroken(f"{form.id}: the temperature is a decimal of the day")


def _check_condition(form: Form, condition: Condition, seen: Mapping[str, Item]) -> None:
    item = seen.get(condition.question)
    where = f"{form.id}: a condition on {condition.question}"
    if item is None or item.kind == "group":
        raise FormBroken(f"{where} does not look back to a question")
    if condition.operator == "exists":
        fits = isinstance(condition.value, bool)
    elif item.kind == "boolean":
        fits = isinstance(condition.value, bool) and condition.operator in {"=", "!="}
    elif item.kind == "choice":
        fits = condition.value in {option.code for option in item.options} and condition.operator in {"=", "!="}
    elif item.kind in {"integer", "decimal"}:
        fits = isinstance(condition.value, int | float) and not isinstance(condition.value, bool)
    else:
        fits = isinstance(condition.value, str)
    if not fits:
        raise FormBroken(f"{where} compares what cannot be compared")
