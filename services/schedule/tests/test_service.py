"""The service around the rules: plans follow the record, reminders fire once, nobody on the not-yet list is unknown."""

import asyncio
import random
import sys
import uuid
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from services.schedule import store as kept
from services.schedule.api import router
from services.schedule.commands.coverage import assign_follow_up, coverage_of, not_yet_list, with_refusals
from services.schedule.commands.day_turn import SETTLED, turn_the_day
from services.schedule.commands.planning import Planning
from services.schedule.commands.pre_checks import Question, answer_pre_check, recall_lot
from services.schedule.commands.reading import catch_up_of, plan_on, pregnancy_plan
from services.schedule.commands.recounting import plans_and_recounts, recount, stands
from services.schedule.commands.reminders import fire_reminders
from services.schedule.domain.legal_points import BIRTH, Point
from services.schedule.rule_files import load_rule_set
from services.schedule.subscribers import dose_recorded, subscribe
from services.schedule.tests.japan.test_rule_files import OVERLAY
from shared.auth import Principal
from shared.bus import envelope_of
from shared.clock import Clock, tokyo_time
from shared.documents import Command, Document, Documents
from shared.ending import end_all
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events import schedule as s
from shared.events.base import Envelope, Event
from shared.problems import Forbidden, NotFound
from shared.runtime import Runtime
from shared.settings import Settings
from shared.store import Doc, Store
from shared.views import View

pytestmark = pytest.mark.integration
TOWN, OTHER_TOWN = "139912", "139921"
BY = r.Actor(subject="g1", role="guardian")
GUARDIAN = Principal("g1", "guardian")
CLINIC = Principal("doctor-1", "clinic", organisation="wakaba")
NURSE = Principal("nurse-1", "staff", municipality=TOWN, profession="public_health_nurse")
RULES = load_rule_set()


class NobodyPublishes:
    """A relay at the edge that leaves every outbox as it is: what was announced is read from there.

    `room`: so often it says that there is room, where that is not for ever.
    """

    room = sys.maxsize

    def __init__(self) -> None:
        self.full = asyncio.Event()

    def offer(self, collection: str, doc_id: str, entries: list[Doc] | None) -> None:
        """Nothing leaves."""

    def has_room(self) -> bool:
        self.room -= 1
        if self.room < 0:
            self.full.set()
        return self.room >= 0


class Town:
    """A schedule service without a broker: events go straight into its views."""

    def __init__(self, store: Store) -> None:
        self.relay = NobodyPublishes()
        self._told: set[tuple[str, int]] = set()
        self.clock = Clock()
        self.clock.move_to(tokyo_time(date(2026, 11, 23), 12))
        runtime = Runtime(Settings(service="schedule", environment="development"))
        self.runtime = runtime
        runtime.documents = self._documents  # type: ignore[method-assign, assignment]
        self._store = store
        plans = Documents(
            self._store, kept.PLANS, relay=self.relay, clock=self.clock, max_depth=100_000, as_text=kept.AS_TEXT
        )
        self.planning = Planning(rules=RULES, plans=plans, lots=self._documents(kept.LOTS))
        self.view = subscribe(runtime, self.planning)
        self.planning.view = self.view
        self.consents: View = next(
            sink for sink in runtime.follower.sinks if isinstance(sink, View) and sink is not self.view
        )
        self._heads: dict[str, Document] = {}

    def _documents(self, collection: str, max_depth: int | None = None) -> Documents:
        return Documents(self._store, collection, relay=self.relay, clock=self.clock, max_depth=100_000)

    def _envelopes(self, stream_subject: str, events: Sequence[Event]) -> list[Envelope]:
        doc = self._heads.setdefault(stream_subject, Document(id=stream_subject))
        doc.outgoing.clear()
        for event in events:
            doc.emit(event, self.clock.now())
        return [envelope_of(entry, "records") for entry in doc.outgoing]

    async def hears(self, child: str, *events: Event) -> None:
        assert await self.view.apply(self._envelopes(child, events)) == []

    async def hears_of_response(self, response: str, *events: Event) -> None:
        assert await self.consents.apply(self._envelopes(response, events)) == []

    async def registers(self, child: str, birth: date, *, guardian: str = "g1", clinic: str = "wakaba") -> None:
        facts = r.ChildFacts(
            birth_date=birth,
            sex="F",
            name=r.PersonName(family="若葉", given="ひかり", family_kana="ワカバ", given_kana="ヒカリ"),
            municipality=TOWN,
        )
        await self.hears(
            child,
            r.ChildRegistered(child=facts, guardians=(guardian,), by=BY),
            r.ConsentGiven(organisation=clinic, kind="clinic", purpose="care", by=BY),
        )

    def dose(self, number: int, code: str, given_on: date) -> r.DoseRecorded:
        return r.DoseRecorded(
            dose=r.Dose(
                id=f"dose-{number}", given_on=given_on, code=code, provenance="clinic", recorded_at=self.clock.now()
            ),
            by=BY,
        )

    async def announced(self) -> list[Doc]:
        """Every event of every plan, as it waits in its outbox."""
        return [entry for doc in await self._store.find(kept.PLANS, {}) for entry in doc["outbox"]]

    async def news(self) -> list[str]:
        """The types announced since this was asked last."""
        fresh = [entry for entry in await self.announced() if (entry["subject"], entry["place"]) not in self._told]
        self._told |= {(entry["subject"], entry["place"]) for entry in fresh}
        return [entry["type"].split(".")[-2] for entry in fresh]

    async def state(self, child: str) -> Doc:
        doc = await self.planning.plans.load(child)
        assert doc is not None
        return doc.state

    async def item(self, child: str, series: str) -> Doc:
        items = (await self.state(child))["plan"]["items"]
        return next(item for item in items if item["series"] == series)

    def check(self, child: str, code: str, **more: Any) -> Question:
        on = more.pop("on", self.clock.today())
        fields = {"product": None, "lot": None, "expires_on": None, **more}
        return Question(child=child, code=code, on=on, **fields)


@pytest.fixture
async def town(store: Store) -> AsyncIterator[Town]:
    found = Town(store)
    await found.view.ensure_indexes()
    await found.consents.ensure_indexes()
    yield found
    await found.runtime.store.close()


def command(key: str) -> Command:
    return Command.of("doctor-1", key, "POST /v1/pre-checks", {})


async def test_a_birth_makes_a_plan_and_a_dose_a_new_one(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    assert (await town.item("c1", "penta"))["dose_number"] == 1
    await town.hears("c1", town.dose(1, "penta", date(2026, 11, 23)))
    assert (await town.item("c1", "penta"))["dose_number"] == 2
    assert (await town.news()).count("PlanChanged") == 2


async def test_g4_a_plan_that_is_not_what_its_history_gives_is_named(town: Town) -> None:
    for child in ("c1", "c2"):
        await town.registers(child, date(2026, 9, 20))
    assert {one async for one in plans_and_recounts(town.planning)} == {("c1", True), ("c2", True)}
    emptied = orjson.dumps({**(await town.state("c2"))["plan"], "items": []}).decode()
    await town.planning.plans.store.update(kept.PLANS, {"_id": "c2"}, {"$set": {"state.plan": emptied}})
    assert {one async for one in plans_and_recounts(town.planning)} == {("c1", True), ("c2", False)}


async def test_a_fact_that_changes_nothing_confirms_the_plan(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    await town.news()
    await town.hears("c1", r.ChildCorrected(child=(await _facts(town)), reason="name", by=BY))
    assert await town.news() == ["PlanConfirmed"]
    await town.hears("c1", r.GuardianAdded(guardian="g2", proven_by="code"))
    assert await town.news() == []


async def _facts(town: Town) -> r.ChildFacts:
    child = (await town.state("c1"))["child"]
    return r.ChildFacts(
        birth_date=child["birth_date"],
        sex=child["sex"],
        name=r.PersonName(family="青葉", given="ひかり", family_kana="アオバ", given_kana="ヒカリ"),
        municipality=child["municipality"],
    )


async def test_a_dose_cancels_its_reminders_and_arms_the_next(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    before = (await town.state("c1"))["reminders"]
    first = {key for key, one in before.items() if (one["series"], one["dose_number"]) == ("penta", 1)}
    assert first
    await town.hears("c1", town.dose(1, "penta", date(2026, 11, 23)))
    after = (await town.state("c1"))["reminders"]
    assert {after[key]["state"] for key in first} == {"cancelled"}
    assert any(
        one["state"] == "armed" and one["dose_number"] == 2 for one in after.values() if one["series"] == "penta"
    )
    assert (await town.news()).count("ReminderCancelled") == len(first)


async def test_reminders_fire_once_when_their_time_comes_even_after_a_long_sleep(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    assert await fire_reminders(town.planning) == 0
    due = sorted(one["fires_at"] for one in (await town.state("c1"))["reminders"].values())[:3]
    town.clock.move_to(datetime.fromisoformat(due[-1]) + timedelta(days=1))
    await turn_the_day(town.planning)
    fired = await fire_reminders(town.planning)
    assert fired >= 3
    assert await fire_reminders(town.planning) == 0
    assert (await town.news()).count("ReminderDue") == fired


async def test_d4_two_workers_at_once_fire_each_reminder_once(town: Town) -> None:
    for number in range(5):
        await town.registers(f"c{number}", date(2026, 9, 22))
    town.clock.move_to(tokyo_time(date(2027, 1, 20), 12))
    await asyncio.gather(*(fire_reminders(town.planning) for _ in range(3)))
    told = [(entry["subject"], entry["data"]) for entry in await town.announced() if ".ReminderDue." in entry["type"]]
    assert told
    assert len(told) == len(set(told))


async def test_nothing_fires_after_a_death(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    await town.hears("c1", r.ChildDied(died_on=date(2026, 11, 23), by=BY))
    town.clock.move_to(tokyo_time(date(2028, 1, 1), 12))
    await turn_the_day(town.planning)
    assert await fire_reminders(town.planning) == 0
    assert (await town.state("c1"))["plan"]["items"] == []
    assert await not_yet_list(town.planning, NURSE, TOWN, "due") == []


async def test_a_death_told_wrongly_gives_plan_reminders_and_list_back(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    before = await town.state("c1")
    await town.hears("c1", r.ChildDied(died_on=date(2026, 11, 23), by=BY))
    assert "armed" not in {one["state"] for one in (await town.state("c1"))["reminders"].values()}
    await town.hears("c1", r.DeathRetracted(reason="another child", by=BY))
    after = await town.state("c1")
    assert (after["plan"], after["reminders"]) == (before["plan"], before["reminders"])
    assert {line["child"] for line in await not_yet_list(town.planning, NURSE, TOWN, "due")} == {"c1"}


async def test_a_pregnant_woman_has_a_plan_until_it_ends(town: Town) -> None:
    """Week 28 on 2026-11-23: the dose against RSV is due; a correction moves it; after the birth her own checkups are left."""
    due = date(2026, 11, 23) + timedelta(days=84)
    await town.hears("p1", r.PregnancyRegistered(guardian="mother-1", municipality=TOWN, expected_delivery=due, by=BY))

    async def items() -> dict[str, str]:
        return {item["series"]: item["status"] for item in (await town.state("p1"))["plan"]["items"]}

    before = await items()
    assert before["rsv_maternal"] == "due"
    assert {"pregnancy_checkup", "postnatal_2w", "postnatal_1m"} <= set(before)
    later = due + timedelta(days=14)
    await town.hears("p1", r.PregnancyCorrected(expected_delivery=later, reason="ultrasound", by=BY))
    assert (await items())["rsv_maternal"] != "due"
    await town.hears("p1", r.PregnancyMoved(from_municipality=TOWN, to_municipality=OTHER_TOWN, by=BY))
    doc = await town.planning.plans.load("p1")
    reader = Principal("nurse-2", "staff", municipality=OTHER_TOWN)
    assert pregnancy_plan(town.planning, doc, reader)["items"]
    with pytest.raises(NotFound):
        pregnancy_plan(town.planning, doc, NURSE)
    # She is no child of the town: neither on its list nor in its coverage.
    assert await not_yet_list(town.planning, NURSE, TOWN, "due") == []
    assert (await coverage_of(town.planning, NURSE, TOWN))["children"] == 0
    await town.hears("p1", r.PregnancyEnded(outcome="birth", ended_on=date(2026, 11, 23), children=("c",), by=BY))
    assert set(await items()) == {"postnatal_2w", "postnatal_1m"}
    await town.hears("p2", r.PregnancyRegistered(guardian="m", municipality=TOWN, expected_delivery=due, by=BY))
    await town.hears("p2", r.PregnancyEnded(outcome="loss", ended_on=date(2026, 11, 23), by=BY))
    assert (await town.state("p2"))["plan"]["items"] == []
    assert "armed" not in {one["state"] for one in (await town.state("p2"))["reminders"].values()}
    await town.hears("p2", r.PregnancyLossRetracted(reason="another woman's", by=BY))
    assert {item["series"] for item in (await town.state("p2"))["plan"]["items"]} == set(before)


async def test_a_birth_before_its_day_takes_nothing_from_the_dose_against_rsv(town: Town) -> None:
    """Given at 35 weeks and 6 days by the expected day of then, born two days later: lawful (28週0日〜36週6日) as it was."""
    given = date(2026, 11, 21)
    due = given + timedelta(days=29)
    await town.hears("p1", r.PregnancyRegistered(guardian="mother-1", municipality=TOWN, expected_delivery=due, by=BY))
    dose = town.dose(1, "rsv_maternal", given).dose
    await town.hears("p1", r.MaternalDoseRecorded(dose=dose, by=BY))
    await town.hears("p1", r.PregnancyEnded(outcome="birth", ended_on=date(2026, 11, 23), children=("c",), by=BY))
    plan = (await town.state("p1"))["plan"]
    assert [(one["series"], one["legal"], one["reasons"]) for one in plan["doses"]] == [("rsv_maternal", "valid", [])]
    assert {item["series"]: item["earliest"] for item in plan["items"]} == {
        "postnatal_2w": "2026-12-07",
        "postnatal_1m": "2026-12-23",
    }


async def test_the_turn_of_the_day_announces_only_plans_that_changed(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    await town.news()
    assert (await turn_the_day(town.planning)).changed == 0
    assert (await turn_the_day(town.planning)).changed == 0
    town.clock.move_to(tokyo_time(date(2027, 6, 1), 12))
    assert (await turn_the_day(town.planning)).changed == 1
    assert {"PlanChanged", "DoseOverdue"} <= set(await town.news())
    town.clock.move_to(tokyo_time(date(2027, 6, 2), 12))
    await turn_the_day(town.planning)
    assert "DoseOverdue" not in await town.news()


async def test_r2_a_replica_whose_clock_is_behind_midnight_does_not_bring_yesterday_back(town: Town) -> None:
    """What became late with the new day stays late, and is told once, whoever's clock counts the next fact."""
    await town.registers("c1", date(2026, 9, 22))
    late = date.fromisoformat((await town.item("c1", "hepb"))["overdue_from"])
    town.clock.move_to(tokyo_time(late - timedelta(days=1), 12))
    await turn_the_day(town.planning)
    town.clock.move_to(tokyo_time(late, 0) + timedelta(seconds=20))
    await turn_the_day(town.planning)
    assert "DoseOverdue" in await town.news()
    turned = (await town.state("c1"))["plan"]

    town.clock.move_to(tokyo_time(late, 0) - timedelta(seconds=40))
    await town.hears("c1", town.dose(1, "bcg", late - timedelta(days=1)))
    plan = (await town.state("c1"))["plan"]
    assert (plan["as_of"], turned["as_of"]) == (late.isoformat(), late.isoformat())
    assert plan["doses"] != turned["doses"]
    town.clock.move_to(tokyo_time(late, 12))
    await town.hears("c1", town.dose(2, "rota", late))
    assert "DoseOverdue" not in await town.news()


async def test_other_rules_recount_every_plan_once_and_tell_only_of_those_that_changed(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    await town.registers("c2", date(2012, 5, 10))
    await turn_the_day(town.planning)
    await town.news()
    before = town.planning.rules
    shorter = replace(
        before.lines["rota"], free=tuple(replace(free, last=Point(BIRTH, 140)) for free in before.lines["rota"].free)
    )
    town.planning.rules = replace(before, lines={**before.lines, "rota": shorter}, digest="corrected")
    assert (await turn_the_day(town.planning)).changed == 1
    assert (await town.news()).count("PlanChanged") == 1
    assert (await town.item("c1", "rv1"))["free_until"] == (date(2026, 9, 22) + timedelta(days=140)).isoformat()
    assert (await turn_the_day(town.planning)).changed == 0
    town.planning.rules = before  # a process that was not yet replaced
    assert (await turn_the_day(town.planning)).changed == 0
    assert await town.news() == []


async def test_after_each_days_turn_a_recount_of_everything_has_nothing_to_say(town: Town) -> None:
    """G4 for every child on every day, though the turn reads the plan's digest in the plan's place."""
    dice = random.Random(7)
    for number in range(40):
        await _grows_up(town, f"c{number}", dice)
    due = town.clock.today() + timedelta(days=60)
    await town.hears("p1", r.PregnancyRegistered(guardian="g9", municipality=TOWN, expected_delivery=due, by=BY))
    await town.hears("c0", r.ChildDied(died_on=town.clock.today(), by=BY))
    await town.hears("unknown", r.GuardianAdded(guardian="g8", proven_by="code"))
    changed = 0
    for ahead in (1, 2, 3, 4, 34, 35, 64, 66, 67, 68, 160, 161, 400, 401):
        town.clock.move_to(tokyo_time(date(2026, 11, 23) + timedelta(days=ahead), 12))
        changed += (await turn_the_day(town.planning)).changed
        await fire_reminders(town.planning)
        for row in await town.planning.plans.store.find(kept.PLANS, {}):
            doc = town.planning.plans.read(row)
            recount(town.planning, doc, after_events=False)
            assert doc.outgoing == []
            assert doc.state == doc.loaded["state"] or doc.id == "unknown"
    assert changed > 100


async def _grows_up(town: Town, child: str, dice: random.Random) -> None:
    """A child of any age with some of its doses and checkups, a condition and an allergy now and then."""
    birth = town.clock.today() - timedelta(days=dice.randrange(3000))
    await town.registers(child, birth)
    facts: list[Event] = []
    for code in dice.sample(["penta", "pcv20", "rv1", "hepb", "bcg", "mr", "var", "je", "dt", "flu"], 6):
        given = birth + timedelta(days=dice.randrange(60, 1500))
        if given <= town.clock.today():
            facts.append(town.dose(dice.randrange(10**6), code, given))
    if dice.random() < 0.3:
        facts.append(r.ConditionRecorded(condition_id="k1", code="immunodeficiency", since=birth, by=BY))
    await town.hears(child, *facts)


async def test_what_a_recount_reads_is_what_the_turn_asks_the_store_for(town: Town) -> None:
    """Each field that the rules read of a document is among those that the turn reads; the plan itself is not."""
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            read.add(key)
            return super().__getitem__(key)

        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

        def setdefault(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().setdefault(key, default)

        def __contains__(self, key: object) -> bool:
            read.add(str(key))
            return super().__contains__(key)

    await _grows_up(town, "c1", random.Random(3))
    assert stands(town.planning, Document("c1", state=Watched(await town.state("c1"))))
    assert {"child", "doses", "conditions", "reminders", "told", "plan_digest"} <= read
    assert {f"state.{name}" for name in read} == set(kept.COUNTED)


async def test_a_turn_that_was_stopped_goes_on_where_it_was_and_tells_nothing_twice(town: Town) -> None:
    """It waits where the outbox is full, and is ended there; the next start does the rest."""
    for number in range(60):
        await town.registers(f"c{number}", date(2026, 9, 22))
    town.clock.move_to(tokyo_time(date(2027, 6, 1), 12))
    town.relay.room = 7
    turning = asyncio.create_task(turn_the_day(town.planning))
    await town.relay.full.wait()
    await end_all([turning])
    begun = await town.planning.plans.store.get(kept.DAYS, "turn")
    assert begun is not None
    assert len(begun["buckets"]) >= 5
    town.relay.room = 100
    left = await turn_the_day(town.planning)
    done = [zlib.crc32(f"c{number}".encode()) % kept.BUCKETS in begun["buckets"] for number in range(60)]
    # What was ended between its commit and its rows is looked at once more.
    assert done.count(False) <= left.counted < 60
    told = Counter(entry["subject"] for entry in await town.announced() if ".PlanChanged." in entry["type"])
    assert told == {f"c{number}": 2 for number in range(60)}
    assert await town.planning.plans.store.get(kept.DAYS, "turn") is None
    assert (await turn_the_day(town.planning)).counted == 0


async def test_what_was_counted_before_midnight_and_committed_after_it_is_turned_too(town: Town) -> None:
    """The turn waits for it: a turn that had passed the child by would leave it yesterday's plan for a day."""
    await town.registers("c1", date(2026, 9, 1))
    midnight = tokyo_time(date(2026, 11, 24), 0)
    await turn_the_day(town.planning)
    doc = await town.planning.plans.load("c1")
    assert doc is not None
    # The second dose is possible after 20 days between: tomorrow.
    dose = town.dose(1, "penta", date(2026, 11, 3))
    dose_recorded(doc, dose, town._envelopes("c1", [dose])[0])
    town.clock.move_to(midnight - timedelta(seconds=1))
    recount(town.planning, doc, after_events=True)
    town.clock.move_to(midnight + timedelta(seconds=1))
    assert (await turn_the_day(town.planning)).counted == 0
    assert await town.planning.plans.commit(doc)
    assert (await town.item("c1", "penta"))["status"] == "upcoming"
    town.clock.move_to(midnight + SETTLED)
    assert (await turn_the_day(town.planning)).counted == 1
    assert (await town.item("c1", "penta"))["status"] == "due"
    assert {right async for _, right in plans_and_recounts(town.planning)} == {True}


async def test_the_turn_reaches_a_child_whose_rows_are_not_written_yet(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    store = town.planning.plans.store
    await store.delete(kept.REMINDER_TIMES, {"_id": "c1"})
    await store.update(kept.PLANS, {"_id": "c1"}, {"$set": {"derive_at": 1, "pending": 1}})
    town.clock.move_to(tokyo_time(date(2027, 6, 1), 12))
    assert (await turn_the_day(town.planning)).changed == 1


async def test_a_plan_from_before_there_were_digests_gets_one_and_nothing_is_told(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    await town.news()
    digest = (await town.state("c1"))["plan_digest"]
    await town.planning.plans.store.update(kept.PLANS, {"_id": "c1"}, {"$unset": {"state.plan_digest": ""}})
    assert (await turn_the_day(town.planning)).changed == 0
    assert (await town.state("c1"))["plan_digest"] == digest
    assert await town.news() == []


async def test_the_turn_searches_by_index(town: Town) -> None:
    await town.planning.plans.ensure_indexes()
    await town.registers("c1", date(2026, 9, 22))
    store = town.planning.plans.store
    shapes: list[tuple[str, Doc]] = [(kept.REMINDER_TIMES, {"bucket": 3}), (kept.PLANS, kept.UNFINISHED)]
    for collection, where in shapes:
        assert "IXSCAN" in str(await store.explain(collection, where)), collection


async def test_the_not_yet_list_has_everybody_who_waits_and_nobody_else(town: Town) -> None:
    await town.registers("late", date(2026, 1, 10))
    await town.registers("young", date(2026, 11, 20))
    lines = await not_yet_list(town.planning, NURSE, TOWN, "overdue")
    assert {line["child"] for line in lines} == {"late"}
    series = {line["series"] for line in lines if line["child"] == "late"}
    assert {"hepb", "bcg"} <= series
    await town.hears("late", town.dose(1, "bcg", date(2026, 11, 22)))
    again = await not_yet_list(town.planning, NURSE, TOWN, "overdue")
    assert "bcg" not in {line["series"] for line in again}


async def test_the_list_and_the_coverage_count_the_same_children(town: Town) -> None:
    """Also where a window begins to close before the dose is due, and days after the plan was made."""
    for number, days in enumerate((10, 70, 138, 160, 330, 345, 500, 1090, 2000)):
        await town.registers(f"c{number}", town.clock.today() - timedelta(days=days))
    await town.registers("second_varicella", date(2023, 12, 15))
    await town.hears("second_varicella", town.dose(1, "var", date(2026, 8, 10)))
    for ahead in (0, 12, 25):
        town.clock.move_to(tokyo_time(date(2026, 11, 23) + timedelta(days=ahead), 12))
        await turn_the_day(town.planning)
        listed = Counter(
            (line["series"], line["status"]) for line in await not_yet_list(town.planning, NURSE, TOWN, "due")
        )
        standing = await coverage_of(town.planning, NURSE, TOWN)
        counted = {
            (one["series"], urgency): number for one in standing["items"] for urgency, number in one["waiting"].items()
        }
        assert listed == counted
        assert {"due", "overdue", "closing"} <= {urgency for _, urgency in listed}


async def test_a_move_takes_the_child_to_the_other_towns_list(town: Town) -> None:
    await town.registers("late", date(2026, 1, 10))
    other = "139921"
    move = r.ChildMoved(from_municipality=TOWN, to_municipality=other, effective_on=date(2026, 11, 23), by=BY)
    await town.hears("late", move)
    assert await not_yet_list(town.planning, NURSE, TOWN, "due") == []
    there = Principal("nurse-2", "staff", municipality=other)
    assert await not_yet_list(town.planning, there, other, "due")


async def test_follow_ups_have_a_state_and_a_person(town: Town) -> None:
    await town.registers("late", date(2026, 1, 10))
    line = (await not_yet_list(town.planning, NURSE, TOWN, "overdue"))[0]
    assert (line["state"], line["responsible"]) == ("unseen", None)
    await assign_follow_up(town.planning, NURSE, TOWN, line["id"], "contacted", "nurse-1")
    again = next(one for one in await not_yet_list(town.planning, NURSE, TOWN, "overdue") if one["id"] == line["id"])
    assert (again["state"], again["responsible"]) == ("contacted", "nurse-1")
    assert "FollowUpChanged" in await town.news()


async def test_the_pages_of_the_list_hold_every_line_once(town: Town) -> None:
    for number, days in enumerate((160, 330, 345, 360, 500, 1090, 2000)):
        await town.registers(f"c{number}", town.clock.today() - timedelta(days=days))
    whole = [line["id"] for line in await not_yet_list(town.planning, NURSE, TOWN, "due")]

    def signed_for_the_nurse(authorization: str | None) -> Principal:
        return NURSE

    town.runtime.principal = signed_for_the_nurse  # type: ignore[method-assign]
    app = FastAPI()
    app.state.runtime = town.runtime
    app.include_router(router(town.runtime, town.planning))
    found: list[str] = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://schedule") as client:
        cursor: dict[str, str] = {}
        while True:
            page = (
                await client.get(f"/v1/municipalities/{TOWN}/not-yet", params={"kind": "due", "limit": "7", **cursor})
            ).json()
            found += [line["id"] for line in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
    assert len(whole) > 20
    assert found == whole


async def test_a_move_leaves_the_old_towns_follow_up_behind(town: Town) -> None:
    await town.registers("late", date(2026, 1, 10))
    line = (await not_yet_list(town.planning, NURSE, TOWN, "overdue"))[0]
    await assign_follow_up(town.planning, NURSE, TOWN, line["id"], "contacted", "nurse-1")
    other = "139921"
    there = Principal("nurse-2", "staff", municipality=other)
    for old, new in ((TOWN, other), (other, TOWN)):
        move = r.ChildMoved(from_municipality=old, to_municipality=new, effective_on=date(2026, 11, 23), by=BY)
        await town.hears("late", move)
        who = there if new == other else NURSE
        lines = {one["id"]: one for one in await not_yet_list(town.planning, who, new, "overdue")}
        found = (lines[line["id"]]["state"], lines[line["id"]]["responsible"])
        assert found == (("unseen", None) if new == other else ("contacted", "nurse-1"))


async def test_what_a_guardian_refused_is_declined_on_the_list_and_in_the_counts(town: Town) -> None:
    await town.registers("late", date(2026, 1, 10))
    now = town.clock.now()
    decided = q.ConsentDecided(child="late", vaccine="bcg", consent=False, decided_at=now)
    await town.hears_of_response("r1", decided)
    lines = await with_refusals(town.planning, await not_yet_list(town.planning, NURSE, TOWN, "overdue"))
    assert {line["series"] for line in lines if line["state"] == "declined"} == {"bcg"}
    standing = await coverage_of(town.planning, NURSE, TOWN)
    assert next(one["states"] for one in standing["items"] if one["series"] == "bcg") == {"declined": 1}
    await town.hears_of_response("r1", q.ResponseWithdrawn(child="late", reason="mistake"))
    lines = await with_refusals(town.planning, await not_yet_list(town.planning, NURSE, TOWN, "overdue"))
    assert not [line for line in lines if line["state"] == "declined"]


async def test_a_foreign_town_sees_and_changes_nothing(town: Town) -> None:
    await town.registers("late", date(2026, 1, 10))
    line = (await not_yet_list(town.planning, NURSE, TOWN, "overdue"))[0]
    stranger = Principal("nurse-9", "staff", municipality="139921")
    with pytest.raises(NotFound):
        await not_yet_list(town.planning, stranger, TOWN, "due")
    with pytest.raises(NotFound):
        await assign_follow_up(town.planning, stranger, "139921", line["id"], "moved", None)
    with pytest.raises(Forbidden):
        await not_yet_list(town.planning, GUARDIAN, TOWN, "due")


async def test_the_live_vaccine_interval_alone_stops_mr_and_day_28_allows_it(town: Town) -> None:
    await town.registers("c1", date(2025, 9, 30))
    bcg = date(2026, 9, 25)
    await town.hears("c1", town.dose(1, "bcg", bcg))
    answers = {}
    for days in (20, 27, 28):
        question = town.check("c1", "mr", on=bcg + timedelta(days=days))
        answers[days], _ = await answer_pre_check(town.planning, CLINIC, question, command(f"k{days}"))
    assert (answers[20]["verdict"], [one["code"] for one in answers[20]["reasons"]]) == ("stop", ["live_interval"])
    assert (answers[27]["verdict"], answers[28]["verdict"]) == ("stop", "allow")
    assert (await town.news()).count("PreCheckAnswered") == 3


async def test_a_pre_check_needs_the_familys_consent(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    other = Principal("doctor-2", "clinic", organisation="aozora")
    with pytest.raises(NotFound):
        await answer_pre_check(town.planning, other, town.check("c1", "penta"), command("k"))
    await town.hears("c1", r.ConsentWithdrawn(organisation="wakaba", by=BY))
    with pytest.raises(NotFound):
        await answer_pre_check(town.planning, CLINIC, town.check("c1", "penta"), command("k2"))


async def test_a_recalled_lot_is_stopped_however_it_is_written(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    operator = Principal("operator-1", "operator")
    await recall_lot(town.planning, operator, "ゴービック", "gb 0001", "contaminated", command("recall"))
    question = town.check("c1", "penta", lot="GB0001")
    found, _ = await answer_pre_check(town.planning, CLINIC, question, command("k"))
    assert (found["verdict"], "recalled_lot" in [one["code"] for one in found["reasons"]]) == ("stop", True)


async def test_a_refused_vaccination_is_stopped_and_a_withdrawn_refusal_is_not(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    now = town.clock.now()
    submitted = q.QuestionnaireSubmitted(
        child="c1",
        form="yoshinhyo-infant",
        form_version="1",
        vaccine="penta",
        answers=(),
        submitted_by="g1",
        submitted_at=now,
    )
    await town.hears_of_response(
        "r1", submitted, q.ConsentDecided(child="c1", vaccine="penta", consent=False, decided_at=now)
    )
    found, _ = await answer_pre_check(town.planning, CLINIC, town.check("c1", "penta"), command("k1"))
    assert (found["verdict"], [one["code"] for one in found["reasons"]]) == ("stop", ["consent_missing"])
    await town.hears_of_response("r1", q.ResponseWithdrawn(child="c1", reason="mistake"))
    again, _ = await answer_pre_check(town.planning, CLINIC, town.check("c1", "penta"), command("k2"))
    assert again["verdict"] == "allow"


async def test_a_sibling_who_is_due_is_asked_about(town: Town) -> None:
    await town.registers("older", date(2024, 9, 22))
    await town.registers("younger", date(2026, 9, 22))
    await town.hears("older", *(town.dose(n, "rv1", date(2024, 12, 1) + timedelta(days=40 * n)) for n in range(2)))
    question = town.check("older", "rv1")

    async def is_asked_about(key: str) -> bool:
        found, _ = await answer_pre_check(town.planning, CLINIC, question, command(key))
        return "sibling_likely" in [one["code"] for one in found["reasons"]]

    assert await is_asked_about("k1")
    # One of them is hidden from the guardian whom they share: neither is found from the other.
    for hidden in ("younger", "older"):
        await town.hears(hidden, r.GuardianCutOff(guardian="g1", by=BY))
        assert not await is_asked_about(f"hidden {hidden}")
        await town.hears(hidden, r.CutOffLifted(guardian="g1", by=BY))
    assert await is_asked_about("k2")


async def test_i3_a_plan_equals_a_recount_in_any_order_of_events(town: Town) -> None:
    await town.registers("c1", date(2026, 1, 10))
    await town.registers("c2", date(2026, 1, 10))
    doses = [
        town.dose(n, code, date(2026, 3, 20) + timedelta(days=30 * n))
        for n, code in enumerate(["penta", "pcv20", "penta", "hepb"])
    ]
    await town.hears("c1", *doses)
    for dose in reversed(doses):
        await town.hears("c2", dose)
    assert (await town.state("c1"))["plan"] == (await town.state("c2"))["plan"]


async def test_coverage_counts_every_child_of_the_town_exactly_once_in_each_series(town: Town) -> None:
    for number, birth in enumerate([date(2026, 1, 10), date(2026, 9, 22), date(2024, 3, 1), date(2021, 5, 5)]):
        await town.registers(f"c{number}", birth)
    await town.hears("c3", r.ChildDied(died_on=date(2026, 11, 1), by=BY))
    line = (await not_yet_list(town.planning, NURSE, TOWN, "overdue"))[0]
    await assign_follow_up(town.planning, NURSE, TOWN, line["id"], "done_elsewhere", "nurse-1")
    found = await coverage_of(town.planning, NURSE, TOWN)
    assert found["children"] == 3
    for one in found["items"]:
        assert sum(one["waiting"].values()) + sum(one["settled"].values()) == 3
    settled = next(one for one in found["items"] if one["series"] == line["series"])
    assert settled["settled"]["done_elsewhere"] == 1
    with pytest.raises(NotFound):
        await coverage_of(town.planning, NURSE, "139921")


async def test_catching_up_waits_for_health_and_open_days(town: Town) -> None:
    await town.registers("c1", date(2026, 9, 22))
    ill_until = date(2026, 12, 1)
    doc = await town.planning.plans.load("c1")
    found = catch_up_of(town.planning, doc, GUARDIAN, ill_until, [date(2026, 12, 2)])
    days = [date.fromisoformat(visit["day"]) for visit in found["visits"]]
    assert days
    assert min(days) > date(2026, 12, 2)
    assert all(day.weekday() < 6 for day in days)
    assert {"penta", "pcv"} <= {dose["series"] for dose in found["visits"][0]["doses"]}
    with pytest.raises(NotFound):
        catch_up_of(town.planning, doc, Principal("stranger", "guardian"), None, [])


OWN_PROGRAMME = OVERLAY.replace("999016", TOWN).replace("育見町", "若葉市")


async def test_a_towns_own_programme_does_not_tell_a_hidden_guardian_where_the_child_lives(
    town: Town, tmp_path: Path
) -> None:
    """支援措置: who is cut off reads the plan of a child of no town, as announced, on a day, and of the visits to come."""
    (tmp_path / "town.yaml").write_text(OWN_PROGRAMME, encoding="utf-8")
    town.planning.rules = load_rule_set(overlays=tmp_path)
    father, today = Principal("father", "guardian"), town.clock.today()
    await town.registers("c1", date(2024, 5, 10))
    await town.hears("c1", r.GuardianAdded(guardian="father", proven_by="code"))

    async def seen(who: Principal) -> list[str | None]:
        """When measles and rubella is free until: as it would be on a day, and in the visits to come."""
        doc = await town.planning.plans.load("c1")
        (mr,) = (one for one in plan_on(town.planning, doc, who, today)["items"] if one["series"] == "mr1")
        visits = catch_up_of(town.planning, doc, who, None, [])["visits"]
        return [mr.get("free_until"), *("mr1" for visit in visits for one in visit["doses"] if one["series"] == "mr1")]

    assert "nationwide" not in (await town.state("c1"))["plan"]
    assert await seen(father) == await seen(GUARDIAN) == ["2029-05-09", "mr1"]
    await town.hears("c1", r.GuardianCutOff(guardian="father", by=BY))
    assert await seen(GUARDIAN) == ["2029-05-09", "mr1"]
    assert await seen(father) == ["2026-05-09"]
    assert (await town.item("c1", "mr1"))["free_until"] == "2029-05-09"
    told = [
        s.PlanChanged.model_validate_json(one["data"]) for one in await town.announced() if "PlanChanged" in one["type"]
    ]
    assert [one.nationwide is not None for one in told] == [False, True]
    assert told[-1].nationwide is not None
    assert [one.free_until for one in told[-1].nationwide.items if one.series == "mr1"] == [date(2026, 5, 9)]
    assert "若葉市" not in told[-1].nationwide.model_dump_json()
    assert "若葉市" in told[-1].model_dump_json()
    assert [one async for one in plans_and_recounts(town.planning)] == [("c1", True)]

    await town.hears("c1", r.ChildMoved(from_municipality=TOWN, to_municipality=OTHER_TOWN, effective_on=today, by=BY))
    assert "nationwide" not in (await town.state("c1"))["plan"]
    await town.hears("c1", r.ChildMoved(from_municipality=OTHER_TOWN, to_municipality=TOWN, effective_on=today, by=BY))
    await town.hears("c1", r.CutOffLifted(guardian="father", by=BY))
    assert "nationwide" not in (await town.state("c1"))["plan"]
    assert await seen(father) == ["2029-05-09", "mr1"]


async def test_a_checkup_that_was_never_done_is_asked_for_again(town: Town) -> None:
    """Corrected to another kind, then withdrawn: the plan says done only while the record says so."""
    await town.registers("c1", date(2026, 7, 20))
    told = {"checkup_id": "k1", "kind": "checkup_3m", "done_on": date(2026, 11, 20), "by": BY}

    async def status() -> str:
        items = (await town.state("c1"))["plan"]["items"]
        return next((item["status"] for item in items if item["series"] == "checkup_3m"), "none")

    before = await status()
    await town.hears("c1", r.CheckupRecorded(**told))
    done = await status()
    await town.hears("c1", r.CheckupCorrected(**{**told, "kind": "checkup_1m"}, reason="another kind"))
    assert (await status(), done == before) == (before, False)
    await town.hears("c1", r.CheckupCorrected(**told, reason="as before"))
    assert await status() == done
    await town.hears("c1", r.CheckupRetracted(checkup_id="k1", reason="another child's", by=BY))
    assert await status() == before


async def test_an_allergy_and_an_anaphylaxis_reach_the_pre_check(town: Town) -> None:
    """Recorded they stop the dose; withdrawn, or with the dose itself withdrawn, nothing follows from them any more."""
    await town.registers("c1", date(2026, 7, 20))
    await town.hears("c1", town.dose(1, "penta", date(2026, 9, 24)))

    async def reasons(code: str) -> set[str]:
        question = Question(child="c1", code=code, product=None, lot=None, expires_on=None, on=date(2026, 11, 23))
        command = Command(f"{len(town._heads)}{code}{uuid.uuid4().hex}", "x")
        found, _ = await answer_pre_check(town.planning, CLINIC, question, command)
        return {one["code"] for one in found["reasons"]} & {"allergy", "reaction"}

    assert await reasons("hepb") == await reasons("penta") == set()
    common = {"provenance": "clinic", "organisation": "wakaba", "by": BY}
    await town.hears("c1", r.AllergyRecorded(allergy_id="a1", substance="yeast", criticality="high", **common))
    seen = r.AdverseReactionRecorded(
        reaction_id="r1",
        dose_id="dose-1",
        symptom="anaphylaxis",
        began_at=tokyo_time(date(2026, 9, 24), 15),
        serious=True,
        outcome="resolved",
        **common,
    )
    await town.hears("c1", seen)
    assert (await reasons("hepb"), await reasons("penta")) == ({"allergy"}, {"reaction"})
    await town.hears("c1", r.AllergyRetracted(allergy_id="a1", reason="outgrown", by=BY))
    await town.hears("c1", r.DoseRetracted(dose_id="dose-1", reason="another child's", by=BY))
    assert await reasons("hepb") == await reasons("penta") == set()
    await town.hears("c1", town.dose(1, "penta", date(2026, 9, 24)))
    assert await reasons("penta") == {"reaction"}
    await town.hears("c1", r.AdverseReactionRetracted(reaction_id="r1", reason="fainted", by=BY))
    assert await reasons("penta") == set()
