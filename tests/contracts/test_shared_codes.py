"""One vaccine has one code everywhere: the shared table and the schedule's rules; the record takes what the rules can judge."""

from pathlib import Path
from typing import Any

import yaml

from services.records.domain.checkups import KINDS
from services.records.domain.conditions import CERTIFIED_BY, KNOWN, OF_GUARDIANS
from shared.vaccines import vaccines

SERVICES = Path(__file__).resolve().parents[2] / "services"


def read(path: str) -> Any:
    return yaml.safe_load((SERVICES / path).read_text(encoding="utf-8"))


def test_the_rules_and_the_table_know_the_same_vaccines_by_the_same_cvx_codes() -> None:
    rules = {row["code"]: row["cvx"] for row in read("schedule/rules/jp/vaccines.yaml")["vaccines"]}
    assert rules == {vaccine.code: list(vaccine.cvx_codes) for vaccine in vaccines().all}


def test_the_rules_and_the_table_agree_on_what_is_live() -> None:
    rules = {row["code"]: row.get("live") for row in read("schedule/rules/jp/vaccines.yaml")["vaccines"]}
    assert rules == {vaccine.code: vaccine.live for vaccine in vaccines().all}


def test_the_record_takes_the_checkups_that_the_plan_asks_for() -> None:
    assert {row["series"] for row in read("schedule/rules/jp/checkups.yaml")["child"]} == KINDS


def test_the_record_takes_the_conditions_that_the_rules_can_judge() -> None:
    assert {row["code"] for row in read("schedule/rules/jp/between_vaccines.yaml")["observations"]} == KNOWN
    assert OF_GUARDIANS | CERTIFIED_BY.keys() <= KNOWN
