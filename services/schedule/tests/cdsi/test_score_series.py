"""Points between series (CDSi 4.6 §8.3 to §8.7)."""

from typing import Any

from services.schedule.domain.patient import Chart
from services.schedule.domain.patient_series import PatientSeries, patient_series
from services.schedule.domain.rules import Antigen, Series
from services.schedule.domain.score_series import (
    best_scored,
    finish_day,
    is_completable,
    score_in_process,
    score_not_begun,
)
from services.schedule.tests.cdsi.invented import age, day, interval, patient, rules_of, series, target

FOUR_WEEKS = (interval(absolute_minimum="4 weeks", minimum="4 weeks"),)
HALF_YEAR = (interval(absolute_minimum="6 months", minimum="6 months"),)


def pool(*of: Series, given: tuple[str, ...] = (), on: str = "2020-06-01") -> list[PatientSeries]:
    antigen = Antigen("redness", of)
    return patient_series(antigen, Chart(rules_of(antigen), patient(*given), day(on)))


def winner(*of: Series, **more: Any) -> str:
    return best_scored(pool(*of, **more)).series.name


def test_of_complete_series_the_one_with_most_valid_doses_wins() -> None:
    short, long = series(target(1), name="short", preference=1), series(target(1), target(2), name="long", preference=2)
    assert winner(short, long, given=("red 2020-03-01", "red 2020-05-01")) == "long"


def test_equal_complete_series_are_decided_by_preference() -> None:
    assert (
        winner(
            series(target(1), name="a", preference=2),
            series(target(1), name="b", preference=1),
            given=("red 2020-03-01",),
        )
        == "b"
    )


def test_closest_to_completion_wins_among_those_in_process() -> None:
    two = series(target(1), target(2, intervals=FOUR_WEEKS), name="two", preference=2)
    three = series(
        target(1), target(2, intervals=FOUR_WEEKS), target(3, intervals=FOUR_WEEKS), name="three", preference=1
    )
    assert winner(two, three, given=("red 2020-03-01",)) == "two"


def test_a_product_path_with_only_valid_doses_wins_and_with_another_dose_loses() -> None:
    product = series(target(1), target(2), name="product", product_path=True, preference=2)
    free = series(target(1, vaccines="red pink"), target(2, vaccines="red pink"), name="free", preference=1)
    assert winner(product, free, given=("red 2020-03-01",)) == "product"
    three = series(
        target(1, vaccines="red pink"), target(2, vaccines="red pink"), target(3), name="three", preference=1
    )
    both = ("pink 2020-03-01", "red 2020-04-01")
    assert winner(product, three, given=both) == "three"


def test_a_series_that_can_still_be_finished_wins() -> None:
    last = target(2, ages=(age(maximum="6 months"),), intervals=FOUR_WEEKS)
    third = target(3, ages=(age(maximum="6 months"),), intervals=HALF_YEAR)
    hopeless = series(target(1), last, third, name="hopeless", preference=1)
    open_ended = series(target(1), target(2, intervals=FOUR_WEEKS), target(3), name="open", preference=2)
    found = {each.series.name: each for each in pool(hopeless, open_ended, given=("red 2020-03-01",))}
    assert not is_completable(found["hopeless"])
    assert is_completable(found["open"])
    assert winner(hopeless, open_ended, given=("red 2020-03-01",)) == "open"


def test_it_finishes_after_the_longest_interval_that_remains() -> None:
    made = series(
        target(1), target(2, intervals=FOUR_WEEKS), target(3, intervals=HALF_YEAR), target(4, intervals=FOUR_WEEKS)
    )
    (found,) = pool(made, given=("red 2020-03-01",))
    assert found.forecast.dates.earliest == day("2020-03-29")
    assert finish_day(found) == day("2020-09-29")


def test_without_valid_doses_the_earliest_start_wins_and_a_series_without_a_start_is_left_out() -> None:
    soon = series(target(1, ages=(age(minimum="6 weeks"),)), name="soon", preference=2)
    later = series(target(1, ages=(age(minimum="2 years"),)), name="later", preference=1)
    over = series(target(1, ages=(age(maximum="1 month"),)), name="over", preference=0)
    assert winner(soon, later, over) == "soon"
    assert winner(later, over) == "later"


def test_without_valid_doses_a_product_path_loses() -> None:
    first = target(1, ages=(age(minimum="6 weeks"),))
    product = series(first, name="product", product_path=True, preference=1)
    assert winner(product, series(first, name="free", preference=2)) == "free"


def test_when_nothing_is_in_process_although_doses_were_valid_most_valid_doses_win() -> None:
    over = age(maximum="5 months")
    one = series(target(1), target(2, ages=(over,)), name="one", preference=1)
    two = series(target(1), target(2), target(3, ages=(over,)), name="two", preference=2)
    assert winner(one, two, given=("red 2020-03-01", "red 2020-06-15"), on="2020-07-01") == "two"


def in_process(*of: Series, given: tuple[str, ...] = ("red 2020-03-01",)) -> list[int]:
    return score_in_process(pool(*of, given=given))


TWO = (target(1), target(2, intervals=FOUR_WEEKS))
THREE = (*TWO, target(3, intervals=FOUR_WEEKS))
PRODUCT, COMPLETABLE, MOST, CLOSEST, FIRST = 2, 3, 2, 2, 1


def test_points_in_process_are_those_of_the_table() -> None:
    alone = series(*TWO)
    assert in_process(alone) == [-PRODUCT + COMPLETABLE + MOST + CLOSEST + FIRST]
    assert in_process(alone, series(*TWO, name="same")) == [-PRODUCT + COMPLETABLE] * 2
    product = series(*TWO, name="product", product_path=True)
    assert in_process(alone, product) == [-PRODUCT + COMPLETABLE, PRODUCT + COMPLETABLE]
    assert in_process(alone, series(*THREE, name="longer")) == [
        -PRODUCT + COMPLETABLE + CLOSEST + FIRST,
        -PRODUCT + COMPLETABLE - CLOSEST - FIRST,
    ]
    narrow = series(target(1, vaccines="red pink"), target(2, vaccines="pink"), target(3), name="narrow")
    wide = series(target(1, vaccines="red pink"), target(2), target(3), name="wide")
    assert in_process(narrow, wide, given=("pink 2020-02-01", "red 2020-03-10")) == [
        -PRODUCT + COMPLETABLE - MOST - CLOSEST,
        -PRODUCT + COMPLETABLE + MOST + CLOSEST,
    ]


def test_points_for_what_cannot_be_finished() -> None:
    over = target(2, intervals=FOUR_WEEKS), target(3, intervals=HALF_YEAR, ages=(age(maximum="6 months"),))
    hopeless = series(target(1), *over, name="hopeless")
    assert in_process(hopeless, series(*THREE, name="open")) == [
        -PRODUCT - COMPLETABLE - FIRST,
        -PRODUCT + COMPLETABLE + FIRST,
    ]
    assert in_process(hopeless) == [-PRODUCT - COMPLETABLE + MOST + CLOSEST - FIRST]


def test_it_must_be_finished_before_the_maximum_age_and_not_on_it() -> None:
    for maximum, completable in (("4 months", False), ("4 months + 1 day", True)):
        last = target(3, intervals=FOUR_WEEKS, ages=(age(maximum=maximum),))
        (found,) = pool(
            series(target(1), target(2, intervals=FOUR_WEEKS), last), given=("red 2020-03-15",), on="2020-03-15"
        )
        assert finish_day(found) == day("2020-05-10")
        assert is_completable(found) is completable


def test_points_without_valid_doses_are_those_of_the_table() -> None:
    soon = series(target(1, ages=(age(minimum="6 weeks"),)), name="soon")
    later = series(target(1, ages=(age(minimum="2 years"),)), name="later", product_path=True)
    over = series(target(1, ages=(age(maximum="1 month"),)), name="over")
    assert score_not_begun(pool(soon, later, over)) == [1 + 1 + 1, -1 + 1 - 1, -1 - 1 + 1]
    assert score_not_begun(pool(soon, series(*soon.doses, name="same"))) == [0 + 1 + 1] * 2


def test_intervals_out_of_force_do_not_delay_the_end() -> None:
    for force, finish in (
        ({"effective": "2020-06-01"}, "2020-09-29"),
        ({"effective": "2020-06-02"}, "2020-03-29"),
        ({"cessation": "2020-06-01"}, "2020-09-29"),
        ({"cessation": "2020-05-31"}, "2020-03-29"),
    ):
        late = interval(minimum="6 months", **force)
        (found,) = pool(series(*TWO, target(3, intervals=(late,))), given=("red 2020-03-01",), on="2020-06-01")
        assert finish_day(found) == day(finish)


def test_a_single_complete_series_decides_nothing_here() -> None:
    done, open_ended = series(target(1), name="done", preference=2), series(*THREE, name="open", preference=1)
    assert winner(done, open_ended, given=("red 2020-03-01", "red 2020-05-01")) == "open"


def test_two_complete_series_leave_an_open_one_with_more_doses_aside() -> None:
    done, same = series(target(1), name="done", preference=2), series(target(1), name="same", preference=3)
    assert winner(done, same, series(*THREE, name="open"), given=("red 2020-03-01", "red 2020-05-01")) == "done"
