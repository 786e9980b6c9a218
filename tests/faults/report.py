"""The rows of the table at the end of a run."""

from dataclasses import dataclass, field


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
