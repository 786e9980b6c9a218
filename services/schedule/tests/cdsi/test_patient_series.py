"""Which series are relevant, and how completed series groups reach each other (CDSi 4.6 §5, Table 6-7)."""

from typing import Any

import pytest

from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Chart, Observed
from services.schedule.domain.patient_series import is_relevant, patient_series
from services.schedule.domain.rules import (
    Antigen,
    Association,
    Condition,
    ConditionKind,
    Indication,
    Series,
    SeriesKind,
)
from services.schedule.domain.statuses import DoseStatus, SeriesStatus
from services.schedule.tests.cdsi.invented import day, patient, rules_of, series, skip_if, target


def chart(one: Series, *given: str, on: str = "2025-01-01", **more: Any) -> Chart:
    return Chart(rules_of(Antigen("redness", (one,))), patient(*given, **more), day(on))


@pytest.mark.parametrize(("gender", "relevant"), [("female", True), ("unknown", True), ("male", False)])
def test_gender_must_be_one_of_the_required(gender: str, relevant: bool) -> None:
    one = series(target(), genders=frozenset({"female", "unknown"}))
    assert is_relevant(one, chart(one, gender=gender)) is relevant


def test_a_risk_series_needs_an_indication_at_the_age_of_today() -> None:
    indication = Indication("055", Offset(24, 0), Offset(60, 0))
    one = series(target(), kind=SeriesKind.RISK, indications=(indication,))
    seen = (Observed("055"),)
    assert is_relevant(one, chart(one, on="2022-01-10", observations=seen))
    assert not is_relevant(one, chart(one, on="2022-01-09", observations=seen))
    assert is_relevant(one, chart(one, on="2025-01-09", observations=seen))
    assert not is_relevant(one, chart(one, on="2025-01-10", observations=seen))
    assert not is_relevant(one, chart(one, on="2022-01-10", observations=(Observed("056"),)))
    assert not is_relevant(one, chart(one, on="2022-01-10"))
    either = series(target(), kind=SeriesKind.RISK, indications=(Indication("056"), Indication("055")))
    assert is_relevant(either, chart(either, observations=seen))


def test_all_valid_means_every_dose_that_was_judged() -> None:
    one = series(target(1), target(2))
    antigen = Antigen("redness", (one,))
    for given, all_valid in ((("red 2020-03-01",), True), (("red 2020-03-01", "pink 2020-04-01"), False)):
        (found,) = patient_series(antigen, chart(one, *given))
        assert found.all_valid is all_valid


def test_an_observation_counts_from_its_own_day_on() -> None:
    one = series(target())
    seen = (Observed("055", day("2022-01-10")),)
    assert chart(one, on="2022-01-10", observations=seen).active == {"055"}
    assert chart(one, on="2022-01-09", observations=seen).active == set()


def test_a_complete_group_completes_the_series_that_ask_for_it() -> None:
    done = skip_if(Condition(ConditionKind.COMPLETED_SERIES, series_groups=frozenset({"1"})))
    asking = series(
        target(1, skips_evaluating=done, skips_forecasting=done),
        target(2),
        name="asking",
        group="2",
        asks_for_complete_groups=True,
    )
    antigen = Antigen("redness", (asking, series(target(), name="plain")))
    prepared = Chart(rules_of(antigen), patient("red 2020-03-01", "red 2020-04-01"), day("2025-01-01"))
    found = {each.series.name: each for each in patient_series(antigen, prepared)}
    assert found["plain"].status is SeriesStatus.COMPLETE
    assert found["asking"].status is SeriesStatus.COMPLETE


def test_a_dose_knows_of_the_groups_that_were_complete_before_it() -> None:
    done = skip_if(Condition(ConditionKind.COMPLETED_SERIES, series_groups=frozenset({"1"})))
    booster = series(
        target(1, vaccines="pink", skips_evaluating=done, skips_forecasting=done),
        target(2),
        name="booster",
        group="2",
        asks_for_complete_groups=True,
    )
    antigen = Antigen("redness", (booster, series(target(1), target(2), name="plain")))

    def found(*given: str) -> tuple[SeriesStatus, list[DoseStatus]]:
        prepared = Chart(rules_of(antigen), patient(*given), day("2025-01-01"))
        one = next(each for each in patient_series(antigen, prepared) if each.series is booster)
        return one.status, list(one.walk.statuses.values())

    # The second dose completes the plain series; for itself that series was not complete yet.
    twice = ("red 2020-03-01", "red 2020-04-01")
    assert found(*twice) == (SeriesStatus.NOT_COMPLETE, [DoseStatus.NOT_VALID, DoseStatus.NOT_VALID])
    assert found(*twice, "red 2020-05-01") == (
        SeriesStatus.COMPLETE,
        [DoseStatus.NOT_VALID, DoseStatus.NOT_VALID, DoseStatus.VALID],
    )


def test_groups_that_complete_each_other_in_turn_settle() -> None:
    def after(group: str, own: str) -> Series:
        done = skip_if(Condition(ConditionKind.COMPLETED_SERIES, series_groups=frozenset({group})))
        first, second = target(1), target(2, skips_forecasting=done)
        return series(first, second, name=own, group=own, asks_for_complete_groups=True)

    antigen = Antigen("redness", (after("3", "4"), after("2", "3"), after("1", "2"), series(target(), name="1")))
    prepared = Chart(rules_of(antigen), patient("red 2020-03-01"), day("2025-01-01"))
    assert {each.status for each in patient_series(antigen, prepared)} == {SeriesStatus.COMPLETE}


def test_a_vaccine_counts_for_an_antigen_between_the_ages_of_its_association() -> None:
    one = series(target())
    young = {"late": (Association("redness", None, Offset(12, 0)), Association("blueness", Offset(12, 0)))}
    rules = rules_of(Antigen("redness", (one,)), associations=young)
    prepared = Chart(rules, patient("late 2021-01-09", "late 2021-01-10"), day("2025-01-01"))
    assert prepared.of_antigen == {"redness": [0], "blueness": [1]}
