"""Doses that belong to no line of the plan: unknown vaccines, impossible days, ages and persons they are not for."""

from services.schedule.domain.cases import Case, Given
from services.schedule.domain.history import DoseGiven
from services.schedule.domain.legal import because, live_reason, warning
from services.schedule.domain.verdicts import DoseVerdict, Immunological, Legal, Reason


def other_verdicts(case: Case) -> list[DoseVerdict]:
    """The verdicts on them, in the order of their days: taken as recorded, unless something is plainly wrong."""
    verdicts = [_as_recorded(case, dose) for dose in case.unknown]
    verdicts += [_of_no_line(case, case.given[place]) for place in case.without_line]
    return sorted(verdicts, key=lambda verdict: (verdict.given_on, verdict.series, verdict.id))


def _as_recorded(case: Case, dose: DoseGiven) -> DoseVerdict:
    rule = case.law.own_rule
    code = "before_birth" if dose.code in case.law.codes else "unknown_vaccine"
    reason = warning(case, "immunological", code, rule, ("vaccine", dose.code))
    return DoseVerdict(dose.id, dose.code, dose.given_on, None, "as_recorded", "as_recorded", None, rule, (reason,))


def _of_no_line(case: Case, given: Given) -> DoseVerdict:
    kind = given.kind
    shown = given.vaccine
    reason: Reason | None = None
    for code in kind.counts_in:
        line = case.law.lines[code]
        if line.mother == (not case.anchors.birth):
            reason = _outside_its_ages(case, given)
        elif line.mother:
            # A vaccine for pregnant women given to a child is a known mix-up (RSウイルス).
            why = because(case, line.courses[0].rule, "for_the_mother", ("vaccine", kind.names))
            reason = Reason("immunological", "wrong_product", why)
        if reason is not None:
            shown = kind.series or line.courses[0].series
            break
    reasons = [reason or warning(case, "immunological", "no_series", case.law.own_rule, ("vaccine", kind.names))]
    live = live_reason(case, given) if kind.live == "injectable" else None
    if live is not None:
        reasons.append(live)
    legal: Legal = "not_valid" if live is not None else "voluntary"
    judged: Immunological = "not_valid" if reason is not None else "as_recorded"
    return DoseVerdict(
        given.key, shown, given.dose.given_on, None, legal, judged, None, case.law.own_rule, tuple(reasons)
    )


def _outside_its_ages(case: Case, given: Given) -> Reason | None:
    """Too young or too old for the line that would count it."""
    for code in given.kind.counts_in:
        line = case.law.lines[code]
        takes = line.takes.get(given.vaccine)
        if takes is None:
            continue
        early = takes.first is not None and given.day < takes.first.date_ordinal(case.birth)
        point = takes.first if early else takes.until
        if point is not None:
            fact = ("first_day" if early else "last_day", point.date_ordinal(case.birth))
            key = "too_early" if early else "wrong_age"
            why = because(case, line.courses[0].rule, key, ("vaccine", given.kind.names), fact)
            return Reason("immunological", key, why)
    return None
