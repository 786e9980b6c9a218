"""Pregnancies: notified, confirmed, followed, and ended once."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.records import store as kept
from services.records.commands import pregnancies
from services.records.domain import pregnancy as rules
from services.records.domain import pregnancy_care as care
from services.records.domain.access import Caller
from services.records.domain.children import ChildWish
from services.records.tests.conftest import Door
from services.records.tests.families import (
    CLINIC,
    MOTHER,
    NOON,
    NURSE,
    OTHER_CLINIC,
    OTHER_NURSE,
    OTHER_TOWN,
    STRANGER,
    TODAY,
    TOWN,
)
from services.records.tests.test_children import places
from shared.events.records import PregnancyEvent
from shared.ids import derived_id
from shared.problems import Conflict, Forbidden, Invalid, NotFound

EXPECTED = TODAY + timedelta(days=10)
NAME = {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"}


def pregnant(expected: date = EXPECTED, by: Caller = NURSE) -> rules.Pregnancy:
    """A pregnancy that the town knows of."""
    found, events = rules.notify(MOTHER.subject, TOWN, expected, by, TODAY)
    for event in events:
        rules.apply(found, event)
    return found


def newborn(**changes: Any) -> ChildWish:
    given: dict[str, Any] = {"birth_date": TODAY, "sex": "F", "municipality": TOWN, "birth_weight_g": 3_010, **NAME}
    return ChildWish(**{**given, **changes})


def birth(*children: ChildWish, on: date = TODAY) -> rules.EndWish:
    return rules.EndWish(outcome="birth", ended_on=on, children=children)


def test_what_a_woman_notifies_waits_for_her_town() -> None:
    found = pregnant(by=MOTHER)
    assert not found.confirmed
    with pytest.raises(Conflict):
        rules.births(found, birth(newborn()), MOTHER, pregnancy_id="p", today=TODAY)
    with pytest.raises(NotFound):
        rules.confirm(found, OTHER_NURSE)
    for event in rules.confirm(found, NURSE):
        rules.apply(found, event)
    assert found.confirmed


@pytest.mark.parametrize(
    ("woman", "town", "expected", "by", "found"),
    [
        (MOTHER.subject, TOWN, TODAY + timedelta(days=281), NURSE, {"/expected_delivery": "implausible"}),
        (MOTHER.subject, TOWN, TODAY - timedelta(days=22), NURSE, {"/expected_delivery": "implausible"}),
        (MOTHER.subject, OTHER_TOWN, EXPECTED, NURSE, {"/municipality": "municipality-foreign"}),
        (MOTHER.subject, "000000", EXPECTED, MOTHER, {"/municipality": "municipality-code"}),
        (MOTHER.subject, TOWN, EXPECTED, STRANGER, {"/guardian": "not-yourself"}),
    ],
)
def test_an_impossible_notification_is_refused(
    woman: str, town: str, expected: date, by: Caller, found: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refused:
        rules.notify(woman, town, expected, by, TODAY)
    assert places(refused.value) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"weight_kg": 5840.0}, {"/weight_kg": "out-of-range"}),
        ({"systolic_mmhg": 70, "diastolic_mmhg": 110}, {"/diastolic_mmhg": "not-below-systolic"}),
        ({"fundal_height_cm": 265.0}, {"/fundal_height_cm": "out-of-range"}),
        ({"done_on": TODAY + timedelta(days=1)}, {"/done_on": "in-the-future"}),
        ({"done_on": EXPECTED - timedelta(days=281)}, {"/done_on": "before-the-pregnancy"}),
    ],
)
def test_a_slip_of_the_pen_is_no_checkup(values: dict[str, Any], found: dict[str, str]) -> None:
    wish = care.CheckupWish(**{"done_on": TODAY, **values})
    with pytest.raises(Invalid) as refused:
        care.record_checkup(pregnant(), wish, MOTHER, checkup_id="k", today=TODAY)
    assert places(refused.value) == found


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (birth(), {"/children": "how-many"}),
        (rules.EndWish(outcome="loss", ended_on=TODAY, children=(newborn(),)), {"/children": "how-many"}),
        (birth(newborn(), on=TODAY + timedelta(days=1)), {"/ended_on": "in-the-future"}),
        (birth(newborn(), on=TODAY - timedelta(days=160)), {"/ended_on": "implausible"}),
        (birth(newborn(), newborn(birth_weight_g=25)), {"/children/1/birth_weight_g": "out-of-range"}),
    ],
)
def test_an_impossible_outcome_is_refused(wish: rules.EndWish, found: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        rules.births(pregnant(), wish, NURSE, pregnancy_id="p", today=TODAY)
    assert places(refused.value) == found


def test_it_ends_once() -> None:
    found = pregnant()
    rules.apply(found, rules.end(rules.EndWish(outcome="loss", ended_on=TODAY), (), NURSE))
    with pytest.raises(Conflict):
        rules.births(found, birth(newborn()), NURSE, pregnancy_id="p", today=TODAY)
    with pytest.raises(Conflict):
        rules.correct(found, EXPECTED, "x", NURSE, TODAY)


def test_checkups_and_doses_are_put_right_and_withdrawn_by_whose_word_they_are() -> None:
    found = pregnant()

    def happens(events: list[Any]) -> None:
        for event in events:
            rules.apply(found, event)

    day = TODAY - timedelta(days=3)
    for key, by in (("hers", MOTHER), ("towns", NURSE)):
        on = day if by is MOTHER else TODAY
        wish = care.CheckupWish(done_on=on, weight_kg=55.2)
        happens(care.record_checkup(found, wish, by, checkup_id=key, today=TODAY))
        happens(care.record_dose(found, on, None, "AB1", by, dose_id=key, today=TODAY, now=NOON))
    better = care.CheckupWish(done_on=day, weight_kg=54.2)
    with pytest.raises(Forbidden):
        care.correct_checkup(found, "towns", better, "x", MOTHER, today=TODAY)
    with pytest.raises(Forbidden):
        care.retract_dose(found, "towns", "x", MOTHER, today=TODAY)
    with pytest.raises(NotFound):
        care.correct_checkup(found, "hers", better, "x", STRANGER, today=TODAY)
    with pytest.raises(Invalid) as refused:
        care.correct_dose(found, "hers", TODAY, None, "AB1", "x", MOTHER, today=TODAY)
    assert places(refused.value) == {"/given_on": "already-recorded"}
    # Also after the end: what was told wrongly is put right.
    rules.apply(found, rules.end(birth(newborn()), ("c1",), NURSE))
    happens(care.correct_checkup(found, "hers", better, "misread", NURSE, today=TODAY))
    happens(care.correct_dose(found, "hers", day, None, "AB2", "misread", MOTHER, today=TODAY))
    assert (found.checkups["hers"].weight_kg, found.checkups["hers"].organisation) == (54.2, None)
    assert (found.doses["hers"].lot, found.doses["hers"].provenance) == ("AB2", "guardian")
    assert care.correct_checkup(found, "hers", better, "again", NURSE, today=TODAY) == []
    happens(care.retract_checkup(found, "towns", "another woman's", NURSE, today=TODAY))
    happens(care.retract_dose(found, "towns", "another woman's", NURSE, today=TODAY))
    assert (list(found.checkups), list(found.retracted_doses)) == (["hers"], ["towns"])
    with pytest.raises(Conflict):
        care.retract_dose(found, "towns", "x", NURSE, today=TODAY)


@pytest.mark.parametrize(
    ("told_by", "taken_back_by", "may"),
    [(NURSE, NURSE, True), (NURSE, MOTHER, False), (MOTHER, MOTHER, True), (MOTHER, NURSE, True)],
)
def test_a_loss_told_wrongly_is_taken_back(told_by: Caller, taken_back_by: Caller, may: bool) -> None:
    found = pregnant()
    with pytest.raises(NotFound):
        rules.take_back_loss(found, "x", NURSE)
    rules.apply(found, rules.end(rules.EndWish(outcome="loss", ended_on=TODAY), (), told_by))
    if not may:
        with pytest.raises(Forbidden):
            rules.take_back_loss(found, "x", taken_back_by)
        return
    for event in rules.take_back_loss(found, "another woman's", taken_back_by):
        rules.apply(found, event)
    # It goes on: she may give birth.
    assert rules.births(found, birth(newborn()), NURSE, pregnancy_id="p", today=TODAY)
    rules.apply(found, rules.end(birth(newborn()), ("c1",), NURSE))
    with pytest.raises(Conflict):
        rules.take_back_loss(found, "x", NURSE)


def twins() -> dict[str, Any]:
    child = {"sex": "F", "name": NAME, "birth_weight_g": 2_400}
    return {"outcome": "birth", "ended_on": TODAY.isoformat(), "children": [child, {**child, "sex": "M"}]}


def test_what_is_lent_to_a_clinic_ends_by_itself_and_by_her_word() -> None:
    found = pregnant()
    wish = care.CheckupWish(done_on=TODAY, weight_kg=55.2)

    def happens(events: list[PregnancyEvent]) -> None:
        for event in events:
            rules.apply(found, event)

    with pytest.raises(NotFound):
        care.record_checkup(found, wish, CLINIC, checkup_id="k", today=TODAY)
    with pytest.raises(Forbidden):
        rules.lend(found, "clinic-1", "clinic", TODAY, NURSE, TODAY)
    for until in (TODAY - timedelta(days=1), TODAY + timedelta(days=366)):
        with pytest.raises(Invalid) as refused:
            rules.lend(found, "clinic-1", "clinic", until, MOTHER, TODAY)
        assert places(refused.value) == {"/until": "out-of-range"}
    with pytest.raises(Invalid) as refused:
        rules.lend(found, TOWN, "municipality", TODAY, MOTHER, TODAY)
    assert places(refused.value) == {"/path/organisation": "same-municipality"}

    happens(rules.lend(found, "clinic-1", "clinic", TODAY, MOTHER, TODAY))
    assert rules.lend(found, "clinic-1", "clinic", TODAY, MOTHER, TODAY) == []
    happens(care.record_checkup(found, wish, CLINIC, checkup_id="clinics", today=TODAY))
    assert found.checkups["clinics"].organisation == "clinic-1"
    before = care.CheckupWish(done_on=TODAY - timedelta(days=7), weight_kg=54.9)
    happens(care.record_checkup(found, before, NURSE, checkup_id="towns", today=TODAY))
    with pytest.raises(Forbidden):
        care.retract_checkup(found, "towns", "x", CLINIC, today=TODAY)
    with pytest.raises(Forbidden):
        rules.correct(found, EXPECTED, "x", CLINIC, TODAY)
    with pytest.raises(NotFound):
        rules.check_treating(found, CLINIC, TODAY + timedelta(days=1))
    assert care.retract_checkup(found, "clinics", "x", NURSE, today=TODAY)
    happens(rules.take_back_consent(found, "clinic-1", MOTHER))
    for caller in (CLINIC, OTHER_NURSE, STRANGER):
        with pytest.raises(NotFound):
            rules.check_treating(found, caller, TODAY)
    with pytest.raises(NotFound):
        rules.take_back_consent(found, "clinic-1", MOTHER)


def test_a_move_waits_for_the_new_town() -> None:
    found = pregnant()
    for town, code in ((TOWN, "same-municipality"), ("139913", "municipality-code")):
        with pytest.raises(Invalid) as refused:
            rules.announce_move(found, town, MOTHER)
        assert places(refused.value) == {"/to_municipality": code}
    with pytest.raises(Conflict):
        rules.cancel_move(found, MOTHER)
    assert rules.announce_move(found, OTHER_TOWN, MOTHER) == []
    rules.check(found, NURSE)
    with pytest.raises(NotFound):
        rules.check(found, OTHER_NURSE)
    rules.cancel_move(found, OTHER_NURSE)
    with pytest.raises(NotFound):
        rules.confirm(found, OTHER_NURSE)
    rules.announce_move(found, OTHER_TOWN, NURSE)
    for event in rules.confirm(found, OTHER_NURSE):
        rules.apply(found, event)
    rules.check(found, OTHER_NURSE)
    with pytest.raises(NotFound):
        rules.check(found, NURSE)


def test_what_no_town_has_confirmed_goes_to_another_one_at_once() -> None:
    found = pregnant(by=MOTHER)
    assert rules.announce_move(found, OTHER_TOWN, MOTHER) == []
    assert (found.municipality, found.moving_to, found.confirmed) == (OTHER_TOWN, None, False)


async def _notified(door: Door) -> str:
    body = {"guardian": MOTHER.subject, "municipality": TOWN, "expected_delivery": EXPECTED.isoformat()}
    return str((await door.does(NURSE, "POST", "/v1/pregnancies", body))["id"])


@pytest.mark.integration
async def test_twins_are_born_once_whoever_repeats(door: Door) -> None:
    pregnancy = await _notified(door)
    path = f"/v1/pregnancies/{pregnancy}/outcome"
    first = await door.does(NURSE, "POST", path, twins(), Idempotency_Key="born")
    assert await door.does(NURSE, "POST", path, twins(), Idempotency_Key="born") == first
    assert (await door.call(NURSE, "POST", path, twins())).status_code == 409
    assert first["children"] == [derived_id("born", pregnancy, str(place)) for place in (0, 1)]
    one, other = [(await door.document(child))["state"] for child in first["children"]]
    assert one["facts"]["twin_group"] == other["facts"]["twin_group"]
    assert [one["facts"]["sex"], other["facts"]["sex"]] == ["F", "M"]
    assert one["facts"]["gestation_days"] == 270
    assert [bound["guardian"] for bound in one["guardians"]] == [MOTHER.subject]
    assert await door.runtime.store.count(kept.collections.CHILDREN, {}) == 2
    seen = await door.does(MOTHER, "GET", f"/v1/pregnancies/{pregnancy}")
    assert (seen["outcome"], seen["children"], seen["silenced"]) == ("birth", first["children"], False)


@pytest.mark.integration
@pytest.mark.parametrize("opened", [0, 1, 2])
async def test_w5_a_birth_left_half_done_goes_on(door: Door, monkeypatch: pytest.MonkeyPatch, opened: int) -> None:
    """The process ends after so many children had their record; the keeper finds it, and a repeat gets its answer."""
    pregnancy = await _notified(door)
    records = door.app.state.records
    create, left = records.children.create, [opened]

    async def until_the_end(*given: Any) -> Any:
        if not left[0]:
            raise SystemError
        left[0] -= 1
        return await create(*given)

    path = f"/v1/pregnancies/{pregnancy}/outcome"
    with monkeypatch.context() as crash:
        crash.setattr(records.children, "create", until_the_end)
        if opened == 2:
            crash.setattr(records.pregnancies, "change", _fails_the_second_time(records.pregnancies.change))
        assert (await door.call(NURSE, "POST", path, twins(), Idempotency_Key="born")).status_code == 500
    assert await door.runtime.store.count(kept.collections.CHILDREN, {}) == opened
    # Meanwhile nothing else may be written, and no other outcome told.
    assert (await door.call(NURSE, "POST", path, {"outcome": "loss", "ended_on": "2026-11-20"})).status_code == 409
    assert await pregnancies.resume(records, older_than=timedelta(0)) >= 1
    assert await pregnancies.resume(records, older_than=timedelta(0)) == 0
    assert await door.runtime.store.count(kept.collections.CHILDREN, {}) == 2
    again = await door.does(NURSE, "POST", path, twins(), Idempotency_Key="born")
    assert len(again["children"]) == 2


def _fails_the_second_time(change: Any) -> Any:
    calls: list[int] = []

    async def changing(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise SystemError
        return await change(*given, **more)

    return changing


@pytest.mark.integration
async def test_a_refused_outcome_leaves_nothing_behind(door: Door) -> None:
    pregnancy = await _notified(door)
    wrong = {**twins(), "children": []}
    assert (await door.call(NURSE, "POST", f"/v1/pregnancies/{pregnancy}/outcome", wrong)).status_code == 422
    assert await door.runtime.store.count(kept.collections.SAGAS, {}) == 0
    await door.does(NURSE, "POST", f"/v1/pregnancies/{pregnancy}/outcome", twins())


@pytest.mark.integration
async def test_a_pregnancy_is_lent_and_moves_and_each_finds_what_is_theirs(door: Door) -> None:
    pregnancy = await _notified(door)
    path = f"/v1/pregnancies/{pregnancy}"

    async def lists(*callers: Caller) -> list[bool]:
        return [bool((await door.does(one, "GET", "/v1/pregnancies"))["items"]) for one in callers]

    assert await lists(MOTHER, NURSE, CLINIC, OTHER_NURSE) == [True, True, False, False]
    lent = {"until": (TODAY + timedelta(days=30)).isoformat()}
    await door.does(MOTHER, "PUT", f"{path}/consents/clinic-1", lent)
    assert (await door.call(MOTHER, "PUT", f"{path}/consents/nobody", lent)).status_code == 422
    assert (await door.call(STRANGER, "PUT", f"{path}/consents/clinic-1", lent)).status_code == 404
    seen = await door.does(CLINIC, "GET", path)
    assert "consents" not in seen
    assert [one["organisation"] for one in (await door.does(MOTHER, "GET", path))["consents"]] == ["clinic-1"]
    await door.does(CLINIC, "POST", f"{path}/checkups", {"done_on": TODAY.isoformat(), "systolic_mmhg": 118})
    assert await lists(CLINIC, OTHER_CLINIC) == [True, False]

    going = {"to_municipality": OTHER_TOWN}
    await door.does(MOTHER, "POST", f"{path}/move", going)
    assert await lists(NURSE, OTHER_NURSE) == [True, True]
    assert (await door.call(OTHER_NURSE, "GET", path)).status_code == 404
    await door.does(OTHER_NURSE, "POST", f"{path}/confirmation")
    assert await lists(NURSE, OTHER_NURSE, CLINIC) == [False, True, True]
    assert (await door.does(OTHER_NURSE, "GET", path))["checkups"][0]["organisation"] == "clinic-1"
    found = await door.runtime.store.get(kept.collections.PREGNANCIES, pregnancy)
    assert found is not None
    told = [(row["type"].split(".")[-2], row["tenant"]) for row in found["outbox"]]
    assert told == [
        ("PregnancyRegistered", TOWN),
        ("PregnancyConsentGiven", TOWN),
        ("PregnancyCheckupRecorded", TOWN),
        ("PregnancyMoved", OTHER_TOWN),
    ]

    await door.does(MOTHER, "DELETE", f"{path}/consents/clinic-1")
    assert (await door.call(CLINIC, "GET", path)).status_code == 404
    assert await lists(CLINIC) == [False]


@pytest.mark.integration
async def test_a_woman_has_one_pregnancy_at_a_time(door: Door) -> None:
    pregnancy = await _notified(door)
    body = {"municipality": TOWN, "expected_delivery": EXPECTED.isoformat()}
    again = await door.call(MOTHER, "POST", "/v1/pregnancies", body)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "already-notified")
    await door.does(
        NURSE, "POST", f"/v1/pregnancies/{pregnancy}/outcome", {"outcome": "loss", "ended_on": "2026-11-20"}
    )
    await door.does(MOTHER, "POST", "/v1/pregnancies", {**body, "expected_delivery": "2027-07-01"})
