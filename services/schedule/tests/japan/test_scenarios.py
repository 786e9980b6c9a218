"""Scenarios of Japan's law as a table: each names the entry of the schedule facts on which it rests."""

import os
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from services.schedule.domain.free_windows import NoWindow, window_of
from services.schedule.domain.history import DoseGiven, History, Observation, Sex
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.domain.pre_check import Proposal, pre_check
from services.schedule.rule_files import RuleSet

HERE = Path(__file__).parent
FACTS = Path(__file__).resolve().parents[5] / "shared" / "japan" / "schedule-facts.yaml"


class Scenario(NamedTuple):
    """One row of the table."""

    id: str
    fact: str
    kind: str
    birth: str
    sex: str
    asked: str
    doses: str
    observations: str
    expected: str

    @property
    def history(self) -> History:
        """The child, or the pregnancy."""
        doses = tuple(
            DoseGiven(str(at), date.fromisoformat(text.partition("@")[2]), text.partition("@")[0])
            for at, text in enumerate(self.doses.split(), 1)
        )
        observations = tuple(
            Observation(text.partition("@")[0], date.fromisoformat(on) if (on := text.partition("@")[2]) else None)
            for text in self.observations.split()
        )
        if self.birth.startswith("edd:"):
            expected = date.fromisoformat(self.birth.removeprefix("edd:"))
            return History(None, "F", doses, observations, expected_delivery=expected)
        sex: Sex = "M" if self.sex == "M" else "F"
        return History(date.fromisoformat(self.birth), sex, doses, observations)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The expected facts: name and value."""
        return [(name, value) for name, _, value in (text.partition("=") for text in self.expected.split())]


SCENARIOS = [
    Scenario(*line.split("|"))
    for line in (HERE / "scenarios.csv").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
SOURCES: dict[str, str] = yaml.safe_load((HERE / "scenario-sources.yaml").read_text(encoding="utf-8"))


def of_kind(kind: str) -> list[Scenario]:
    """The rows of a kind."""
    return [scenario for scenario in SCENARIOS if scenario.kind == kind]


def test_there_are_enough_and_each_names_a_fact_with_a_source() -> None:
    assert len(SCENARIOS) >= 150
    assert len({scenario.id for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        assert SOURCES[scenario.fact], scenario.id


def test_the_sources_are_those_of_the_facts() -> None:
    if not FACTS.exists():
        if os.environ.get("REQUIRE_CASES") == "1":
            pytest.fail(f"{FACTS.name} is required and absent")
        pytest.skip("../shared/japan/schedule-facts.yaml is absent: the sources were not held against it")
    facts = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
    for fact in SOURCES:
        if fact.startswith("corrections."):
            begins = fact.removeprefix("corrections.").lower()
            assert any(begins in one["what"].lower() for one in facts["corrections"]), fact
            continue
        part = facts
        for step in fact.split("."):
            assert step in part, fact
            part = part[step]


@pytest.mark.parametrize("scenario", of_kind("window"), ids=lambda one: one.id)
def test_window(rules: RuleSet, scenario: Scenario) -> None:
    birth = date.fromisoformat(scenario.birth)
    if scenario.expected == "none":
        with pytest.raises(NoWindow):
            window_of(rules, scenario.asked, birth, scenario.sex)
        return
    first, last = window_of(rules, scenario.asked, birth, scenario.sex)
    assert f"{first}..{last}" == scenario.expected


@pytest.mark.parametrize("scenario", of_kind("plan"), ids=lambda one: one.id)
def test_plan(rules: RuleSet, scenario: Scenario) -> None:
    made = plan_to_json(make_plan(rules, scenario.history, date.fromisoformat(scenario.asked)))
    items = {item["series"]: item for item in made["items"]}
    for name, value in scenario.facts:
        series, _, field = name.partition(".")
        if value == "absent":
            assert series not in items
            continue
        got = items[series][field]
        assert (",".join(got) if isinstance(got, list) else str(got).replace("None", "none")) == value, name


@pytest.mark.parametrize("scenario", of_kind("dose"), ids=lambda one: one.id)
def test_dose(rules: RuleSet, scenario: Scenario) -> None:
    made = plan_to_json(make_plan(rules, scenario.history, date.fromisoformat(scenario.asked)))
    doses: dict[str, dict[str, object]] = {}
    for verdict in made["doses"]:
        doses.setdefault(verdict["id"], verdict)
    for name, value in scenario.facts:
        dose, _, field = name.partition(".")
        if field == "codes":
            reasons = next(verdict["reasons"] for verdict in made["doses"] if verdict["id"] == dose)
            assert (",".join(sorted({reason["code"] for reason in reasons})) or "none") == value
        else:
            assert str(doses[dose][field]) == value, (name, doses[dose]["reasons"])


@pytest.mark.parametrize("scenario", of_kind("check"), ids=lambda one: one.id)
def test_check(rules: RuleSet, scenario: Scenario) -> None:
    code, _, day = scenario.asked.partition("@")
    on = date.fromisoformat(day)
    answer = pre_check(rules, scenario.history, Proposal(code, on), on)
    assert dict(scenario.facts) == {
        "verdict": answer.verdict,
        "codes": ",".join(sorted(reason.code for reason in answer.reasons)) or "none",
    }
