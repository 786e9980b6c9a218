"""Every class of published vaccination error meets the pre-check, and a right dose never does.

The classes are those that municipalities report (予防接種の間違い): interval, needless, age, wrong product, expired
lot, wrong child; with them recalled lots, same day, conditions on file and consent.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.schedule.domain.history import PROPOSED, Allergy, DoseGiven, History, Reaction
from services.schedule.domain.plan import make_plan
from services.schedule.domain.pre_check import Proposal, Sibling, pre_check
from services.schedule.rule_files import RuleSet, load_rule_set
from services.schedule.tests.japan.test_plan_properties import histories

Child = Callable[..., History]
RULES = load_rule_set()
STOPS, WARNS = "stop", "warn"


def proposal(text: str, **more: object) -> Proposal:
    """A proposal from CODE@DATE."""
    code, _, day = text.partition("@")
    return Proposal(code, date.fromisoformat(day), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "birth", "doses", "give", "more", "code", "verdict"),
    [
        ("interval", "2026-05-10", ("penta@2026-07-10",), "penta@2026-07-25", {}, "interval", STOPS),
        ("interval of live vaccines", "2025-05-10", ("mr@2026-05-10",), "var@2026-06-01", {}, "live_interval", STOPS),
        ("needless", "2025-05-10", ("bcg@2025-10-10",), "bcg@2026-01-10", {}, "needless", STOPS),
        ("needless: fifth dose", "2024-05-10",
         ("penta@2024-07-10", "penta@2024-08-10", "penta@2024-09-10", "penta@2025-04-10"), "penta@2026-11-10", {},
         "needless", STOPS),
        ("age: too early", "2025-12-10", (), "mr@2026-11-23", {}, "too_early", STOPS),
        ("age: too late", "2025-05-10", (), "bcg@2026-05-10", {}, "wrong_age", STOPS),
        ("age: second period too early", "2020-04-02", ("mr@2021-05-10",), "mr@2026-03-31", {}, "too_early", STOPS),
        ("wrong product: no longer routine", "2026-05-10", (), "pcv13@2026-07-10", {}, "wrong_product", STOPS),
        ("wrong product: another in the series", "2026-05-10", ("rv1@2026-07-10",), "rv5@2026-08-10", {},
         "wrong_product", WARNS),
        ("wrong product: another maker", "2026-05-10", (), "penta@2026-08-10", {"product": "クイントバック"},
         "wrong_product", WARNS),
        ("expired lot", "2026-05-10", (), "penta@2026-07-10", {"expires_on": date(2026, 7, 9)}, "expired_lot", STOPS),
        ("recalled lot", "2026-05-10", (), "penta@2026-07-10",
         {"lot": " ab1 ", "recalled_lots": frozenset({"AB1"})}, "recalled_lot", STOPS),
        ("wrong child", "2023-05-10", ("mr@2024-05-10",), "mr@2026-11-23",
         {"siblings": (Sibling("little sister", History(date(2025, 5, 10), "F", ())),)}, "sibling_likely", STOPS),
        ("same day twice", "2026-05-10", ("penta@2026-07-10",), "penta@2026-07-10", {}, "same_day_duplicate", STOPS),
        ("condition on file", "2026-05-10", (), "rv1@2026-07-10", {"contraindications": ("scid",)},
         "contraindication", STOPS),
        ("condition on file, unknown word", "2026-05-10", (), "rv1@2026-07-10", {"contraindications": ("other",)},
         "contraindication", WARNS),
        ("no consent", "2026-05-10", (), "penta@2026-07-10", {"consent": False}, "consent_missing", STOPS),
    ],
)  # fmt: skip
def test_every_class_of_error_is_met(
    rules: RuleSet,
    child: Child,
    error: str,
    birth: str,
    doses: tuple[str, ...],
    give: str,
    more: dict[str, object],
    code: str,
    verdict: str,
) -> None:
    history = child(birth, *doses)
    if "maker" in error:
        history = replace(history, doses=(DoseGiven("1", date(2026, 7, 10), "penta", product="ゴービック"),))
    answer = pre_check(rules, history, proposal(give, **more), date(2026, 11, 23))
    assert answer.verdict == verdict, error
    found = {reason.code: reason for reason in answer.reasons}
    assert code in found
    assert found[code].sentence
    assert found[code].sentence_en
    assert found[code].rule


def test_an_expiry_on_the_day_itself_is_still_good(rules: RuleSet, child: Child) -> None:
    given_today = proposal("penta@2026-07-10", expires_on=date(2026, 7, 10))
    assert pre_check(rules, child("2026-05-10"), given_today, date(2026, 7, 10)).verdict == "allow"


def test_twins_who_are_both_due_are_not_taken_for_each_other(rules: RuleSet, child: Child) -> None:
    twin = (Sibling("twin", child("2026-05-10")),)
    both = proposal("penta@2026-07-10", siblings=twin)
    assert pre_check(rules, child("2026-05-10"), both, date(2026, 7, 10)).verdict == "allow"


def test_the_eve_of_the_first_birthday_story(rules: RuleSet, child: Child) -> None:
    """BCG in the last week before the first birthday: MR 20 days later is stopped for the live interval alone."""
    history = child("2025-05-10", "bcg@2026-05-05")
    early = pre_check(rules, history, proposal("mr@2026-05-25"), date(2026, 5, 25))
    assert (early.verdict, [reason.code for reason in early.reasons]) == ("stop", ["live_interval"])
    assert pre_check(rules, history, proposal("mr@2026-06-02"), date(2026, 6, 2)).verdict == "allow"


AGAINST = {one.observation for one in RULES.contraindications}


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 6000), st.sampled_from(sorted(RULES.vaccines)))
def test_a_dose_that_both_verdicts_accept_is_never_stopped(history: History, days: int, code: str) -> None:
    """Of children with nothing on file that stands against a vaccine: that stops beside both verdicts."""
    assert history.birth_date is not None
    day = history.birth_date + timedelta(days=days)
    history = replace(history, observations=tuple(one for one in history.observations if one.code not in AGAINST))
    answer = pre_check(RULES, history, Proposal(code, day), day)
    last = DoseGiven("the last", day, code, provenance=PROPOSED)
    grown = replace(history, doses=(*history.doses, last))
    verdicts = [verdict for verdict in make_plan(RULES, grown, day).doses if verdict.id == last.id]
    if (
        code != "rsv_maternal"
        and verdicts
        and all(
            verdict.legal in {"valid", "voluntary", "as_recorded"} and verdict.immunological in {"valid", "as_recorded"}
            for verdict in verdicts
        )
    ):
        assert answer.verdict != "stop", answer
    if answer.verdict == "allow":
        assert all(verdict.immunological in {"valid", "as_recorded"} for verdict in verdicts)


@settings(max_examples=40, deadline=None)
@given(st.dates(date(2015, 1, 1), date(2030, 12, 31)), st.integers(0, 5000))
def test_what_the_plan_says_is_due_is_never_stopped(birth: date, days: int) -> None:
    on = max(birth, date(2026, 4, 1)) + timedelta(days=days)
    for item in make_plan(RULES, History(birth, "F", ()), on).items:
        if item.status in {"due", "overdue"} and item.vaccines:
            answer = pre_check(RULES, History(birth, "F", ()), Proposal(item.vaccines[0], on), on)
            assert answer.verdict != "stop", (item, answer)


# Allergies and what was seen before -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allergy", "give", "verdict"),
    [
        (Allergy("yeast", grave=True, sure=True), "hepb@2026-07-10", STOPS),
        (Allergy("yeast", grave=False, sure=True), "hepb@2026-07-10", WARNS),
        (Allergy("yeast", grave=True, sure=False), "hepb@2026-07-10", WARNS),
        # What vaccines hold is known with low confidence here: nothing is refused by it.
        (Allergy("latex", grave=True, sure=True), "hepb@2026-07-10", WARNS),
        (Allergy("egg", grave=True, sure=True), "hepb@2026-07-10", "allow"),
        (Allergy("peanut", grave=True, sure=True), "hepb@2026-07-10", "allow"),
    ],
)
def test_an_allergy_to_what_a_vaccine_holds(allergy: Allergy, give: str, verdict: str) -> None:
    history = History(date(2026, 5, 10), "F", (), allergies=(allergy,))
    asked = proposal(give)
    found = pre_check(RULES, history, asked, asked.on)
    assert found.verdict == verdict
    assert {one.code for one in found.reasons} == ({"allergy"} if verdict != "allow" else set())
    assert all("B型肝炎" in one.sentence and one.source for one in found.reasons)


@pytest.mark.parametrize(
    ("symptom", "code", "days", "sure", "give", "verdict"),
    [
        ("anaphylaxis", "penta", 0, True, "penta@2026-08-10", STOPS),
        ("anaphylaxis", "dpt_ipv", 0, True, "penta@2026-08-10", STOPS),
        ("anaphylaxis", "penta", 0, False, "penta@2026-08-10", WARNS),
        ("anaphylaxis", "hepb", 0, True, "penta@2026-08-10", "allow"),
        ("fever", "penta", 1, True, "penta@2026-08-10", WARNS),
        ("fever", "penta", 5, True, "penta@2026-08-10", "allow"),
        ("local", "penta", 1, True, "penta@2026-08-10", "allow"),
    ],
)
def test_what_was_seen_after_an_earlier_dose(
    symptom: str, code: str, days: int, sure: bool, give: str, verdict: str
) -> None:
    given = date(2026, 7, 10)
    seen = Reaction(symptom, code, given, given + timedelta(days=days), sure)
    history = History(date(2026, 5, 10), "F", (DoseGiven("d1", given, "penta"),), reactions=(seen,))
    asked = proposal(give)
    found = pre_check(RULES, history, asked, asked.on)
    assert found.verdict == verdict
    assert {one.code for one in found.reasons} == ({"reaction"} if verdict != "allow" else set())


@pytest.mark.parametrize(("vaccine", "verdict"), [("mr", "stop"), ("var", "stop"), ("flu", "allow")])
def test_a_pregnant_woman_gets_no_live_vaccine_though_nobody_noted_a_condition(vaccine: str, verdict: str) -> None:
    """The record is a pregnancy's: that she is pregnant needs no entry (接種不適当者: 妊娠していることが明らかな者)."""
    pregnant = History(None, "F", (), expected_delivery=date(2027, 1, 10))
    found = pre_check(RULES, pregnant, proposal(f"{vaccine}@2026-12-01"), date(2026, 12, 1))
    assert (found.verdict, [one.code for one in found.reasons]) == (
        verdict,
        ["contraindication"] if verdict == "stop" else [],
    )


def test_after_the_birth_a_live_vaccine_is_no_longer_barred() -> None:
    mother = History(None, "F", (), expected_delivery=date(2027, 1, 10), delivered_on=date(2026, 12, 27))
    for day, verdict in (("2026-12-26", "stop"), ("2026-12-27", "allow")):
        assert pre_check(RULES, mother, proposal(f"mr@{day}"), date.fromisoformat(day)).verdict == verdict
