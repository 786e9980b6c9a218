"""The whole assessment: what holds for any patient."""

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from services.schedule.domain.engine import Assessment, assess
from services.schedule.domain.offsets import Offset
from services.schedule.domain.patient import Administered, Observed, Patient
from services.schedule.domain.rules import (
    Antigen,
    Condition,
    ConditionKind,
    Conflict,
    Indication,
    SeriesKind,
    VaccineGroup,
)
from services.schedule.tests.cdsi.invented import (
    BORN,
    age,
    assessed,
    interval,
    judged,
    rules_of,
    series,
    skip_if,
    target,
)

WEEKS = (interval(absolute_minimum="4 weeks - 4 days", minimum="4 weeks", earliest_recommended="8 weeks"),)
SINCE = (interval(from_observation="056", absolute_minimum="6 weeks", minimum="8 weeks"),)
DONE = skip_if(Condition(ConditionKind.COMPLETED_SERIES, series_groups=frozenset({"1"})))
GROWN = skip_if(Condition(ConditionKind.AGE, begin_age=Offset(12, 0)))
FIRST = target(1, "red purple", ages=(age(absolute_minimum="38 days", minimum="6 weeks", maximum="5 years"),))
LIVE = Conflict(ref="live", begin=Offset(0, 1), minimum_end=Offset(0, 24), end=Offset(0, 28))
RULES = rules_of(
    Antigen(
        "redness",
        (
            series(FIRST, target(2, "red purple", intervals=WEEKS), name="two", preference=2),
            series(
                FIRST,
                target(2, "red purple", intervals=WEEKS, skips_evaluating=GROWN, skips_forecasting=GROWN),
                target(3, "red", intervals=WEEKS, recurring=True),
                name="three",
                is_default=True,
                preference=1,
            ),
            series(target(), name="risk", kind=SeriesKind.RISK, group="2", indications=(Indication("055"),)),
            series(
                target(1, skips_evaluating=DONE, skips_forecasting=DONE),
                target(2, intervals=SINCE, recurring=True),
                name="booster",
                group="3",
                asks_for_complete_groups=True,
            ),
        ),
    ),
    Antigen("blueness", (series(target(1, "blue purple"), antigen="blueness", is_default=True),)),
    groups={"colours": VaccineGroup("colours", ("redness", "blueness")), "none": VaccineGroup("none", ("unknown",))},
    conflicts={"red": {"blue": LIVE}, "blue": {"red": LIVE}},
)

GIVEN = st.lists(
    st.builds(
        Administered,
        key=st.just("k"),
        day=st.integers(BORN, BORN + 3000),
        vaccine=st.sampled_from(["red", "pink", "blue", "purple", "unheard"]),
        maker=st.sampled_from([None, "AAA", "BBB"]),
    ),
    max_size=8,
)
SEEN = st.lists(
    st.builds(Observed, st.sampled_from(["055", "056"]), st.none() | st.integers(BORN, BORN + 3000)), max_size=3
)


def said(found: Assessment) -> object:
    return (
        {name: (each.status, each.number, each.dates) for name, each in found.standard.items()},
        {name: (each.status, each.number, each.dates) for name, each in found.risk.items()},
        [
            (each.series.name, sorted(each.walk.statuses.items()), sorted(each.walk.reasons.items()))
            for antigen in found.antigens.values()
            for each in antigen.relevant
        ],
    )


@given(GIVEN, SEEN, st.integers(BORN, BORN + 4000), st.randoms())
@settings(max_examples=200)
def test_the_order_of_input_changes_nothing(
    given: list[Administered], seen: list[Observed], today: int, dice: object
) -> None:
    before = said(assess(RULES, Patient(BORN, doses=tuple(given), observations=tuple(seen)), today))
    dice.shuffle(given)  # type: ignore[attr-defined]
    dice.shuffle(seen)  # type: ignore[attr-defined]
    assert said(assess(RULES, Patient(BORN, doses=tuple(given), observations=tuple(seen)), today)) == before


@given(GIVEN, SEEN, st.integers(BORN, BORN + 4000), st.integers(0, 4000))
@settings(max_examples=300)
def test_the_status_of_a_dose_in_a_series_never_changes_with_today(
    given: list[Administered], seen: list[Observed], today: int, later: int
) -> None:
    """Which series are relevant may change: in those that are on both days, nothing that is said of a dose does."""
    patient = Patient(BORN, doses=tuple(given), observations=tuple(seen))
    then, now = judged(assess(RULES, patient, today)), judged(assess(RULES, patient, today + later))
    for name in then.keys() & now.keys():
        assert then[name] == now[name]


@given(GIVEN, SEEN, st.integers(BORN, BORN + 3000), st.integers(BORN, BORN + 4000))
@settings(max_examples=300)
def test_the_status_of_a_dose_never_changes_with_later_doses(
    given: list[Administered], seen: list[Observed], until: int, today: int
) -> None:
    earlier = [dose for dose in given if dose.day <= until]
    before = judged(assess(RULES, Patient(BORN, doses=tuple(earlier), observations=tuple(seen)), today))
    after = judged(assess(RULES, Patient(BORN, doses=tuple(given), observations=tuple(seen)), today))
    for name, (statuses, reasons) in before.items():
        assert after[name][0].items() >= statuses.items()
        assert after[name][1].items() >= reasons.items()


@given(GIVEN, st.integers(BORN, BORN + 4000))
@settings(max_examples=200)
def test_recommended_and_past_due_never_come_before_the_earliest_day(given: list[Administered], today: int) -> None:
    found = assess(RULES, Patient(BORN, doses=tuple(given)), today)
    for forecast in found.standard.values():
        dates = forecast.dates
        if dates.earliest is not None:
            assert dates.recommended is not None
            assert dates.recommended >= dates.earliest
            assert dates.past_due is None or dates.past_due >= dates.earliest


@given(GIVEN, st.integers(BORN, BORN + 4000))
@settings(max_examples=200)
def test_a_dose_given_on_its_earliest_day_is_valid(given: list[Administered], today: int) -> None:
    patient = Patient(BORN, doses=tuple(given))
    for each in assess(RULES, patient, today).antigens["redness"].best:
        earliest = each.forecast.dates.earliest
        if earliest is None or earliest < today:
            continue
        target_dose = each.remaining[0]
        dose = Administered("next", earliest, target_dose.preferable[0].vaccine)
        after = assess(RULES, Patient(BORN, doses=(*given, dose)), earliest)
        again = next(other for other in after.antigens["redness"].relevant if other.series is each.series)
        place = next(place for place, other in enumerate(after.chart.doses) if other.key == "next")
        assert again.walk.statuses[place] == "Valid", date.fromordinal(earliest)


def test_only_the_groups_asked_for_are_worked_out() -> None:
    patient = Patient(BORN)
    assert assess(RULES, patient, BORN, []).antigens == {}
    assert set(assess(RULES, patient, BORN, ["colours"]).antigens) == {"redness", "blueness"}
    assert assess(RULES, patient, BORN, ["none"]).standard == {}


def test_a_vaccine_that_no_rule_knows_belongs_to_no_antigen() -> None:
    found = assessed(RULES, "unheard 2020-03-01", on="2020-04-01")
    assert found.chart.of_antigen == {}
