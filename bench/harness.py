"""Rows of the bench: ours, the ceiling, their ratio and the target; a table for people, JSON for comparison."""

import inspect
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import bson
import httpx
from pymongo import MongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from rich.console import Console
from rich.table import Table

from deploy.local.platform import Platform
from deploy.local.topology import SERVICES

STORED = "hagukumi_store_documents_written_total "
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


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
    terms: str = ""
    more_is_better: bool = True
    reached: bool | None = None
    runs: list[float] = field(default_factory=list)
    """The ratio of each pair, where both were run in turn."""

    @property
    def ratio(self) -> float | None:
        """Ours to the ceiling, so that 1 is as fast as raw; of pairs the middle one, whatever the machine did between them."""
        if self.runs:
            return statistics.median(self.runs)
        if self.ceiling is None or not self.ceiling or not self.ours:
            return None
        return self.ours / self.ceiling if self.more_is_better else self.ceiling / self.ours


async def paired(
    ours: Callable[[], Awaitable[float]], ceiling: Callable[[], Awaitable[float]], rounds: int = 5
) -> tuple[float, float, list[float]]:
    """Run both in turn, the other first each time, so that a drift of the machine meets both; medians, each pair's ratio."""
    mine: list[float] = []
    raw: list[float] = []
    for number in range(rounds):
        for work, found in ((ceiling, raw), (ours, mine))[:: 1 if number % 2 else -1]:
            found.append(await work())
    return statistics.median(mine), statistics.median(raw), [m / r for m, r in zip(mine, raw, strict=True)]


class Stopwatch:
    """Wall and CPU seconds of a block."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu


class DriverTime:
    """CPU seconds that the driver itself used since `begin`, in calls of this process that run one after the other."""

    _CALLS = (
        (AsyncCollection, "find"),
        (AsyncCollection, "find_one"),
        (AsyncCollection, "bulk_write"),
        (AsyncCursor, "to_list"),
    )

    def begin(self) -> None:
        """Nothing was used yet."""
        self.cpu = 0.0

    def __enter__(self) -> Self:
        self.begin()
        self._inside = False
        self._kept = [(cls, name, getattr(cls, name)) for cls, name in self._CALLS]
        for cls, name, call in self._kept:
            setattr(cls, name, self._timed_wait(call) if inspect.iscoroutinefunction(call) else self._timed(call))
        return self

    def __exit__(self, *_: object) -> None:
        for cls, name, call in self._kept:
            setattr(cls, name, call)

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            if self._inside:  # the driver's calls call one another
                return call(*args, **named)
            self._inside, began = True, time.process_time()
            try:
                return call(*args, **named)
            finally:
                self.cpu += time.process_time() - began
                self._inside = False

        return timed

    def _timed_wait(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*args: Any, **named: Any) -> Any:
            if self._inside:
                return await call(*args, **named)
            self._inside, began = True, time.process_time()
            try:
                return await call(*args, **named)
            finally:
                self.cpu += time.process_time() - began
                self._inside = False

        return timed


class Counter(CommandListener):
    """What the store is asked for between `begin` and `costs`, counted by the driver; never on in a timed run."""

    def __init__(self) -> None:
        self._on = False
        self.round_trips = self.operations = self.bytes = 0

    def begin(self) -> None:
        """Count from here on."""
        self._on, self.round_trips, self.operations, self.bytes = True, 0, 0, 0

    def started(self, event: CommandStartedEvent) -> None:
        """A command leaves: each document that it writes is an operation, a read is one."""
        if self._on:
            self.round_trips += 1
            written = (event.command.get(name) for name in ("documents", "updates", "deletes"))
            self.operations += next((len(found) for found in written if found is not None), 1)
            self.bytes += len(bson.encode(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Its answer arrived."""
        if self._on:
            self.bytes += len(bson.encode(event.reply))

    def failed(self, event: CommandFailedEvent) -> None:
        """Whoever asked will say so."""

    def costs(self, count: int, cpu_s: float, each: str = "event") -> str:
        """What one event, or item, costs; CPU is this process's, the driver's encoding and the counting among it."""
        self._on = False
        return (
            f"{self.operations / count:.2f} store operations, {self.round_trips / count:.4f} round trips, "
            f"{self.bytes / count:,.0f} bytes, {cpu_s / count * 1e6:.0f} µs CPU an {each}"
        )


class Spent:
    """What every process of a platform spends from here until `costs`: CPU by the kernel's count, the stores' requests, documents written."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._began = self._now()
        self._stored = self._documents()

    def _documents(self) -> float:
        """How many inserts and updates all services asked their stores for, by their own count."""
        found = 0.0
        for name in SERVICES:
            text = httpx.get(f"{self._platform.service(name).probe_url}/metrics", trust_env=False).text
            found += sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(STORED))
        return found

    def written(self, count: int) -> float:
        """Documents that one of them wrote, in all stores together."""
        return (self._documents() - self._stored) / count

    def _now(self) -> dict[str, tuple[float, int]]:
        """Process -> (CPU seconds, requests that it answered if it is a store)."""
        found: dict[str, tuple[float, int]] = {"kafka": (_cpu_seconds(self._platform.kafka.process.pid), 0)}
        for name in SERVICES:
            found[name] = (_cpu_seconds(self._platform.service(name).pid), 0)
            with MongoClient[dict[str, Any]](self._platform.store_url(name)) as client:
                asked = client.admin.command("serverStatus")["network"]["numRequests"]
            found[f"{name}'s store"] = (_cpu_seconds(self._platform.store(name).process.pid), asked)
        return found

    def costs(self, count: int, each: str) -> str:
        """What one of them cost, all processes together, whoever did it."""
        spent = {
            name: ((cpu - self._began[name][0]) / count * 1e3, (asked - self._began[name][1]) / count)
            for name, (cpu, asked) in self._now().items()
        }
        cpu = sum(one for one, _ in spent.values())
        parts = ", ".join(
            f"{name} {one:.1f}" for name, (one, _) in sorted(spent.items(), key=lambda part: -part[1][0]) if one >= 0.3
        )
        return f"{cpu:.1f} ms CPU a {each} ({parts}), {sum(asked for _, asked in spent.values()):.1f} round trips to stores"


def _cpu_seconds(pid: int | None) -> float:
    """User and system seconds of a process so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss_mb(pid: int | None) -> float:
    """The most memory that a process ever held, in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


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
            f"{row.work}\n[dim]{row.terms}[/dim]" if row.terms else row.work,
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
    half = path.with_suffix(".part")
    half.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return half.replace(path)


def read_results(file: Path) -> Mapping[str, Any]:
    """The rows of an older results file by id; raises ValueError with a sentence when it is none, or half of one."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        return {row["id"]: {"ratio": row["ratio"], "ours": row["ours"]} for row in rows}
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} is not a whole results file of this bench.") from None


def compare(rows: Sequence[Row], before: Mapping[str, Any], name: str) -> None:
    """Each ratio beside that of an older run; a row without a ceiling by its own figure."""
    table = Table(title=f"against {name}")
    for column in ("", "then", "now", "change"):
        table.add_column(column, justify="right")
    for row in rows:
        if row.id not in before:
            continue
        by_ratio = row.ratio is not None and before[row.id]["ratio"] is not None
        then, now = (before[row.id]["ratio"], row.ratio) if by_ratio else (before[row.id]["ours"], row.ours)
        if then:
            table.add_row(row.id, f"{then:,.2f}", f"{now:,.2f}", f"{(now / then - 1) * 100:+.0f} %")
    console.print(table)
