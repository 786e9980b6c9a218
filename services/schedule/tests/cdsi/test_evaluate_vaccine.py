"""Preferable and allowable vaccines (CDSi 4.6 §6.8, §6.9)."""

import pytest

from services.schedule.domain.evaluate_vaccine import evaluate_vaccine, less_volume
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Administered
from services.schedule.domain.rules import TargetDose, VaccineRule
from services.schedule.domain.statuses import Code
from services.schedule.tests.cdsi.invented import BORN, day, target

TARGET = TargetDose(
    number=1,
    ref="dose 1",
    preferable=(
        VaccineRule("red", begin=Offset(2, 0), end=Offset(12, 0), trade_name="Rosso", maker="AAA", volume=0.5),
    ),
    allowable=(VaccineRule("pink", begin=Offset(2, -4)),),
)


def given(vaccine: str, on: str, **more: object) -> Administered:
    return Administered("1", day(on), vaccine, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dose", "counts"),
    [
        (given("red", "2020-03-09"), False),
        (given("red", "2020-03-10"), True),
        (given("red", "2021-01-09"), True),
        (given("red", "2021-01-10"), False),
        (given("pink", "2020-03-06"), True),
        (given("pink", "2020-03-05"), False),
        (given("pink", "2060-03-05"), True),
        (given("blue", "2020-06-01"), False),
        (given("red", "2020-06-01", maker="AAA", trade_name="Rosso"), True),
        (given("red", "2020-06-01", maker="BBB"), False),
        (given("red", "2020-06-01", trade_name="Rubino"), False),
    ],
)
def test_vaccine_window_and_product_decide(dose: Administered, counts: bool) -> None:
    reason = evaluate_vaccine(TARGET, BORN, dose)
    assert (reason is None) is counts
    if reason is not None:
        assert reason.code is Code.WRONG_VACCINE


def test_a_target_that_names_no_vaccine_takes_none() -> None:
    assert evaluate_vaccine(target(vaccines=""), BORN, given("blue", "2020-06-01")) is not None


def test_less_volume_is_said_and_never_held_against_a_dose() -> None:
    dose = given("red", "2020-06-01", volume=0.25)
    assert evaluate_vaccine(TARGET, BORN, dose) is None
    reason = less_volume(TARGET, dose)
    assert reason is not None
    assert reason.code is Code.LESS_VOLUME
    assert less_volume(TARGET, given("red", "2020-06-01", volume=0.5)) is None
    assert less_volume(TARGET, given("red", "2020-06-01")) is None
    assert less_volume(TARGET, given("pink", "2020-06-01", volume=0.1)) is None
