"""The check of a proposed dose before the needle (接種前確認): allow, warn or stop, with coded reasons.

The proposed dose is judged exactly as if it were on record; what only a proposal has (lot, consent, siblings,
conditions on file) is asked beside that. The codes are stable: docs/schedule-rules.md lists them.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from services.schedule.domain.cases import Case
from services.schedule.domain.codes import known_code, named_vaccine
from services.schedule.domain.counting import course_for, extraneous
from services.schedule.domain.history import PROPOSED, DoseGiven, History
from services.schedule.domain.legal import because
from services.schedule.domain.legal_points import first_after
from services.schedule.domain.line_counts import LineCounts
from services.schedule.domain.plan import judge_lines, make_plan
from services.schedule.domain.plan_items import NOW, OPEN, Plan
from services.schedule.domain.rule_set import RuleSet, Vaccine
from services.schedule.domain.statuses import Code
from services.schedule.domain.verdicts import Because, Cited, DoseVerdict

Answer = Literal["allow", "warn", "stop"]

_THE_PROPOSAL: Final = "the proposed dose"
_PREGNANT: Final = "pregnant"
"""The condition that needs nobody to note it where the record is a pregnancy's."""
_SAYS_NOTHING: Final = frozenset({"before_rules", "no_series", "unknown_vaccine"})


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another child of the same guardians, for the question whether that one was meant."""

    id: str
    history: History


@dataclass(frozen=True, slots=True)
class Proposal:
    """A dose that somebody is about to give; `consent` is None where nobody has said anything."""

    code: str
    on: date
    product: str | None = None
    lot: str | None = None
    expires_on: date | None = None
    recalled_lots: frozenset[str] = frozenset()
    siblings: tuple[Sibling, ...] = ()
    consent: bool | None = None
    contraindications: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReason:
    """Why a dose is stopped or warned of; `stops` is False for a warning."""

    code: str
    rule: str
    sentence: str
    sentence_en: str
    source: str
    stops: bool


@dataclass(frozen=True, slots=True)
class PreCheck:
    """The answer: stop when any reason stops, warn when there are only warnings, otherwise allow."""

    verdict: Answer
    reasons: tuple[CheckReason, ...]


class _Reasons:
    """Reasons by code: a code is said once, and a stop outweighs a warning."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Because, bool]] = {}

    def add(self, code: str, why: Because, stops: bool) -> None:
        known = self.found.get(code)
        if known is None or (stops and not known[1]):
            self.found[code] = (why, stops)

    def answer(self) -> PreCheck:
        reasons = tuple(
            CheckReason(code, why.rule.id, why.sentence, why.sentence_en, why.rule.source, stops)
            for code, (why, stops) in self.found.items()
        )
        verdict: Answer = "stop" if any(one.stops for one in reasons) else "warn" if reasons else "allow"
        return PreCheck(verdict, reasons)


def pre_check(rules: RuleSet, history: History, proposal: Proposal, on: date) -> PreCheck:
    """Check a dose proposed for `proposal.on`; `on` is today, and a day given in the past is judged by its own law.

    Raises UnknownVaccine for a code that the rule set does not know.
    """
    law = rules.of(history.municipality)
    vaccine = law.vaccines[known_code(law, proposal.code)]
    reasons = _Reasons()
    _judged(law, history, proposal, vaccine, reasons)
    case = Case(law, history, proposal.on.toordinal())
    _lot(case, proposal, vaccine, reasons)
    _on_file(case, proposal, vaccine, reasons)
    _allergic(case, history, vaccine, reasons)
    _reacted_before(case, history, vaccine, reasons)
    if proposal.consent is False:
        why = because(case, law.own_rule, "consent_missing", ("vaccine", vaccine.names))
        reasons.add("consent_missing", why, stops=True)
    in_combination = any(line in one.lines for one in law.combinations for line in vaccine.counts_in)
    if in_combination or proposal.siblings or any(law.lines[line].after_line for line in vaccine.counts_in):
        plan = make_plan(rules, history, proposal.on)
        _planned(case, plan, vaccine, reasons)
        _meant_for_sibling(rules, case, plan, proposal, vaccine, reasons)
    return reasons.answer()


def _judged(law: RuleSet, history: History, proposal: Proposal, vaccine: Vaccine, reasons: _Reasons) -> None:
    """Every reason of both verdicts on the dose, as if it had been given."""
    dose = DoseGiven(
        _THE_PROPOSAL, proposal.on, vaccine.code, proposal.product, proposal.lot, proposal.expires_on, PROPOSED
    )
    case = Case(law, replace(history, doses=(*history.doses, dose)), proposal.on.toordinal())
    lines = [line for line in vaccine.counts_in if law.lines[line].mother == (not case.anchors.birth)]
    for verdict in judge_lines(case, lines, proposal.on.toordinal()):
        if verdict.id != _THE_PROPOSAL:
            continue
        for reason in sorted(verdict.reasons, key=lambda reason: reason.verdict != "legal"):
            if reason.code not in _SAYS_NOTHING:
                reasons.add(reason.code, reason.because, reason.refuses or reason.code == "before_birth")
        _earlier_period(case, verdict, reasons)
    _parts(case, vaccine, reasons)
    _longer_course(case, vaccine, reasons)


def _earlier_period(case: Case, verdict: DoseVerdict, reasons: _Reasons) -> None:
    """Too early for the second period because the first one is complete: one dose too many (第1期に2回目)."""
    early = next((one for one in verdict.reasons if one.code == "too_early" and one.verdict == "legal"), None)
    if early is None:
        return
    line = next(one for one in case.law.lines.values() if any(c.rule == verdict.course for c in one.courses))
    for other in line.takes_over_from:
        before = case.law.lines[other]
        facts = (("name", before.names), *early.because.facts)
        reasons.add("needless", because(case, before.courses[0].rule, "needless_period", *facts), stops=True)


def _parts(case: Case, vaccine: Vaccine, reasons: _Reasons) -> None:
    """A part that was given too short a time before (ヒブ, then 五種混合), or four times: another line judges the dose,
    so it warns."""
    counts = LineCounts(case, case.assessment)
    for code in vaccine.counts_in:
        if code in vaccine.judged_in:
            continue
        line = case.law.lines[code]
        count = counts.of(line)
        if line.at_most is not None and any(case.given[place].key == _THE_PROPOSAL for place in extraneous(count)):
            why = because(case, line.at_most.rule, "needless_part", ("vaccine", vaccine.names), ("part", line.names))
            reasons.add("needless", why, stops=False)
        for place, found in count.walk.reasons.items():
            if case.given[place].key != _THE_PROPOSAL:
                continue
            for one in found:
                if one.code is Code.TOO_SOON:
                    facts = (("vaccine", vaccine.names), ("part", line.names), ("first_day", one.day))
                    why = because(case, count.course.rule, "interval_of_part", *facts)
                    reasons.add("interval", why, stops=False)


def _longer_course(case: Case, vaccine: Vaccine, reasons: _Reasons) -> None:
    """So early a dose is lawful, but costs the shorter course: HPV in two doses, five months apart, becomes three."""
    for code in vaccine.judged_in:
        line = case.law.lines[code]
        if all(course.only_if is None for course in line.courses):
            continue
        places = case.of_antigen.get(code, [])
        before = [place for place in places if case.given[place].key != _THE_PROPOSAL]
        if not before:
            continue
        begun = course_for(case, line, before, case.assessment)
        if begun.only_if is None or begun is course_for(case, line, places, case.assessment):
            continue
        first_day = first_after(begun.only_if[1], case.given[before[0]].day)
        facts = (("vaccine", vaccine.names), ("number", len(begun.doses)), ("first_day", first_day))
        reasons.add("interval", because(case, begun.rule, "longer_course", *facts), stops=False)


def _lot(case: Case, proposal: Proposal, vaccine: Vaccine, reasons: _Reasons) -> None:
    name = ("vaccine", vaccine.names)
    if proposal.expires_on is not None and proposal.expires_on < proposal.on:
        why = because(case, case.law.own_rule, "expired_lot", name, ("expiry_day", proposal.expires_on.toordinal()))
        reasons.add("expired_lot", why, stops=True)
    recalled = {lot.strip().upper() for lot in proposal.recalled_lots}
    if proposal.lot is not None and proposal.lot.strip().upper() in recalled:
        why = because(case, case.law.own_rule, "recalled_lot", name, ("lot", proposal.lot))
        reasons.add("recalled_lot", why, stops=True)


def _on_file(case: Case, proposal: Proposal, vaccine: Vaccine, reasons: _Reasons) -> None:
    """Conditions on file that stand against the vaccine, and blood products that a live one should wait for."""
    law, day = case.law, proposal.on.toordinal()
    name = ("vaccine", vaccine.names)
    known = {*case.active, *proposal.contraindications}
    delivered = case.history.delivered_on
    if not case.anchors.birth and (delivered is None or proposal.on < delivered):
        known.add(_PREGNANT)
    for rule in law.contraindications:
        if rule.observation in known and vaccine.code in rule.vaccines:
            condition = ("condition", law.observations[rule.observation])
            reasons.add("contraindication", because(case, rule.rule, "contraindication", name, condition), stops=True)
    for code in proposal.contraindications:
        if code in law.observations:
            continue
        named = named_vaccine(law, code)
        if named == vaccine.code or code in {*vaccine.counts_in, vaccine.series}:
            why = because(case, law.own_rule, "contraindication_vaccine", name)
            reasons.add("contraindication", why, stops=True)
        elif named is None and code not in law.series:
            why = because(case, law.own_rule, "contraindication_unknown", ("condition", code))
            reasons.add("contraindication", why, stops=False)
    for product in law.blood_products:
        given = case.observed.get(product.observation, 0)
        if given and product.concerns(vaccine) and given <= day < first_after(product.between, given):
            facts = (
                name,
                ("condition", law.observations[product.observation]),
                ("given_day", given),
                ("first_day", first_after(product.between, given)),
            )
            reasons.add("blood_product", because(case, product.rule, "blood_product", *facts), stops=False)


def _allergic(case: Case, history: History, vaccine: Vaccine, reasons: _Reasons) -> None:
    """Allergies on record to what the vaccine holds: a grave one that somebody examined stops, any other warns."""
    for rule in case.law.allergens:
        for allergy in history.allergies:
            if allergy.substance == rule.substance and vaccine.code in rule.vaccines:
                why = because(case, rule.rule, "allergy", ("vaccine", vaccine.names), ("condition", rule.names))
                reasons.add("allergy", why, stops=allergy.grave and allergy.sure and rule.rule.may_refuse)


def _reacted_before(case: Case, history: History, vaccine: Vaccine, reasons: _Reasons) -> None:
    """What was seen after an earlier dose of this vaccine, or of one that counts in a line with it."""
    law = case.law
    for reaction in history.reactions:
        known = law.vaccines.get(law.codes.get(reaction.code, reaction.code))
        in_common = known is not None and (
            known.code == vaccine.code or not {*known.counts_in}.isdisjoint(vaccine.counts_in)
        )
        if not in_common:
            continue
        after = (reaction.began_on - reaction.given_on).days
        for rule in law.seen_before:
            if rule.symptom == reaction.symptom and (rule.within_days is None or after <= rule.within_days):
                facts = (
                    ("vaccine", vaccine.names),
                    ("condition", rule.names),
                    ("given_day", reaction.given_on.toordinal()),
                )
                stops = rule.stops and reaction.sure and rule.rule.may_refuse
                reasons.add("reaction", because(case, rule.rule, "reaction", *facts), stops)


def _is_wanted(plan: Plan, code: str, day: date, statuses: frozenset[str]) -> bool:
    return any(
        code in item.vaccines and item.status in statuses and item.earliest is not None and item.earliest <= day
        for item in plan.items
    )


def _planned(case: Case, plan: Plan, vaccine: Vaccine, reasons: _Reasons) -> None:
    """Another vaccine than the one that the plan has for the same need, and what only a person can decide."""
    law = case.law
    for item in plan.items:
        if item.status == "needs_person" and vaccine.code in item.vaccines:
            reasons.add("person_decides", item.why, stops=False)
    for combination in law.combinations:
        if vaccine.leads not in combination.lines or any(stops for _, stops in reasons.found.values()):
            continue
        shown = {code for item in plan.items if item.status in OPEN for code in item.vaccines}
        others = {product.series for product in combination.products} & shown
        if others and vaccine.code not in shown:
            rule: Cited = combination.switch
            why = because(case, rule, "mixed_products", ("vaccine", vaccine.names))
            reasons.add("wrong_product", why, stops=False)


def _meant_for_sibling(
    rules: RuleSet, case: Case, plan: Plan, proposal: Proposal, vaccine: Vaccine, reasons: _Reasons
) -> None:
    """This child is not due for it and a sibling is: perhaps the wrong child stands before the needle."""
    if not proposal.siblings or _is_wanted(plan, vaccine.code, proposal.on, OPEN):
        return
    for sibling in proposal.siblings:
        if _is_wanted(make_plan(rules, sibling.history, proposal.on), vaccine.code, proposal.on, NOW):
            why = because(case, case.law.own_rule, "sibling_likely", ("vaccine", vaccine.names))
            reasons.add("sibling_likely", why, stops=False)
            return
