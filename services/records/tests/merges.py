"""Two records of one child, merged or about to be, as the tests of merging speak of them."""

from collections.abc import Callable
from typing import Any

import pytest

from services.records import store as kept
from services.records.commands import merging as commands
from services.records.commands.imports import work_on
from services.records.domain.record import Record
from services.records.tests.conftest import Door
from services.records.tests.families import (
    FATHER,
    NURSE,
    TOWN,
)
from shared.documents import Command
from shared.testing import town_files


async def twice(door: Door) -> tuple[str, str]:
    """A child whom the town registered, and whom its father registered as well."""
    first = await door.family()
    second = await door.born(FATHER)
    await door.gives(first, "08")
    await door.gives(second, "08", FATHER)
    await door.gives(second, "216", FATHER, given_on="2026-07-03")
    await door.does(FATHER, "POST", f"/v1/children/{second}/growth", {"measured_on": "2026-08-10", "weight_kg": 6.1})
    await door.does(FATHER, "PUT", f"/v1/children/{second}/consents/clinic-2", {"purpose": "care"})
    await door.does(FATHER, "POST", f"/v1/children/{second}/diary", {"on": "2026-08-10", "text": "はじめての海"})
    return first, second


async def merged(door: Door) -> tuple[str, str]:
    """The two as one record, and the one that closed."""
    first, second = await twice(door)
    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    return first, second


async def of(door: Door, child: str) -> Record:
    """The record as the store holds it."""
    doc = await door.app.state.records.children.load(child)
    return kept.children.record_of(doc)


async def imported(door: Door, *row: str) -> dict[str, Any]:
    """The row's report of an import of one row."""
    path = f"/v1/municipalities/{TOWN}/imports"
    data = town_files.as_csv([list(row)], heading=town_files.HEADING[:7])
    answer = await door.call(NURSE, "POST", path, data, content_type="text/csv")
    batch = answer.json()["id"]
    await work_on(door.app.state.records, batch)
    report = await door.does(NURSE, "GET", f"{path}/{batch}/rows")
    found: dict[str, Any] = report["items"][0]
    return found


class Killed(BaseException):
    """The process is gone."""


def dying_before(monkeypatch: pytest.MonkeyPatch, kind: str, step: int) -> None:
    """The process ends before this step of the saga."""

    async def dies(records: Any, saga: Any) -> None:
        raise Killed

    steps: tuple[Callable[..., Any], ...] = getattr(commands, kind)
    monkeypatch.setattr(commands, kind, (*steps[:step], dies, *steps[step:]))


def command_of_key(key: str) -> Command:
    """A command known by one letter."""
    return Command(key * 16, "d")
