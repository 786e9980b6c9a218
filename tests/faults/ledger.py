"""What the client asked and what it was told: written before asking and after the answer, never changed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Told = Literal["ok", "refused", "unknown"]


@dataclass(slots=True)
class Entry:
    """One thing asked under one Idempotency-Key, and the last that was told of it.

    `mark` stands in what was asked and nowhere else, so that it is found again in what was stored.
    """

    key: str
    kind: str
    child: str
    mark: str
    told: Told | None = None
    status: int = 0
    answer: Any = None
    repeats: int = 0


class Ledger:
    """Append-only; the file is for whoever wants to know afterwards."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8")
        self.entries: dict[str, Entry] = {}

    def ask(self, entry: Entry) -> None:
        """Written before the question leaves."""
        self.entries[entry.key] = entry
        self._write({"asked": entry.key, "kind": entry.kind, "child": entry.child, "mark": entry.mark})

    def tell(self, key: str, told: Told, status: int, answer: Any = None) -> None:
        """Written when the answer came, or did not."""
        entry = self.entries[key]
        entry.told, entry.status, entry.answer = told, status, answer
        self._write({"told": key, "what": told, "status": status})

    def of(self, kind: str, told: Told | None = None) -> list[Entry]:
        """The entries of a kind, by what was told."""
        return [one for one in self.entries.values() if one.kind == kind and (told is None or one.told == told)]

    def count(self, told: Told) -> int:
        """How many were told so."""
        return sum(one.told == told for one in self.entries.values())

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
