"""The published worked examples of legal date arithmetic, through the commands that others script."""

import csv
import os
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.schedule.cli_dates import dates_app
from services.schedule.domain.history import History, Observation
from services.schedule.domain.plan import make_plan
from services.schedule.rule_files import RuleSet

VECTORS = Path(__file__).resolve().parents[5] / "shared" / "japan" / "date-vectors.csv"

# Vector id -> what to ask. The vectors say in words what is meant; here it is said as a command.
COMMANDS = {
    "D03": "reached --birth 2013-04-01 --months 6",
    "D04": "reached --birth 2013-04-01 --years 1",
    "D06": "reached --birth 2024-02-29 --months 12",
    "D07": "reached --birth 2024-02-29 --months 48",
    "D09": "reached --birth 2026-12-31 --months 2",
    "D11": "reached --birth 2020-04-01 --years 1",
    "R01": "weeks --birth 2020-08-01 --weeks 6 --days 0",
    "R03": "window --birth 2026-05-10 --series rv5",
    "R04": "window --birth 2026-05-10 --series rv5 --dose 1 --standard",
    "S01": "window --birth 2026-05-10 --series hepb --standard",
    "S03": "window --birth 2026-05-10 --series penta",
    "S06": "window --birth 2026-05-10 --series bcg --standard",
    "S07": "window --birth 2026-05-10 --series mr1",
    "S08": "window --birth 2026-05-10 --series var",
    "S10": "window --birth 2026-05-10 --series mr2",
    "S11": "window --birth 2026-05-10 --series je2",
    "S12": "window --birth 2026-05-10 --series dt2 --standard",
    "S14": "window --birth 2014-04-02 --series hpv --sex F",
    "S15": "window --birth 2014-04-01 --series hpv --sex F",
    "S16": "school-entry --birth 2020-04-01",
    "S17": "school-entry --birth 2020-04-02",
    "S18": "school-entry --birth 2021-03-31",
    "I01": "interval --from 2022-04-01 --days 6",
    "I06": "interval --from 2023-04-01 --months 2 --half",
    "I07": "interval --from 2025-01-31 --months 1",
    "P01": "pregnancy --edd 2026-04-23 --from 28w0d --to 36w6d",
}


def vectors() -> list[dict[str, str]]:
    """The rows of the file; none where it is absent (the test below says so)."""
    if not VECTORS.exists():
        return []
    with VECTORS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(command: str) -> str:
    """One line out."""
    result = CliRunner().invoke(dates_app, command.split())
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    return result.output.strip()


def test_the_vectors_are_there() -> None:
    if not VECTORS.exists():
        if os.environ.get("REQUIRE_CASES") == "1":
            pytest.fail(f"{VECTORS.name} is required and absent")
        pytest.skip("../shared/japan/date-vectors.csv is absent: the published date vectors were not tried")
    assert {row["id"] for row in vectors()} == {*COMMANDS, "X01"}


def test_the_special_cohort_of_mr_is_the_published_one(rules: RuleSet) -> None:
    """X01: who reached two years in fiscal 2024 without MR, by birth; found by asking for every birth around."""
    row = next((row for row in vectors() if row["id"] == "X01"), None)
    expected = row["expected"] if row else "2022-04-02..2023-04-01"
    observed = (Observation("mr_shortage_certified"),)
    births = [date(2022, 3, 1) + timedelta(days=days) for days in range(450)]
    on = date(2026, 11, 23)
    found = [
        birth
        for birth in births
        for item in make_plan(rules, History(birth, "F", (), observed), on, ("mr1",)).items
        if item.status == "due"
    ]
    assert f"{found[0]}..{found[-1]}" == expected
    assert len(found) == 365


@pytest.mark.parametrize("row", [row for row in vectors() if row["id"] in COMMANDS], ids=lambda row: row["id"])
def test_vector(row: dict[str, str]) -> None:
    got = run(COMMANDS[row["id"]])
    expected = row["expected"]
    if expected.startswith("from "):
        assert got.partition("..")[0] == expected.removeprefix("from ")
    elif row["id"] in {"S03", "S08"}:  # these vectors give the last day only
        assert got.partition("..")[2] == expected
    else:
        found = re.match(r"[-0-9]+(\.\.[-0-9]+)?", expected)
        assert found is not None
        assert got == found[0]
