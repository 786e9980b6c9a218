"""The short way for plainly valid doses says exactly what the engine and the law in full say."""

from datetime import date

from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.schedule.domain.cases import Case
from services.schedule.domain.counting import course_for
from services.schedule.domain.evaluate_series import evaluate_series
from services.schedule.domain.history import History
from services.schedule.domain.judging import judge
from services.schedule.domain.plain_doses import plain_verdicts
from services.schedule.domain.series_walk import Walk
from services.schedule.rule_files import load_rule_set
from services.schedule.tests.japan.test_plan_properties import follow, histories

RULES = load_rule_set()
RULES_FIRST = date.fromordinal(RULES.first_day)


def compare(history: History) -> tuple[int, int]:
    """Hold both ways against each other, line by line; how many lines went the short way, and how many there were."""
    case = Case(RULES, history, 0)
    short = lines = 0
    for line in RULES.lines.values():
        places = case.of_antigen.get(line.code, [])
        if not places or line.season is not None:
            continue
        lines += 1
        course = course_for(case, line, places, 0)
        plain = plain_verdicts(case, line, course, places, 0)
        if plain is None:
            continue
        short += 1
        assert course.walked is not None
        walk = Walk(course.walked, case)
        walk.places = list(places)
        evaluate_series(walk)
        assert plain == judge(case, line, course, walk)
        assert walk.position == len(places) == len(walk.satisfied)
        assert walk.previous_day == walk.last_day == case.given[places[-1]].day
    return short, lines


@settings(max_examples=300, deadline=None)
@given(histories(most=16))
def test_both_ways_agree_on_any_history(history: History) -> None:
    short, lines = compare(history)
    event(f"{short} of {lines} lines short" if lines else "no dose")


@settings(max_examples=30, deadline=None)
@given(st.dates(RULES_FIRST, date(2030, 12, 31)), st.sampled_from("FM"))
def test_a_followed_plan_goes_the_short_way(birth: date, sex: str) -> None:
    """Doses planned from birth on need no thinking: otherwise the short way would be of no use."""
    history, _ = follow(birth, sex, birth, 14, one_a_day=False)
    short, lines = compare(history)
    assert short == lines
