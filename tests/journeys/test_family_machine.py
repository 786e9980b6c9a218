"""Whatever families, towns and desks do, in whichever order the news arrives: one record of each child, and the right readers."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from services.gateway.domain import child_view
from services.gateway.domain.policy import child_resource
from services.questionnaire.store import child_of
from services.questionnaire.subscribers import children_view
from services.records.domain import children, consent, doses, family, merging, moves, stays
from services.records.domain.access import Caller
from services.records.domain.record import Record, Share, apply, opened
from shared.bus import envelope_of
from shared.documents import Document, mark
from shared.events.base import Envelope
from shared.events.records import ChildEvent, ChildRegistered, MergedAway
from shared.ids import binding_id
from shared.problems import Problem
from shared.views import View

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)
BORN = date(2026, 5, 1)
TOWNS = ("139912", "139921")
GUARDIANS = [Caller(f"guardian-{number}", "guardian") for number in range(3)]
NURSES = {town: Caller(f"nurse-{town}", "staff", municipality=town) for town in TOWNS}
CLINIC = Caller("doctor-1", "clinic", organisation="clinic-1")
GRANDMOTHER = Caller("grandmother", "guardian")
STREAM = ChildEvent.stream

_pick = st.integers(min_value=0, max_value=30)


@dataclass
class Kept:
    """One record as its owner keeps it: what was told of it, and what became part of it."""

    record: Record
    told: Document
    merged_into: str | None = None
    merges: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def gateway_view() -> View:
    """The gateway's view of a child, without the clinics' feeds."""

    def on(doc: Document, event: Any, envelope: Envelope) -> None:
        child_view.apply_record(doc.state, event, envelope.revision)
        if isinstance(event, MergedAway):
            child_view.close(doc.state)

    return View(None, dict.fromkeys(child_view.RECORD, on))  # type: ignore[arg-type]


class Readers:
    """A service's view, fed in any order; each event counts once, in its place."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.docs: dict[str, Document] = {}

    def hears(self, envelope: Envelope) -> None:
        doc = self.docs.setdefault(envelope.subject, Document(id=envelope.subject))
        assert self._view._fold(doc, [envelope], Counter()) == []

    def read(self, child: str) -> int:
        return self.docs[child].applied.get(mark(STREAM, child), 0) if child in self.docs else 0


class Families(RuleBasedStateMachine):
    """Two towns, three guardians, a clinic, a grandmother; records that are registered twice now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.children: dict[str, Kept] = {}
        self.on_the_way: list[Envelope] = []
        self.number = 0
        self.chance = random.Random(0)
        self.gateway = Readers(gateway_view())
        self.questionnaire = Readers(children_view(None))  # type: ignore[arg-type]

    @initialize(seed=st.integers(min_value=0, max_value=10_000))
    def begins(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.registers(0, 0)
        self.registers(1, 0)

    # The owner ------------------------------------------------------------------------------------------------------

    def _new(self) -> str:
        self.number += 1
        return f"{self.number:032x}"

    def _tell(self, child: str, events: Iterable[ChildEvent]) -> None:
        kept = self.children[child]
        for event in events:
            if not isinstance(event, ChildRegistered):
                apply(kept.record, event)
            kept.told.emit(event, NOW)
            self.on_the_way.append(envelope_of(kept.told.outgoing[-1], "records"))

    def _open(self, child: str, events: list[ChildEvent]) -> None:
        first = events[0]
        assert isinstance(first, ChildRegistered)
        self.children[child] = Kept(opened(first), Document(id=child))
        self._tell(child, events)

    def _live(self) -> list[str]:
        return [child for child, kept in self.children.items() if kept.merged_into is None]

    def _some(self, pick: int) -> str:
        live = self._live()
        return live[pick % len(live)]

    def _does(self, child: str, decide: Callable[[Record], list[ChildEvent]]) -> None:
        """What the rules refuse changes nothing, and tells nothing."""
        try:
            self._tell(child, decide(self.children[child].record))
        except Problem:
            return

    def _nurse(self, child: str) -> Caller:
        return NURSES[self.children[child].record.facts.municipality]

    def _a_guardian(self, child: str, pick: int) -> Caller:
        """Mostly one of the child's own; now and then one who has no say."""
        own = [one for one in GUARDIANS if one.subject in self.children[child].record.guardians]
        return own[pick % len(own)] if own and pick % 5 else GUARDIANS[pick % len(GUARDIANS)]

    # What people do -------------------------------------------------------------------------------------------------

    @rule(who=_pick, town=st.sampled_from([0, 0, 0, 1]))
    def registers(self, who: int, town: int) -> None:
        wish = children.ChildWish(
            birth_date=BORN,
            sex="F",
            family="若葉",
            given="ひかり",
            family_kana="ワカバ",
            given_kana="ヒカリ",
            municipality=TOWNS[town],
        )
        if len(self.children) < 6:
            self._open(self._new(), children.register(wish, GUARDIANS[who % 3], TODAY))

    @rule(pick=_pick, who=_pick)
    def links(self, pick: int, who: int) -> None:
        child, code = self._some(pick), self._new()

        def decide(record: Record) -> list[ChildEvent]:
            family.issue_codes(record, [code], self._nurse(child), today=TODAY, now=NOW)
            return family.link(record, code, GUARDIANS[who % 3], today=TODAY, now=NOW)

        self._does(child, decide)

    @rule(pick=_pick, who=_pick, section=st.sampled_from(["plan", "growth", "diary"]))
    def shares(self, pick: int, who: int, section: Any) -> None:
        child, code = self._some(pick), self._new()
        share = Share("grandparent", (section,), TODAY + timedelta(days=9))

        def decide(record: Record) -> list[ChildEvent]:
            family.invite(record, code, share, self._a_guardian(child, who), today=TODAY, now=NOW)
            return family.link(record, code, GRANDMOTHER, today=TODAY, now=NOW)

        self._does(child, decide)

    @rule(pick=_pick, who=_pick)
    def takes_back(self, pick: int, who: int) -> None:
        child = self._some(pick)
        grant = min(self.children[child].record.grants, default=None)
        if grant is not None:
            self._does(
                child, lambda record: family.revoke_grant(record, grant, self._a_guardian(child, who), today=TODAY)
            )

    @rule(pick=_pick, who=_pick, measure=st.sampled_from(["cut_off", "lift", "remove"]))
    def town_decides(self, pick: int, who: int, measure: str) -> None:
        child = self._some(pick)
        nurse, binding = self._nurse(child), binding_id(child, GUARDIANS[who % 3].subject)
        decide: dict[str, Callable[[Record], list[ChildEvent]]] = {
            "cut_off": lambda record: family.cut_off(record, child, binding, nurse, today=TODAY),
            "lift": lambda record: family.lift_cut_off(record, child, binding, nurse, today=TODAY),
            "remove": lambda record: family.remove_guardian(record, child, binding, "x", nurse, today=TODAY),
        }
        self._does(child, decide[measure])

    @rule(pick=_pick, who=_pick, give=st.booleans())
    def consents(self, pick: int, who: int, give: bool) -> None:
        child = self._some(pick)
        guardian, wish = (
            self._a_guardian(child, who),
            consent.ConsentWish(organisation="clinic-1", kind="clinic", purpose="care"),
        )
        if give:
            self._does(child, lambda record: consent.give(record, wish, guardian, TODAY))
        else:
            self._does(child, lambda record: consent.withdraw(record, "clinic-1", guardian, TODAY))

    @rule(pick=_pick, by=st.integers(min_value=0, max_value=4), cvx=st.sampled_from(["08", "170", "133"]), day=_pick)
    def records_a_dose(self, pick: int, by: int, cvx: str, day: int) -> None:
        child, dose = self._some(pick), self._new()
        guardians = [one for one in GUARDIANS if one.subject in self.children[child].record.guardians]
        who = [self._nurse(child), CLINIC, *guardians][by % (2 + len(guardians))]
        wish = doses.DoseWish(given_on=BORN + timedelta(days=60 + day % 3), cvx=cvx)
        self._does(child, lambda record: doses.record_dose(record, wish, who, dose_id=dose, today=TODAY, now=NOW))

    @rule(pick=_pick, which=_pick, day=_pick, retract=st.booleans())
    def corrects_a_dose(self, pick: int, which: int, day: int, retract: bool) -> None:
        child = self._some(pick)
        known = sorted(self.children[child].record.doses)
        if not known:
            return
        dose, nurse = known[which % len(known)], self._nurse(child)
        before = self.children[child].record.doses[dose]
        wish = doses.DoseWish(given_on=BORN + timedelta(days=60 + day % 3), cvx=before.cvx)
        if retract:
            self._does(child, lambda record: doses.retract_dose(record, dose, "slip", nurse, today=TODAY))
        else:
            self._does(child, lambda record: doses.correct_dose(record, dose, wish, "slip", nurse, today=TODAY))

    @rule(pick=_pick)
    def moves_away(self, pick: int) -> None:
        child = self._some(pick)
        here = self._nurse(child)
        there = next(town for town in TOWNS if town != here.municipality)
        wish = moves.MoveWish(to_municipality=there, effective_on=TODAY)
        self._does(child, lambda record: moves.announce(record, wish, here, move=self._new(), here=True, today=TODAY))

    @rule(pick=_pick, cancel=st.booleans())
    def the_other_town_answers(self, pick: int, cancel: bool) -> None:
        child = self._some(pick)
        move = self.children[child].record.move
        if move is not None:
            there = NURSES[move.to_municipality]
            verb = moves.cancel if cancel else moves.confirm
            self._does(child, lambda record: verb(record, there, today=TODAY))

    @rule(pick=_pick, who=_pick, end=st.booleans())
    def lends(self, pick: int, who: int, end: bool) -> None:
        child = self._some(pick)
        guardian = self._a_guardian(child, who)
        known = sorted(self.children[child].record.stays)
        if end and known:
            self._does(child, lambda record: stays.end(record, known[0], guardian, today=TODAY))
            return
        there = next(town for town in TOWNS if town != self.children[child].record.facts.municipality)
        wish = stays.StayWish(municipality=there, clinics=("clinic-1",), since=TODAY, until=TODAY + timedelta(days=30))
        self._does(child, lambda record: stays.plan(record, wish, guardian, stay=self._new(), today=TODAY))

    @rule(pick=_pick, other=_pick)
    def merges(self, pick: int, other: int) -> None:
        first = self._some(pick)
        here = self.children[first].record.facts.municipality
        others = [one for one in self._live() if self.children[one].record.facts.municipality == here and one != first]
        if not others:
            return
        second = others[other % len(others)]
        one, two = self.children[first], self.children[second]
        nurse = self._nurse(first)
        try:
            merging.check_pair(one.record, two.record, nurse, TODAY)
            told, carried = merging.merge(
                one.record, two.record, other_id=second, other_revision=two.told.revision, reason="x", caller=nurse
            )
        except Problem:
            return
        self._tell(first, told)
        one.merges[second] = carried
        two.told.emit(MergedAway(into=first, by=nurse.actor), NOW)
        self.on_the_way.append(envelope_of(two.told.outgoing[-1], "records"))
        two.merged_into = first

    @rule(pick=_pick, which=_pick)
    def separates(self, pick: int, which: int) -> None:
        merged = [child for child in self._live() if self.children[child].merges]
        if not merged or len(self.children) >= 9:
            return
        child = merged[pick % len(merged)]
        kept = self.children[child]
        other = sorted(kept.merges)[which % len(kept.merges)]
        carried, nurse, third = kept.merges.pop(other), self._nurse(child), self._new()
        self._open(
            third, merging.restore(kept.record, self.children[other].record, carried, other_id=other, caller=nurse)
        )
        told = merging.separate(kept.record, carried, other_id=other, restored_as=third, reason="x", caller=nurse)
        self._tell(child, told)

    # The news ---------------------------------------------------------------------------------------------------------

    @rule(share=st.integers(min_value=1, max_value=4))
    def some_news_arrives(self, share: int) -> None:
        """In any order, some of it twice, some of it not at all until it is asked for."""
        self.chance.shuffle(self.on_the_way)
        cut = len(self.on_the_way) * share // 4
        arriving, self.on_the_way = self.on_the_way[:cut], self.on_the_way[cut:]
        for envelope in (*arriving, *arriving[:3]):
            self.gateway.hears(envelope)
            self.questionnaire.hears(envelope)

    def teardown(self) -> None:
        """Everything has arrived, and what was missed was healed from the owner's archive."""
        self.some_news_arrives(4)
        for child, kept in self.children.items():
            for readers in (self.gateway, self.questionnaire):
                for entry in kept.told.outgoing[readers.read(child) :]:
                    readers.hears(envelope_of(entry, "records"))
        for child, kept in self.children.items():
            self._has_one_record(child, kept)
        live = [self.children[child].record for child in self._live()]
        every = [dose for record in live for dose in record.doses]
        assert len(every) == len(set(every)), "a dose stands in two records"

    def _has_one_record(self, child: str, kept: Kept) -> None:
        seen, asked = self.gateway.docs[child].state, self.questionnaire.docs[child].state
        who = child_resource(seen, TODAY).attributes
        if kept.merged_into is not None:
            assert "facts" not in seen
            assert not child_view.readers(seen)
            assert not any(
                who.values() if not isinstance(who["shared"], dict) else [v for k, v in who.items() if k != "shared"]
            )
            assert not child_of(asked).guardians
            return
        record = kept.record
        assert who["guardians"] == sorted(record.guardians.keys() - record.cut_off)
        assert who["cut_off"] == sorted(record.cut_off)
        assert who["municipality"] == record.facts.municipality
        assert who["clinics"] == sorted(o for o, given in record.consents.items() if given.kind == "clinic")
        assert who["lent"] == sorted(o for o, given in record.consents.items() if given.kind == "municipality")
        assert who["arriving"] == (record.move.to_municipality if record.move else "")
        relatives = {grant.relative for grant in record.grants.values()} - record.guardians.keys()
        assert who["relatives"] == sorted(relatives)
        shown = {key: dose.get("superseded_by") for key, dose in seen.get("doses", {}).items()}
        assert shown == {key: dose.superseded_by for key, dose in record.doses.items()}
        assert set(record.doses) == set(child_of(asked).doses)
        assert child_of(asked).guardians == record.guardians.keys() - record.cut_off
        assert set(child_of(asked).consents) == {o for o, given in record.consents.items() if given.kind == "clinic"}


@pytest.mark.slow
def test_one_record_and_the_right_readers_whatever_happens() -> None:
    run_state_machine_as_test(
        Families,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
