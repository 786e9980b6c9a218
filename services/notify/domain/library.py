"""The content library: which article is for which day of a pregnancy or of a child's life (情報提供)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from services.notify.domain.audience import PREGNANCY_DAYS, Family, months_old


@dataclass(frozen=True, slots=True)
class Article:
    """One article of one version; `at` is `pregnancy_week`, `week` or `month` and its number."""

    id: str
    library: str
    version: str
    effective_from: date
    at: tuple[str, int]
    texts: Mapping[str, Any]
    """title, body, links, source as in the file."""


class LibraryBroken(Exception):
    """A file of the library that must not be used: the service does not start."""


def articles_of(files: Iterable[Mapping[str, Any]]) -> tuple[Article, ...]:
    """Every article of files that fit their schema, in all versions. Raises LibraryBroken for what a schema cannot say."""
    found: list[Article] = []
    for file in files:
        for one in file["articles"]:
            [(kind, number)] = one["at"].items()
            texts = {name: one[name] for name in ("title", "body", "source")} | {"links": one.get("links", [])}
            day = date.fromisoformat(str(file["effective_from"]))
            found.append(Article(one["id"], file["library"], file["version"], day, (kind, number), texts))
    seen = [(article.id, article.effective_from) for article in found]
    if len(set(seen)) != len(seen):
        raise LibraryBroken("an article is there twice from the same day")
    for article in found:
        if any(other.id == article.id and other.library != article.library for other in found):
            raise LibraryBroken(f"{article.id} is in two libraries")
    return tuple(found)


def in_force(articles: Sequence[Article], on: date) -> tuple[Article, ...]:
    """The articles of this day: of each library its newest version that is in force, whole."""
    newest: dict[str, date] = {}
    for article in articles:
        if article.effective_from <= on:
            newest[article.library] = max(newest.get(article.library, date.min), article.effective_from)
    return tuple(article for article in articles if newest.get(article.library) == article.effective_from)


def due_on(articles: Sequence[Article], family: Family, on: date) -> list[Article]:
    """What this family is sent on this day."""
    return [article for article in articles if _is_day(article.at, family, on)]


def _is_day(at: tuple[str, int], family: Family, on: date) -> bool:
    kind, number = at
    if kind == "pregnancy_week":
        return family.expected is not None and (family.expected - on).days == PREGNANCY_DAYS - 7 * number
    if family.birth_date is None:
        return False
    if kind == "week":
        return (on - family.birth_date).days == 7 * number
    # The first day on which so many months are completed; born on the 31st, that may be the 1st of the month after.
    yesterday = on - timedelta(days=1)
    return months_old(family.birth_date, on) == number and months_old(family.birth_date, yesterday) == number - 1
