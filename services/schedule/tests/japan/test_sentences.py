"""What families read: a vaccine that is given once is never called its first dose, one of several always is."""

from collections.abc import Callable
from datetime import date

import pytest

from services.schedule.domain.history import History
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.rule_files import RuleSet

ONCE = {"bcg", "mr1", "mr2", "je2", "dt2"}
SEVERAL = {"rv1", "hepb", "penta", "var", "je1", "hpv", "mumps", "flu"}  # 小児用肺炎球菌: by the age at the start


@pytest.mark.parametrize("on", ["2026-05-10", "2027-05-09", "2029-06-01", "2033-02-01"])
def test_only_a_dose_of_several_has_a_number(rules: RuleSet, child: Callable[..., History], on: str) -> None:
    items = plan_to_json(make_plan(rules, child("2026-05-10"), date.fromisoformat(on)))["items"]
    said = {item["series"]: item["why"] for item in items}
    for series in said.keys() & ONCE:
        assert "回目" not in said[series]["sentence"]
        assert "dose" not in said[series]["sentence_en"]
    for series in said.keys() & SEVERAL:
        assert "1回目" in said[series]["sentence"]
        assert "dose 1" in said[series]["sentence_en"]
    assert said.keys() >= ONCE | SEVERAL


def test_a_course_of_one_dose_has_no_number(rules: RuleSet, child: Callable[..., History]) -> None:
    """Pneumococcal vaccine begun from two years on: one dose. Begun at 23 months: two."""
    for on, numbered in (("2028-05-09", True), ("2028-05-10", False)):
        items = plan_to_json(make_plan(rules, child("2026-05-10"), date.fromisoformat(on)))["items"]
        [sentence] = [item["why"]["sentence"] for item in items if item["series"] == "pcv"]
        assert ("1回目" in sentence) is numbered


def test_a_live_vaccine_that_waits_for_another_of_the_plan(rules: RuleSet, child: Callable[..., History]) -> None:
    """BCG planned for 1 May 2027: MR (one dose in period 1) and varicella (the first of two) 28 days later."""
    items = plan_to_json(make_plan(rules, child("2026-05-10"), date(2027, 5, 1)))["items"]
    said = {item["series"]: item["why"]["sentence"] for item in items}
    assert "麻しん風しん第1期は2027年5月29日です" in said["mr1"]
    assert "水痘1回目は2027年5月29日です" in said["var"]
