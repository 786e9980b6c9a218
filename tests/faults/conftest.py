"""The rig for a run, and the table at its end."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.faults.report import Report

# `make faults` runs the long forms too; `make test` the short form alone.
collect_ignore = [] if os.environ.get("FAULTS") == "long" else ["test_long_forms.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seed` repeats a run's choices."""
    parser.addoption("--faults", default=None, help="only these faults of the short form, for example F1,F9")
    parser.addoption("--seed", type=int, default=None, help="seed of the fault script; printed with the table")


_REPORTS: list[Report] = []


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    """The rows that the faults write."""
    chosen = pytestconfig.getoption("--seed", default=None)
    found = Report(chosen if chosen is not None else secrets.randbelow(1_000_000))
    _REPORTS.append(found)
    yield found
    folder = Path(pytestconfig.rootpath) / "build" / "faults"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.json").write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table: zeros are the promise."""
    for report in _REPORTS:
        if not report.rows:
            continue
        table = Table(title=f"faults, seed {report.seed}")
        for head in asdict(report.rows[0]):
            table.add_column(head.replace("_", " "), justify="left" if head == "fault" else "right")
        for row in report.rows:
            table.add_row(
                *(f"{value:.1f}" if isinstance(value, float) else str(value) for value in asdict(row).values())
            )
        Console(file=terminalreporter._tw._file, width=140).print(table)
