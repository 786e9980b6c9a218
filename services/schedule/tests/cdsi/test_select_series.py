"""Prioritized and best series (CDSi 4.6 §8.1, §8.2, §8.8)."""

from typing import Any

from services.schedule.domain.engine import AntigenAssessment
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Observed
from services.schedule.domain.rules import Antigen, Contraindication, Indication, Series, SeriesKind
from services.schedule.domain.statuses import SeriesStatus
from services.schedule.tests.cdsi.invented import age, assessed, rules_of, series, target

RISKY = (Observed("055"),)
ONE, TWO, THREE = target(1), target(2), target(3)


def risk(*targets: Any, **more: Any) -> Series:
    return series(*targets, **{"kind": SeriesKind.RISK, "group": "2", "indications": (Indication("055"),), **more})


def chosen(*of: Series, given: tuple[str, ...] = (), **more: Any) -> AntigenAssessment:
    antigen = Antigen("redness", of, **more.pop("antigen", {}))
    return assessed(rules_of(antigen), *given, on=more.pop("on", "2025-01-01"), **more).antigens["redness"]


def best(*of: Series, given: tuple[str, ...] = (), **more: Any) -> list[str]:
    return [each.series.name for each in chosen(*of, given=given, **more).best]


def test_without_doses_the_default_leads() -> None:
    assert best(series(ONE, name="a"), series(ONE, name="b", is_default=True)) == ["b"]


def test_one_that_began_leads_over_the_default() -> None:
    blue_only = series(target(vaccines="pink"), name="a", is_default=True)
    assert best(blue_only, series(ONE, TWO, name="b"), given=("red 2020-03-01",)) == ["b"]


def test_a_series_begun_too_old_is_not_scorable() -> None:
    early = series(ONE, TWO, name="a", is_default=True, max_age_to_start=Offset(12, 0))
    late = series(ONE, TWO, THREE, name="b")
    assert best(early, late, given=("red 2021-01-10",)) == ["b"]
    assert best(early, late, given=("red 2021-01-09",)) == ["a"]


def test_the_one_complete_series_leads() -> None:
    assert best(series(ONE, TWO, name="a", is_default=True), series(ONE, name="b"), given=("red 2020-03-01",)) == ["b"]


def test_a_contraindicated_series_gives_way_unless_all_are() -> None:
    forbidden = {"vaccine_contraindications": (Contraindication("091", vaccine="red"),)}
    red = series(ONE, target(2, vaccines="red"), name="a", is_default=True)
    pink = series(ONE, target(2, vaccines="pink"), target(3, vaccines="pink"), name="b")
    seen = (Observed("091"),)
    assert best(red, pink, given=("red 2020-03-01",), observations=seen, antigen=forbidden) == ["b"]
    found = chosen(red, given=("red 2020-03-01",), observations=seen, antigen=forbidden)
    assert [each.status for each in found.best] == [SeriesStatus.CONTRAINDICATED]


def test_a_contraindicated_default_is_out_of_consideration_too() -> None:
    forbidden = {"vaccine_contraindications": (Contraindication("091", vaccine="red"),)}
    seen = (*RISKY, Observed("091"))
    default = risk(ONE, name="default", is_default=True, preference=1)
    pink = target(vaccines="pink")
    others = (risk(pink, name="other", preference=3), risk(pink, name="another", preference=2))
    assert best(default, *others, observations=seen, antigen=forbidden) == ["another"]
    assert best(default, *others, observations=RISKY, antigen=forbidden) == ["default"]
    plain = (series(ONE, name="default", is_default=True), series(pink, name="other"))
    assert best(*plain, observations=seen, antigen=forbidden) == ["other"]
    begun = (series(ONE, target(2), name="default", is_default=True), series(pink, name="other"))
    assert best(*begun, given=("red 2020-03-01",), observations=seen, antigen=forbidden) == ["default"]


def test_of_risk_series_only_the_highest_priority_is_scorable() -> None:
    low = risk(ONE, name="low", priority="B", preference=1)
    high = risk(ONE, name="high", priority="A", preference=2)
    assert best(low, high, observations=RISKY) == ["high"]


def test_an_evaluation_only_series_counts_when_complete_and_never_otherwise() -> None:
    only = series(ONE, name="only", kind=SeriesKind.EVALUATION_ONLY)
    assert best(only, given=("red 2020-03-01",)) == ["only"]
    assert best(only) == []


def test_without_a_default_standard_series_without_doses_are_scored() -> None:
    assert best(series(ONE, name="a", preference=2), series(ONE, name="b", preference=1)) == ["b"]


def test_equivalent_groups_know_each_other() -> None:
    plain = series(ONE, name="plain", is_default=True, equivalent_groups=frozenset({"2"}))
    at_risk = risk(ONE, TWO, name="risk", equivalent_groups=frozenset({"1"}))
    assert best(plain, at_risk, observations=RISKY) == ["risk"]
    assert best(plain, at_risk, observations=RISKY, given=("red 2020-03-01",)) == ["plain"]
    apart = risk(ONE, TWO, name="apart")
    separate = series(ONE, name="plain", is_default=True)
    assert best(separate, apart, observations=RISKY) == ["plain", "apart"]


def test_a_group_without_a_default_or_anything_scorable_has_no_series() -> None:
    early = series(ONE, TWO, name="a", max_age_to_start=Offset(12, 0))
    assert best(early, given=("red 2022-01-10",)) == []


def test_every_series_of_a_risk_group_may_have_aged_out() -> None:
    old = risk(target(1, ages=(age(maximum="1 year"),)), name="old")
    found = chosen(old, observations=RISKY)
    assert [each.status for each in found.best] == [SeriesStatus.AGED_OUT]


OVER = target(2, ages=(age(maximum="5 months"),))


def test_the_one_in_process_leads_over_what_is_aged_out_and_over_preference() -> None:
    over = series(ONE, OVER, name="over", preference=1, is_default=True)
    going = series(ONE, TWO, THREE, name="going", preference=2)
    also_over = series(ONE, OVER, name="also over", preference=0)
    assert best(over, also_over, going, given=("red 2020-03-01",)) == ["going"]
    assert best(going, also_over, over, given=("red 2020-03-01",)) == ["going"]


def test_among_several_scorable_without_any_begun_the_default_leads() -> None:
    first = risk(ONE, name="first", preference=1)
    default = risk(ONE, name="default", preference=2, is_default=True)
    assert best(first, default, observations=RISKY) == ["default"]
    assert best(first, risk(ONE, name="other", preference=2), observations=RISKY) == ["first"]


def test_several_begun_series_are_scored_whatever_the_default_is() -> None:
    longer = series(ONE, TWO, THREE, name="longer", is_default=True, preference=1)
    assert best(longer, series(ONE, TWO, name="shorter", preference=2), given=("red 2020-03-01",)) == ["shorter"]


def test_an_unbegun_series_is_not_scored_once_another_has_begun() -> None:
    too_late = series(ONE, TWO, name="too late", max_age_to_start=Offset(1, 0))
    unbegun = series(target(vaccines="pink"), name="unbegun")
    assert best(too_late, unbegun, given=("red 2020-03-01",)) == []
    assert best(series(ONE, TWO, name="early"), unbegun, given=("red 2020-03-01",)) == ["early"]


def test_when_all_are_contraindicated_all_compete() -> None:
    forbidden = {"contraindications": (Contraindication("080"),)}
    several = (risk(ONE, name="a", preference=2), risk(ONE, name="b", preference=1))
    assert best(*several, observations=(*RISKY, Observed("080")), antigen=forbidden) == ["b"]
