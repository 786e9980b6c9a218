"""Moves with both sides' word, and stays that lend the record for a time: who may read changes, the record does not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.records.commands.moves import turn_days
from services.records.domain import moves, stays
from services.records.domain.access import Caller, Verb, check
from services.records.tests.conftest import Door
from services.records.tests.families import (
    BORN,
    CLINIC,
    MOTHER,
    NURSE,
    OTHER_CLINIC,
    OTHER_NURSE,
    OTHER_TOWN,
    REGISTER,
    STRANGER,
    TODAY,
    TOWN,
    Child,
)
from services.records.tests.families import family as a_family
from services.records.tests.test_children import places
from shared.events.records import ChildMoved, ConsentGiven, ConsentWithdrawn, StayEnded, StayPlanned, StayStarted
from shared.problems import Conflict, Forbidden, Invalid, NotFound

TOMORROW = TODAY + timedelta(days=1)
THIRD_NURSE = Caller("nurse-3", "staff", municipality="139939")


def announce(child: Child, on: date = TODAY, to: str = OTHER_TOWN, *, here: bool = True, by: Caller = NURSE) -> Any:
    wish = moves.MoveWish(to_municipality=to, effective_on=on)
    return child.happens(moves.announce(child.record, wish, by, move="m1", here=here, today=TODAY))


def resident(child: Child, nurse: Caller) -> bool:
    try:
        check(child.record, nurse, "move", TODAY)
    except NotFound:
        return False
    return True


@pytest.mark.parametrize("by", [NURSE, REGISTER])
def test_a_move_takes_both_towns(by: Caller) -> None:
    child = a_family()
    announce(child, by=by)
    assert resident(child, NURSE)
    assert not resident(child, OTHER_NURSE)
    *_, event = child.happens(moves.confirm(child.record, OTHER_NURSE, today=TODAY))
    assert isinstance(event, ChildMoved)
    assert (event.from_municipality, event.to_municipality) == (TOWN, OTHER_TOWN)
    assert resident(child, OTHER_NURSE)
    assert not resident(child, NURSE)
    check(child.record, MOTHER, "record_dose", TODAY)


def test_a_confirmed_move_waits_for_its_day() -> None:
    child = a_family()
    announce(child, TOMORROW)
    child.happens(moves.confirm(child.record, OTHER_NURSE, today=TODAY))
    assert resident(child, NURSE)
    assert moves.confirm(child.record, OTHER_NURSE, today=TODAY) == []
    assert moves.on_day(child.record, TODAY) == []
    child.happens(moves.on_day(child.record, TOMORROW))
    assert resident(child, OTHER_NURSE)
    assert moves.on_day(child.record, TOMORROW) == []


def test_an_unconfirmed_move_never_happens_by_itself() -> None:
    child = a_family()
    announce(child, TOMORROW)
    assert moves.on_day(child.record, TODAY + timedelta(days=90)) == []


def test_a_town_that_is_not_on_the_platform_has_nobody_to_confirm() -> None:
    child = a_family()
    announce(child, here=False)
    assert not resident(child, NURSE)
    later = a_family()
    announce(later, TOMORROW, here=False)
    assert resident(later, NURSE)
    later.happens(moves.on_day(later.record, TOMORROW))
    assert not resident(later, NURSE)


@pytest.mark.parametrize("by", [NURSE, OTHER_NURSE])
def test_either_town_takes_a_move_back(by: Caller) -> None:
    child = a_family()
    announce(child)
    child.happens(moves.cancel(child.record, by, today=TODAY))
    with pytest.raises(NotFound):
        moves.confirm(child.record, OTHER_NURSE, today=TODAY)
    announce(child)


def test_nobody_else_has_a_say_in_a_move() -> None:
    child = a_family()
    with pytest.raises(NotFound):
        announce(child, by=OTHER_NURSE)
    announce(child)
    for who, error in ((THIRD_NURSE, NotFound), (NURSE, NotFound), (MOTHER, Forbidden), (CLINIC, Forbidden)):
        with pytest.raises(error):
            moves.confirm(child.record, who, today=TODAY)
    with pytest.raises(NotFound):
        moves.cancel(child.record, THIRD_NURSE, today=TODAY)
    with pytest.raises(Conflict):
        announce(child)


@pytest.mark.parametrize(
    ("to", "on", "pointer", "code"),
    [
        (TOWN, TODAY, "/to_municipality", "same-municipality"),
        ("139911", TODAY, "/to_municipality", "municipality-code"),
        (OTHER_TOWN, TODAY + timedelta(days=367), "/effective_on", "in-the-future"),
        (OTHER_TOWN, BORN - timedelta(days=1), "/effective_on", "before-birth"),
    ],
)
def test_an_impossible_move_is_refused(to: str, on: date, pointer: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        announce(a_family(), on, to)
    assert places(refused.value) == {pointer: code}


# Stays ------------------------------------------------------------------------------------------------------------


def stay(child: Child, since: date = TODAY, days: int = 60, by: Caller = MOTHER, **changes: Any) -> Any:
    wish: dict[str, Any] = {
        "municipality": OTHER_TOWN,
        "clinics": ("clinic-2",),
        "since": since,
        "until": since + timedelta(days=days),
    }
    return child.happens(
        stays.plan(child.record, stays.StayWish(**(wish | changes)), by, stay=f"s-{since}", today=TODAY)
    )


def writes(child: Child, who: Caller, today: date = TODAY) -> bool:
    try:
        check(child.record, who, "record_dose", today)
    except NotFound:
        return False
    return True


def test_a_stay_lends_the_record_and_ends_by_itself() -> None:
    child = a_family()
    told = stay(child)
    assert [type(event) for event in told] == [StayPlanned, StayStarted, ConsentGiven, ConsentGiven]
    assert writes(child, OTHER_NURSE)
    assert writes(child, OTHER_CLINIC)
    assert writes(child, NURSE)
    over = TODAY + timedelta(days=61)
    assert not writes(child, OTHER_NURSE, over)
    assert not writes(child, OTHER_CLINIC, over)
    ended = child.happens(stays.on_day(child.record, over))
    assert [type(event) for event in ended] == [StayEnded, ConsentWithdrawn, ConsentWithdrawn]
    assert stays.on_day(child.record, over) == []


def test_a_planned_stay_lends_nothing_before_its_day() -> None:
    child = a_family()
    assert [type(event) for event in stay(child, TOMORROW)] == [StayPlanned]
    assert not writes(child, OTHER_NURSE)
    child.happens(stays.on_day(child.record, TOMORROW))
    assert writes(child, OTHER_NURSE, TOMORROW)


def test_a_guardian_ends_a_stay_early_and_a_consent_of_its_own_outlives_it() -> None:
    child = a_family()
    child.trusts(OTHER_CLINIC)
    stay(child)
    child.happens(stays.end(child.record, f"s-{TODAY}", MOTHER, today=TODAY))
    assert not writes(child, OTHER_NURSE)
    assert writes(child, OTHER_CLINIC)
    with pytest.raises(NotFound):
        stays.end(child.record, f"s-{TODAY}", MOTHER, today=TODAY)


def test_the_lent_town_writes_but_does_not_govern() -> None:
    child = a_family()
    stay(child)
    governing: tuple[Verb, ...] = ("correct", "issue_codes", "move", "cut_off", "change_guardians")
    for verb in governing:
        with pytest.raises(NotFound):
            check(child.record, OTHER_NURSE, verb, TODAY)


def test_a_stay_in_the_town_that_the_child_moves_to_is_over() -> None:
    child = a_family()
    stay(child)
    announce(child)
    told = child.happens(moves.confirm(child.record, OTHER_NURSE, today=TODAY))
    assert [event.reason for event in told if isinstance(event, StayEnded)] == ["moved"]
    assert resident(child, OTHER_NURSE)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"municipality": TOWN}, "/municipality", "same-municipality"),
        ({"municipality": "139911"}, "/municipality", "municipality-code"),
        ({"since": TODAY - timedelta(days=1)}, "/since", "in-the-past"),
        ({"until": TODAY - timedelta(days=1)}, "/until", "out-of-range"),
        ({"until": TODAY + timedelta(days=400)}, "/until", "out-of-range"),
        ({"since": TODAY + timedelta(days=60), "until": TODAY + timedelta(days=70)}, "/since", "overlapping-stay"),
    ],
)
def test_an_impossible_stay_is_refused(changes: dict[str, Any], pointer: str, code: str) -> None:
    child = a_family()
    if code == "overlapping-stay":
        stay(child)
    with pytest.raises(Invalid) as refused:
        stay(child, **changes)
    assert places(refused.value) == {pointer: code}


def test_a_stay_is_the_guardians_to_plan() -> None:
    for who, error in ((NURSE, Forbidden), (CLINIC, Forbidden), (STRANGER, NotFound)):
        with pytest.raises(error):
            stay(a_family(), by=who)


@pytest.mark.integration
async def test_the_day_begins_ends_and_moves_by_itself_and_once(door: Door) -> None:
    child = await door.family()
    body = {"municipality": OTHER_TOWN, "clinics": ["clinic-2"], "since": "2026-11-25", "until": "2026-11-30"}
    await door.does(MOTHER, "POST", f"/v1/children/{child}/stays", body)
    going = {"to_municipality": OTHER_TOWN, "effective_on": "2026-12-05"}
    await door.does(NURSE, "POST", f"/v1/children/{child}/move", going)
    await door.does(OTHER_NURSE, "POST", f"/v1/children/{child}/move/confirmation")
    records = door.app.state.records

    async def told_after(days: int) -> list[str]:
        before = len(await door.announced(child))
        door.runtime.clock.move_to(door.runtime.clock.now() + timedelta(days=days))
        await turn_days(records)
        await turn_days(records)
        return [name for _, name, _ in (await door.announced(child))[before:]]

    assert await told_after(1) == []
    assert await told_after(1) == ["StayStarted", "ConsentGiven", "ConsentGiven"]
    assert await told_after(6) == ["StayEnded", "ConsentWithdrawn", "ConsentWithdrawn"]
    assert await told_after(4) == ["ChildMoved"]
    assert (await door.call(NURSE, "GET", f"/v1/children/{child}/history")).status_code == 404
    assert (await door.call(OTHER_NURSE, "GET", f"/v1/children/{child}/history")).status_code == 200


@pytest.mark.integration
async def test_what_a_stay_lends_ends_with_its_last_day_to_the_second(door: Door) -> None:
    """Reading and writing, for the town and its clinic: no minute too long, whether or not somebody has turned the day."""
    child = await door.family()
    body = {"municipality": OTHER_TOWN, "clinics": ["clinic-2"], "since": "2026-11-23", "until": "2026-11-30"}
    await door.does(MOTHER, "POST", f"/v1/children/{child}/stays", body)
    path = f"/v1/children/{child}"
    asked = (
        ("GET", "/history", None),
        ("POST", "/growth", {"measured_on": "2026-11-23", "weight_kg": 7.1}),
        ("POST", "/checkups", {"kind": "checkup_3m", "done_on": "2026-11-23"}),
        ("POST", "/doses", {"given_on": "2026-11-23", "cvx": "170"}),
    )

    async def statuses() -> set[int]:
        answers = [
            await door.call(who, method, f"{path}{rest}", sent)
            for who in (OTHER_NURSE, OTHER_CLINIC)
            for method, rest, sent in asked
        ]
        # A dose that is on record already is refused as such: to one who may write.
        return {200 if answer.status_code in {200, 201, 422} else answer.status_code for answer in answers}

    door.runtime.clock.move_to(datetime(2026, 11, 30, 14, 59, 59, tzinfo=UTC))
    assert await statuses() == {200}
    door.runtime.clock.move_to(datetime(2026, 11, 30, 15, 0, 0, tzinfo=UTC))
    assert await statuses() == {404}
    await turn_days(door.app.state.records)
    assert await statuses() == {404}
