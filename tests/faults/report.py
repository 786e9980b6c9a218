"""The rows of the table at the end of a run."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Row:
    """One fault in the table."""

    fault: str
    injected: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    unhealed: int = 0
    wrong: int = 0
    recovery_s: float = 0.0


@dataclass
class Report:
    """What the run did, for the table and for bench/results."""

    seed: int
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, found: dict[str, Any]) -> "Report":
        """The report that another process of the run wrote as `asdict` gives it."""
        return cls(found["seed"], [Row(**row) for row in found["rows"]])

    def show(self, file: Any) -> None:
        """The table: zeros are the promise."""
        if not self.rows:
            return
        table = Table(title=f"faults, seed {self.seed}")
        for head in asdict(self.rows[0]):
            table.add_column(head.replace("_", " "), justify="left" if head == "fault" else "right")
        for row in self.rows:
            values = asdict(row).values()
            table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in values))
        Console(file=file, width=140).print(table)


REPORTS: list[Report] = []
"""What this run's rigs wrote: here, or in the processes among which the tests were dealt out."""
