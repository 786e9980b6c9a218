"""What holds of every plan, whatever the child: tried on invented births and histories."""

import json
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.schedule.domain.history import DoseGiven, History, Observation
from services.schedule.domain.plan import Plan, make_plan, plan_to_json
from services.schedule.rule_files import load_rule_set

RULES = load_rule_set()
FIRST_DAY = date.fromordinal(RULES.first_day)
CODES = sorted(code for code, vaccine in RULES.vaccines.items() if vaccine.counts_in and code != "rsv_maternal")
OBSERVED = sorted(RULES.observations)
ANYTHING = [*sorted(RULES.vaccines), "cvx:04", "unheard_of"]

births = st.one_of(
    st.dates(date(2015, 1, 1), date(2030, 12, 31)),
    st.sampled_from([date(2016, 2, 29), date(2020, 2, 29), date(2024, 2, 29), date(2028, 2, 29)]),
    st.builds(lambda year, month: date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1),
              st.integers(2015, 2029), st.integers(1, 12)),
    st.builds(lambda year: date(year, 4, 1), st.integers(2015, 2030)),
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn, most: int = 12, codes: list[str] = CODES, first_day: int = 0) -> History:
    """A child with some doses of anything on any day, and perhaps something on file."""
    birth = draw(births)
    seen = draw(
        st.lists(st.tuples(st.sampled_from(OBSERVED), st.integers(0, 5000)), max_size=2, unique_by=lambda one: one[0])
    )
    days = st.integers(first_day, 5000)
    doses = draw(st.lists(st.tuples(st.sampled_from(codes), days), max_size=most, unique_by=lambda one: one))
    return History(
        birth,
        draw(st.sampled_from("FMU")),
        tuple(DoseGiven(f"d{at}", birth + timedelta(days=days), code) for at, (code, days) in enumerate(doses)),
        tuple(Observation(code, birth + timedelta(days=days)) for code, days in seen),
    )


def bytes_of(plan: Plan) -> bytes:
    """The plan as it goes over the wire."""
    return json.dumps(plan_to_json(plan), ensure_ascii=False).encode()


def follow(birth: date, sex: str, on: date, until_years: int, one_a_day: bool) -> tuple[History, int]:
    """Follow the plan of a child without a dose; the history and how many doses it has."""
    history = go_on(History(birth, sex, ()), on, until_years, one_a_day)  # type: ignore[arg-type]
    return history, len(history.doses)


def go_on(history: History, on: date, until_years: int, one_a_day: bool) -> History:
    """Give what the plan says, on its day or today where that has passed, and plan again, until nothing is left."""
    today, birth = on, history.birth_date or on
    end = date(birth.year + until_years, birth.month, 1)
    for _ in range(120):
        plan = make_plan(RULES, history, today)
        visits = [
            (max(item.recommended, today), item)
            for item in plan.items
            if item.status in {"due", "overdue", "upcoming"} and item.recommended and item.vaccines
        ]
        if not visits:
            break
        day = min(when for when, _ in visits)
        if day > end:
            break
        now = [item for when, item in visits if when == day][: 1 if one_a_day else None]
        for item in now:
            assert item.earliest is not None
            assert item.earliest <= day
            assert item.latest is None or day <= item.latest, (item, day)
        parts = [line for item in now for line in RULES.vaccines[item.vaccines[0]].counts_in]
        assert len(parts) == len({*parts}), ("one part twice on a day", day, now)
        doses = tuple(DoseGiven(f"{item.series}-{item.dose_number}-{day}", day, item.vaccines[0]) for item in now)
        history = replace(history, doses=(*history.doses, *doses))
        today = day
    return history


@settings(max_examples=120, deadline=None)
@given(births, st.sampled_from("FMU"), st.integers(0, 6000), st.booleans())
def test_a_plan_followed_to_the_letter_is_valid_dose_by_dose(birth: date, sex: str, days: int, one_a_day: bool) -> None:
    on = max(birth, FIRST_DAY) + timedelta(days=days)
    history, given_doses = follow(birth, sex, on, 18, one_a_day)
    plan = make_plan(RULES, history, on + timedelta(days=7000))
    assert len(plan.doses) >= given_doses
    if on - birth < timedelta(days=60):
        assert given_doses >= (24 if sex != "M" else 22), "a newborn's plan leads through the whole childhood"
    for verdict in plan.doses:
        assert verdict.immunological == "valid", verdict
        assert verdict.legal in {"valid", "voluntary"}, verdict
        assert not [reason for reason in verdict.reasons if reason.refuses], verdict


@settings(max_examples=60, deadline=None)
@given(histories(most=8), st.integers(0, 200), st.booleans())
def test_a_plan_followed_from_any_history_adds_valid_doses_only(history: History, days: int, one_a_day: bool) -> None:
    """Whatever was given before, of older vaccines or at odd times: what the plan adds is right."""
    on = max([FIRST_DAY, *(dose.given_on for dose in history.doses)]) + timedelta(days=days)
    grown = go_on(history, on, 18, one_a_day)
    before = {dose.id for dose in history.doses}
    for verdict in make_plan(RULES, grown, on + timedelta(days=7000)).doses:
        if verdict.id not in before:
            assert verdict.immunological == "valid", verdict
            assert verdict.legal in {"valid", "voluntary"}, verdict


@settings(max_examples=60, deadline=None)
@given(births, st.integers(0, 400))
def test_one_plan_followed_without_planning_again_is_valid(birth: date, days: int) -> None:
    """Every open item of one plan given on its own day: nothing in the plan contradicts itself."""
    on = max(birth, FIRST_DAY) + timedelta(days=days)
    plan = make_plan(RULES, History(birth, "F", ()), on)
    doses = tuple(
        DoseGiven(item.series, max(item.recommended, on), item.vaccines[0])
        for item in plan.items
        if item.status in {"due", "overdue", "upcoming"} and item.recommended and item.vaccines and item.series != "je2"
    )
    for verdict in make_plan(RULES, History(birth, "F", doses), on + timedelta(days=7000)).doses:
        assert verdict.immunological == "valid", verdict
        assert verdict.legal in {"valid", "voluntary"}, verdict


@settings(max_examples=150, deadline=None)
@given(histories(codes=ANYTHING, first_day=-30), st.integers(0, 6000), st.randoms(use_true_random=False))
def test_the_order_of_input_changes_nothing(history: History, days: int, random: object) -> None:
    assert history.birth_date is not None
    on = history.birth_date + timedelta(days=days)
    shuffled = list(history.doses)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    before = bytes_of(make_plan(RULES, history, on))
    assert {verdict.id for verdict in make_plan(RULES, history, on).doses} == {dose.id for dose in history.doses}
    assert bytes_of(make_plan(RULES, replace(history, doses=tuple(shuffled)), on)) == before
    assert bytes_of(make_plan(RULES, history, on)) == before


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 6000))
def test_nothing_is_recommended_before_its_earliest_or_after_its_latest(history: History, days: int) -> None:
    assert history.birth_date is not None
    for item in make_plan(RULES, history, history.birth_date + timedelta(days=days)).items:
        if item.recommended is not None:
            assert item.earliest is not None
            assert item.earliest <= item.recommended
            assert item.latest is None or item.recommended <= item.latest
            assert item.free_until is None or item.recommended <= item.free_until
            assert item.overdue_from is None or item.overdue_from > item.recommended


@settings(max_examples=150, deadline=None)
@given(histories())
def test_an_unsure_rule_never_refuses(history: History) -> None:
    """Rules of low confidence, or from memory, only warn; without a refusing reason a dose is never called unlawful."""
    for verdict in make_plan(RULES, history, date(2040, 1, 1)).doses:
        for reason in verdict.reasons:
            assert not (reason.refuses and reason.because.rule.confidence in {"low", "memory"}), verdict
        refused = {reason.verdict for reason in verdict.reasons if reason.refuses}
        assert (verdict.legal != "not_valid") or refused, verdict
        assert (verdict.immunological in {"valid", "as_recorded"}) or "immunological" in refused | {
            reason.verdict for reason in verdict.reasons
        }, verdict


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 6000), st.integers(0, 3000))
def test_a_verdict_on_a_past_dose_never_changes_with_today(history: History, days: int, later: int) -> None:
    assert history.birth_date is not None
    on = history.birth_date + timedelta(days=days)
    first = plan_to_json(make_plan(RULES, history, on))["doses"]
    assert plan_to_json(make_plan(RULES, history, on + timedelta(days=later)))["doses"] == first


@settings(max_examples=150, deadline=None)
@given(histories(), st.integers(0, 5000), st.sampled_from(CODES))
def test_a_valid_dose_never_brings_the_next_nearer_than_its_interval_allows(
    history: History, days: int, code: str
) -> None:
    """After a dose that counts, the next one of its series is not before the interval that the course asks for."""
    assert history.birth_date is not None
    day = history.birth_date + timedelta(days=days)
    assume(all(dose.given_on < day for dose in history.doses))
    grown = replace(history, doses=(*history.doses, DoseGiven("new", day, code)))
    plan = make_plan(RULES, grown, day)
    for verdict in plan.doses:
        if verdict.id != "new" or verdict.immunological != "valid":
            continue
        course = next(c for line in RULES.lines.values() for c in line.courses if c.rule.id == verdict.course.id)
        items = [
            item
            for item in plan.items
            if item.series == verdict.series and item.status in {"due", "upcoming", "overdue"}
        ]
        for item in items:
            assert item.earliest is not None
            assert item.earliest >= day or item.dose_number == 1
            number = verdict.dose_number or 0
            if number >= len(course.doses) or item.dose_number != number + 1:
                continue
            following = course.doses[number]
            for apart in following.apart:
                if apart.after == 0 and apart.rule.may_refuse and following.not_after is None:
                    assert item.earliest.toordinal() >= apart.between.date_ordinal(day.toordinal())
