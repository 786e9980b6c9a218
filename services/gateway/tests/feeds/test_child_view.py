"""The view of a child on the real store: repeats and gaps change nothing, feeds end by themselves, a strange event holds up nobody."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from services.gateway import store as kept
from services.gateway.subscribers.child_view import ChildView
from services.gateway.tests.feeds.family import CHILD, DOCTOR, GUARDIAN, NOW, TODAY, decided, dose, facts, submitted
from shared.bus import envelope_of
from shared.clock import tokyo_time
from shared.documents import Document
from shared.events import questionnaire as q
from shared.events import records as r
from shared.events.base import Envelope, Event
from shared.runtime import Runtime

pytestmark = pytest.mark.integration


def envelopes(subject: str, *events: Event, first: int = 1) -> list[Envelope]:
    """The events of one subject as their owner's archive has them."""
    stream = events[0].stream
    doc = Document(id=subject, heads={f"{stream.replace('.', '/')}:{subject}": first - 1})
    for event in events:
        doc.emit(event, NOW)
    return [envelope_of(entry, stream.split(".")[0]) for entry in doc.outgoing]


@pytest.fixture
async def view(runtime: Runtime) -> ChildView:
    """The view at noon of the day, with wakaba in the directory."""
    runtime.clock.move_to(tokyo_time(TODAY, 12))
    found = ChildView(runtime)
    await found.documents.ensure_indexes()
    await found.ensure_indexes()

    def registered(doc: Document) -> dict[str, Any]:
        doc.state = {"kind": "clinic", "id": "wakaba", "name": "わかば小児科", "municipality": "139912"}
        return {}

    await runtime.documents(kept.DIRECTORY).create("wakaba", registered)
    return found


def story(**consent: Any) -> list[Envelope]:
    """Registered, consent to wakaba, one dose."""
    return envelopes(
        CHILD,
        r.ChildRegistered(child=facts(), guardians=("mother-1",), by=GUARDIAN),
        r.ConsentGiven(organisation="wakaba", kind="clinic", purpose="care", by=GUARDIAN, **consent),
        r.DoseRecorded(dose=dose(), by=DOCTOR),
    )


async def child(view: ChildView) -> Document:
    """The child's document."""
    doc = await view.documents.load(CHILD)
    assert doc is not None
    return doc


def sent(doc: Document) -> list[tuple[int, str, str]]:
    """(sequence, key, what happened) of everything in the outbox, which no relay empties here."""
    return [
        (int(entry["headers"]["ce_sequence"]), entry["key"], entry["type"].split(".")[-2])
        for entry in doc.loaded["outbox"]
    ]


async def test_each_event_counts_once_however_often_it_comes(view: ChildView) -> None:
    for _ in range(3):
        assert await view.apply(story()) == []
    doc = await child(view)
    assert sent(doc) == [(1, CHILD, "PatientShared"), (2, CHILD, "ImmunizationRecorded")]
    assert doc.state["plan_relevant"] == 3


async def test_a_gap_is_held_and_healed_in_order(view: ChildView) -> None:
    first, second, third = story()
    await view.apply([first, third])
    assert "doses" not in (await child(view)).state
    await view.apply([second])
    await view.apply([third])
    assert [number for number, *_ in sent(await child(view))] == [1, 2]


async def test_a_consent_to_an_unregistered_clinic_opens_no_feed(view: ChildView) -> None:
    register, _, given = story()
    nowhere = r.ConsentGiven(organisation="nowhere", kind="clinic", purpose="care", by=GUARDIAN)
    await view.apply([register, *envelopes(CHILD, nowhere, first=2), given])
    assert sent(await child(view)) == []


async def test_a_feed_ends_when_the_last_day_has_passed(view: ChildView, runtime: Runtime) -> None:
    await view.apply(story(until=TODAY))
    await view.end_expired()
    assert len(sent(await child(view))) == 2
    runtime.clock.move_to(tokyo_time(TODAY + timedelta(days=1), 1))
    for _ in range(2):
        await view.end_expired()
    assert sent(await child(view))[2:] == [(3, CHILD, "ConsentEnded")]
    assert not kept.feed_ended(await child(view), "wakaba", revision=3), "it waits in the outbox"


async def test_lists_find_the_child_by_each_reader(view: ChildView, runtime: Runtime) -> None:
    await view.apply(story())
    for reader in ("guardian:mother-1", "clinic:wakaba", "municipality:139912"):
        assert await kept.children_of(runtime.store, reader, TODAY, "", 10) == [CHILD]
    assert await kept.children_of(runtime.store, "clinic:aozora", TODAY, "", 10) == []
    assert await kept.child_of_dose(runtime.store, "d1") == CHILD


async def test_a_broken_questionnaire_event_holds_up_its_response_and_not_the_child(view: ChildView) -> None:
    (good,) = envelopes("r1", submitted())
    broken = dataclasses.replace(good, data=b'{"child": "' + CHILD.encode() + b'", "form": 1}')
    register, consent, given = story()
    assert await view.apply([register, consent, broken]) == [(broken, "schema-broken")]
    assert await view.apply([given]) == []
    assert [happened for *_, happened in sent(await child(view))] == ["PatientShared", "ImmunizationRecorded"]


# A questionnaire that was begun for a record which another one closed --------------------------------------------------

FIRST, THIRD = "a" * 32, "e" * 32
NURSE = r.Actor(subject="nurse-1", role="staff", organisation="139912")
CONSENT = r.ConsentGiven(organisation="wakaba", kind="clinic", purpose="care", by=GUARDIAN)
WITHDRAWN = q.ResponseWithdrawn(child=CHILD, reason="changed my mind", clinic="wakaba")


def of_a_merge() -> tuple[list[Envelope], list[Envelope], list[Envelope]]:
    """What the first record, the one that it takes in, and a questionnaire of the latter tell."""
    merged = r.ChildrenMerged(other=CHILD, other_revision=3, carried={}, reason="twice", by=NURSE)
    first = envelopes(FIRST, r.ChildRegistered(child=facts(), by=NURSE), merged, CONSENT)
    closed = [*story(), *envelopes(CHILD, r.MergedAway(into=FIRST, by=NURSE), first=4)]
    return first, closed, envelopes("r1", submitted(), decided())


async def told_by(view: ChildView, child: str) -> list[str]:
    """What clinics were told under this record of questionnaires."""
    doc = await view.documents.load(child)
    assert doc is not None
    known = {"QuestionnaireSubmitted", "TriageDecided", "QuestionnaireWithdrawn"}
    return [what for _, key, what in sent(doc) if what in known and key == child]


async def test_a_decision_on_a_response_that_was_begun_under_a_closed_record_reaches_the_clinic(
    view: ChildView,
) -> None:
    first, closed, asked = of_a_merge()
    for batch in (closed[:3], asked[:1], first, closed[3:], asked[1:]):
        assert await view.apply(batch) == []
        assert await view.apply(batch) == []
    assert await told_by(view, CHILD) == ["QuestionnaireSubmitted"]
    assert await told_by(view, FIRST) == ["TriageDecided"]
    assert not (await child(view)).state.get("answers")
    # It was a mistake: what was told under the wrong child is told under the one that stands for it again, and what follows.
    undone = r.ChildrenUnmerged(other=CHILD, restored_as=THIRD, removed={}, reason="twins", by=NURSE)
    third = envelopes(THIRD, r.ChildRegistered(child=facts(), restored_from=CHILD, by=NURSE), CONSENT)
    withdrawn = envelopes("r1", WITHDRAWN, first=3)
    for batch in (envelopes(FIRST, undone, first=4), third, withdrawn):
        assert await view.apply(batch) == []
    assert await told_by(view, FIRST) == ["TriageDecided"]
    assert await told_by(view, THIRD) == ["TriageDecided", "QuestionnaireWithdrawn"]
    doc = await view.documents.load(FIRST)
    assert doc is not None
    assert doc.state["questionnaires"] == {}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0), (1, 0, 2), (2, 0, 1), (0, 2, 1)])
async def test_whichever_topic_is_ahead_the_clinic_is_told_each_thing_once(
    view: ChildView, order: tuple[int, ...]
) -> None:
    stories = of_a_merge()
    for place in order:
        assert await view.apply(stories[place]) == []
    await view.apply([*stories[2], *stories[1], *stories[0]])
    told = [*await told_by(view, CHILD), *await told_by(view, FIRST)]
    assert sorted(told) == ["QuestionnaireSubmitted", "TriageDecided"]
    assert not (await child(view)).state.get("answers")
