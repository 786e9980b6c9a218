"""The walk of doses along a series (CDSi 4.6 §4.4, §6.1, §6.3, §6.10)."""

from dataclasses import replace

from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Chart
from services.schedule.domain.rules import Antigen, Condition, ConditionKind, VaccineRule
from services.schedule.domain.series_walk import Walk
from services.schedule.domain.statuses import Code, DoseStatus
from services.schedule.tests.cdsi.invented import (
    age,
    day,
    interval,
    patient,
    rules_of,
    series,
    skip_if,
    target,
    walk,
)

TODDLER = age(absolute_minimum="12 months - 4 days")


def walked(*targets: object, given: tuple[str, ...]) -> Walk:
    made = walk(series(*targets), *given)  # type: ignore[arg-type]
    evaluate_series(made)
    return made


def test_a_valid_dose_moves_on_and_another_does_not() -> None:
    made = walked(target(1, ages=(TODDLER,)), target(2), given=("red 2020-06-01", "red 2021-06-01", "red 2021-07-01"))
    assert list(made.statuses.values()) == [DoseStatus.NOT_VALID, DoseStatus.VALID, DoseStatus.VALID]
    assert [(each.number, place) for each, place in made.satisfied] == [(1, 1), (2, 2)]


def test_after_the_last_target_doses_are_extraneous() -> None:
    made = walked(target(), given=("red 2020-06-01", "red 2021-06-01"))
    assert made.statuses[1] is DoseStatus.EXTRANEOUS
    assert [reason.code for reason in made.reasons[1]] == [Code.SERIES_COMPLETE]


def test_a_recurring_target_comes_again() -> None:
    yearly = target(recurring=True, intervals=(interval(absolute_minimum="1 year"),))
    made = walked(yearly, given=("red 2020-06-01", "red 2020-12-01", "red 2021-12-01"))
    assert list(made.statuses.values()) == [DoseStatus.VALID, DoseStatus.NOT_VALID, DoseStatus.VALID]
    assert made.position == 0
    assert made.satisfied_day(1) == day("2021-12-01")


def test_targets_are_skipped_before_a_dose_is_judged_and_more_than_one_may_be() -> None:
    grown = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(12, 0)))
    made = walked(
        target(1, skips_evaluating=grown),
        target(2, skips_evaluating=grown),
        target(3, ages=(TODDLER,)),
        given=("red 2021-06-01",),
    )
    assert [each.number for each, _ in made.satisfied] == [3]


def test_when_every_target_is_skipped_the_dose_is_extraneous() -> None:
    grown = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(12, 0)))
    made = walked(target(1, skips_evaluating=grown), given=("red 2021-06-01",))
    assert made.statuses == {0: DoseStatus.EXTRANEOUS}


def test_a_skip_for_forecasts_does_not_hold_here() -> None:
    grown = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(12, 0)))
    made = walked(target(1, skips_forecasting=grown), given=("red 2021-06-01",))
    assert made.statuses == {0: DoseStatus.VALID}


def test_an_inadvertent_dose_is_not_valid_for_that_alone() -> None:
    made = walked(target(inadvertent=frozenset({"pink"}), ages=(TODDLER,)), given=("pink 2020-06-01", "red 2021-06-01"))
    assert made.statuses[0] is DoseStatus.NOT_VALID
    assert [reason.code for reason in made.reasons[0]] == [Code.INADVERTENT]
    assert made.last_inadvertent_day == day("2020-06-01")
    assert made.statuses[1] is DoseStatus.VALID


def test_every_failing_reason_is_kept() -> None:
    second = target(2, ages=(TODDLER,), intervals=(interval(absolute_minimum="4 weeks"),))
    made = walked(target(1), second, given=("red 2020-06-01", "pink 2020-06-08"))
    assert [reason.code for reason in made.reasons[1]] == [Code.TOO_YOUNG, Code.TOO_SOON, Code.WRONG_VACCINE]


def test_a_dose_of_another_antigen_has_no_status_here() -> None:
    made = walked(target(), given=("blue 2020-06-01", "red 2020-06-01"))
    assert list(made.statuses) == [1]


def substandard(**defect: object) -> Walk:
    one = series(target(1), target(2, intervals=(interval(absolute_minimum="4 weeks"),)))
    given = patient("red 2020-06-01", "red 2020-07-01", "red 2020-07-02")
    bad = replace(given.doses[1], **defect)  # type: ignore[arg-type]
    given = replace(given, doses=(given.doses[0], bad, given.doses[2]))
    made = Walk(one, Chart(rules_of(Antigen("redness", (one,))), given, day("2021-01-01")))
    evaluate_series(made)
    return made


def test_an_expired_or_flawed_dose_is_sub_standard_and_nothing_is_counted_from_it() -> None:
    for defect, code in (({"expires": day("2020-06-30")}, Code.EXPIRED_LOT), ({"flawed": True}, Code.DOSE_CONDITION)):
        made = substandard(**defect)
        assert list(made.statuses.values()) == [DoseStatus.VALID, DoseStatus.SUB_STANDARD, DoseStatus.VALID]
        assert made.reasons[1][0].code is code


def test_a_lot_is_good_on_its_last_day() -> None:
    assert substandard(expires=day("2020-07-01")).statuses[1] is DoseStatus.VALID


def test_the_order_of_entry_changes_nothing() -> None:
    given = ("red 2020-06-01", "red 2020-06-10", "pink 2020-06-10")
    two = (target(1), target(2, vaccines="red pink", intervals=(interval(absolute_minimum="1 week"),)))
    forwards, backwards = walked(*two, given=given), walked(*two, given=given[::-1])
    assert [dose.vaccine for dose in forwards.chart.doses] == [dose.vaccine for dose in backwards.chart.doses]
    assert forwards.statuses == backwards.statuses


def test_a_valid_dose_has_no_reason_unless_its_volume_was_small() -> None:
    one = series(target(preferable=(VaccineRule("red", volume=0.5),)))
    person = patient("red 2020-06-01")
    for volume, codes in ((None, []), (0.5, []), (0.25, [Code.LESS_VOLUME])):
        given = replace(person, doses=(replace(person.doses[0], volume=volume),))
        made = Walk(one, Chart(rules_of(Antigen("redness", (one,))), given, day("2021-01-01")))
        evaluate_series(made)
        assert made.statuses == {0: DoseStatus.VALID}
        assert [reason.code for reason in made.reasons.get(0, ())] == codes
