"""The invented town before the pre-check: exactly the doses that its clinics gave too soon are stopped."""

from datetime import date, timedelta

import pytest

from deploy.local.seed import TOO_SOON, stories
from deploy.local.town_checks import checked
from services.schedule.rule_files import RuleSet

FIRST_DAY_OF_RULES = date(2026, 4, 1)


@pytest.mark.parametrize("today", [FIRST_DAY_OF_RULES + timedelta(days=days) for days in (0, 236, 333, 400)])
def test_each_stop_is_listed_and_none_is_of_a_dose_that_both_verdicts_accept(rules: RuleSet, today: date) -> None:
    children = stories(200, 20260401, today)
    found = list(checked(rules, children))
    given_too_soon = {
        (story.number, given_on)
        for story in children
        if story.kind == "too_soon"
        for cvx, given_on in sorted(story.doses)[1:2]
        if cvx == TOO_SOON
    }
    stops = [stop for stop in found if stop is not None]
    assert len(found) > 900
    assert given_too_soon
    assert {(stop.story.number, stop.given_on) for stop in stops} == given_too_soon
    assert {stop.codes for stop in stops} == {("interval",)}
    assert not [stop for stop in stops if stop.accepted]
