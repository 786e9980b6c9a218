"""The next dose of a line: when it can be given, when it should be, until when it is free, and why (接種予定).

The engine forecasts along the course (CDSi 4.6, chapter 7); the law adds the free windows, live vaccines of all kinds
and what else must be waited for. Days are ordinals here; 0 stands for "no such day".
"""

from collections.abc import Iterable
from datetime import date
from typing import Final, NamedTuple

from services.schedule.domain.cases import Case
from services.schedule.domain.counting import Count
from services.schedule.domain.forecast import Forecast, forecast
from services.schedule.domain.free_windows import is_for
from services.schedule.domain.legal import because, is_open_to, last_day
from services.schedule.domain.legal_points import NEVER, day_of, first_after
from services.schedule.domain.plan_items import PlanItem, Status
from services.schedule.domain.rule_set import Free, Line
from services.schedule.domain.statuses import SeriesStatus
from services.schedule.domain.verdicts import Because, Cited, Sentence

_new: Final = tuple.__new__  # a NamedTuple's own constructor costs twice as much, for each finished series
_WITHOUT_DATES: Final[dict[SeriesStatus, tuple[Status, str]]] = {
    SeriesStatus.COMPLETE: ("done", "plan_done"),
    SeriesStatus.IMMUNE: ("not_recommended", "plan_immune"),
    SeriesStatus.CONTRAINDICATED: ("contraindicated", "plan_contraindicated"),
    SeriesStatus.AGED_OUT: ("window_closed", "plan_closed"),
    SeriesStatus.NOT_RECOMMENDED: ("window_closed", "plan_closed"),
}


class Window(NamedTuple):
    """The free window for the next dose: first and last ordinal, and the rule that sets the last."""

    first: int
    last: int
    rule: Cited


class Waiting(NamedTuple):
    """A day that the dose must, or should, wait for: the ordinal, the rule, and the sentence that says so."""

    day: int
    rule: Cited
    key: str
    facts: tuple[tuple[str, object], ...] = ()


def on_day(day: int) -> date | None:
    """The civil day of an ordinal; None where there is none."""
    return date.fromordinal(day) if 0 < day < NEVER else None


def open_window(case: Case, line: Line, offered: Iterable[str], on: int) -> Window | None:
    """The free window from today's rules for the offered vaccines, open or closed; None where the child has none.

    A municipality's own programme counts where the national window is closed or missing.
    """
    national: Window | None = None
    municipal: Window | None = None
    for code in offered:
        windows = line.windows.get(code, ())
        for free in windows:
            if free.effective_to is not None and free.effective_to < on:
                continue
            if (free.observation or free.begun) and not is_open_to(case, line, free):
                continue
            if not is_for(free, case.birth, case.sex):
                continue
            last, rule = last_day(case, line, free)
            if free.effective_to is not None:
                last = min(last, free.effective_to)
            first = day_of(free.first, case.anchors)
            if first < free.effective_from != case.law.reaches_back_to:
                # A vaccine that replaced another is not "possible from" its own first day: the line was open before.
                earlier = windows if case.law.vaccines[code].series is not None else line.free
                first = free.effective_from if free.effective_from > on else _open_since(case, earlier, free)
            found = Window(first, last, rule)
            if found.first > found.last:
                continue
            if free.by_municipality:
                municipal = _wider(municipal, found)
            else:
                national = _wider(national, found)
    if municipal is not None and (national is None or national.last < on <= municipal.last):
        return municipal
    return national


def _open_since(case: Case, windows: Iterable[Free], current: Free) -> int:
    """The first ordinal on which one of the windows was open for the child by the law of then."""
    day = current.effective_from
    for free in windows:
        if free.by_municipality or free.cohort or not is_for(free, case.birth, case.sex):
            continue
        first = max(day_of(free.first, case.anchors), free.effective_from)
        if first <= min(day_of(free.last, case.anchors), free.effective_to or NEVER):
            day = min(day, first)
    return day


def _wider(one: Window | None, other: Window) -> Window:
    if one is None:
        return other
    return Window(
        min(one.first, other.first), max(one.last, other.last), one.rule if one.last >= other.last else other.rule
    )


def offered_for(case: Case, count: Count, on: int) -> tuple[str, ...]:
    """The vaccines that the rules offer for the next dose."""
    line = count.line
    if line.offers:
        begun = case.given[count.places[0]].vaccine if count.places else None
        for offer in line.offers:
            if offer.started is not None and begun not in offer.started:
                continue
            if on < offer.effective_from:
                continue
            if offer.first is not None and on < day_of(offer.first, case.anchors):
                continue
            if offer.until is not None and on > day_of(offer.until, case.anchors):
                continue
            return offer.vaccines
    if count.following.vaccines is not None:
        return tuple(sorted(count.following.vaccines))
    return tuple(sorted(line.windows)) or (line.code,)


def next_item(
    case: Case,
    count: Count,
    on: int,
    offered: tuple[str, ...] | None = None,
    series: str | None = None,
    since: int = 0,
    before_counted: int | None = None,
) -> PlanItem | None:
    """The plan's item for a line; None where the line is nothing to this child.

    `since` and `before_counted`: the last counted dose and how many count in the line that this one follows.
    """
    line, course = count.line, count.following
    shown = series or course.series
    if count.counted and not count.needed and not case.observed:
        facts = (("name", _names(case, line, series)), ("number", count.counted), ("given_day", count.last_counted))
        why = _new(Because, (course.rule, case.law.sentences["plan_done"], facts))
        return _new(PlanItem, (shown, count.counted, "done", None, None, None, None, None, (), why, ()))
    vaccines = offered if offered is not None else offered_for(case, count, on)
    own = course.vaccines if line.same_product is not None and course.vaccines is not None else vaccines
    window = open_window(case, line, own, on) if line.windows else None
    if line.voluntary and window is not None:
        # A town's programme makes a voluntary dose free for a time; it may be given before and after all the same.
        window = window._replace(first=0) if on <= window.last else None
    names = _names(case, line, series)
    counted = count.counted
    for excluded in line.excluded:
        if excluded.observation in case.observed and count.needed:
            why = because(case, excluded.rule, "plan_excluded", ("name", names))
            return PlanItem(shown, counted + 1, "not_recommended", None, None, None, None, None, (), why)
    made = forecast(count.walk, case.rules.antigens[line.code])
    if made.status is not SeriesStatus.NOT_COMPLETE:
        if window is None and not line.voluntary and made.status is not SeriesStatus.COMPLETE:
            return None
        return without_dates(case, count, shown, names, made.status, window)
    if window is None and not line.voluntary:
        return None
    return _dated(case, count, on, vaccines, shown, names, made, window, since, before_counted)


def _names(case: Case, line: Line, series: str | None) -> Sentence:
    """The vaccine's name where a series shows a vaccine, the line's otherwise."""
    return case.law.vaccines[series].names if series is not None and series in case.law.vaccines else line.names


def without_dates(
    case: Case, count: Count, shown: str, names: Sentence, status: SeriesStatus, window: Window | None
) -> PlanItem:
    """A line that asks for nothing more: complete, closed, immune or contraindicated."""
    status_shown, key = _WITHOUT_DATES[status]
    number = count.counted
    rule = window.rule if window is not None and status_shown == "window_closed" else count.following.rule
    last = window.last if window is not None and status_shown == "window_closed" else 0
    shown_number = number if status_shown == "done" else number + 1
    facts: tuple[tuple[str, object], ...] = (("name", names), ("number", count.following.said(shown_number)))
    if status_shown == "done":
        facts = (*facts, ("given_day", count.last_counted))
    elif last:
        facts = (*facts, ("last_day", last))
        key = "plan_closed_on"
    why = Because(rule, case.law.sentences[key], facts)
    return PlanItem(shown, shown_number, status_shown, None, None, None, on_day(last), on_day(last), (), why)


def _dated(
    case: Case,
    count: Count,
    on: int,
    vaccines: tuple[str, ...],
    shown: str,
    names: Sentence,
    made: Forecast,
    window: Window | None,
    since: int,
    before_counted: int | None,
) -> PlanItem:
    line, course = count.line, count.following
    rule = course.doses[made.position]
    number = made.number or 1
    last = window.last if window is not None else 0
    if rule.not_after is not None and last:
        last = min(last, day_of(rule.not_after, case.anchors))
    must = _must_wait(case, count, vaccines, made, window)
    earliest = must.day
    should = _should_wait(case, count, made, must, since)
    if case.observed:
        should = _after_blood_product(case, vaccines, should)
    recommended = should.day
    if last and recommended > last >= earliest:
        should = Waiting(last, should.rule, "plan_last_day")
        recommended = last
    if window is not None and recommended > earliest:
        room = _with_room(case, count, made.position, earliest, recommended, window.last)
        if room < recommended:
            should = Waiting(room, course.rule, "plan_room", (("last_day", window.last),))
            recommended = room
    overdue = max(made.dates.past_due, recommended) + 1 if made.dates.past_due is not None else 0
    if last and overdue > last:
        overdue = 0
    latest = made.dates.latest or last
    status: Status
    if last and (on > last or earliest > last):
        key = "plan_closed_on" if on > last else "plan_cannot_finish"
        why = because(
            case, window.rule if window else course.rule, key, ("name", names), ("number", course.said(number)),
            ("last_day", last), ("first_day", earliest),
        )  # fmt: skip
        possible = on_day(earliest) if on <= last else None
        return PlanItem(
            shown, number, "window_closed", possible, None, None, on_day(last), on_day(latest), vaccines, why
        )
    after = line.after_line
    if (
        after is not None
        and after.person_decides
        and before_counted is not None
        and before_counted < after.doses
        and on >= earliest
    ):
        why = because(case, after.rule, "plan_person_decides", ("name", names), ("number", before_counted))
        return PlanItem(
            shown, number, "needs_person", on_day(earliest), None, None, on_day(last), on_day(latest), vaccines, why
        )
    if on < recommended:
        status = "upcoming"
    elif overdue and on >= overdue:
        status = "overdue"
    else:
        status = "due"
    said = ("number", course.said(number))
    why = because(case, should.rule, should.key, ("name", names), said, ("due_day", recommended), *should.facts)
    return PlanItem(
        shown,
        number,
        status,
        on_day(earliest),
        on_day(recommended),
        on_day(overdue),
        on_day(last),
        on_day(latest),
        vaccines,
        why,
    )


def _must_wait(case: Case, count: Count, vaccines: tuple[str, ...], made: Forecast, window: Window | None) -> Waiting:
    """The earliest day: what the engine found, the beginning of the window, and live vaccines before."""
    course = count.following
    must = Waiting(case.anchors.birth, course.rule, "plan_from_birth")
    if made.dates.earliest is not None and made.dates.earliest > must.day:
        own = course.doses[made.position].first
        by_age = count.walk.previous_day is None or (
            own is not None and day_of(own, case.anchors) == made.dates.earliest
        )
        key = "plan_age" if by_age else "plan_interval"
        must = Waiting(made.dates.earliest, course.rule, key, (("previous_day", count.walk.previous_day or 0),))
    if window is not None and window.first > must.day:
        must = Waiting(window.first, window.rule, "plan_window")
    if case.live and any(case.law.vaccines[code].live == "injectable" for code in vaccines):
        for conflict in case.law.live_conflicts:
            for earlier in case.live:
                if earlier.vaccine not in vaccines:
                    until = first_after(conflict.between, earlier.day)
                    if until > must.day or (until == must.day and must.rule is course.rule):
                        facts = (("earlier", earlier.kind.names), ("earlier_day", earlier.day))
                        must = Waiting(until, conflict.rule, "plan_live", facts)
    return must


def _after_blood_product(case: Case, vaccines: tuple[str, ...], should: Waiting) -> Waiting:
    """Live vaccines should wait after immunoglobulin or a transfusion on file; they are not barred."""
    for product in case.law.blood_products:
        given = case.observed.get(product.observation, 0)
        if given and any(product.concerns(case.law.vaccines[code]) for code in vaccines):
            permitted = first_after(product.between, given)
            if permitted > should.day:
                facts = (("condition", case.law.observations[product.observation]), ("given_day", given))
                should = Waiting(permitted, product.rule, "plan_blood_product", facts)
    return should


def _should_wait(case: Case, count: Count, made: Forecast, must: Waiting, since: int) -> Waiting:
    """The recommended day: the standard age or interval, and intervals that only warn."""
    course = count.following
    rule = course.doses[made.position]
    should = must
    recommended = made.dates.recommended or 0
    if recommended > should.day:
        key = "plan_standard_age" if rule.standard_first is not None else "plan_standard_interval"
        should = Waiting(recommended, course.rule, key, (("previous_day", count.walk.previous_day or 0),))
    previous = count.walk.previous_day
    for apart in rule.apart:
        if not apart.rule.may_refuse:
            origin = count.walk.satisfied_day(apart.after) if apart.after else previous
            if origin:
                permitted = first_after(apart.between, origin)
                if permitted > should.day:
                    should = Waiting(permitted, apart.rule, "plan_interval", (("previous_day", origin),))
    after = count.line.after_line
    if after is not None and after.between is not None and since:
        permitted = first_after(after.between, since)
        if permitted > should.day:
            should = Waiting(permitted, after.rule, "plan_interval", (("previous_day", since),))
    return should


def _with_room(case: Case, count: Count, position: int, earliest: int, day: int, last: int) -> int:
    """The latest ordinal up to `day` after which the rest of the course still fits in; `day` itself where none does."""
    if _finished(case, count, position, day) <= last or _finished(case, count, position, earliest) > last:
        return day
    fits = earliest
    while day - fits > 1:
        middle = (fits + day) // 2
        if _finished(case, count, position, middle) <= last:
            fits = middle
        else:
            day = middle
    return fits


def _finished(case: Case, count: Count, position: int, day: int) -> int:
    """The first ordinal on which the last dose of the course can be given, if the next one is on a day."""
    doses, planned = count.following.doses, {}
    planned[doses[position].number] = day
    for dose in doses[position + 1 :]:
        possible = day if dose.first is None else max(day, day_of(dose.first, case.anchors))
        for apart in dose.apart:
            origin = day if not apart.after else planned.get(apart.after) or count.walk.satisfied_day(apart.after)
            if origin and apart.planned and apart.rule.may_refuse:
                possible = max(possible, first_after(apart.between, origin))
        if dose.not_after is None or possible <= day_of(dose.not_after, case.anchors):
            planned[dose.number] = day = possible
    return day
