"""Protocol R1, R2, R6, R9: each event once and in order, gaps are held and healed, poison parks its subject alone."""

import asyncio
import gc
from collections.abc import Sequence

import prometheus_client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.documents import Document, Documents, mark
from shared.events.base import Envelope
from shared.events.records import GuardianRemoved
from shared.runtime import collect_seldom
from shared.store import Store
from shared.tests.conftest import HANDLERS, facts
from shared.views import Derived, Gap, Packed, Rejected, View, text_of

pytestmark = pytest.mark.integration


async def state_of(views: Documents, subject: str) -> Document:
    doc = await views.load(subject)
    assert doc is not None
    return doc


async def test_r1_known_revisions_change_nothing(views: Documents) -> None:
    view = View(views, HANDLERS)
    events = facts("c1", 4)
    await view.apply(events)
    before = await state_of(views, "c1")
    await view.apply(events)
    await view.apply(events[1:3])
    after = await state_of(views, "c1")
    assert (after.state, after.version) == (before.state, before.version)


async def test_r1_a_gap_is_written_down_before_the_offset_could_be_committed_and_heals(views: Documents) -> None:
    view = View(views, HANDLERS)
    events = facts("c1", 5)
    await view.apply([events[0], events[3], events[4]])
    held = await state_of(views, "c1")
    assert held.read_to("records.child", "c1") == 1
    assert await view.gaps() == [Gap("c1", "records.child", "c1", 1, 5)]
    await view.apply(events[1:])
    healed = await state_of(views, "c1")
    assert healed.read_to("records.child", "c1") == 5
    assert await view.gaps() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_r1_any_order_with_repeats_gives_the_same_document(data: st.DataObject, views: Documents) -> None:
    await views.store.drop("views")
    events = facts("c1", 6) + facts("c2", 4)
    view = View(views, HANDLERS)
    delivered: list[Envelope] = data.draw(st.lists(st.sampled_from(events), max_size=12))
    cut = data.draw(st.integers(0, len(delivered)))
    await view.apply(delivered[:cut])
    await view.apply(delivered[cut:])
    await view.apply(data.draw(st.permutations(events)))
    assert (await state_of(views, "c1")).state == {"guardians": {"g1": 1, "g4": 4}}
    assert (await state_of(views, "c2")).state == {"guardians": {"g1": 1, "g4": 4}}
    assert await view.gaps() == []


async def test_r1_unused_and_unknown_types_still_advance(views: Documents) -> None:
    view = View(views, {next(iter(HANDLERS)): HANDLERS[next(iter(HANDLERS))]})
    events = facts("c1", 4)
    strange = [
        *events[:1],
        *(_retyped(event, "jp.hagukumi.records.SomethingNewer.v1") for event in events[1:2]),
        *events[2:],
    ]
    assert await view.apply(strange) == []
    assert (await state_of(views, "c1")).read_to("records.child", "c1") == 4


def _counted() -> list[float]:
    read = prometheus_client.REGISTRY.get_sample_value
    return [
        read("hagukumi_events_consumed_total", {"topic": "records.child", "outcome": outcome}) or 0.0
        for outcome in ("applied", "unused", "known", "held")
    ]


async def test_what_became_of_each_event_of_a_batch_is_counted(views: Documents) -> None:
    events, others = facts("c1", 6), facts("c2", 2)
    before = _counted()
    await View(views, HANDLERS).apply([
        *events[:2], _retyped(events[2], "jp.hagukumi.records.SomethingNewer.v1"), events[0], events[5], *others
    ])  # fmt: skip
    assert [now - then for now, then in zip(_counted(), before, strict=True)] == [4, 1, 1, 1]


async def test_the_collector_does_not_walk_through_a_batch_again_and_again(views: Documents) -> None:
    events = [facts(f"c{number}", 1)[0] for number in range(500)]
    walks: list[str] = []
    usual = gc.get_threshold()

    def walked(phase: str, _: dict[str, int]) -> None:
        walks.append(phase)

    collect_seldom()
    gc.callbacks.append(walked)
    try:
        await View(views, HANDLERS).apply(events)
    finally:
        gc.callbacks.remove(walked)
        gc.set_threshold(*usual)
        gc.unfreeze()
    assert walks.count("start") <= 1


async def test_r1_an_unknown_major_version_of_a_used_type_parks_the_subject_and_nobody_else(views: Documents) -> None:
    view = View(views, HANDLERS)
    first, second, third, *_ = facts("c1", 3)
    newer = _retyped(second, "jp.hagukumi.records.GuardianAdded.v2")
    rejected = await view.apply([first, newer, third, *facts("c2", 2)])
    assert [(event.revision, why) for event, why in rejected] == [(2, "major-version-unknown")]
    parked = await state_of(views, "c1")
    assert parked.read_to("records.child", "c1") == 1
    assert parked.parked["reason"] == "major-version-unknown"
    assert parked.wanted == {mark("records.child", "c1"): 3}
    assert (await state_of(views, "c2")).read_to("records.child", "c2") == 2


async def test_r1_broken_data_parks_its_subject_and_nobody_else(views: Documents) -> None:
    view = View(views, HANDLERS)
    first, second, *_ = facts("c1", 2)
    rejected = await view.apply([first, _with_data(second, b'{"guardian": 7}'), *facts("c2", 2)])
    assert [why for _, why in rejected] == ["schema-broken"]
    assert (await state_of(views, "c2")).read_to("records.child", "c2") == 2


async def test_r1_what_a_handler_had_half_done_when_it_raised_is_not_kept(views: Documents) -> None:
    def half(doc: Document, event: GuardianRemoved, envelope: Envelope) -> None:
        doc.state.setdefault("removed", []).append(event.guardian)
        doc.state["guardians"].clear()
        raise Rejected("child-unknown")

    view = View(views, HANDLERS | {GuardianRemoved: half})
    events = facts("c1", 4)
    await view.apply(events[:1])
    rejected = await view.apply([*events[1:], *facts("c2", 2)])
    assert [(event.revision, why) for event, why in rejected] == [(3, "child-unknown")]
    parked = await state_of(views, "c1")
    assert (parked.state, parked.read_to("records.child", "c1")) == ({"guardians": {"g1": 1, "g2": 2}}, 2)
    assert (await state_of(views, "c2")).read_to("records.child", "c2") == 2


async def test_r1_a_recount_that_fails_parks_its_document_untouched_and_nobody_else(views: Documents) -> None:
    def recount(doc: Document, done: Sequence[Envelope]) -> None:
        if doc.id == "c1" and doc.read_to("records.child", "c1") > 1:
            raise ZeroDivisionError

    view = View(views, HANDLERS, finish=recount)
    events = facts("c1", 3)
    await view.apply(events[:1])
    rejected = await view.apply([*events[1:], *facts("c2", 2)])
    assert [(event.revision, why) for event, why in rejected] == [(2, "finish-failed-ZeroDivisionError")]
    parked = await state_of(views, "c1")
    assert (parked.state, parked.read_to("records.child", "c1")) == ({"guardians": {"g1": 1}}, 1)
    assert (await state_of(views, "c2")).read_to("records.child", "c2") == 2


async def test_r2_two_owners_of_one_partition_cannot_overwrite_each_other(views: Documents) -> None:
    view, other = View(views, HANDLERS), View(views, HANDLERS)
    events = facts("c1", 6)
    late = Document(id="c1")
    await view.apply(events[:4])
    late.state["guardians"] = {"lost": 0}
    assert [doc.id for doc in await views.commit_many([late])] == ["c1"]
    frozen = await views.load("c1")
    assert frozen is not None
    await other.apply(events)
    frozen.state["guardians"] = {"lost": 0}
    assert [doc.id for doc in await views.commit_many([frozen])] == ["c1"]
    assert (await state_of(views, "c1")).state == {"guardians": {"g1": 1, "g4": 4}}


def _links(doc: Document) -> dict[str, dict[str, object]]:
    return {
        f"{guardian}:{doc.id}": {"guardian": guardian, "child": doc.id} for guardian in doc.state.get("guardians", {})
    }


async def test_r9_rows_under_other_keys_follow_and_a_late_writer_revives_nothing(
    views: Documents, store: Store
) -> None:
    view = View(views, HANDLERS, derived=(Derived("links", _links, (("guardian",),)),))
    events = facts("c1", 3)
    await view.apply(events[:2])
    early = await state_of(views, "c1")
    await view.apply(events[2:])
    early.loaded["derive_at"] = 1
    await view.derive([early])
    rows = {row["_id"]: row["gone"] for row in await store.find("links", {})}
    assert rows == {"g1:c1": False, "g2:c1": True}


async def test_r9_rows_that_a_crash_left_unwritten_are_found_by_their_marker(
    views: Documents, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View(views, HANDLERS, derived=(Derived("links", _links),))

    async def dies(docs: Sequence[Document]) -> None:
        raise RuntimeError("killed between document and rows")

    with monkeypatch.context() as patched:
        patched.setattr(view, "derive", dies)
        with pytest.raises(RuntimeError):
            await view.apply(facts("c1", 2))
    assert await store.count("links", {}) == 0
    await store.update("views", {"_id": "c1"}, {"$set": {"derive_at": 1, "pending": 1}})
    await view.derive_again()
    assert await store.count("links", {"gone": False}) == 2
    assert not {"derive_at", "pending"} & (await store.get("views", "c1") or {}).keys()


def _lines(doc: Document) -> dict[tuple[str, str], str]:
    """A line in the pack of the guardian who came last; an empty one in the packs of the others."""
    guardians = doc.state.get("guardians", {})
    last = max(guardians, key=guardians.__getitem__, default=None)
    return {(name, doc.id): "here" if name == last else "" for name in ("g1", "g2", "g3", "g4")}


PACKED = Packed("packs", _lines, lambda _: {"kind": "guardian"}, (("kind",),))


async def test_r9_packed_lines_are_the_same_in_any_order_of_writers(views: Documents, store: Store) -> None:
    view = View(views, HANDLERS, derived=(PACKED,))
    events = facts("c1", 3)
    await view.apply(events[:2])
    early = await state_of(views, "c1")
    await asyncio.gather(view.apply(events[2:]), view.apply(facts("c2", 1)), view.apply(facts("c3", 1)))
    expected = {row["_id"]: row["lines"] for row in await store.find("packs", {"kind": "guardian"})}
    assert [text_of(expected["g1"][child]) for child in ("c1", "c2", "c3")] == ["here"] * 3
    assert text_of(expected["g2"]["c1"]) == ""
    await view.derive([early])
    await PACKED.write(store, [early])
    assert {row["_id"]: row["lines"] for row in await store.find("packs", {})} == expected


def _retyped(event: Envelope, kind: str) -> Envelope:
    return Envelope(**{name: getattr(event, name) for name in Envelope.__slots__} | {"type": kind})


def _with_data(event: Envelope, data: bytes) -> Envelope:
    return Envelope(**{name: getattr(event, name) for name in Envelope.__slots__} | {"data": data})
