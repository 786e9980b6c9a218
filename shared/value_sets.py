"""Short lists from which entries of a record choose (value_sets.yaml): sites, routes, results, findings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("value_sets.yaml")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a list: Hagukumi's code, its words, and what public code systems call it as (system, code)."""

    code: str
    ja: str
    en: str
    codings: tuple[tuple[str, str], ...] = ()
    more: Mapping[str, Any] | None = None


@cache
def value_set(name: str) -> Mapping[str, Choice]:
    """The list of that name by code, in its order; raises KeyError for another name."""
    return _read()[name]


def spoken_of(name: str, words: str) -> Choice | None:
    """The choice that somebody means who gives its code, its words or a public code of it."""
    return _by_words(name).get(words.strip().casefold())


@cache
def _by_words(name: str) -> dict[str, Choice]:
    found: dict[str, Choice] = {}
    for one in value_set(name).values():
        for said in (one.code, one.ja, one.en, *(code for _, code in one.codings)):
            found[said.casefold()] = one
    return found


@cache
def _read() -> dict[str, dict[str, Choice]]:
    doc = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    sets: dict[str, dict[str, Choice]] = {}
    for name, rows in doc["sets"].items():
        choices = [_choice(row, doc["systems"]) for row in rows]
        sets[name] = {one.code: one for one in choices}
        if len(sets[name]) != len(choices):
            raise ValueError(f"{FILE.name}: {name} has a code twice")
    return sets


def _choice(row: dict[str, Any], systems: Mapping[str, str]) -> Choice:
    named = {"code", "ja", "en", "fhir"}
    more = {key: value for key, value in row.items() if key not in named}
    codings = tuple((systems[system], code) for system, code in row.get("fhir", ()))
    return Choice(row["code"], row["ja"], row["en"], codings, more or None)
