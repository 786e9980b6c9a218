"""Two records of one child become one and come apart again."""

import contextlib
import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.records import store as kept
from services.records.commands import merging as commands
from services.records.commands.filing import file_questionnaire
from services.records.commands.moves import turn_days
from services.records.domain import doses, merging
from services.records.domain.access import Caller
from services.records.domain.record import Record, apply, opened
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import (
    BORN,
    CLINIC,
    FATHER,
    MOTHER,
    NOON,
    NURSE,
    OTHER_NURSE,
    OTHER_TOWN,
    STRANGER,
    TODAY,
    TOWN,
    Child,
)
from services.records.tests.merges import Killed, command_of_key, dying_before, imported, merged, of, twice
from shared.documents import Document
from shared.events.questionnaire import QuestionnaireSubmitted
from shared.events.records import (
    AccessGranted,
    ChildMoved,
    ChildRegistered,
    ConditionRecorded,
    ConsentGiven,
    GrowthMeasured,
    GuardianAdded,
    MilestoneRecorded,
    StayPlanned,
)
from shared.ids import binding_id
from shared.problems import Invalid
from shared.testing import photos as invented

NOW = timedelta(0)
OTHER_REGISTER = Caller("juki-2", "system", municipality=OTHER_TOWN)


DOSES = st.lists(
    st.tuples(st.sampled_from(["08", "216", "170"]), st.integers(0, 3), st.sampled_from([CLINIC, MOTHER, NURSE])),
    max_size=6,
)
PARTS = st.fixed_dictionaries(
    {
        "doses": DOSES,
        "growth": st.lists(st.integers(0, 60), max_size=3, unique=True),
        "conditions": st.lists(st.sampled_from(["007", "080"]), max_size=2, unique=True),
        "guardians": st.sets(st.sampled_from(["mother-1", "father-1"]), max_size=2),
        "consents": st.sets(st.sampled_from(["clinic-1", "clinic-2", "clinic-3"]), max_size=3),
        "relatives": st.sets(st.sampled_from(["grandmother-1", "father-1"]), max_size=2),
        "stays": st.sets(st.sampled_from([(1, 5), (4, 9), (20, 30)]), max_size=1),
    }
)


def lived(mark: str, parts: dict[str, Any]) -> Child:
    """A record with these parts; ids of the two records differ."""
    child = Child()
    child.trusts(CLINIC)
    child.happens([GuardianAdded(guardian=one, proven_by="code") for one in ("mother-1", *sorted(parts["guardians"]))])
    for number, (cvx, weeks, by) in enumerate(parts["doses"]):
        wish = doses.DoseWish(given_on=BORN + timedelta(days=60 + 28 * weeks), cvx=cvx)
        with contextlib.suppress(Invalid):
            child.happens(doses.record_dose(child.record, wish, by, dose_id=f"{mark}-{number}", today=TODAY, now=NOON))
    child.happens(
        [
            *(
                GrowthMeasured(measurement_id=f"{mark}-{day}", measured_on=BORN + timedelta(days=day), by=MOTHER.actor)
                for day in parts["growth"]
            ),
            *(
                MilestoneRecorded(
                    milestone_id=f"s{mark}-{day}",
                    milestone="sit",
                    reached_on=BORN + timedelta(days=day),
                    provenance="guardian",
                    by=MOTHER.actor,
                )
                for day in parts["growth"]
            ),
            *(
                ConditionRecorded(condition_id=f"{mark}-{code}", code=code, by=CLINIC.actor)
                for code in parts["conditions"]
            ),
            *(
                ConsentGiven(organisation=one, kind="clinic", purpose=mark, by=MOTHER.actor)
                for one in sorted(parts["consents"])
            ),
            *(
                AccessGranted(
                    grant_id=f"{mark}-{one}",
                    relative=one,
                    relation="relative",
                    sections=("plan",),
                    until=TODAY,
                    by=MOTHER.actor,
                )
                for one in sorted(parts["relatives"])
            ),
            *(
                StayPlanned(
                    stay_id=f"{mark}-{first}",
                    municipality=OTHER_TOWN,
                    clinics=(),
                    since=TODAY + timedelta(days=first),
                    until=TODAY + timedelta(days=last),
                    by=MOTHER.actor,
                )
                for first, last in sorted(parts["stays"])
            ),
        ]
    )
    return child


def as_bytes(record: Record) -> bytes:
    """The record as it is stored."""
    doc = Document(id="")
    kept.children.keep(doc, record)
    return json.dumps(doc.state, sort_keys=True, ensure_ascii=False).encode()


@given(PARTS, PARTS)
@settings(max_examples=150, deadline=None)
def test_two_records_that_were_merged_and_separated_are_what_they_were_byte_for_byte(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    first, second = lived("a", one), lived("b", two)
    before = as_bytes(first.record), as_bytes(second.record)
    told, carried = merging.merge(
        first.record, second.record, other_id="B", other_revision=1, reason="twice", caller=NURSE
    )
    first.happens(told)
    opening, *rest = merging.restore(first.record, second.record, carried, other_id="B", caller=NURSE)
    assert isinstance(opening, ChildRegistered)
    third = opened(opening)
    for event in rest:
        apply(third, event)
    left = merging.separate(first.record, carried, other_id="B", restored_as="C", reason="twins", caller=NURSE)
    first.happens(left)
    assert (as_bytes(first.record), as_bytes(third)) == before


# Through the service ------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.integration


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


async def test_the_diary_and_its_photos_follow_and_come_back(door: Door) -> None:
    first, second = await twice(door)
    entry = (await door.does(FATHER, "GET", f"/v1/children/{second}/diary"))["items"][0]["id"]
    photo = await door.call(
        FATHER, "POST", f"/v1/children/{second}/diary/{entry}/photos", invented.photo("jpeg"), content_type="image/jpeg"
    )
    file = f"/diary/{entry}/photos/{photo.json()['id']}"
    before = (await door.call(FATHER, "GET", f"/v1/children/{second}{file}")).content
    await door.does(MOTHER, "POST", f"/v1/children/{first}/diary", {"on": "2026-08-11", "text": "わたしの日記"})
    rows = await door.runtime.store.find(kept.collections.DIARY, {})

    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    for who in (MOTHER, FATHER):
        assert len((await door.does(who, "GET", f"/v1/children/{first}/diary"))["items"]) == 2
        for size in ("", "?small=true"):
            assert (await door.call(who, "GET", f"/v1/children/{first}{file}{size}")).status_code == 200
    assert (await door.call(FATHER, "GET", f"/v1/children/{first}{file}")).content == before
    assert (await door.call(FATHER, "GET", f"/v1/children/{second}{file}")).status_code == 404
    await door.does(FATHER, "POST", f"/v1/children/{first}/diary", {"on": "2026-08-12", "text": "統合のあと"})

    undone = await door.does(NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "双子だった"})
    third = undone["restored"]
    assert (await door.call(FATHER, "GET", f"/v1/children/{third}{file}")).content == before
    assert (await door.call(MOTHER, "GET", f"/v1/children/{third}{file}")).status_code == 404
    assert (await door.call(MOTHER, "GET", f"/v1/children/{first}{file}")).status_code == 404
    after = {row["_id"]: row["state"] for row in await door.runtime.store.find(kept.collections.DIARY, {})}
    for row in rows:
        was = row["state"] if row["state"]["child"] == first else {**row["state"], "child": third}
        assert after[row["_id"]] == was
    # What was written into the merged record stays there; its author is a guardian there no more, so the mother has it.
    texts = [one["text"] for one in (await door.does(MOTHER, "GET", f"/v1/children/{first}/diary"))["items"]]
    assert texts == ["統合のあと", "わたしの日記"]


async def test_an_entry_that_is_being_written_while_its_record_is_merged_away_follows(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await twice(door)
    records = door.app.state.records
    real = records.diary.create

    async def slow(*given: Any) -> Any:
        """The record is merged, from its first step to its last, after the author was let in and before the entry is there."""
        await commands.merge(records, NURSE, first, second, "二重登録", command_of_key("m1"))
        return await real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(records.diary, "create", slow)
        await door.does(FATHER, "POST", f"/v1/children/{second}/diary", {"on": "2026-08-12", "text": "間に合った"})
    texts = [one["text"] for one in (await door.does(FATHER, "GET", f"/v1/children/{first}/diary"))["items"]]
    assert texts == ["間に合った", "はじめての海"]


async def test_what_comes_by_a_closed_records_id_goes_to_whichever_record_stands_for_it(door: Door) -> None:
    """Questionnaires that were begun for it, and rows of a town's file that mean it."""
    records = door.app.state.records
    row = ("17", BODY["birth_date"], "女", "若葉", "ひかり", "わかば", "ヒカリ")
    first, second = await door.family(), (await imported(door, *row))["child"]

    async def files(response: str) -> None:
        submitted = QuestionnaireSubmitted(
            child=second, form="f", form_version="1", answers=(), submitted_by="m", submitted_at=NOON
        )
        await file_questionnaire(records, response, submitted, f"event-{response}")

    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    await files("while-merged")
    assert (await imported(door, *row))["child"] == first
    undone = await door.does(NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "双子だった"})
    third = undone["restored"]
    await files("afterwards")
    assert (await imported(door, *row))["child"] == third
    assert set((await of(door, first)).questionnaires) == {"while-merged"}
    assert set((await of(door, third)).questionnaires) == {"afterwards"}


async def test_a_stay_that_came_with_a_merge_begins_and_ends_on_its_days_on_either_record(door: Door) -> None:
    first, second = await twice(door)
    since, until = "2026-11-25", "2026-11-30"
    stay = {"municipality": OTHER_TOWN, "clinics": ["clinic-1"], "since": since, "until": until}
    await door.does(FATHER, "POST", f"/v1/children/{second}/stays", stay)
    await door.does(NURSE, "POST", f"/v1/children/{first}/merges", {"other": second, "reason": "二重登録"})
    records = door.app.state.records

    async def after(days: int, child: str) -> tuple[int, set[str]]:
        door.runtime.clock.move_to(door.runtime.clock.now() + timedelta(days=days))
        await turn_days(records)
        found = await of(door, child)
        return len(found.stays), found.begun

    assert await after(2, first) == (1, set((await of(door, first)).stays))
    undone = await door.does(NURSE, "POST", f"/v1/children/{first}/merges/{second}/undo", {"reason": "双子だった"})
    assert (await of(door, first)).stays == {}
    third = await of(door, undone["restored"])
    assert third.begun == set(third.stays)
    assert await after(5, undone["restored"]) == (1, third.begun)
    assert await after(1, undone["restored"]) == (0, set())


async def test_a_frozen_record_has_its_day_when_it_thaws_and_holds_up_nobody(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await twice(door)
    other = await door.born(STRANGER, name={**BODY["name"], "given_kana": "ソラ"})
    stay = {"municipality": OTHER_TOWN, "clinics": [], "since": "2026-11-24", "until": "2026-11-30"}
    await door.does(FATHER, "POST", f"/v1/children/{second}/stays", stay)
    await door.does(STRANGER, "POST", f"/v1/children/{other}/stays", stay)
    records = door.app.state.records
    with monkeypatch.context() as patch:
        dying_before(patch, "_MERGE", 1)
        with pytest.raises(Killed):
            await commands.merge(records, NURSE, first, second, "二重登録", command_of_key("m1"))
    door.runtime.clock.move_to(door.runtime.clock.now() + timedelta(days=1))
    await turn_days(records)
    assert len((await of(door, other)).begun) == 1
    assert await commands.resume(records, older_than=NOW) == 1
    await turn_days(records)
    assert len((await of(door, first)).begun) == 1


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


def test_a_restored_record_knows_the_towns_that_it_had_left_and_those_since_the_merge() -> None:
    def moved(child: Child, to: str, on: date) -> None:
        here = child.record.facts.municipality
        child.happens([ChildMoved(from_municipality=here, to_municipality=to, effective_on=on, by=NURSE.actor)])

    first, second = Child(), Child(municipality=OTHER_TOWN, by=OTHER_REGISTER)
    moved(second, TOWN, BORN + timedelta(days=20))
    moved(first, "139939", BORN + timedelta(days=5))
    moved(first, TOWN, BORN + timedelta(days=9))
    told, carried = merging.merge(
        first.record, second.record, other_id="B", other_revision=1, reason="twice", caller=NURSE
    )
    before = len(first.record.lived)
    first.happens(told)
    moved(first, OTHER_TOWN, BORN + timedelta(days=90))
    opening, *_ = merging.restore(
        first.record, second.record, carried, moved_since=first.record.lived[before:], other_id="B", caller=OTHER_NURSE
    )
    assert isinstance(opening, ChildRegistered)
    third = opened(opening)
    assert [(one.municipality, one.until) for one in third.lived] == [
        (OTHER_TOWN, BORN + timedelta(days=20)),
        (TOWN, BORN + timedelta(days=90)),
    ]
    assert third.facts.municipality == OTHER_TOWN


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
