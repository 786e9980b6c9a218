"""A process dies half way through a merge or a separation (W5): whoever finds it goes on."""

from datetime import timedelta

import pytest

from services.records.commands import merging as commands
from services.records.tests.conftest import Door
from services.records.tests.families import (
    FATHER,
    MOTHER,
    NURSE,
)
from services.records.tests.merges import Killed, command_of_key, dying_before, merged, of, twice
from shared.problems import NotFound

pytestmark = pytest.mark.integration
NOW = timedelta(0)


@pytest.mark.parametrize("step", range(6))
async def test_a_merge_that_died_anywhere_is_ended_by_whoever_finds_it(
    door: Door, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    first, second = await twice(door)
    with monkeypatch.context() as patch:
        dying_before(patch, "_MERGE", step)
        with pytest.raises(Killed):
            await commands.merge(door.app.state.records, NURSE, first, second, "二重登録", command_of_key("m1"))
    if step in {1, 2, 3}:
        frozen = await door.call(
            FATHER, "POST", f"/v1/children/{second}/growth", {"measured_on": "2026-08-11", "weight_kg": 6}
        )
        assert frozen.status_code == 409
    assert await commands.resume(door.app.state.records, older_than=NOW) == 1
    assert await commands.resume(door.app.state.records, older_than=NOW) == 0
    found = await of(door, first)
    assert (len(found.doses), set(found.guardians)) == (3, {"mother-1", "father-1"})
    names = [name for _, name, _ in await door.announced(first)]
    assert names.count("ChildrenMerged") == 1
    with pytest.raises(NotFound):
        await of(door, second)


@pytest.mark.parametrize("step", range(5))
async def test_a_separation_that_died_anywhere_is_ended_by_whoever_finds_it(
    door: Door, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    first, second = await merged(door)
    with monkeypatch.context() as patch:
        dying_before(patch, "_SEPARATE", step)
        with pytest.raises(Killed):
            await commands.separate(door.app.state.records, NURSE, first, second, "双子だった", command_of_key("u1"))
    if step in {1, 2, 3}:
        frozen = await door.call(
            MOTHER, "POST", f"/v1/children/{first}/growth", {"measured_on": "2026-08-11", "weight_kg": 6}
        )
        assert frozen.status_code == 409
    assert await commands.resume(door.app.state.records, older_than=NOW) == 1
    found = await of(door, first)
    assert (len(found.doses), set(found.guardians)) == (1, {"mother-1"})
    assert [name for _, name, _ in await door.announced(first)].count("ChildrenUnmerged") == 1


async def test_two_merges_into_each_other_leave_no_record_frozen(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = await twice(door)
    with monkeypatch.context() as patch:
        dying_before(patch, "_MERGE", 1)
        for one, two, key in ((first, second, "m1"), (second, first, "m2")):
            with pytest.raises((Killed, Exception)):
                await commands.merge(door.app.state.records, NURSE, one, two, "x", command_of_key(key))
    await commands.resume(door.app.state.records, older_than=NOW)
    states = [(await door.document(child))["state"] for child in (first, second)]
    assert not any(state.get("frozen") for state in states)
    assert sum(1 for state in states if state.get("merged_into")) == 1
