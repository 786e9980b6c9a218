"""The checkup calendar (健診): of the child, of the pregnancy, and of the mother after birth. Guides, never a refusal."""

from services.schedule.domain.cases import Case
from services.schedule.domain.legal import because
from services.schedule.domain.legal_points import PREGNANCY, Point, day_of
from services.schedule.domain.next_dose import on_day
from services.schedule.domain.plan_items import PlanItem, Status
from services.schedule.domain.rule_set import Checkup, MotherCheckup, PregnancyCheckups
from services.schedule.domain.verdicts import Cited, Sentence


def checkup_items(case: Case, on: int) -> list[PlanItem]:
    """The items of all checkups that concern this child, or this pregnancy and its mother."""
    done: dict[str, list[int]] = {}
    for checkup in case.history.checkups:
        done.setdefault(checkup.kind, []).append(checkup.on.toordinal())
    if case.anchors.birth:
        items = []
        seen = set()
        for checkup_rule in case.law.checkups:
            in_force = checkup_rule.effective_from <= on and (
                checkup_rule.effective_to is None or on <= checkup_rule.effective_to
            )
            if in_force and checkup_rule.series not in seen:
                seen.add(checkup_rule.series)
                items.append(_of_child(case, checkup_rule, done.get(checkup_rule.series), on))
        return items
    items = []
    if case.law.pregnancy_checkups is not None:
        items.append(_of_pregnancy(case, case.law.pregnancy_checkups, done, on))
    items += [_of_mother(case, rule, done.get(rule.series), on) for rule in case.law.mother_checkups]
    return items


def _of_child(case: Case, rule: Checkup, done: list[int] | None, on: int) -> PlanItem:
    closes = day_of(rule.closes, case.anchors)
    if done is None and on > closes:
        return _closed(case, rule.rule, rule.series, rule.names, 1, closes)
    first = day_of(rule.first, case.anchors)
    usual = day_of(rule.usual_until, case.anchors) if rule.usual_until is not None else 0
    return _item(case, rule.rule, rule.series, rule.names, 1, first, usual, closes, done, on)


def _closed(case: Case, rule: Cited, series: str, names: Sentence, number: int, closes: int) -> PlanItem:
    why = because(case, rule, "plan_checkup_closed", ("name", names), ("last_day", closes))
    return PlanItem(series, number, "window_closed", None, None, None, on_day(closes), on_day(closes), (), why)


def _item(
    case: Case,
    rule: Cited,
    series: str,
    names: Sentence,
    number: int,
    first: int,
    usual: int,
    closes: int,
    done: list[int] | None,
    on: int,
) -> PlanItem:
    name = ("name", names)
    if done:
        why = because(case, rule, "plan_checkup_done", name, ("given_day", max(done)))
        return PlanItem(series, number, "done", None, None, None, None, None, (), why)
    overdue = usual + 1 if usual and usual < closes else 0
    if on > closes:
        return _closed(case, rule, series, names, number, closes)
    status: Status = "upcoming" if on < first else "overdue" if overdue and on >= overdue else "due"
    why = because(case, rule, "plan_checkup", name, ("due_day", first))
    return PlanItem(
        series, number, status, on_day(first), on_day(first), on_day(overdue), on_day(closes), on_day(closes), (), why
    )


def _of_pregnancy(case: Case, rule: PregnancyCheckups, done: dict[str, list[int]], on: int) -> PlanItem:
    """The visit of the model week that holds today, or the next one when it took place or lies ahead."""
    days = [day_of(Point(PREGNANCY, 7 * week), case.anchors) for week in rule.weeks]
    ends = [*(day - 1 for day in days[1:]), case.anchors.expected + 14]
    visits = done.get(rule.series, [])
    for number, (first, last) in enumerate(zip(days, ends, strict=True), 1):
        if on > last or any(first <= visit <= last for visit in visits):
            continue
        return _item(case, rule.rule, rule.series, rule.names, number, first, 0, last, None, on)
    return _item(case, rule.rule, rule.series, rule.names, len(days), days[-1], 0, ends[-1], visits or None, on)


def _of_mother(case: Case, rule: MotherCheckup, done: list[int] | None, on: int) -> PlanItem:
    """Counted from the expected day until the birth is known."""
    delivered = case.history.delivered_on
    first = (case.anchors.expected if delivered is None else delivered.toordinal()) + rule.days
    return _item(
        case,
        rule.rule,
        rule.series,
        rule.names,
        1,
        first,
        first + rule.usual_days,
        first + 2 * rule.usual_days,
        done,
        on,
    )
