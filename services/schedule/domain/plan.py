"""The plan of one child: what is due when, until when it is free (定期), why, and both verdicts on what was given.

A pure function of rules, history and day: the same arguments give the same plan, byte for byte, in whatever order
doses were entered.
"""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Final

from services.schedule.domain.cases import Case
from services.schedule.domain.checkups import checkup_items
from services.schedule.domain.combined_vaccines import combined_items
from services.schedule.domain.history import History
from services.schedule.domain.legal_points import first_after
from services.schedule.domain.line_counts import LineCounts
from services.schedule.domain.live_order import keep_live_apart
from services.schedule.domain.next_dose import next_item
from services.schedule.domain.other_doses import other_verdicts
from services.schedule.domain.plan_items import OPEN, Plan, PlanItem, Status, not_before
from services.schedule.domain.product_choice import with_choice
from services.schedule.domain.rule_set import Line, RuleSet
from services.schedule.domain.seasons import by_season, seasonal_item, seasonal_verdicts
from services.schedule.domain.verdicts import Because, DoseVerdict, Sentence, in_words

__all__ = ["OPEN", "Plan", "PlanItem", "Status", "make_plan", "plan_to_json"]


_SAME_VISIT: Final = 28
"""Days between two recommended days within which it is worth saying that one visit could serve both."""


def make_plan(rules: RuleSet, history: History, on: date, series: Collection[str] | None = None) -> Plan:
    """The plan under a rule set as of a day; `series` limits its items and verdicts to some series."""
    day = on.toordinal()
    law = rules.of(history.municipality)
    case = Case(law, history, day)
    counts = LineCounts(case, day)
    items: list[PlanItem] = []
    for line in law.planned_lines:
        if line.mother != (not case.anchors.birth) or (series is not None and line.shown_as.isdisjoint(series)):
            continue
        item = _item_of(counts, line, day)
        if item is not None:
            items.append(item)
    if case.anchors.birth:
        for combination in law.combinations:
            if all(code in counts.counts for code in combination.lines):
                items += combined_items(case, combination, counts.counts, day)
    _periods_in_order(law, items, day)
    keep_live_apart(law, items, day)
    if series is None or not law.checkup_series.isdisjoint(series):
        items += checkup_items(case, day)
    order = law.places_of_series
    items.sort(key=lambda item: order[item.series])
    verdicts = _in_order(case, counts.verdicts, order)
    if series is not None:
        items = [item for item in items if item.series in series]
        verdicts = [verdict for verdict in verdicts if verdict.series in series]
    return Plan(rules.id, on, tuple(_with_together(items, day)), tuple(verdicts), law.sentences)


def _periods_in_order(law: RuleSet, items: list[PlanItem], day: int) -> None:
    """A second period after what is planned of the first, where both are open at once (長期療養特例)."""
    for at, item in enumerate(items):
        line = law.second_periods.get(item.series)
        if line is None or item.status not in OPEN or item.earliest is None:
            continue
        after = line.after_line
        if after is None or after.between is None:
            continue
        first = next((one for one in items if one.series in law.lines[after.line].shown_as), None)
        if first is None or first.recommended is None or first.status not in OPEN:
            continue
        planned = max(first.recommended.toordinal(), day)
        permitted = first_after(after.between, planned)
        if permitted > item.earliest.toordinal():
            facts = (
                ("name", line.names),
                ("number", line.courses[0].said(item.dose_number)),
                ("due_day", permitted),
                ("earlier", law.lines[after.line].names),
                ("earlier_day", planned),
            )
            why = Because(after.rule, law.sentences["plan_after_planned"], facts)
            items[at] = not_before(item, permitted, day, why)


def _item_of(counts: LineCounts, line: Line, day: int) -> PlanItem | None:
    """The item of a line; None where a combination shows it, or where it is nothing to this child."""
    case = counts.case
    if line.season is not None:
        seasons = by_season(case, line, line.season)
        counts.verdicts += seasonal_verdicts(case, line, line.season, seasons)
        return seasonal_item(case, line, line.season, seasons, day)
    count = counts.of(line)
    if line.code in case.law.combined_lines or (line.sex is not None and case.sex not in {None, line.sex}):
        return None
    since, before = (0, None) if line.after_line is None else counts.before(line)
    if line.same_product is not None and not count.counted:
        count, vaccines = with_choice(case, count, day)
        return next_item(case, count, day, vaccines, None, since, before)
    return next_item(case, count, day, None, None, since, before)


def judge_lines(case: Case, lines: Collection[str], day: int) -> list[DoseVerdict]:
    """The verdicts of some lines alone, and on doses that belong to none."""
    counts = LineCounts(case, day)
    for code in lines:
        line = case.law.lines[code]
        if line.season is not None:
            counts.verdicts += seasonal_verdicts(case, line, line.season, by_season(case, line, line.season))
        else:
            counts.of(line)
    return _in_order(case, counts.verdicts, case.law.places_of_series)


def _in_order(case: Case, found: list[tuple[int, DoseVerdict]], order: Mapping[str, int]) -> list[DoseVerdict]:
    """Verdicts in the order of the doses, those on one dose in the order of the series."""
    by_place: list[list[DoseVerdict]] = [[] for _ in case.given]
    for place, verdict in found:
        by_place[place].append(verdict)
    verdicts: list[DoseVerdict] = []
    for of_dose in by_place:
        if len(of_dose) > 1:
            of_dose.sort(key=lambda verdict: (order.get(verdict.series, len(order)), verdict.series))
        verdicts += of_dose
    if case.unknown or case.without_line:
        verdicts += other_verdicts(case)
        verdicts.sort(key=lambda verdict: verdict.given_on)
    return verdicts


def _with_together(items: list[PlanItem], day: int) -> list[PlanItem]:
    """Each open item with the others that can be given on its day (同時接種): possible then, and planned near it."""
    today = date.fromordinal(day)
    waiting = [
        (max(item.recommended, today), item)
        for item in items
        if item.status in OPEN and item.recommended and item.vaccines
    ]
    if len(waiting) < 2:
        return items
    named: dict[str, tuple[str, ...]] = {}
    for when, item in waiting:
        named[item.series] = tuple(
            other.series
            for other_when, other in waiting
            if other is not item
            and abs((other_when - when).days) <= _SAME_VISIT
            and other.earliest is not None
            and other.earliest <= when
            and (other.latest is None or when <= other.latest)
        )
    return [item._replace(together=named[item.series]) if named.get(item.series) else item for item in items]


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as it goes over the wire: ISO days, sentences in Japanese and English, every verdict with its rule."""
    return {
        "rule_set": plan.rule_set,
        "as_of": plan.as_of.isoformat(),
        "items": [_item_to_json(item) for item in plan.items],
        "doses": [_verdict_to_json(verdict, plan.sentences) for verdict in plan.doses],
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None


def _item_to_json(item: PlanItem) -> dict[str, Any]:
    return {
        "series": item.series,
        "dose_number": item.dose_number,
        "status": item.status,
        "earliest": _day(item.earliest),
        "recommended": _day(item.recommended),
        "overdue_from": _day(item.overdue_from),
        "free_until": _day(item.free_until),
        "latest": _day(item.latest),
        "vaccines": list(item.vaccines),
        "together": list(item.together),
        "why": _because_to_json(item.why),
    }


def _because_to_json(why: Because) -> dict[str, Any]:
    sentence, sentence_en = in_words(why)
    return {
        "rule": why.rule.id,
        "sentence": sentence,
        "sentence_en": sentence_en,
        "source": why.rule.source,
        "confidence": why.rule.confidence,
    }


def _accepted(verdict: DoseVerdict, sentences: Mapping[str, Sentence]) -> tuple[Because | None, Because | None]:
    """Why the law, and why the series, accepts the dose; None where one does not: its reasons then say why."""
    legal = counts = None
    if verdict.legal == "valid" and verdict.law is not None:
        legal = Because(verdict.law, sentences["legal_valid"])
    elif verdict.legal == "voluntary":
        legal = Because(verdict.course, sentences["legal_voluntary"])
    if verdict.immunological == "valid":
        counts = Because(verdict.course, sentences["counts"], (("number", verdict.dose_number),))
    return legal, counts


def _verdict_to_json(verdict: DoseVerdict, sentences: Mapping[str, Sentence]) -> dict[str, Any]:
    legal, counts = _accepted(verdict, sentences)
    return {
        "id": verdict.id,
        "series": verdict.series,
        "given_on": verdict.given_on.isoformat(),
        "dose_number": verdict.dose_number,
        "legal": verdict.legal,
        "immunological": verdict.immunological,
        "legal_because": _because_to_json(legal) if legal is not None else None,
        "immunological_because": _because_to_json(counts) if counts is not None else None,
        "reasons": [
            {
                "verdict": reason.verdict,
                "code": reason.code,
                "refuses": reason.refuses,
                **_because_to_json(reason.because),
            }
            for reason in verdict.reasons
        ],
    }
