"""The words of reminders in the inbox, with the vaccine's name; a lock screen shows none of them."""

from collections.abc import Mapping
from datetime import date
from typing import Any


def reminder_text(
    texts: Mapping[str, Any],
    kind: str,
    series: str,
    dose_number: int,
    recommended: date | None,
    free_until: date | None,
) -> tuple[dict[str, str], dict[str, str]]:
    """(title, body) per language; `texts` is services/notify/texts/reminders.yaml."""
    # Without either day nothing is known of the dose, and least of all what it costs.
    voluntary = free_until is None and recommended is not None
    own = texts["checkups"] if series.startswith("checkup_") else texts["voluntary"] if voluntary else {}
    templates = own.get(kind) or texts["kinds"][kind]
    titles: dict[str, str] = {}
    bodies: dict[str, str] = {}
    for language, template in templates.items():
        values = {
            "name": series_called(texts, series, language),
            "dose": dose_called(texts, series, dose_number, language),
            "recommended": _day(recommended, language),
            "free_until": _day(free_until, language),
        }
        titles[language] = template["title"].format(**values)
        bodies[language] = template["body"].format(**values)
    return titles, bodies


def series_called(texts: Mapping[str, Any], series: str, language: str) -> str:
    """The name in the language, else in Japanese or English; a series without words is called by its code."""
    names = texts["series"].get(series, {})
    return str(names.get(language) or names.get("ja" if language.startswith("ja") else "en") or series)


def dose_called(texts: Mapping[str, Any], series: str, dose_number: int, language: str) -> str:
    """The name with the dose's number; without it where there is only one (「BCG 1回目」 would promise a second)."""
    name = series_called(texts, series, language)
    if series in texts["once"] or series.startswith("checkup_"):
        return name
    return str(texts["dose"].get(language, texts["dose"]["ja"]).format(name=name, number=dose_number))


def _day(day: date | None, language: str) -> str:
    if day is None:
        return "—"
    if language in {"ja", "ja-Hrkt", "zh"}:
        return f"{day.year}年{day.month}月{day.day}日"
    return day.isoformat()
