"""The not-yet list: every child is counted exactly once for every series."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.schedule.domain.coverage import FollowUp, coverage, may_close_first, not_yet, urgency_in_plan
from services.schedule.domain.history import CheckupDone, History
from services.schedule.domain.plan import Plan, make_plan
from services.schedule.rule_files import load_rule_set
from services.schedule.tests.japan.test_plan_properties import histories

RULES = load_rule_set()
ON = date(2026, 11, 23)
ALL_SERIES = [*RULES.series, *(checkup.series for checkup in RULES.checkups)]


def plan_of(birth: date, *checkups: CheckupDone) -> Plan:
    return make_plan(RULES, History(birth, "F", (), checkups=checkups), ON)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(histories(most=6), max_size=6),
    st.sampled_from(["unseen", "contacted", "booked", "declined", "done_elsewhere", "moved"]),
)
def test_the_counts_add_up_to_the_last_child(children: list[History], state: str) -> None:
    plans = {f"c{at}": make_plan(RULES, child, ON) for at, child in enumerate(children)}
    follow_ups = {
        (child, item.series, item.dose_number): FollowUp(state, "保健師 1")  # type: ignore[arg-type]
        for child, plan in plans.items()
        for item in plan.items[::2]
    }
    counted = coverage(ALL_SERIES, plans, follow_ups)
    lines = not_yet(plans, follow_ups)
    for one in counted:
        assert one.children == len(children)
        assert one.adds_up
        listed = [
            line
            for line in lines
            if line.series == one.series and line.follow_up.state not in {"done_elsewhere", "moved"}
        ]
        assert len(listed) == sum(one.waiting.values()) == sum(one.states.values())


def test_urgency_and_follow_up_of_a_line() -> None:
    plans = {"baby": plan_of(date(2025, 12, 20)), "older": plan_of(date(2026, 5, 10))}
    follow_ups = {("older", "penta", 1): FollowUp("contacted", "保健師 1")}
    lines = {(line.child, line.series): line for line in not_yet(plans, follow_ups)}
    assert lines["baby", "bcg"].urgency == "closing"  # free until 19 December
    assert lines["baby", "penta"].urgency == "overdue"
    assert lines["older", "penta"].urgency == "due"
    assert lines["older", "penta"].follow_up.responsible == "保健師 1"
    assert lines["baby", "penta"].follow_up == FollowUp("unseen", None)


@settings(max_examples=60, deadline=None)
@given(histories(most=8), st.integers(0, 2400))
def test_the_days_of_an_item_say_what_its_status_says(child: History, later: int) -> None:
    """The stored list is asked on later days than its plan was made on: it has the days, not the status."""
    assert child.birth_date is not None
    plan = make_plan(RULES, child, child.birth_date + timedelta(days=later))
    for item in plan.items:
        urgency = urgency_in_plan(item, plan.as_of)
        if item.status in {"due", "overdue"} and item.earliest is not None and item.earliest <= plan.as_of:
            assert urgency in {item.status, "closing"}, item
        elif item.status == "upcoming" and urgency is not None:
            assert urgency == "closing"
            assert may_close_first(item.recommended, item.free_until), item


def test_a_closing_window_is_listed_before_its_usual_time() -> None:
    """The 30th day before the last free day is in, the 31st is not."""
    for days, listed in ((30, True), (31, False)):
        birth = ON + timedelta(days=days) - timedelta(days=168)
        plans = {"child": plan_of(birth)}
        closing = {line.series for line in not_yet(plans, {}) if line.urgency == "closing"}
        assert ("rv1" in closing) is listed


def test_a_checkup_that_took_place_leaves_the_list() -> None:
    birth = date(2025, 5, 10)
    assert "checkup_18m" in {line.series for line in not_yet({"child": plan_of(birth)}, {})}
    seen = plan_of(birth, CheckupDone("checkup_18m", date(2026, 11, 20)))
    assert "checkup_18m" not in {line.series for line in not_yet({"child": seen}, {})}
