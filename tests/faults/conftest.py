"""The rig's report for a run."""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.faults.report import REPORTS, Report

# `make faults` runs the long forms too; `make test` the short form alone.
collect_ignore = [] if os.environ.get("FAULTS") == "long" else ["test_long_forms.py"]


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    """The rows that the faults write; printed at the end of the run."""
    chosen = pytestconfig.getoption("--seed", default=None)
    found = Report(chosen if chosen is not None else secrets.randbelow(1_000_000))
    REPORTS.append(found)
    yield found
    folder = Path(pytestconfig.rootpath) / "build" / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "last.json").write_text(json.dumps(asdict(found), indent=1), encoding="utf-8")
