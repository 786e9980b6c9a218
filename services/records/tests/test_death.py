"""A death: who may tell it, and that a word told wrongly takes nothing away."""

from datetime import date, timedelta

import pytest

from services.records.domain import death
from services.records.domain.access import Caller
from services.records.tests.conftest import Door
from services.records.tests.families import BORN, CLINIC, MOTHER, NURSE, OTHER_NURSE, REGISTER, TODAY, family
from services.records.tests.test_children import places
from shared.problems import Conflict, Forbidden, Invalid, NotFound


@pytest.mark.parametrize("caller", [MOTHER, NURSE, REGISTER])
def test_the_family_and_the_town_tell_it(caller: Caller) -> None:
    child = family()
    (event,) = child.happens(death.tell(child.record, TODAY, caller, TODAY))
    assert child.record.died_on == TODAY
    assert event.by == caller.actor  # type: ignore[attr-defined]
    with pytest.raises(Conflict):
        death.tell(child.record, TODAY, caller, TODAY)


def test_others_do_not() -> None:
    with pytest.raises(Forbidden):
        death.tell(family().record, TODAY, CLINIC, TODAY)
    with pytest.raises(NotFound):
        death.tell(family().record, TODAY, OTHER_NURSE, TODAY)


@pytest.mark.parametrize(
    ("died_on", "code"), [(BORN - timedelta(days=1), "before-birth"), (TODAY + timedelta(days=1), "in-the-future")]
)
def test_an_impossible_day_is_refused(died_on: date, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        death.tell(family().record, died_on, NURSE, TODAY)
    assert places(refused.value) == {"/died_on": code}


@pytest.mark.parametrize(
    ("told_by", "taken_back_by", "may"),
    [(NURSE, REGISTER, True), (NURSE, MOTHER, False), (MOTHER, MOTHER, True), (MOTHER, NURSE, True)],
)
def test_what_the_town_told_only_the_town_takes_back(told_by: Caller, taken_back_by: Caller, may: bool) -> None:
    child = family()
    child.happens(death.tell(child.record, TODAY, told_by, TODAY))
    if not may:
        with pytest.raises(Forbidden):
            death.take_back(child.record, "x", taken_back_by, TODAY)
        return
    child.happens(death.take_back(child.record, "another child", taken_back_by, TODAY))
    assert child.record.died_on is None
    with pytest.raises(NotFound):
        death.take_back(child.record, "x", taken_back_by, TODAY)


@pytest.mark.integration
async def test_a_death_taken_back_leaves_the_record_as_it_was(door: Door) -> None:
    child = await door.family()
    await door.gives(child)
    before = (await door.document(child))["state"]
    path = f"/v1/children/{child}/death"
    first = await door.call(MOTHER, "POST", path, {"died_on": "2026-11-22"}, Idempotency_Key="once")
    again = await door.call(MOTHER, "POST", path, {"died_on": "2026-11-22"}, Idempotency_Key="once")
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (await door.call(NURSE, "POST", path, {"died_on": "2026-11-21"})).status_code == 409
    # A dose given before, and told late, is still recorded.
    await door.gives(child, "133")
    await door.does(MOTHER, "POST", f"{path}/retraction", {"reason": "told of another child"})
    after = (await door.document(child))["state"]
    assert {name: after[name] for name in before if name not in {"doses", "made"}} == {
        name: before[name] for name in before if name not in {"doses", "made"}
    }
    assert len(after["doses"]) == 2
    assert [name for _, name, _ in await door.announced(child)][-3:] == ["ChildDied", "DoseRecorded", "DeathRetracted"]
