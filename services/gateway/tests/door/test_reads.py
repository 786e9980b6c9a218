"""Reads from the gateway's own views: lists, what each role is shown, reading what one wrote, who looked."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse

from services.gateway.tests.door.world import (
    BY,
    CHILD,
    CLINIC,
    FAMILY,
    NEIGHBOUR,
    NEIGHBOURS,
    OTHER_TOWN,
    PEOPLE,
    TODAY,
    TOWN,
    UNKNOWN,
    VISITED_TOWN,
    World,
    dose,
    facts,
    plan,
)
from shared.events import records as r
from shared.events import schedule as s

FACTS = {"id", "birth_date", "sex", "name", "municipality"}
LISTS = {"doses", "checkups", "growth", "conditions", "reactions", "allergies", "milestones", "responses"}
N = len(FAMILY)


# What each role is shown (S6) ---------------------------------------------------------------------------------------


async def test_each_role_is_shown_its_fields_and_no_other(world: World) -> None:
    shown = {
        who: (await world.ask(who, "GET", f"/v1/children/{CHILD}")).json() for who in ("mother", "clinic", "nurse")
    }
    assert set(shown["mother"]) == FACTS | LISTS | {"district", "consents", "guardians_bound"}
    assert set(shown["clinic"]) == FACTS | LISTS
    assert set(shown["nurse"]) == FACTS | LISTS | {"district", "guardians_bound"}


async def test_nobody_is_shown_who_the_guardians_are(world: World) -> None:
    for who in ("mother", "clinic", "nurse", "system"):
        answer = await world.ask(who, "GET", f"/v1/children/{CHILD}")
        assert "mother-1" not in answer.text
        assert "father-1" not in answer.text


async def test_a_clinic_is_shown_its_own_name_on_doses_and_no_other_clinics(world: World) -> None:
    answer = await world.ask("clinic", "GET", f"/v1/children/{CHILD}")
    assert {one["id"]: one.get("organisation") for one in answer.json()["doses"]} == {"d1": CLINIC, "d2": None}
    assert "hidamari" not in answer.text
    assert "hidamari" in (await world.ask("nurse", "GET", f"/v1/children/{CHILD}")).text


async def test_reactions_allergies_and_steps_are_shown_without_whereabouts_to_whom_they_are_hidden(
    world: World,
) -> None:
    common = {"provenance": "clinic", "organisation": "hidamari", "by": BY}
    seen = {"reaction_id": "r1", "dose_id": "d1", "symptom": "fever", "began_at": datetime(2026, 11, 23, tzinfo=UTC)}
    await world.tells(
        CHILD,
        r.AdverseReactionRecorded(**seen, serious=False, outcome="ongoing", **common),
        r.AdverseReactionCorrected(**seen, serious=False, outcome="resolved", reason="next day", **common),
        r.AllergyRecorded(allergy_id="a1", substance="egg", criticality="high", **common),
        r.MilestoneRecorded(milestone_id="m1", milestone="sit", reached_on=TODAY, **common),
        after=N,
    )
    for who, named in (("mother", True), ("nurse", True), ("clinic", False), ("cut_off", False)):
        found = (await world.ask(who, "GET", f"/v1/children/{CHILD}")).json()
        for family in ("reactions", "allergies", "milestones"):
            (line,) = found[family]
            assert (line["provenance"], "organisation" in line) == ("clinic", named), (who, family)
            assert not {"by", "reason"} & set(line)
        assert found["reactions"][0]["outcome"] == "resolved"
    shown = (await world.ask("grandmother", "GET", f"/v1/children/{CHILD}")).json()
    assert not {"reactions", "allergies", "milestones"} & set(shown)
    await world.tells(
        CHILD,
        r.AdverseReactionRetracted(reaction_id="r1", reason="x", by=BY),
        r.AllergyRetracted(allergy_id="a1", reason="x", by=BY),
        r.MilestoneRetracted(milestone_id="m1", reason="x", by=BY),
        after=N + 4,
    )
    left = (await world.ask("mother", "GET", f"/v1/children/{CHILD}")).json()
    assert left["reactions"] == left["allergies"] == left["milestones"] == []


async def test_a_guardian_sees_her_consents_and_whether_they_hold(world: World) -> None:
    consents = (await world.ask("mother", "GET", f"/v1/children/{CHILD}")).json()["consents"]
    assert {one["organisation"]: one["in_force"] for one in consents} == {
        "wakaba": True,
        "hidamari": False,
        VISITED_TOWN: True,
    }


async def test_the_plan_has_the_contracts_fields(world: World) -> None:
    found = (await world.ask("mother", "GET", f"/v1/children/{CHILD}/plan")).json()
    assert {"rule_set", "as_of", "items", "doses"} <= set(found)
    assert found["items"][0]["why"]["source"] == "予防接種法施行令"
    reminders = (await world.ask("mother", "GET", f"/v1/children/{CHILD}/reminders")).json()["items"]
    assert [one["state"] for one in reminders] == ["armed"]


# Lists ----------------------------------------------------------------------------------------------------------------


async def test_everybody_finds_their_own_children(world: World) -> None:
    async def ids(who: str) -> list[str]:
        return [one["id"] for one in (await world.ask(who, "GET", "/v1/children")).json()["items"]]

    assert await ids("mother") == [CHILD]
    assert await ids("other_mother") == [NEIGHBOUR]
    assert await ids("removed") == []
    assert await ids("clinic") == [CHILD]
    assert await ids("expired") == []
    assert await ids("nurse") == [CHILD]
    assert await ids("other_nurse") == [NEIGHBOUR]


async def test_a_consent_that_was_withdrawn_and_a_child_that_moved_are_gone_from_the_lists(world: World) -> None:
    moved = r.ChildMoved(from_municipality=TOWN, to_municipality="139921", effective_on=TODAY, by=BY)
    await world.tells(CHILD, r.ConsentWithdrawn(organisation=CLINIC, by=BY), moved, after=N)
    assert (await world.ask("clinic", "GET", "/v1/children")).json()["items"] == []
    assert (await world.ask("nurse", "GET", "/v1/children")).json()["items"] == []
    assert len((await world.ask("other_nurse", "GET", "/v1/children")).json()["items"]) == 2
    assert (await world.ask("clinic", "GET", f"/v1/children/{CHILD}")).status_code == 404


async def _town_of(world: World, count: int) -> list[str]:
    ids = [f"{number:032d}" for number in range(1, count + 1)]
    for child in ids:
        await world.tells(child, r.ChildRegistered(child=facts(), guardians=("mother-9",), by=BY))
    return sorted([*ids, CHILD])


async def test_a_towns_list_is_whole_page_by_page_in_one_order(world: World) -> None:
    expected = await _town_of(world, 11)
    seen: list[str] = []
    path = "/v1/children?limit=5"
    while path:
        answer = await world.ask("nurse", "GET", path)
        seen += [one["id"] for one in answer.json()["items"]]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    assert seen == expected


async def test_a_cursor_opens_only_the_list_that_it_was_given_for(world: World) -> None:
    await _town_of(world, 3)
    cursor = (await world.ask("nurse", "GET", "/v1/children?limit=2")).json()["next"]
    body, _, mac = cursor.partition(".")
    other = f"{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}"
    for forged in (f"{other}.{mac}", f"{body}.{'0' * 32}", body, "", ".", "e30.e30", "\u00e9", "x" * 401):
        answer = await world.ask("nurse", "GET", f"/v1/children?cursor={forged}")
        assert answer.status_code == 422, forged
        assert answer.json()["errors"][0]["pointer"] == "/query/cursor"
    for thief in ("mother", "other_nurse", "clinic"):
        assert (await world.ask(thief, "GET", f"/v1/children?cursor={cursor}")).status_code == 422
    accesses = f"/v1/children/{CHILD}/accesses"
    assert (await world.ask("mother", "GET", f"{accesses}?cursor={cursor}")).status_code == 422


async def test_limits_out_of_range_are_named(world: World) -> None:
    for limit in ("0", "201", "-1", "x", "1e3"):
        answer = await world.ask("nurse", "GET", f"/v1/children?limit={limit}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/query/limit"


# Reading what one wrote ---------------------------------------------------------------------------------------------


async def test_a_read_waits_until_it_shows_what_was_written(world: World) -> None:
    headers = {"Hagukumi-Revision": f"records.child:{CHILD}={N + 1}"}
    reading = asyncio.create_task(world.ask("mother", "GET", f"/v1/children/{CHILD}", headers=headers))
    await asyncio.sleep(0)
    await world.tells(CHILD, r.DoseRecorded(dose=dose("d3", CLINIC), by=BY), after=N)
    answer = await reading
    assert [one["id"] for one in answer.json()["doses"]] == ["d1", "d2", "d3"]
    assert answer.headers["Hagukumi-Revision"] == f"records.child:{CHILD}={N + 1}"
    assert answer.headers["ETag"] == f'"r{N + 1}"'


async def test_the_plan_waits_for_the_schedule_and_not_for_what_changes_no_plan(world: World) -> None:
    growth = r.GrowthMeasured(measurement_id="m1", measured_on=TODAY, weight_kg=5.1, by=BY)
    await world.tells(CHILD, growth, after=N)
    unchanged = {"Hagukumi-Revision": f"records.child:{CHILD}={N + 1}"}
    assert (await world.ask("mother", "GET", f"/v1/children/{CHILD}/plan", headers=unchanged)).status_code == 200

    await world.tells(CHILD, r.DoseRecorded(dose=dose("d3", CLINIC), by=BY), after=N + 1)
    written = {"Hagukumi-Revision": f"records.child:{CHILD}={N + 2}"}
    reading = asyncio.create_task(world.ask("mother", "GET", f"/v1/children/{CHILD}/plan", headers=written))
    await asyncio.sleep(0)
    assert not reading.done()
    await world.tells(CHILD, plan(CHILD, N + 2, rule_set="counted-anew"), after=1)
    assert (await reading).json()["rule_set"] == "counted-anew"


async def test_a_plan_that_is_confirmed_is_fresh_too(world: World) -> None:
    await world.tells(CHILD, r.DoseRecorded(dose=dose("d3", CLINIC), by=BY), after=N)
    confirmed = s.PlanConfirmed(as_of=TODAY, based_on={f"records.child:{CHILD}": N + 1})
    await world.tells(CHILD, confirmed, after=1)
    headers = {"Hagukumi-Revision": f"records.child:{CHILD}={N + 1}"}
    assert (await world.ask("mother", "GET", f"/v1/children/{CHILD}/plan", headers=headers)).status_code == 200


async def test_what_never_comes_is_busy_for_the_family_and_not_there_for_others(world: World) -> None:
    headers = {"Hagukumi-Revision": f"records.child:{CHILD}=900000000, nonsense, records.child:{UNKNOWN}=1"}
    late, foreign, unknown = await asyncio.gather(
        world.ask("mother", "GET", f"/v1/children/{CHILD}", headers=headers),
        world.ask("other_mother", "GET", f"/v1/children/{CHILD}", headers=headers),
        world.ask("other_mother", "GET", f"/v1/children/{UNKNOWN}", headers=headers),
    )
    assert (late.status_code, late.headers["Retry-After"]) == (503, "1")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    # As long for the one as for the other: time tells nothing either.
    assert abs((foreign.elapsed - unknown.elapsed).total_seconds()) < 0.5


async def test_a_new_relation_is_answered_when_the_door_knows_it(world: World) -> None:
    revision = f"records.child:{CHILD}={N + 1}"
    world.owners.answers[f"/v1/children/{CHILD}/consents/aozora"] = JSONResponse(
        {}, 200, {"Hagukumi-Revision": revision}
    )
    giving = asyncio.create_task(
        world.ask("mother", "PUT", f"/v1/children/{CHILD}/consents/aozora", {"purpose": "care"})
    )
    given = r.ConsentGiven(organisation="aozora", kind="clinic", purpose="care", by=BY)
    await world.owners.called.wait()
    assert not giving.done()
    await world.tells(CHILD, given, after=N)
    assert (await giving).status_code == 200
    assert (await world.ask("other_clinic", "GET", f"/v1/children/{CHILD}")).status_code == 200
    assert [one["id"] for one in (await world.ask("other_clinic", "GET", "/v1/children")).json()["items"]] == [CHILD]


async def test_a_withdrawal_is_never_acknowledged_before_it_is_in_force(world: World) -> None:
    world.owners.answers[f"/v1/children/{CHILD}/consents/{CLINIC}"] = JSONResponse(
        {}, 200, {"Hagukumi-Revision": f"records.child:{CHILD}={N + 1}"}
    )
    path = f"/v1/children/{CHILD}/consents/{CLINIC}"
    assert (await world.ask("mother", "DELETE", path)).status_code == 503
    await world.tells(CHILD, r.ConsentWithdrawn(organisation=CLINIC, by=BY), after=N)
    assert (await world.ask("mother", "DELETE", path)).status_code == 200
    assert (await world.ask("clinic", "GET", f"/v1/children/{CHILD}")).status_code == 404


async def test_a_consent_ends_with_its_last_day(world: World) -> None:
    until = r.ConsentGiven(organisation="aozora", kind="clinic", purpose="care", until=TODAY, by=BY)
    await world.tells(CHILD, until, after=N)
    assert (await world.ask("other_clinic", "GET", f"/v1/children/{CHILD}")).status_code == 200
    world.runtime.clock.move_to(world.runtime.clock.now() + timedelta(days=1))
    assert (await world.ask("other_clinic", "GET", f"/v1/children/{CHILD}")).status_code == 404
    assert (await world.ask("other_clinic", "GET", "/v1/children")).json()["items"] == []


# Who looked ---------------------------------------------------------------------------------------------------------


async def test_the_family_reads_who_looked_at_the_record(world: World) -> None:
    await world.ask("clinic", "GET", f"/v1/children/{CHILD}")
    await world.ask("nurse", "GET", "/v1/children")
    await world.ask("other_clinic", "GET", f"/v1/children/{CHILD}")
    await world.ask("clinic", "POST", f"/v1/children/{CHILD}/doses", {"given_on": "2026-11-23"})
    answer = await world.ask("mother", "GET", f"/v1/children/{CHILD}/accesses")
    seen = [(one["role"], one.get("organisation"), one["action"], one["outcome"]) for one in answer.json()["items"]]
    assert seen == [
        ("clinic", "wakaba", "recordDose", "done"),
        ("clinic", "aozora", "readChild", "refused"),
        ("staff", TOWN, "listChildren", "done"),
        ("clinic", "wakaba", "readChild", "done"),
    ]
    assert "doctor-1" not in answer.text
    again = (await world.ask("mother", "GET", f"/v1/children/{CHILD}/accesses?limit=1")).json()
    assert again["items"][0]["yourself"] is True
    assert again["next"] is not None


async def test_every_answer_about_a_child_left_its_row_before(world: World) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("mother", f"/v1/children/{CHILD}", "readChild"),
        ("mother", f"/v1/children/{CHILD}/plan", "readPlan"),
        ("mother", f"/v1/children/{CHILD}/reminders", "readReminders"),
        ("nurse", f"/v1/children/{CHILD}/history", "readHistory"),
        ("clinic", f"/v1/children/{CHILD}/responses", "readResponses"),
        ("clinic", f"/fhir/R4/Patient/{CHILD}", "readFhir"),
    ]
    for who, path, action in asked:
        before = len(await world.audit(whose=CHILD))
        await world.ask(who, "GET", path)
        rows = await world.audit(whose=CHILD)
        assert [(row["who"], row["action"]) for row in rows[before:]] == [(PEOPLE[who].subject, action)]  # type: ignore[union-attr]


async def test_who_looked_at_a_record_that_became_part_of_this_one_is_shown_with_it_and_goes_with_it_again(
    world: World,
) -> None:
    assert (await world.ask("other_nurse", "GET", f"/v1/children/{NEIGHBOUR}")).status_code == 200
    staff = r.Actor(subject="nurse-1", role="staff", organisation=TOWN)

    async def looked(child: str, who: str = "mother") -> list[str]:
        found = []
        path: str | None = f"/v1/children/{child}/accesses?limit=1"
        while path:
            answer = await world.ask(who, "GET", path)
            found += [one["organisation"] for one in answer.json()["items"] if one.get("organisation")]
            path = answer.links["next"]["url"] if "next" in answer.links else None
        return found

    assert OTHER_TOWN not in await looked(CHILD)
    merged = r.ChildrenMerged(other=NEIGHBOUR, other_revision=1, carried={}, reason="twice", by=staff)
    await world.tells(CHILD, merged, after=len(FAMILY))
    await world.tells(NEIGHBOUR, r.MergedAway(into=CHILD, by=staff), after=len(NEIGHBOURS))
    assert (await looked(CHILD)).count(OTHER_TOWN) == 1

    third = "d" * 32
    undone = r.ChildrenUnmerged(other=NEIGHBOUR, restored_as=third, removed={}, reason="twins", by=staff)
    await world.tells(CHILD, undone, after=len(FAMILY) + 1)
    await world.tells(
        third, r.ChildRegistered(child=facts(), guardians=("mother-2",), restored_from=NEIGHBOUR, by=staff)
    )
    assert OTHER_TOWN not in await looked(CHILD)
    assert (await looked(third, "other_mother")).count(OTHER_TOWN) == 1
