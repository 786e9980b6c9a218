"""The CDC's own test cases, where they lie beside the checkout (shared/cdsi); docs/cdsi.md explains each failing one."""

import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from services.schedule.cdsi_answers import answer
from services.schedule.cdsi_cases import Case, read_cases
from services.schedule.cdsi_grading import Graded, grade
from services.schedule.domain.engine import assess
from services.schedule.domain.rules import Rules
from services.schedule.rule_files.cdsi_xml import load_supporting_data
from services.schedule.tests.cdsi.invented import judged

ROOT = Path(__file__).resolve().parents[4]
SHARED = ROOT.parent / "shared" / "cdsi"
SUITES = ("healthy", "underlying")
SHARES_TO_REACH = {"healthy": 0.995, "underlying": 0.92}


@pytest.fixture(scope="module")
def rules() -> Rules:
    """The CDC's supporting data."""
    if not SHARED.is_dir():
        if os.environ.get("REQUIRE_CASES") == "1":
            pytest.fail("../shared/cdsi is absent although REQUIRE_CASES is set: the CDC cases cannot run")
        pytest.skip("../shared/cdsi is absent: the CDC cases cannot run")
    return load_supporting_data(SHARED / "supporting-data")


def cases_of(rules: Rules, suite: str) -> list[Case]:
    return read_cases(SHARED / f"{suite}-cases.csv", rules)


def graded(rules: Rules, suite: str) -> list[Graded]:
    return [grade(case, answer(rules, case)) for case in cases_of(rules, suite)]


def documented(suite: str) -> set[str]:
    """The failing ids as docs/cdsi.md lists them, one table row each, under the suite's heading."""
    text = (ROOT / "docs" / "cdsi.md").read_text(encoding="utf-8")
    section = text.split(f"### Failing: {suite}", 1)[1].split("\n#", 1)[0]
    return set(re.findall(r"^\| (\S+) \|", section, re.MULTILINE)) - {"id", "---"}


@pytest.mark.parametrize("suite", SUITES)
def test_exactly_the_documented_cases_fail(rules: Rules, suite: str) -> None:
    found = graded(rules, suite)
    failing = {each.case.id for each in found if not each.all_right}
    assert failing == documented(suite)
    assert 1 - len(failing) / len(found) >= SHARES_TO_REACH[suite]


@pytest.mark.parametrize("suite", SUITES)
def test_without_expected_columns_the_same_is_found(rules: Rules, suite: str) -> None:
    expected = re.compile(r"series_|evaluation_|forecast_|earliest_|recommended_|past_due_|administrative_")
    for case in cases_of(rules, suite):
        blank = replace(
            case, columns={name: "" if expected.match(name) else text for name, text in case.columns.items()}
        )
        assert answer(rules, blank) == answer(rules, case)
        assert grade(blank, answer(rules, blank)).all_right is None


@pytest.mark.parametrize("suite", SUITES)
def test_neither_the_order_of_doses_nor_of_observations_changes_anything(rules: Rules, suite: str) -> None:
    dice = random.Random(2026)
    for case in cases_of(rules, suite):
        doses, observations = list(case.patient.doses), list(case.patient.observations)
        dice.shuffle(doses)
        dice.shuffle(observations)
        patient = replace(case.patient, doses=tuple(doses), observations=tuple(observations))
        assert answer(rules, replace(case, patient=patient)) == answer(rules, case)


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_said_of_a_dose_in_a_series_never_changes_with_today(rules: Rules, suite: str) -> None:
    dice = random.Random(2026)
    for case in cases_of(rules, suite):
        then = judged(assess(rules, case.patient, case.assessment, [case.group.name]))
        for days in (1, dice.randrange(365), dice.randrange(7300)):
            now = judged(assess(rules, case.patient, case.assessment + days, [case.group.name]))
            for name in then.keys() & now.keys():
                assert then[name] == now[name], (case.id, days)


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_is_recommended_before_its_earliest_day(rules: Rules, suite: str) -> None:
    for case in cases_of(rules, suite):
        found = answer(rules, case)
        if found.earliest is not None:
            assert found.recommended is not None
            assert found.recommended >= found.earliest
            assert found.past_due is None or found.past_due >= found.earliest


def test_no_antigen_group_or_case_is_named_in_the_engine(rules: Rules) -> None:
    domain = ROOT / "services" / "schedule" / "domain"
    names = {name.lower() for name in (*rules.antigens, *rules.vaccine_groups)}
    for path in ENGINE:
        code = (domain / path).read_text(encoding="utf-8").lower()
        found = {name for name in names if re.search(rf"\b{re.escape(name)}\b", code)}
        assert not found, f"{path} names {found}"
        assert not re.search(r"20\d\d-(uc-)?\d{4}", code), f"{path} names a case"


ENGINE = (
    "conditional_skip.py",
    "contraindications.py",
    "engine.py",
    "evaluate_age.py",
    "evaluate_conflict.py",
    "evaluate_interval.py",
    "evaluate_series.py",
    "evaluate_vaccine.py",
    "forecast.py",
    "forecast_dates.py",
    "immunity.py",
    "offsets.py",
    "patient.py",
    "patient_series.py",
    "rules.py",
    "score_series.py",
    "select_series.py",
    "series_walk.py",
    "statuses.py",
    "vaccine_groups.py",
)
