"""Staff learn: a course is completed by right answers, once a version, and the town sees who has not yet."""

import copy

import pytest

from services.notify.commands.training import load_courses
from services.notify.domain.training import TrainingBroken, check, wrong
from services.notify.tests.town import MOTHER, NURSE, OTHER_NURSE, REGISTER, SECOND_NURSE, TOWN, Town

COURSES = load_courses()


def test_a_course_whose_right_answer_is_no_choice_stops_the_start() -> None:
    broken = copy.deepcopy(list(COURSES.values()))
    broken[0]["questions"][0]["right"] = 5
    with pytest.raises(TrainingBroken):
        check(broken)
    with pytest.raises(TrainingBroken):
        check([*COURSES.values(), *COURSES.values()])


@pytest.mark.parametrize(
    ("answers", "expected"), [([2, 0], []), ([2, 1], [1]), ([0, 1], [0, 1]), ([2], [1]), ([], [0, 1]), ([2, 0, 0], [2])]
)
def test_every_answer_has_to_be_right(answers: list[int], expected: list[int]) -> None:
    assert wrong(COURSES["sids"], answers) == expected


@pytest.mark.integration
async def test_the_record_of_a_towns_training(town: Town) -> None:
    await town.employs(NURSE.subject, SECOND_NURSE.subject)
    listed = (await town.does(NURSE, "GET", "/v1/training"))["items"]
    assert {one["id"] for one in listed} == set(COURSES)
    assert all("right" not in question for one in listed for question in one["questions"])
    path = "/v1/training/sids/completions"
    assert (await town.does(NURSE, "POST", path, {"answers": [0, 0]})) == {
        "course": "sids",
        "passed": False,
        "wrong": [0],
    }
    first = await town.does(NURSE, "POST", path, {"answers": [2, 0]})
    again = await town.does(NURSE, "POST", path, {"answers": [2, 0]})
    assert first == again
    assert first["passed"]
    await town.does(OTHER_NURSE, "POST", path, {"answers": [2, 0]})
    records = (await town.does(SECOND_NURSE, "GET", f"/v1/municipalities/{TOWN}/training"))["items"]
    done = {(one["staff"], each["course"]) for one in records for each in one["courses"] if each["completed_at"]}
    assert done == {(NURSE.subject, "sids")}
    assert [one["staff"] for one in records] == [NURSE.subject, SECOND_NURSE.subject]
    mine = {one["id"]: one["completed_at"] for one in (await town.does(NURSE, "GET", "/v1/training"))["items"]}
    assert mine["sids"] == first["completed_at"]
    assert mine["epds"] is None


@pytest.mark.integration
async def test_what_is_not_for_them_or_not_understood(town: Town) -> None:
    path = "/v1/training/sids/completions"
    for who, status in ((MOTHER, 403), (REGISTER, 403)):
        assert (await town.call(who, "POST", path, {"answers": [2, 0]})).status_code == status
    assert (await town.call(NURSE, "POST", path, {"answers": ["2"]})).status_code == 422
    assert (await town.call(NURSE, "POST", "/v1/training/nothing/completions", {"answers": []})).status_code == 404
    assert (await town.call(OTHER_NURSE, "GET", f"/v1/municipalities/{TOWN}/training")).status_code == 404
