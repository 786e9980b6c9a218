"""Forecasts of vaccine groups (CDSi 4.6 chapter 9)."""

from typing import Any

import pytest

from services.schedule.domain.engine import Assessment
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Observed
from services.schedule.domain.rules import (
    Antigen,
    Contraindication,
    Indication,
    Season,
    Series,
    SeriesKind,
    TargetDose,
    VaccineGroup,
)
from services.schedule.domain.statuses import SeriesStatus
from services.schedule.tests.cdsi.invented import age, assessed, day, interval, rules_of, series, target


def of(antigen: str, *targets: TargetDose, **more: Any) -> Antigen:
    rules = more.pop("rules", {})
    return Antigen(antigen, (series(*targets, antigen=antigen, is_default=True, **more),), **rules)


def group(
    red: Antigen, blue: Antigen, *given: str, full: bool = False, on: str = "2020-06-01", **more: Any
) -> Assessment:
    colours = {"colours": VaccineGroup("colours", ("redness", "blueness"), full)}
    return assessed(rules_of(red, blue, groups=colours), *given, on=on, **more)


def dose(number: int, vaccine: str, minimum: str, recommended: str | None = None, **more: Any) -> TargetDose:
    ages = age(minimum=minimum, **({"earliest_recommended": recommended} if recommended else {}))
    return target(number, vaccines=f"{vaccine} purple", ages=(ages,), **more)


def test_a_group_waits_for_its_last_antigen_and_is_recommended_by_its_first() -> None:
    found = group(
        of("redness", dose(1, "red", "6 weeks", "1 year")), of("blueness", dose(1, "blue", "2 months", "9 months"))
    ).standard["colours"]
    assert found.status is SeriesStatus.NOT_COMPLETE
    assert found.dates.earliest == day("2020-03-10")
    assert found.dates.recommended == day("2020-10-10")


def test_recommended_and_past_due_are_never_before_the_groups_earliest_day() -> None:
    early = age(minimum="6 weeks", earliest_recommended="6 weeks", latest_recommended="7 weeks", maximum="9 years")
    found = group(of("redness", target(1, ages=(early,))), of("blueness", dose(1, "blue", "1 year"))).standard[
        "colours"
    ]
    assert found.dates.recommended == found.dates.past_due == found.dates.earliest == day("2021-01-10")
    assert found.dates.latest == day("2029-01-09")


def test_a_priority_forecast_leads_but_not_before_the_groups_last_dose() -> None:
    booster = target(2, vaccines="red purple", intervals=(interval(minimum="1 year", overrides=True),))
    red = of("redness", target(1, vaccines="red purple"), booster)
    blue = of("blueness", dose(1, "blue", "5 years"))
    found = group(red, blue, "red 2020-03-01", on="2020-06-01").standard["colours"]
    assert found.dates.earliest == day("2021-03-01")
    assert group(red, of("blueness", dose(1, "pink", "2 months")), "red 2020-03-01", "blue 2020-05-01").standard[
        "colours"
    ].dates.earliest == day("2020-05-01")


def test_the_number_is_the_lowest_when_all_antigens_are_given_together_else_the_highest() -> None:
    red, blue = of("redness", target(1), target(2)), of("blueness", dose(1, "blue", "2 months"))
    assert group(red, blue, "red 2020-03-01").standard["colours"].number == 2
    assert group(red, blue, "red 2020-03-01", full=True).standard["colours"].number == 1


FORBIDDEN = {"contraindications": (Contraindication("080"),)}
IMMUNE = {"immune_by": frozenset({"020"})}


BLUE_AT_ONE = dose(1, "blue", "1 year")
TOO_OLD = target(1, ages=(age(maximum="1 month"),))
OUT_OF_SEASON = target(1, season=Season(None, day("2020-03-31")))


@pytest.mark.parametrize(
    ("red", "blue", "given", "status"),
    [
        (of("redness", target(1), rules=FORBIDDEN), of("blueness", TOO_OLD), (), "Contraindicated"),
        (of("redness", TOO_OLD), of("blueness", BLUE_AT_ONE), (), "Aged Out"),
        (of("redness", OUT_OF_SEASON), of("blueness", BLUE_AT_ONE), (), "Not Recommended"),
        (of("redness", target(1), rules=IMMUNE), of("blueness", BLUE_AT_ONE, rules=IMMUNE), (), "Immune"),
        (of("redness", target(1), rules=IMMUNE), of("blueness", BLUE_AT_ONE), (), "Not Complete"),
        (of("redness", target(1), rules=IMMUNE), of("blueness", BLUE_AT_ONE), ("blue 2020-03-01",), "Complete"),
    ],
)
def test_the_status_of_several_antigens(red: Antigen, blue: Antigen, given: tuple[str, ...], status: str) -> None:
    seen = (Observed("080"), Observed("020"))
    assert group(red, blue, *given, observations=seen).standard["colours"].status == status


def two_for_one_antigen(*of_group: Series, given: tuple[str, ...] = (), on: str) -> Any:
    return assessed(rules_of(Antigen("redness", of_group)), *given, on=on).standard["redness"]


def test_of_several_best_series_of_one_antigen_one_for_later_is_silent_until_its_age() -> None:
    child = series(target(), name="child", is_default=True)
    adult = series(
        target(ages=(age(absolute_minimum="50 years", minimum="50 years"),)),
        name="adult",
        group="3",
        is_default=True,
        min_age_to_start=Offset(600, 0),
    )
    assert two_for_one_antigen(child, adult, given=("red 2020-03-01",), on="2025-01-01").status is SeriesStatus.COMPLETE
    found = two_for_one_antigen(child, adult, given=("red 2020-03-01",), on="2070-01-10")
    assert found.status is SeriesStatus.NOT_COMPLETE
    assert found.number == 1


def test_what_is_aged_out_speaks_last() -> None:
    child = series(target(ages=(age(maximum="5 years"),)), name="child", is_default=True)
    adult = series(target(ages=(age(minimum="50 years"),)), name="adult", group="3", is_default=True)
    assert two_for_one_antigen(child, adult, on="2070-01-10").status is SeriesStatus.NOT_COMPLETE
    assert two_for_one_antigen(child, on="2070-01-10").status is SeriesStatus.AGED_OUT


def test_risk_and_standard_are_never_mixed() -> None:
    plain = series(target(ages=(age(minimum="1 year"),)), name="plain", is_default=True)
    at_risk = series(
        target(ages=(age(minimum="6 months"),)),
        name="risk",
        kind=SeriesKind.RISK,
        group="2",
        indications=(Indication("055"),),
    )
    found = assessed(rules_of(Antigen("redness", (plain, at_risk))), on="2020-06-01", observations=(Observed("055"),))
    assert found.standard["redness"].dates.earliest == day("2021-01-10")
    assert found.risk["redness"].dates.earliest == day("2020-07-10")


def test_a_complete_evaluation_only_series_speaks_for_the_kind_of_its_series_group() -> None:
    only = series(target(), name="only", kind=SeriesKind.EVALUATION_ONLY, group="2")
    at_risk = series(target(), name="risk", kind=SeriesKind.RISK, group="2", indications=(Indication("055"),))
    found = assessed(rules_of(Antigen("redness", (only, at_risk))), "red 2020-03-01", on="2020-06-01")
    assert found.risk["redness"].status is SeriesStatus.COMPLETE
    assert "redness" not in found.standard


def test_a_group_that_nobody_needs_has_no_forecast() -> None:
    at_risk = series(target(), kind=SeriesKind.RISK, indications=(Indication("055"),))
    found = assessed(rules_of(Antigen("redness", (at_risk,))), on="2020-06-01")
    assert found.standard == found.risk == {}
