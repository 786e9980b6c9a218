"""Writing on the real store: acknowledged once, announced densely, repeated without effect, whatever happens in between."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from services.records.domain.record import apply, opened
from services.records.store.children import record_of
from services.records.store.collections import GUARDIAN_CODES
from services.records.subscribers import file_all
from services.records.tests.conftest import BODY, Door
from services.records.tests.families import CLINIC, FATHER, MOTHER, NOON, NURSE, OTHER_NURSE, OTHER_TOWN
from shared.bus import envelope_of
from shared.documents import Document, from_store
from shared.events.base import REGISTRY, Envelope
from shared.events.questionnaire import QuestionnaireSubmitted
from shared.native.envelopes import event_id

pytestmark = pytest.mark.integration


async def test_a_child_is_opened_and_announced(door: Door) -> None:
    answer = await door.call(MOTHER, "POST", "/v1/children", BODY)
    assert answer.status_code == 201
    child = answer.json()["id"]
    assert answer.json() == {"id": child, "revision": 2}
    assert answer.headers["location"] == f"/v1/children/{child}"
    assert (answer.headers["etag"], answer.headers["hagukumi-revision"]) == ('"1"', f"records.child:{child}=2")
    (one, registered, data), (two, added, _) = await door.announced(child)
    assert (one, registered, two, added) == (1, "ChildRegistered", 2, "GuardianAdded")
    assert data["child"]["name"] == {
        "family": "若葉",
        "given": "ひかり",
        "family_kana": "ワカバ",
        "given_kana": "ヒカリ",
    }
    assert data["by"] == {"subject": "mother-1", "role": "guardian"}


async def test_the_same_key_gives_the_same_child_and_another_body_is_refused(door: Door) -> None:
    first = await door.call(NURSE, "POST", "/v1/children", BODY, Idempotency_Key="k1")
    again = await door.call(NURSE, "POST", "/v1/children", BODY, Idempotency_Key="k1")
    assert (again.status_code, again.content) == (201, first.content)
    other = await door.call(NURSE, "POST", "/v1/children", {**BODY, "sex": "M"}, Idempotency_Key="k1")
    assert (other.status_code, other.json()["type"].rsplit("/", 1)[-1]) == (422, "idempotency-key-reused")
    assert len(await door.announced(first.json()["id"])) == 1


async def test_anothers_key_is_another_key(door: Door) -> None:
    mine = await door.call(MOTHER, "POST", "/v1/children", BODY, Idempotency_Key="k1")
    yours = await door.call(FATHER, "POST", "/v1/children", BODY, Idempotency_Key="k1")
    assert mine.json()["id"] != yours.json()["id"]


async def test_a_dose_is_recorded_once_however_often_and_late_it_is_repeated(door: Door) -> None:
    child = await door.family()
    path, body = f"/v1/children/{child}/doses", {"given_on": "2026-07-02", "cvx": "216", "lot": "ab 12"}
    first = await door.call(CLINIC, "POST", path, body, Idempotency_Key="dose-1")
    assert first.status_code == 201
    assert first.json() == {"id": first.json()["id"], "provenance": "clinic", "revision": 4}
    # More commands than a document remembers; the entry itself still knows what it was told.
    doc = await door.document(child)
    await door.runtime.store.update("children", {"_id": child}, {"$set": {"last_commands": []}})
    again = await door.call(CLINIC, "POST", path, body, Idempotency_Key="dose-1")
    assert (again.status_code, again.content) == (201, first.content)
    other = await door.call(CLINIC, "POST", path, {**body, "lot": "AB13"}, Idempotency_Key="dose-1")
    assert other.status_code == 422
    assert (await door.document(child))["state"]["doses"] == doc["state"]["doses"]


async def test_a_child_is_found_again_by_its_key_when_its_commands_are_forgotten(door: Door) -> None:
    first = await door.call(NURSE, "POST", "/v1/children", BODY, Idempotency_Key="k1")
    await door.runtime.store.update("children", {"_id": first.json()["id"]}, {"$set": {"last_commands": []}})
    again = await door.call(NURSE, "POST", "/v1/children", BODY, Idempotency_Key="k1")
    assert (again.status_code, again.content) == (201, first.content)
    other = await door.call(NURSE, "POST", "/v1/children", {**BODY, "sex": "M"}, Idempotency_Key="k1")
    assert other.status_code == 422


async def test_writers_at_once_all_get_in_and_the_revisions_are_dense(door: Door) -> None:
    child = await door.family()
    days = [f"2026-07-{day:02d}" for day in range(1, 9)]
    ids = await asyncio.gather(*(door.gives(child, given_on=day) for day in days))
    assert len(set(ids)) == len(days)
    told = await door.announced(child)
    assert [revision for revision, _, _ in told] == list(range(1, len(told) + 1))
    assert sorted(data["dose"]["given_on"] for _, kind, data in told if kind == "DoseRecorded") == days


async def test_a_refused_write_changes_nothing(door: Door) -> None:
    child = await door.family()
    before = await door.document(child)
    for body in ({"given_on": "2026-04-30", "cvx": "08"}, {"given_on": "2026-07-02", "cvx": "999"}):
        refused = await door.call(CLINIC, "POST", f"/v1/children/{child}/doses", body)
        assert refused.status_code == 422
    assert await door.document(child) == before


async def test_what_the_store_holds_is_what_the_events_say(door: Door) -> None:
    """The archive alone would give the same record: the ground of the time machine."""
    child = await door.family()
    mine = await door.gives(child, "216", MOTHER)
    given = await door.gives(child, "133", CLINIC, lot="a1", dose_ml=0.5)
    await door.does(CLINIC, "POST", f"/v1/children/{child}/doses/{given}/retraction", {"reason": "slip"})
    await door.does(CLINIC, "POST", f"/v1/children/{child}/checkups", {"kind": "checkup_3m", "done_on": "2026-08-10"})
    await door.does(MOTHER, "POST", f"/v1/children/{child}/growth", {"measured_on": "2026-08-10", "weight_kg": 6})
    await door.does(CLINIC, "POST", f"/v1/children/{child}/conditions", {"code": "scid"})
    doc = await door.document(child)
    events: list[Any] = [REGISTRY[row["type"]].model_validate_json(row["data"]) for row in doc["outbox"]]
    record = opened(events[0])
    for event in events[1:]:
        apply(record, event)
    stored = record_of(from_store(doc))
    record.codes = stored.codes
    assert record == stored
    assert (stored.doses[mine].superseded_by, set(stored.retracted_doses)) == (None, {given})


# Changing ---------------------------------------------------------------------------------------------------------


async def test_a_correction_needs_the_version_that_was_read(door: Door) -> None:
    child = await door.born()
    body = {**BODY, "reason": "misspelt", "name": {**BODY["name"], "given": "あかり", "given_kana": "アカリ"}}
    path = f"/v1/children/{child}"
    assert (await door.call(NURSE, "PUT", path, body)).status_code == 428
    assert (await door.call(NURSE, "PUT", path, body, If_Match='"9"')).status_code == 412
    done = await door.call(NURSE, "PUT", path, body, If_Match='"1"')
    assert (done.status_code, done.headers["etag"], done.json()["revision"]) == (200, '"2"', 2)
    assert (await door.call(NURSE, "PUT", path, body, If_Match='"1"')).status_code == 412


async def test_a_corrected_dose_keeps_its_id_and_says_why(door: Door) -> None:
    child = await door.family()
    dose = await door.gives(child)
    body = {"given_on": "2026-07-03", "cvx": "08", "reason": "wrong day"}
    path = f"/v1/children/{child}/doses/{dose}"
    assert (await door.call(CLINIC, "PUT", path, body)).status_code == 428
    done = await door.call(CLINIC, "PUT", path, body, If_Match=await door.etag(child))
    assert done.status_code == 200, done.text
    _, kind, data = (await door.announced(child))[-1]
    assert (kind, data["dose"]["id"], data["dose"]["given_on"], data["reason"]) == (
        "DoseCorrected",
        dose,
        "2026-07-03",
        "wrong day",
    )


async def test_a_repeated_change_under_its_key_is_one_change(door: Door) -> None:
    child = await door.family()
    dose = await door.gives(child)
    path = f"/v1/children/{child}/doses/{dose}/retraction"
    first = await door.call(CLINIC, "POST", path, {"reason": "slip"}, Idempotency_Key="r1")
    again = await door.call(CLINIC, "POST", path, {"reason": "slip"}, Idempotency_Key="r1")
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert (await door.call(CLINIC, "POST", path, {"reason": "slip"})).status_code == 409


async def test_after_a_move_the_tenant_of_the_events_is_the_new_town(door: Door) -> None:
    child = await door.family()
    body = {"to_municipality": OTHER_TOWN, "effective_on": "2026-11-20"}
    moved = await door.call(NURSE, "POST", f"/v1/children/{child}/move", body)
    assert moved.status_code == 200, moved.text
    confirmed = await door.call(OTHER_NURSE, "POST", f"/v1/children/{child}/move/confirmation")
    assert confirmed.status_code == 200, confirmed.text
    growth = {"measured_on": "2026-11-21", "weight_kg": 8.2}
    assert (await door.call(NURSE, "POST", f"/v1/children/{child}/growth", growth)).status_code == 404
    assert (await door.call(OTHER_NURSE, "POST", f"/v1/children/{child}/growth", growth)).status_code == 201
    assert [row["tenant"] for row in (await door.document(child))["outbox"][-2:]] == [OTHER_TOWN, OTHER_TOWN]


# Codes ------------------------------------------------------------------------------------------------------------


async def test_a_repeated_request_gets_the_same_codes_though_no_code_is_kept(door: Door) -> None:
    child = await door.born()
    path = f"/v1/children/{child}/guardian-codes"
    first = await door.call(NURSE, "POST", path, {"count": 2}, Idempotency_Key="c1")
    again = await door.call(NURSE, "POST", path, {"count": 2}, Idempotency_Key="c1")
    assert (first.status_code, again.content) == (201, first.content)
    codes = [one["code"] for one in first.json()["codes"]]
    assert len(set(codes)) == 2
    kept = str(await door.document(child)) + str(await door.runtime.store.find(GUARDIAN_CODES, {}))
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    assert first.json()["codes"][0]["expires_at"].startswith("2026-12-23T03:00:")


async def test_a_code_leads_to_its_child_once(door: Door) -> None:
    child = await door.born()
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes", {"count": 1})
    body = {"code": codes["codes"][0]["code"].lower()}
    linked = await door.call(MOTHER, "POST", "/v1/guardian-links", body, Idempotency_Key="l1")
    assert (linked.status_code, linked.json()) == (201, {"child": child, "revision": 2})
    again = await door.call(MOTHER, "POST", "/v1/guardian-links", body, Idempotency_Key="l1")
    assert (again.status_code, again.content) == (201, linked.content)
    unknown = await door.call(FATHER, "POST", "/v1/guardian-links", {"code": "AAAA-BBBB-CCCC"})
    used = await door.call(FATHER, "POST", "/v1/guardian-links", body)
    assert (used.status_code, _without_trace(used)) == (422, _without_trace(unknown))


async def test_a_refused_request_for_codes_leaves_nothing_behind(door: Door) -> None:
    child = await door.born()
    refused = await door.call(OTHER_NURSE, "POST", f"/v1/children/{child}/guardian-codes", {"count": 1})
    assert refused.status_code == 404
    assert await door.runtime.store.count(GUARDIAN_CODES, {}) == 0


async def test_a_late_repeat_opens_no_used_code_again(door: Door) -> None:
    child = await door.born()
    path = f"/v1/children/{child}/guardian-codes"
    code = {"code": (await door.does(NURSE, "POST", path, Idempotency_Key="c1"))["codes"][0]["code"]}
    linked = await door.call(MOTHER, "POST", "/v1/guardian-links", code, Idempotency_Key="l1")
    await door.runtime.store.update("children", {"_id": child}, {"$set": {"last_commands": []}})
    assert (await door.does(NURSE, "POST", path, Idempotency_Key="c1"))["codes"][0]["code"] == code["code"]
    assert (await door.call(FATHER, "POST", "/v1/guardian-links", code)).status_code == 422
    again = await door.call(MOTHER, "POST", "/v1/guardian-links", code, Idempotency_Key="l1")
    assert (again.status_code, again.content) == (201, linked.content)


async def test_a_crash_between_the_two_documents_leaves_a_code_that_opens_nothing(door: Door) -> None:
    child = await door.born()
    before = await door.document(child)
    codes = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes", Idempotency_Key="c1")
    # As if the process had died after the code's row and before the child's commit.
    await door.runtime.store.delete("children", {"_id": child})
    await door.runtime.store.insert("children", before)
    code = {"code": codes["codes"][0]["code"]}
    assert (await door.call(MOTHER, "POST", "/v1/guardian-links", code)).status_code == 422
    again = await door.does(NURSE, "POST", f"/v1/children/{child}/guardian-codes", Idempotency_Key="c1")
    assert again["codes"][0]["code"] == code["code"]
    assert (await door.call(MOTHER, "POST", "/v1/guardian-links", code)).status_code == 201


# Consent ----------------------------------------------------------------------------------------------------------


async def test_consent_goes_to_organisations_of_the_directory(door: Door) -> None:
    child = await door.family()
    path = f"/v1/children/{child}/consents"
    unknown = await door.call(MOTHER, "PUT", f"{path}/clinic-9", {"purpose": "care"})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "organisation-unknown")
    wrong = await door.call(MOTHER, "PUT", f"{path}/clinic-1", {"purpose": "care", "kind": "municipality"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/kind")
    town = await door.does(MOTHER, "PUT", f"{path}/{OTHER_TOWN}", {"purpose": "stay", "until": "2026-12-31"})
    assert town["organisation"] == OTHER_TOWN
    assert (await door.announced(child))[-1][2]["kind"] == "municipality"


async def test_after_a_withdrawal_the_clinic_finds_no_child(door: Door) -> None:
    child = await door.family()
    await door.gives(child)
    withdrawn = await door.call(MOTHER, "DELETE", f"/v1/children/{child}/consents/clinic-1")
    assert withdrawn.status_code == 200
    body = {"given_on": "2026-08-02", "cvx": "216"}
    assert (await door.call(CLINIC, "POST", f"/v1/children/{child}/doses", body)).status_code == 404
    assert (await door.call(CLINIC, "GET", f"/v1/children/{child}/history")).status_code == 404


# History ----------------------------------------------------------------------------------------------------------


async def test_the_history_shows_each_role_what_it_may_see(door: Door) -> None:
    child = await door.family()
    await door.gives(child)
    mine = await door.does(MOTHER, "GET", f"/v1/children/{child}/history")
    assert [line["what"] for line in mine["items"]] == [
        "ChildRegistered",
        "GuardianAdded",
        "ConsentGiven",
        "DoseRecorded",
    ]
    assert mine["items"][0]["by"] == {"role": "staff", "organisation": "139912"}
    theirs = await door.does(CLINIC, "GET", f"/v1/children/{child}/history")
    assert [line["what"] for line in theirs["items"]] == ["DoseRecorded"]
    for subject in ("mother-1", "doctor-1", "nurse-1"):
        assert subject not in str(mine) + str(theirs)


async def test_the_history_is_paged_and_a_cursor_is_for_its_own_child(door: Door) -> None:
    child, other = await door.family(), await door.family()
    seen: list[int] = []
    path: str | None = f"/v1/children/{child}/history?limit=2"
    cursor = ""
    while path:
        page = await door.call(MOTHER, "GET", path)
        seen += [line["revision"] for line in page.json()["items"]]
        path = page.links["next"]["url"] if "next" in page.links else None
        cursor = page.json()["next"] or cursor
    assert seen == [1, 2, 3]
    foreign = await door.call(MOTHER, "GET", f"/v1/children/{other}/history?cursor={cursor}")
    assert (foreign.status_code, foreign.json()["errors"][0]["code"]) == (422, "cursor-unknown")
    forged = await door.call(MOTHER, "GET", f"/v1/children/{child}/history?cursor=abc.def")
    assert forged.status_code == 422


# Filing -----------------------------------------------------------------------------------------------------------


def submitted(child: str, response: str = "response-1") -> Envelope:
    doc = Document(id=response)
    event = QuestionnaireSubmitted(
        child=child,
        form="yoshinhyo-infant",
        form_version="2026.1",
        answers=(),
        submitted_by="mother-1",
        submitted_at=NOON,
    )
    doc.emit(event, NOON)
    return envelope_of(doc.outgoing[0], "questionnaire")


async def test_a_submitted_questionnaire_is_filed_once_however_often_it_comes(door: Door) -> None:
    records = door.app.state.records
    child = await door.born()
    event = submitted(child)
    assert await file_all(records, [event, event]) == []
    assert await file_all(records, [event]) == []
    told = await door.announced(child)
    assert [(revision, kind) for revision, kind, _ in told] == [(1, "ChildRegistered"), (2, "QuestionnaireFiled")]
    assert told[1][2]["response_id"] == "response-1"
    row = (await door.document(child))["outbox"][1]
    assert row["causation"] == event_id("questionnaire.response", "response-1", 1)


async def test_what_can_never_be_filed_comes_back_and_the_rest_goes_on(door: Door) -> None:
    records = door.app.state.records
    child = await door.born()
    lost = submitted("no-such-child", "response-2")
    broken = replace(submitted(child, "response-3"), data=b'{"child": 7}')
    newer = replace(submitted(child, "response-4"), type="jp.hagukumi.questionnaire.QuestionnaireSubmitted.v2")
    refused = await file_all(records, [lost, broken, newer, submitted(child)])
    assert {(envelope.subject, code) for envelope, code in refused} == {
        ("response-2", "child-unknown"),
        ("response-3", "schema-broken"),
        ("response-4", "major-version-unknown"),
    }
    assert [kind for _, kind, _ in await door.announced(child)] == ["ChildRegistered", "QuestionnaireFiled"]


def _without_trace(answer: httpx.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name != "trace_id"}
