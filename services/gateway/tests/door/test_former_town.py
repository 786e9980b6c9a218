"""A child moved away: the town that it left reads what it has to keep, for as long as it has to, and nothing else by any way."""

import copy
from datetime import date, timedelta
from typing import Any

import pytest

from services.gateway import store as kept
from services.gateway.domain import child_view, residence
from services.gateway.domain.routes import ROUTES
from services.gateway.tests.door.world import (
    BY,
    CHILD,
    CLINIC,
    FAMILY,
    OTHER_TOWN,
    TODAY,
    TOWN,
    World,
    dose,
    facts,
)
from shared.events import records as r

MOVED_ON = TODAY - timedelta(days=10)
BEFORE = MOVED_ON - timedelta(days=1)
MOVED = r.ChildMoved(from_municipality=TOWN, to_municipality=OTHER_TOWN, effective_on=MOVED_ON, by=BY)


async def moves_away(world: World) -> None:
    """Doses of the old town's time, one of a guardian's word, one of the day of the move, then a new name and a new dose."""
    renamed = facts(OTHER_TOWN).model_copy(update={"name": facts().name.model_copy(update={"family": "青空"})})
    await world.tells(
        CHILD,
        r.DoseRecorded(dose=dose("old", CLINIC, given_on=BEFORE), by=BY),
        r.DoseRecorded(dose=dose("said", None, given_on=BEFORE, provenance="guardian"), by=BY),
        r.DoseRecorded(dose=dose("on-the-day", CLINIC, given_on=MOVED_ON), by=BY),
        r.CheckupRecorded(checkup_id="k1", kind="checkup_3m", done_on=BEFORE, organisation=TOWN, by=BY),
        r.GrowthMeasured(measurement_id="w1", measured_on=BEFORE, weight_kg=6.1, by=BY),
        MOVED,
        r.ChildCorrected(child=renamed, reason="new name", by=BY),
        r.DoseRecorded(dose=dose("new", CLINIC, given_on=TODAY), by=BY),
        after=len(FAMILY),
    )


async def test_the_old_town_reads_its_own_ledgers_and_nothing_from_after_the_move(world: World) -> None:
    assert (await world.ask("nurse", "GET", f"/v1/children/{CHILD}/kept")).status_code == 404
    await moves_away(world)
    for who in ("nurse", "system"):
        answer = await world.ask(who, "GET", f"/v1/children/{CHILD}/kept")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert [(one["ledger"], one["fact"]["id"]) for one in found["items"]] == [("checkups", "k1"), ("doses", "old")]
        assert [one["family"] for one in found["names"]] == ["若葉"]
        assert set(found) == {"id", "birth_date", "sex", "names", "items"}
        for word in ("青空", OTHER_TOWN, "みどり台", "mother-1"):
            assert word not in answer.text
    for who in ("other_nurse", "visited", "other_system"):
        assert (await world.ask(who, "GET", f"/v1/children/{CHILD}/kept")).status_code == 404
    rows = [row for row in await world.audit(action="readKept") if row["outcome"] == "done"]
    assert [row["organisation"] for row in rows] == [TOWN, TOWN]


async def test_a_town_keeps_what_it_had_of_a_record_that_came_apart_from_another(world: World) -> None:
    """The merge took its history of towns away; the record that stands for it again brings it along."""
    restored = "c" * 32
    lived = r.Residence(municipality=TOWN, until=MOVED_ON, name=facts().name)
    await world.tells(
        restored,
        r.ChildRegistered(child=facts(OTHER_TOWN), restored_from="d" * 32, residences=(lived,), by=BY),
        r.DoseRecorded(dose=dose("old2", CLINIC, given_on=BEFORE), by=BY),
        r.DoseRecorded(dose=dose("new2", CLINIC, given_on=TODAY), by=BY),
    )
    found = (await world.ask("nurse", "GET", f"/v1/children/{restored}/kept")).json()
    assert [one["fact"]["id"] for one in found["items"]] == ["old2"]
    assert [one["family"] for one in found["names"]] == ["若葉"]
    assert (await world.ask("nurse", "GET", f"/v1/children/{restored}")).status_code == 404


@pytest.mark.parametrize("who", ["nurse", "system"])
async def test_every_other_way_to_the_child_is_closed_to_the_old_town(world: World, who: str) -> None:
    await moves_away(world)
    asked = 0
    for row in ROUTES:
        if row.thing != "child" or row.action == "readKept":
            continue
        path = row.path.replace("{child}", CHILD)
        while "{" in path:
            head, _, rest = path.partition("{")
            path = f"{head}x1{rest.partition('}')[2]}"
        query = f"?patient=Patient/{CHILD}" if row.at == "query:patient" else ""
        body = {"child": CHILD} if row.method in {"POST", "PUT"} else None
        headers = {"Content-Type": row.accepts[0]} if body else None
        answer = await world.ask(who, row.method, path + query, body, headers=headers)
        assert answer.status_code in {403, 404}, (row.method, row.path, answer.status_code)
        asked += 1
    assert asked > 30
    for path in (f"/fhir/R4/Patient/{CHILD}", "/fhir/R4/Immunization/old"):
        assert (await world.ask(who, "GET", path)).status_code in {403, 404}
    for path in ("/v1/children", "/fhir/R4/Patient"):
        answer = await world.ask(who, "GET", path)
        assert CHILD not in answer.text


# For how long ------------------------------------------------------------------------------------------------------------

LEDGERS = kept.load_ledgers()


def lived(*moves: tuple[str, date], given_on: date) -> dict[str, Any]:
    """A child's state: where it moved from and when, and one dose."""
    state: dict[str, Any] = {"facts": {}, "doses": {}}
    for town, day in moves:
        residence.left(state, town, day)
    state["doses"]["d"] = {"id": "d", "given_on": given_on.isoformat(), "provenance": "clinic"}
    return state


def is_kept(state: dict[str, Any], town: str, on: date) -> bool:
    return bool(residence.kept(state, town, LEDGERS, on))


@pytest.mark.parametrize(
    ("given_on", "last"),
    [(date(2026, 5, 1), date(2031, 4, 30)), (date(2024, 2, 29), date(2029, 2, 28))],
)
def test_a_dose_is_kept_five_years_to_the_day(given_on: date, last: date) -> None:
    state = lived((TOWN, date(2026, 9, 1)), given_on=given_on)
    assert is_kept(state, TOWN, last)
    assert not is_kept(state, TOWN, last + timedelta(days=1))


def test_each_town_keeps_what_was_done_while_the_child_lived_there() -> None:
    moves = ((TOWN, date(2026, 4, 1)), (OTHER_TOWN, date(2026, 8, 1)), (TOWN, date(2026, 10, 1)))
    on = date(2026, 11, 1)
    for given_on, town in (
        (date(2026, 3, 31), TOWN),
        (date(2026, 4, 1), OTHER_TOWN),
        (date(2026, 7, 31), OTHER_TOWN),
        (date(2026, 8, 1), TOWN),
    ):
        state = lived(*moves, given_on=given_on)
        assert {one for one in (TOWN, OTHER_TOWN) if is_kept(state, one, on)} == {town}
    assert not any(is_kept(lived(*moves, given_on=date(2026, 10, 1)), one, on) for one in (TOWN, OTHER_TOWN))


def test_every_ledger_names_its_source_and_how_sure_it_is() -> None:
    assert {one.ledger: one.confidence for one in LEDGERS} == {"doses": "high", "checkups": "low"}
    assert all(one.source and one.years > 0 for one in LEDGERS)
    with pytest.raises(TypeError):
        residence.Ledger.of({"ledger": "doses", "forever": True})


def test_a_record_that_closed_or_was_retracted_is_kept_by_nobody() -> None:
    state = lived((TOWN, date(2026, 9, 1)), given_on=date(2026, 5, 1))
    merged = copy.deepcopy(state)
    child_view.apply_record(state, r.ChildRetracted(reason="undone", by=BY), 9)
    child_view.apply_record(merged, r.MergedAway(into="a" * 32, by=BY), 9)
    child_view.close(merged)
    for closed in (state, merged):
        assert not is_kept(closed, TOWN, date(2026, 11, 1))
        assert not residence.towns_before(closed)
