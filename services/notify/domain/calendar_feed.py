"""A family's dates as a calendar (RFC 5545): recommended days and last free days of what is to do, without a name.

A calendar is shown on lock screens and kept by whoever runs the calendar program, so it says only that there is something, unless
the guardian asked for the vaccines' names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from icalendar import Alarm, Calendar, Event

from services.notify.domain.reminder_texts import dose_called, series_called
from shared.ids import derived_id

Detail = Literal["plain", "full"]
EVE = timedelta(hours=-6)
"""An all-day event begins at midnight: the alarm rings at 18:00 the day before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to do for a child. Dates are civil days in Tokyo."""

    child: str
    birth_date: date
    series: str
    dose_number: int
    recommended: date | None
    free_until: date | None


def feed(entries: Iterable[Entry], texts: Mapping[str, Any], detail: Detail, language: str, now: datetime) -> bytes:
    """The calendar; `texts` is services/notify/texts/reminders.yaml. An entry keeps its UID whatever becomes of its day."""
    words = texts["calendar"].get(language) or texts["calendar"]["ja"]
    calendar = Calendar()
    calendar.add("prodid", "-//Hagukumi//notify//JA")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", words["name"])
    calendar.add("refresh-interval", timedelta(hours=6), parameters={"value": "DURATION"})
    for entry in sorted(entries, key=lambda one: (one.child, one.series, one.dose_number)):
        for what, day in (("recommended", entry.recommended), ("free_until", entry.free_until)):
            if day is not None:
                calendar.add_component(_event(entry, what, day, texts, words, detail, language, now))
    return bytes(calendar.to_ical())


def _event(
    entry: Entry,
    what: str,
    day: date,
    texts: Mapping[str, Any],
    words: Mapping[str, str],
    detail: Detail,
    language: str,
    now: datetime,
) -> Event:
    title = words["plain"]
    if detail == "full":
        name = series_called(texts, entry.series, language)
        born = f"{entry.birth_date.year}-{entry.birth_date.month:02}"
        dose = dose_called(texts, entry.series, entry.dose_number, language)
        title = words[what].format(name=name, dose=dose, born=born)
    event = Event()
    event.add("uid", f"{derived_id(entry.child, entry.series, str(entry.dose_number), what)}@hagukumi.example")
    event.add("dtstamp", now)
    event.add("dtstart", day)
    event.add("dtend", day + timedelta(days=1))
    event.add("summary", title)
    event.add("class", "PRIVATE")
    event.add("transp", "TRANSPARENT")
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("trigger", EVE)
    alarm.add("description", words["plain"])
    event.add_component(alarm)
    return event
