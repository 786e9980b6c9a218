"""The CDC's cases as a measure of the schedule engine: per case, and per child with every vaccine group recounted.

`python -m bench.schedule_cdsi` prints it alone. Needs the cases beside the checkout (shared/cdsi).
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.harness import Row, show
from services.schedule.cdsi_answers import answer
from services.schedule.cdsi_cases import Case, read_cases
from services.schedule.domain.engine import assess
from services.schedule.rule_files.cdsi_xml import load_supporting_data

SHARED = Path(__file__).resolve().parents[2] / "shared" / "cdsi"
SUITES = ("healthy", "underlying")
ROUNDS = 5


def cdsi_rows() -> list[Row]:
    """The rows: median and 99th percentile of single cases, and the whole suites; none where the cases are absent."""
    if not SHARED.is_dir():
        return []
    rules = load_supporting_data(SHARED / "supporting-data")
    cases = [case for suite in SUITES for case in read_cases(SHARED / f"{suite}-cases.csv", rules)]
    one_case = _microseconds(cases, lambda case: answer(rules, case))
    all_groups = _microseconds(cases, lambda case: assess(rules, case.patient, case.assessment))
    return [
        _row("CDSi p50", "one case: its vaccine group and those of its doses", statistics.median(one_case)),
        _row("CDSi p99", "the same", _percentile(one_case, 99)),
        _row("CDSi all p50", f"one child: {len(rules.vaccine_groups)} vaccine groups", statistics.median(all_groups)),
        _row("CDSi all p99", "the same", _percentile(all_groups, 99)),
        _row("CDSi suite", f"{len(cases)} cases, one after another", sum(one_case)),
    ]


def _microseconds(cases: list[Case], work: Callable[[Case], object]) -> list[float]:
    """The time of each case, the best of some rounds, so that a pause of the machine is not counted."""
    best = [float("inf")] * len(cases)
    for _ in range(ROUNDS):
        for index, case in enumerate(cases):
            began = time.perf_counter()
            work(case)
            best[index] = min(best[index], (time.perf_counter() - began) * 1e6)
    return best


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _row(name: str, work: str, microseconds: float) -> Row:
    return Row(name, work, "µs", microseconds, None, "printed", more_is_better=False)


if __name__ == "__main__":
    show(cdsi_rows(), {"rounds": ROUNDS})
