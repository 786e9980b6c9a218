"""F21: any story of register, record, correct, retract, consent, withdraw, move, merge and separate, each step said up to
three times, its events delivered up to three times in any order: the record, the plan and a small model say the same."""

import json
import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.records.domain.access import Caller
from services.records.tests.conftest import Door, door, records_app  # noqa: F401 - fixtures
from services.records.tests.families import BORN, CLINIC, MOTHER, NURSE, OTHER_NURSE, OTHER_TOWN, TODAY, TOWN
from services.schedule import store as schedule_store
from services.schedule.domain.plan import make_plan, plan_to_json
from services.schedule.tests.test_service import RULES, Town, town  # noqa: F401 - fixtures
from shared.bus import envelope_of
from shared.events.base import Envelope
from shared.healing import Healer
from shared.ids import new_id
from shared.internal_calls import InternalCalls

pytestmark = [pytest.mark.integration, pytest.mark.fault]
LONG = os.environ.get("FAULTS") == "long"
STEPS_A_STORY = 40
STORIES = 250 if LONG else 5
VERBS = (
    *("register", "record", "record", "record", "correct", "retract", "consent", "withdraw"),
    *("move", "merge", "merge", "separate"),
)
NURSES = {TOWN: NURSE, OTHER_TOWN: OTHER_NURSE}
STEP = st.tuples(
    st.sampled_from(VERBS),
    st.integers(0, 2),
    st.integers(0, 200),
    st.sampled_from(("08", "216", "170")),
    st.integers(1, 3),
)


@dataclass
class Known:
    """What a child's record must hold: the day of each dose, whether the clinic may read, in which town it lives.

    `merged` are the records that it took in: their doses, whether they trusted the clinic, whether that came with them.
    A closed one holds nothing.
    """

    doses: dict[str, str] = field(default_factory=dict)
    trusts: bool = False
    town: str = TOWN
    merged: dict[str, tuple[set[str], bool, bool]] = field(default_factory=dict)
    closed: bool = False


class Archive(InternalCalls):
    """The owner's archive, as the healer asks for it."""

    def __init__(self, events: dict[str, list[Envelope]]) -> None:
        self._events = events

    async def events_after(self, service: str, stream: str, subject: str, after: int) -> tuple[int, list[Envelope]]:
        found = [one for one in self._events[subject] if one.revision > after]
        return (found[-1].revision if found else after), found


async def says(
    door: Door,  # noqa: F811
    times: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    who: Caller = MOTHER,
    **headers: str,
) -> Any:
    """Ask so many times under one key: the answers are one answer. Its body, or None when it was refused."""
    key = new_id()
    answers = [await door.call(who, method, path, body, **{"Idempotency-Key": key}, **headers) for _ in range(times)]
    assert len({(one.status_code, json.dumps(one.json(), sort_keys=True)) for one in answers if one.is_success}) <= 1
    assert len({one.is_success for one in answers}) == 1, [one.text for one in answers]
    return answers[0].json() if answers[0].is_success else None


async def told(door: Door, model: dict[str, Known], children: dict[int, str], step: Any) -> None:  # noqa: F811
    """One step, at the door and in the model."""
    verb, slot, days, cvx, times = step
    day = (BORN + timedelta(days=days)).isoformat()
    child = children.get(slot)
    if child is None:
        facts = {
            "birth_date": BORN.isoformat(),
            "sex": "F",
            "name": {"family": "若葉", "given": "ひかり", "family_kana": "ワカバ", "given_kana": "ヒカリ"},
            "municipality": "139912",
        }
        children[slot] = (await says(door, times, "POST", "/v1/children", facts))["id"]
        model[children[slot]] = Known()
        return
    known, path = model[child], f"/v1/children/{child}"
    dose = sorted(known.doses)[days % len(known.doses)] if known.doses else None
    if verb == "record":
        made = await says(door, times, "POST", f"{path}/doses", {"given_on": day, "cvx": cvx})
        if made is not None:
            known.doses[made["id"]] = day
    elif verb == "correct" and dose is not None:
        body = {"given_on": day, "cvx": cvx, "reason": "the wrong day"}
        if await says(door, times, "PUT", f"{path}/doses/{dose}", body, If_Match=await door.etag(child)):
            known.doses[dose] = day
    elif verb == "retract" and dose is not None:
        if await says(door, times, "POST", f"{path}/doses/{dose}/retraction", {"reason": "another child"}):
            del known.doses[dose]
    elif verb == "consent":
        await says(door, times, "PUT", f"{path}/consents/{CLINIC.organisation}", {"purpose": "care"})
        known.trusts = True
    elif verb == "withdraw" and known.trusts:
        await says(door, times, "DELETE", f"{path}/consents/{CLINIC.organisation}")
        known.trusts = False
    elif verb == "move":
        to = OTHER_TOWN if known.town == TOWN else TOWN
        going = {"to_municipality": to, "effective_on": TODAY.isoformat()}
        assert await says(door, times, "POST", f"{path}/move", going, who=NURSES[known.town])
        assert (await door.call(NURSES[to], "POST", f"{path}/move/confirmation")).is_success
        known.town = to
    elif verb == "merge":
        await merges(door, model, children, slot, (slot + 1 + days % 3) % 3, times)
    elif verb == "separate" and known.merged:
        await separates(door, model, children, child, sorted(known.merged)[days % len(known.merged)], times)


async def merges(
    door: Door,  # noqa: F811
    model: dict[str, Known],
    children: dict[int, str],
    slot: int,
    other_slot: int,
    times: int,
) -> None:
    """The town makes one record of two; with itself, with nobody and with another town's child it is refused."""
    child, other = children[slot], children.get(other_slot, "0" * 32)
    known = model[child]
    body = {"other": other, "reason": "registered twice"}
    made = await says(door, times, "POST", f"/v1/children/{child}/merges", body, who=NURSES[known.town])
    if other == child or other not in model or model[other].town != known.town:
        assert made is None
        return
    assert made is not None
    theirs = model[other]
    known.merged[other] = (set(theirs.doses), theirs.trusts, theirs.trusts and not known.trusts)
    known.doses |= theirs.doses
    known.trusts |= theirs.trusts
    model[other] = Known(closed=True)
    del children[other_slot]


async def separates(
    door: Door,  # noqa: F811
    model: dict[str, Known],
    children: dict[int, str],
    child: str,
    other: str,
    times: int,
) -> None:
    """It was a mistake: what came with the other record, and is still there, opens a third one."""
    known = model[child]
    path = f"/v1/children/{child}/merges/{other}/undo"
    made = await says(door, times, "POST", path, {"reason": "twins"}, who=NURSES[known.town])
    doses, trusted, came = known.merged.pop(other)
    third = Known({one: day for one, day in known.doses.items() if one in doses}, trusted and known.trusts, known.town)
    known.doses = {one: day for one, day in known.doses.items() if one not in doses}
    known.trusts = known.trusts and not came
    model[made["restored"]] = third
    children[next(slot for slot in range(1_000) if slot not in children)] = made["restored"]


@settings(
    max_examples=STORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=st.lists(STEP, min_size=STEPS_A_STORY, max_size=STEPS_A_STORY), dice=st.randoms(use_true_random=False))
async def test_f21_any_story_in_any_order(door: Door, town: Town, steps: list[Any], dice: Any) -> None:  # noqa: F811
    model: dict[str, Known] = {}
    children: dict[int, str] = {}
    for step in steps:
        await told(door, model, children, step)
    events = {
        child: [envelope_of(entry, "records") for entry in (await door.document(child))["outbox"]] for child in model
    }
    delivered = [one for story in events.values() for one in story for _ in range(dice.randint(0, 3))]
    dice.shuffle(delivered)
    while delivered:
        batch, delivered = delivered[:17], delivered[17:]
        assert await town.view.apply(batch) == []
    # What no later event shows is told by the owner's head, as the reconciler tells it.
    for story in events.values():
        await town.view.apply(story[-1:])
        assert [one.revision for one in story] == list(range(1, len(story) + 1))
    await Healer("schedule", town.planning.plans.store, Archive(events)).heal([town.view], older_than_ms=0)
    for child, known in model.items():
        if known.closed:
            closed = await town.state(child)
            assert (await door.document(child))["state"]["merged_into"] in model
            assert closed["silenced"]
            assert not any(closed.get(part) for part in ("doses", "guardians", "consents"))
            assert not closed["plan"]["items"]
            continue
        record, plan = (await door.document(child))["state"], await town.state(child)
        assert {one["id"]: one["given_on"] for one in record["doses"].values()} == known.doses
        assert {key: one["given_on"] for key, one in plan.get("doses", {}).items()} == known.doses
        assert bool(plan.get("consents")) == known.trusts
        assert plan["child"]["municipality"] == record["facts"]["municipality"] == known.town
        doc = await town.planning.plans.load(child)
        assert doc is not None
        assert doc.applied == {f"records/child:{child}": len(events[child])}
        recount = make_plan(RULES, schedule_store.history_of(plan), date.fromisoformat(plan["plan"]["as_of"]))
        assert plan_to_json(recount) == plan["plan"]
