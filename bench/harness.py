"""Rows of the bench: ours, the ceiling, their ratio and the target; a table for people, JSON for comparison."""

import json
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)


@dataclass(slots=True)
class Row:
    """One measured work. `ours` and `ceiling` in `unit`; without a ceiling the target is about `ours` itself."""

    id: str
    work: str
    unit: str
    ours: float
    ceiling: float | None
    target: str
    costs: str = ""
    more_is_better: bool = True
    reached: bool | None = None
    runs: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """Ours to the ceiling, so that 1 is as fast as raw."""
        if self.ceiling is None or not self.ceiling or not self.ours:
            return None
        return self.ours / self.ceiling if self.more_is_better else self.ceiling / self.ours


async def paired(
    ours: Callable[[], Awaitable[float]], ceiling: Callable[[], Awaitable[float]], rounds: int = 3
) -> tuple[float, float, list[float]]:
    """Run both in turn, so that a drift of the machine meets both; medians and the ratio of each pair."""
    mine: list[float] = []
    raw: list[float] = []
    for _ in range(rounds):
        raw.append(await ceiling())
        mine.append(await ours())
    return statistics.median(mine), statistics.median(raw), [m / r for m, r in zip(mine, raw, strict=True)]


class Stopwatch:
    """Wall and CPU seconds of a block."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu


def show(rows: Sequence[Row], conditions: dict[str, Any]) -> None:
    """The table."""
    table = Table(title="make bench: ours beside the raw ceiling of the same run")
    for name in ("", "work", "ours", "ceiling", "ratio", "target", "costs"):
        table.add_column(name, justify="right" if name in {"ours", "ceiling", "ratio"} else "left")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        mark = {True: "[green]✓[/green] ", False: "[red]✗[/red] ", None: ""}[row.reached]
        table.add_row(
            row.id,
            row.work,
            f"{row.ours:,.0f} {row.unit}" if row.ours >= 100 else f"{row.ours:,.2f} {row.unit}",
            "" if row.ceiling is None else f"{row.ceiling:,.0f}" if row.ceiling >= 100 else f"{row.ceiling:,.2f}",
            ratio,
            mark + row.target,
            row.costs,
        )
    console.print(table)
    console.print(" · ".join(f"{name} {value}" for name, value in conditions.items()), style="dim")


def write(rows: Sequence[Row], conditions: dict[str, Any], folder: Path) -> Path:
    """The results as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    body = {
        "machine": {"python": platform.python_version(), "system": platform.system(), "processor": platform.machine()},
        "conditions": conditions,
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
    }
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def compare(rows: Sequence[Row], old: Path) -> int:
    """Show each ratio beside that of an older run; exit code 2 when the file cannot be used."""
    try:
        before = {row["id"]: row for row in json.loads(old.read_text(encoding="utf-8"))["rows"]}
    except (OSError, ValueError, KeyError, TypeError):
        console.print(f"{old} is not a results file of this bench.", style="red")
        return 2
    table = Table(title=f"against {old.name}")
    for name in ("", "ratio then", "ratio now", "change"):
        table.add_column(name, justify="right")
    for row in rows:
        then = before.get(row.id, {}).get("ratio")
        if then is not None and row.ratio is not None:
            table.add_row(row.id, f"{then:.2f}", f"{row.ratio:.2f}", f"{(row.ratio / then - 1) * 100:+.0f} %")
    console.print(table)
    return 0
