"""A town's import: its rows, and what came of each."""

from datetime import datetime
from typing import Literal

from services.gateway.api.bodies.common import Answer


class ImportBegun(Answer):
    """A file was accepted: how many rows it has."""

    id: str
    rows: int


class Import(Answer):
    """How far an import is. `counts`: rows_new, rows_known, rows_refused, children_new, children_similar (new ones that may be
    another record's child), doses_new, children_undone."""

    id: str
    dry_run: bool
    state: Literal["working", "done", "undoing", "undone", "failed"]
    rows: int
    rows_done: int
    counts: dict[str, int]
    begun_at: datetime
    ended_at: datetime | None = None


class Imports(Answer):
    """Newest first."""

    items: list[Import]


class RowProblem(Answer):
    """A rule that a row breaks."""

    field: str
    code: str
    detail: str


class SimilarRow(Answer):
    """Who may be the same child: one on record, or one in another row of the file."""

    strength: Literal["sure", "likely"]
    child: str | None = None
    row: int | None = None


class ImportRow(Answer):
    """What became of a row; the heading is row 1."""

    row: int
    outcome: Literal["new", "known", "refused"]
    child: str | None = None
    similar: list[SimilarRow] | None = None
    errors: list[RowProblem] | None = None


class ImportRows(Answer):
    """In the file's order."""

    items: list[ImportRow]
    next: str | None
