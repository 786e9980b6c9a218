"""Two records of one child become one and come apart again; whatever dies half way, somebody goes on."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from services.records import store as kept
from services.records.commands import merging as commands
from services.records.domain import duplicates
from services.records.domain.record import Record
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import (
    CLINIC,
    FATHER,
    MOTHER,
    NURSE,
    OTHER_NURSE,
    OTHER_TOWN,
    STRANGER,
    Child,
)
from shared.documents import Command
from shared.ids import binding_id
from shared.problems import NotFound

NOW = timedelta(0)


# Which records may be of one child ----------------------------------------------------------------------------------


def record(**changes: Any) -> Record:
    by = OTHER_NURSE if "municipality" in changes else NURSE
    return Child(by, **changes).record


def guarded(by: str, **changes: Any) -> Record:
    found = record(**changes)
    found.guardians[by] = "registration"
    return found


@pytest.mark.parametrize(
    ("one", "two", "strength"),
    [
        pytest.param(record(), record(), "sure", id="registered twice"),
        pytest.param(record(given_kana="シュウジ"), record(given_kana="しゆうぢ"), "sure", id="heard, not read"),
        pytest.param(record(family_kana="オオノ"), record(family_kana="オーノ"), None, id="another family name"),
        pytest.param(record(), record(municipality=OTHER_TOWN), "likely", id="another town"),
        pytest.param(record(), record(sex="U"), "sure", id="sex unknown"),
        pytest.param(record(), record(sex="M"), None, id="another sex"),
        pytest.param(record(), record(birth_date=date(2026, 5, 2)), None, id="another birth date"),
        pytest.param(record(), record(given_kana="ノゾミ"), None, id="twins"),
        pytest.param(
            guarded("m", family_kana="サトウ"), guarded("m"), "likely", id="the same guardian, a new family name"
        ),
        pytest.param(record(family_kana="サトウ"), record(), None, id="a namesake"),
    ],
)
def test_who_may_be_one_child(one: Record, two: Record, strength: str | None) -> None:
    assert duplicates.alike(one, two) == strength


def test_pairs_come_surest_first_and_once() -> None:
    found = duplicates.pairs([("c", record(municipality=OTHER_TOWN)), ("b", record()), ("a", record())])
    assert [(pair.first, pair.second, pair.strength) for pair in found] == [
        ("a", "b", "sure"),
        ("a", "c", "likely"),
        ("b", "c", "likely"),
    ]


# Through the service ------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.integration


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
    first, second = await twice(door)
    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    return first, second


async def of(door: Door, child: str) -> Record:
    doc = await door.app.state.records.children.load(child)
    return kept.record_of(doc)


async def test_a_merge_makes_one_record_with_everybody_who_reads_it(door: Door) -> None:
    first, second = await merged(door)
    found = await of(door, first)
    assert set(found.guardians) == {"mother-1", "father-1"}
    assert set(found.consents) == {"clinic-1", "clinic-2"}
    assert len(found.doses) == 3
    standing = [dose.cvx for dose in found.doses.values() if dose.superseded_by is None]
    assert sorted(filter(None, standing)) == ["08", "216"]
    assert [one.weight_kg for one in found.growth.values()] == [6.1]
    diary = await door.does(FATHER, "GET", f"/v1/children/{first}/diary")
    assert [one["text"] for one in diary["items"]] == ["はじめての海"]
    for who in (FATHER, MOTHER, NURSE, CLINIC):
        gone = await door.call(who, "GET", f"/v1/children/{second}/history")
        nowhere = await door.call(who, "GET", f"/v1/children/{'0' * 32}/history")
        assert (gone.status_code, _bare(gone)) == (404, _bare(nowhere))
    assert [name for _, name, _ in await door.announced(second)][-1] == "MergedAway"


def _bare(answer: Any) -> Any:
    return {key: value for key, value in answer.json().items() if key not in {"trace_id", "instance"}}


async def test_a_merged_records_id_is_never_used_again(door: Door) -> None:
    first, second = await merged(door)
    answer = await door.call(
        FATHER, "POST", f"/v1/children/{second}/growth", {"measured_on": "2026-08-11", "weight_kg": 6}
    )
    assert answer.status_code == 404
    assert (
        await door.call(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "x"})
    ).status_code == 404
    assert (
        await door.call(NURSE, "POST", f"/v1/children/{second}/merges", {"other": first, "reason": "x"})
    ).status_code == 404
    assert (await door.document(second))["state"]["merged_into"] == first


async def test_a_dose_that_both_records_hold_stays_one_after_later_entries(door: Door) -> None:
    first, second = await door.family(), await door.born(MOTHER)
    await door.trusts(second)
    kept_dose, copy = await door.gives(first, "08"), await door.gives(second, "08")
    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    await door.gives(first, "216", given_on="2026-09-02")
    found = await of(door, first)
    assert (found.doses[copy].superseded_by, found.doses[kept_dose].superseded_by) == (kept_dose, None)


async def test_a_separation_opens_a_third_record_with_what_the_second_was(door: Door) -> None:
    first, second = await merged(door)
    answer = await door.does(NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "双子だった"})
    third = answer["restored"]
    assert third not in {first, second}
    one, three = await of(door, first), await of(door, third)
    assert (set(one.guardians), set(three.guardians)) == ({"mother-1"}, {"father-1"})
    assert (set(one.consents), set(three.consents)) == ({"clinic-1"}, {"clinic-2"})
    assert (len(one.doses), len(three.doses), len(one.growth), len(three.growth)) == (1, 2, 0, 1)
    assert all(dose.superseded_by is None for dose in (*one.doses.values(), *three.doses.values()))
    assert (await door.does(MOTHER, "GET", f"/v1/children/{first}/diary"))["items"] == []
    diary = await door.does(FATHER, "GET", f"/v1/children/{third}/diary")
    assert [entry["text"] for entry in diary["items"]] == ["はじめての海"]
    again = await door.call(NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "x"})
    assert again.status_code == 404
    assert (await door.document(second))["state"]["merged_into"] == first


async def test_what_was_taken_away_after_the_merge_does_not_come_back(door: Door) -> None:
    first, second = await merged(door)
    await door.does(MOTHER, "DELETE", f"/v1/children/{first}/consents/clinic-2")
    father = binding_id(first, FATHER.subject)
    await door.does(NURSE, "POST", f"/v1/children/{first}/guardians/{father}/removal", {"reason": "親権者の変更"})
    answer = await door.does(NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "双子だった"})
    third = await of(door, answer["restored"])
    assert not third.guardians
    assert not third.consents


async def test_whereabouts_that_one_record_hides_the_merged_one_hides(door: Door) -> None:
    first, second = await twice(door)
    await door.does(NURSE, "PUT", f"/v1/children/{second}/cut-offs/{binding_id(second, FATHER.subject)}")
    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    assert (await door.call(FATHER, "GET", f"/v1/children/{first}/history")).status_code == 404


async def test_what_cannot_be_merged(door: Door) -> None:
    first, second = await twice(door)
    path = f"/v1/children/{first}/merges"
    before = await door.document(first), await door.document(second)
    itself = await door.call(NURSE, "POST", path, {"other": first, "reason": "x"})
    assert (itself.status_code, itself.json()["errors"][0]["code"]) == (422, "same-child")
    assert (await door.call(NURSE, "POST", path, {"other": "0" * 32, "reason": "x"})).status_code == 404
    elsewhere = await door.born(OTHER_NURSE, municipality=OTHER_TOWN)
    assert (await door.call(NURSE, "POST", path, {"other": elsewhere, "reason": "x"})).status_code == 404
    assert (await door.call(MOTHER, "POST", path, {"other": second, "reason": "x"})).status_code == 403
    assert (await door.document(first), await door.document(second)) == before
    going = {"to_municipality": OTHER_TOWN, "effective_on": "2026-12-01"}
    await door.does(NURSE, "POST", f"/v1/children/{second}/move", going)
    assert (await door.call(NURSE, "POST", path, {"other": second, "reason": "x"})).status_code == 409


async def test_a_repeat_under_the_same_key_gets_the_same_answer(door: Door) -> None:
    first, second = await twice(door)
    body = {"other": second, "reason": "二重登録"}
    answers = [
        await door.call(NURSE, "POST", f"/v1/children/{first}/merges", body, Idempotency_Key="m1") for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    undone = [
        await door.call(
            NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "x"}, Idempotency_Key="u1"
        )
        for _ in range(2)
    ]
    assert undone[0].json() == undone[1].json()
    assert undone[0].status_code == 200


# A process dies half way (W5) -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


def dying_before(monkeypatch: pytest.MonkeyPatch, kind: str, step: int) -> None:
    async def dies(records: Any, saga: Any) -> None:
        raise Killed

    steps: tuple[Callable[..., Any], ...] = getattr(commands, kind)
    monkeypatch.setattr(commands, kind, (*steps[:step], dies, *steps[step:]))


@pytest.mark.parametrize("step", range(5))
async def test_a_merge_that_died_anywhere_is_ended_by_whoever_finds_it(
    door: Door, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    first, second = await twice(door)
    with monkeypatch.context() as patch:
        dying_before(patch, "_MERGE", step)
        with pytest.raises(Killed):
            await commands.merge(door.app.state.records, NURSE, first, second, "二重登録", _command("m1"))
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
            await commands.separate(door.app.state.records, NURSE, first, second, "双子だった", _command("u1"))
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
                await commands.merge(door.app.state.records, NURSE, one, two, "x", _command(key))
    await commands.resume(door.app.state.records, older_than=NOW)
    states = [(await door.document(child))["state"] for child in (first, second)]
    assert not any(state.get("frozen") for state in states)
    assert sum(1 for state in states if state.get("merged_into")) == 1


def _command(key: str) -> Command:
    return Command(key * 16, "d")


# Candidates -----------------------------------------------------------------------------------------------------------


async def test_the_town_sees_who_may_be_one_child_whichever_way_they_came_in(door: Door) -> None:
    first = await door.born()
    second = await door.born(STRANGER, name={**BODY["name"], "given_kana": "ひかり"})
    await door.born(STRANGER, municipality=OTHER_TOWN)
    listed = (await door.does(NURSE, "GET", "/v1/municipalities/139912/duplicates"))["items"]
    assert [(set(one["children"]), one["strength"]) for one in listed] == [({first, second}, "sure")]
    await door.does(NURSE, "POST", f"/v1/municipalities/139912/duplicates/{listed[0]['id']}/dismissal")
    assert (await door.does(NURSE, "GET", "/v1/municipalities/139912/duplicates"))["items"] == []
