"""What questionnaire knows of a child follows records, each event once and in order."""

import pytest

from services.questionnaire.store import CHILDREN, child_of
from shared.events import records
from shared.events.records import Actor
from shared.runtime import Runtime

from .conftest import BORN, CHILD, Records, born, consent, consent_withdrawn, dose

pytestmark = pytest.mark.integration


async def test_guardians_consents_residence_and_doses(runtime: Runtime) -> None:
    told = Records(runtime)
    by = Actor(subject="staff-1", role="staff", organisation="131016")
    await told.tells(
        CHILD,
        born("mother-1"),
        records.GuardianAdded(guardian="father-1", proven_by="code"),
        consent("clinic-1"),
        consent("clinic-2", until=BORN),
        dose("hepb"),
        records.ChildMoved(from_municipality="131016", to_municipality="271004", effective_on=BORN, by=by),
    )
    doc = await runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    child = child_of(doc.state)
    assert child.guardians == {"mother-1", "father-1"}
    assert child.consents == {"clinic-1": None, "clinic-2": BORN}
    assert child.doses["dose-1"].code == "hepb"
    assert doc.tenant == child.municipality == "271004"
    await told.tells(
        CHILD, records.GuardianRemoved(guardian="mother-1", reason="custody"), consent_withdrawn("clinic-1")
    )
    doc = await runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    assert (child_of(doc.state).guardians, set(child_of(doc.state).consents)) == ({"father-1"}, {"clinic-2"})


async def test_a_consent_to_a_municipality_is_no_clinics(runtime: Runtime) -> None:
    told = Records(runtime)
    by = Actor(subject="mother-1", role="guardian")
    given = records.ConsentGiven(organisation="131016", kind="municipality", purpose="support", by=by)
    await told.tells(CHILD, born("mother-1"), given)
    doc = await runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    assert child_of(doc.state).consents == {}


async def test_a_guardian_who_registers_a_child_is_its_guardian(runtime: Runtime) -> None:
    told = Records(runtime)
    registered = born().model_copy(update={"by": Actor(subject="mother-9", role="guardian")})
    await told.tells(CHILD, registered)
    doc = await runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    assert child_of(doc.state).guardians == {"mother-9"}


async def test_a_repeat_changes_nothing_and_a_gap_waits(runtime: Runtime) -> None:
    told = Records(runtime)
    first, second, third = (
        told.event(CHILD, event)
        for event in (
            born("mother-1"),
            records.GuardianRemoved(guardian="mother-1", reason="custody"),
            records.GuardianAdded(guardian="mother-1", proven_by="staff"),
        )
    )
    await told.arrives(first, third)
    doc = await runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    assert (doc.read_to("records.child", CHILD), doc.wanted) == (1, {f"records/child:{CHILD}": 3})
    await told.arrives(second, third)
    await told.arrives(first, second)
    doc = await runtime.documents(CHILDREN).load(CHILD)
    assert doc is not None
    assert child_of(doc.state).guardians == {"mother-1"}
    assert doc.read_to("records.child", CHILD) == 3
