"""After an earthquake: who is safe, who needs what, who has not been heard of, and where there is room and milk."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify import store as kept
from services.notify.domain import disaster
from services.notify.domain.disaster import STATES, UNACCOUNTED, Subject
from services.notify.tests.town import FATHER, MOTHER, NURSE, OTHER_NURSE, SCHOOL, STRANGER, TOWN, Town

ANYBODY: dict[str, Any] = {"any": [{"age_years": {"under": 6}}, {"pregnancy_week": {"from": 0}}]}


def said(name: str, state: str, at: float) -> dict[str, Any]:
    return {"_id": name, "state": state, "at": at, "needs": ["water_l"]}


answers = st.dictionaries(st.sampled_from(["g1", "g2", "g3"]), st.sampled_from(STATES))


@given(
    st.lists(st.lists(st.sampled_from(["g1", "g2", "g3"]), max_size=2, unique=True), max_size=8),
    answers,
    st.dictionaries(st.sampled_from(["s0", "s1", "s2"]), st.sampled_from(STATES)),
)
def test_the_sum_is_everybody_asked(
    asked: list[list[str]], by_guardian: dict[str, str], by_staff: dict[str, str]
) -> None:
    """Nobody is lost between the states, and nobody is unaccounted for of whom something is known."""
    subjects = [Subject(f"s{number}", "child", None, tuple(guardians)) for number, guardians in enumerate(asked)]
    told = {one: said(one, state, 1.0) for one, state in by_guardian.items()}
    found_by = {one: said(one, state, 2.0) for one, state in by_staff.items()}
    found = disaster.lines(subjects, told, found_by)
    assert [line.subject for line in found] == subjects
    assert sum(disaster.counts(found).values()) == len(subjects)
    for line in found:
        heard = line.subject.id in by_staff or any(one in by_guardian for one in line.subject.guardians)
        assert (line.state == UNACCOUNTED) is not heard


def test_the_worst_of_two_answers_counts_until_staff_have_been_there() -> None:
    [one] = subjects = [Subject("s", "child", None, ("g1", "g2"))]
    told = {"g1": said("a", "safe", 1.0), "g2": said("b", "needs_help", 2.0)}
    assert disaster.lines(subjects, told, {})[0].state == "needs_help"
    assert disaster.lines(subjects, told, {"s": said("c", "safe", 3.0)})[0].state == "safe"
    assert (
        disaster.lines(subjects, told | {"g1": said("a", "injured", 4.0)}, {"s": said("c", "safe", 3.0)})[0].state
        == "injured"
    )
    assert disaster.needs(disaster.lines([one, one], told, {})) == {"water_l": 1}


def test_distances() -> None:
    """Tokyo station to Osaka station are some 403 km apart by great circle."""
    assert disaster.kilometres((35.6812, 139.7671), (34.7025, 135.4959)) == pytest.approx(403, abs=3)
    assert disaster.kilometres((35.0, 139.0), (35.0, 139.0)) == 0.0


@pytest.mark.integration
async def test_the_story_of_a_check(town: Town) -> None:
    child = await town.born("2026-01-01", [MOTHER.subject, FATHER.subject], district="一丁目")
    pregnancy = await town.expects(MOTHER.subject)
    silent = await town.born("2025-01-01", ["silent"], district="二丁目")
    check = await town.publishes(urgency="emergency", audience=ANYBODY, safety_check=True)
    await town.expands(check)
    # Who comes later was not asked; who moves away is still looked for.
    await town.born("2026-02-01", ["later"])
    await town.moves(silent, "131024")
    path = f"/v1/announcements/{check}/safety"
    board = await town.does(NURSE, "GET", path)
    assert (board["asked"], board["counts"]["unaccounted"]) == (3, 3)
    [item] = await town.inbox()
    assert item["safety_check"]
    answer = {"state": "needs_help", "place": "shelter:school", "needs": ["formula_liquid", "water_l"], "note": "二階"}
    await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/safety", answer)
    board = await town.does(NURSE, "GET", path)
    assert board["counts"] == {"injured": 0, "needs_help": 2, "safe": 0, "unaccounted": 1}
    assert board["needs"] == {"formula_liquid": 1, "water_l": 1}
    missing = (await town.does(NURSE, "GET", f"{path}?state=unaccounted"))["items"]
    assert [(one["child"], one["district"], one["guardians"]) for one in missing] == [(silent, "二丁目", ["silent"])]
    await town.does(NURSE, "POST", path, {"state": "safe", "child": silent, "note": "電話で確認"})
    await town.does(MOTHER, "POST", f"/v1/inbox/{item['id']}/safety", {"state": "safe"})
    board = await town.does(NURSE, "GET", path)
    assert board["counts"] == {"injured": 0, "needs_help": 0, "safe": 3, "unaccounted": 0}
    by = {one["child"]: (one["kind"], one["by"]) for one in board["items"]}
    assert by == {
        child: ("child", MOTHER.subject),
        pregnancy: ("pregnancy", MOTHER.subject),
        silent: ("child", NURSE.subject),
    }


@pytest.mark.integration
async def test_a_long_list_comes_in_pages(town: Town) -> None:
    for number in range(5):
        await town.born(guardians=[f"g{number}"])
    check = await town.publishes(safety_check=True)
    path = f"/v1/announcements/{check}/safety?state=unaccounted&limit=2"
    seen: list[str] = []
    cursor = ""
    while True:
        page = await town.does(NURSE, "GET", path + cursor)
        seen += [one["child"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"state": "fine"}, "/state"),
        ({"state": "safe", "place": "moon"}, "/place"),
        ({"state": "safe", "needs": ["gold"]}, "/needs"),
        ({"state": "safe", "note": "<script>"}, "/note"),
        ({"state": "safe", "note": "あ" * 201}, "/note"),
        ({"state": "safe", "people": 3}, "/people"),
        ({}, "/state"),
    ],
)
async def test_an_answer_that_is_not_understood_changes_nothing(town: Town, body: Any, pointer: str) -> None:
    await town.born()
    await town.expands(await town.publishes(safety_check=True))
    [item] = await town.inbox()
    answer = await town.call(MOTHER, "POST", f"/v1/inbox/{item['id']}/safety", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert await town.runtime.store.count(kept.SAFETY, {}) == 0


@pytest.mark.integration
async def test_only_where_it_was_asked_and_only_while_it_stands(town: Town) -> None:
    child = await town.born()
    plain = await town.publishes()
    await town.expands(plain)
    [item] = await town.inbox()
    assert (await town.call(MOTHER, "POST", f"/v1/inbox/{item['id']}/safety", {"state": "safe"})).status_code == 404
    assert (await town.call(NURSE, "GET", f"/v1/announcements/{plain}/safety")).status_code == 404
    check = await town.publishes(safety_check=True)
    await town.expands(check)
    [item] = [one for one in await town.inbox() if one["announcement"] == check]
    assert (await town.call(STRANGER, "POST", f"/v1/inbox/{item['id']}/safety", {"state": "safe"})).status_code == 404
    foreign = await town.call(NURSE, "POST", f"/v1/announcements/{check}/safety", {"state": "safe", "child": "x"})
    assert foreign.json()["errors"][0]["code"] == "not-asked"
    await town.does(NURSE, "POST", f"/v1/announcements/{check}/recall", {"reason": "drill"})
    assert (await town.call(MOTHER, "POST", f"/v1/inbox/{item['id']}/safety", {"state": "safe"})).status_code == 409
    late = await town.call(NURSE, "POST", f"/v1/announcements/{check}/safety", {"state": "safe", "child": child})
    assert late.status_code == 409


@pytest.mark.integration
async def test_shelters_for_infants_first_then_the_nearest_and_only_those_with_milk(town: Town) -> None:
    base = f"/v1/municipalities/{TOWN}/shelters"
    await town.does(NURSE, "PUT", f"{base}/school", SCHOOL)
    await town.does(NURSE, "PUT", f"{base}/hall", {**SCHOOL, "name": "会館", "latitude": 35.01, "supplies": {}})
    centre = {**SCHOOL, "name": "母子センター", "latitude": 35.5, "for_infants": True}
    await town.does(NURSE, "PUT", f"{base}/centre", centre)
    await town.does(NURSE, "PUT", f"{base}/closed", {**SCHOOL, "name": "閉鎖", "open": False})
    found = (await town.does(MOTHER, "GET", f"{base}?latitude=35.012&longitude=139.0"))["items"]
    assert [one["id"] for one in found] == ["centre", "hall", "school"]
    assert found[1]["km"] == pytest.approx(0.22, abs=0.01)
    milk = (await town.does(MOTHER, "GET", f"{base}?need=formula_liquid"))["items"]
    assert [one["id"] for one in milk] == ["centre", "school"]
    await town.does(NURSE, "PUT", f"{base}/school", {**SCHOOL, "supplies": {"formula_liquid": 0}})
    assert [one["id"] for one in (await town.does(MOTHER, "GET", f"{base}?need=formula_liquid"))["items"]] == ["centre"]
    assert (await town.call(OTHER_NURSE, "PUT", f"{base}/school", SCHOOL)).status_code == 404


@pytest.mark.integration
@pytest.mark.parametrize(
    "changes",
    [
        {"latitude": 91},
        {"capacity": -1},
        {"supplies": {"gold": 1}},
        {"supplies": {"water_l": -1}},
        {"name": "<b>"},
        {"x": 1},
    ],
)
async def test_a_shelter_that_cannot_be_is_refused(town: Town, changes: dict[str, Any]) -> None:
    answer = await town.call(NURSE, "PUT", f"/v1/municipalities/{TOWN}/shelters/school", {**SCHOOL, **changes})
    assert answer.status_code == 422
    assert await town.runtime.store.count(kept.SHELTERS, {}) == 0
