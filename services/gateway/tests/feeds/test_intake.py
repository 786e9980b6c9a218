"""A municipality's message from record to reply: done once, answered alike, refused without a trace, patient with owners."""

import json
from datetime import timedelta

import pytest

from services.gateway import store as kept
from services.gateway.commands.intake import Intake
from services.gateway.domain.intake import Received
from services.gateway.tests.feeds.conftest import Owners, Replies, headers
from services.gateway.tests.feeds.test_intake_reading import BIRTH, TOPIC, record
from shared.audit import Access
from shared.events.municipal import MessageAccepted, MessageRefused
from shared.problems import Busy
from shared.runtime import Runtime
from shared.store import Doc

pytestmark = pytest.mark.integration


class Rows:
    """An audit that remembers."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, tuple[str, ...], str]] = []

    async def __call__(self, access: Access) -> None:
        self.rows.append((access.who, access.action, access.whose, access.outcome))


@pytest.fixture
def replies(runtime: Runtime) -> Replies:
    """What the gateway answers on the replies topic."""
    found = Replies()
    runtime.producer = found  # type: ignore[assignment]
    return found


@pytest.fixture
def rows() -> Rows:
    """The audit."""
    return Rows()


@pytest.fixture
def intake(runtime: Runtime, rows: Rows, replies: Replies) -> Intake:
    """The intake on the real store."""
    return Intake(runtime, rows)


async def stored(runtime: Runtime) -> list[Doc]:
    """Everything that the intake keeps."""
    return await runtime.store.find(kept.INTAKE, {})


def kind(name: str) -> dict[str, str | None]:
    """Headers of another type of message."""
    return {"ce_type": f"jp.hagukumi.municipal.{name}.v1", "ce_id": f"{name}-1"}


async def test_a_birth_becomes_a_child_with_codes_and_a_reply(
    intake: Intake, owners: Owners, replies: Replies, rows: Rows
) -> None:
    await intake.settle(record())
    assert next(path for _, path, _ in owners.calls) == "/v1/children"
    assert owners.asked("/v1/children") == [{k: v for k, v in BIRTH.items() if k != "guardian_codes"}]
    ((said, data),) = replies.said()
    assert (said, data["message_id"], len(data["guardian_codes"])) == ("MessageAccepted", "m-1", 2)
    sent = replies.sent[0]
    assert (sent.topic, sent.key) == ("municipal.139912.replies.v1", b"m-1")
    assert headers(sent)["ce_subject"] == "m-1"
    assert rows.rows == [("municipality-139912", "intakeBirthNotified", (data["subject"],), "accepted")]


async def test_a_repeat_gets_the_same_reply_and_creates_nothing(
    intake: Intake, owners: Owners, replies: Replies
) -> None:
    await intake.settle(record(offset=1))
    calls = list(owners.calls)
    await intake.settle(record(offset=2))
    assert owners.calls == calls
    first, second = replies.sent
    assert first.value == second.value
    assert headers(first)["ce_id"] == headers(second)["ce_id"]


async def test_another_body_under_a_used_id_is_refused(intake: Intake, owners: Owners, replies: Replies) -> None:
    await intake.settle(record())
    await intake.settle(record({**BIRTH, "sex": "M"}))
    assert len(owners.asked("/v1/children")) == 1
    assert [said for said, _ in replies.said()] == ["MessageAccepted", "MessageRefused"]
    assert replies.said()[1][1]["errors"][0]["code"] == "id-reused"
    assert headers(replies.sent[0])["ce_id"] != headers(replies.sent[1])["ce_id"]


async def test_a_broken_message_reaches_no_owner_and_leaves_no_personal_data(
    intake: Intake, runtime: Runtime, owners: Owners, replies: Replies, rows: Rows
) -> None:
    await intake.settle(record({**BIRTH, "birth_date": "2026-13-01"}))
    assert owners.calls == []
    assert replies.said()[0][0] == "MessageRefused"
    assert rows.rows == [("municipality-139912", "intake", (), "refused")]
    assert "若葉" not in json.dumps(await stored(runtime), ensure_ascii=False, default=str)


async def test_codes_are_kept_nowhere(intake: Intake, runtime: Runtime, replies: Replies) -> None:
    await intake.settle(record())
    code = replies.said()[0][1]["guardian_codes"][0]
    kept_here = [await runtime.store.find(name, {}) for name in await runtime.store.collections()]
    assert code not in json.dumps(kept_here, default=str)


async def test_what_the_owner_refuses_is_refused_with_its_places(
    intake: Intake, owners: Owners, replies: Replies
) -> None:
    owners.refusing["2026-09-22"] = (
        422,
        {
            "type": "https://hagukumi.example/problems/invalid",
            "errors": [{"pointer": "/birth_date", "code": "in-the-future", "detail": "未来の日付です。"}],
        },
    )
    await intake.settle(record())
    assert replies.said()[0][1]["errors"] == [
        {"pointer": "/birth_date", "code": "in-the-future", "detail": "未来の日付です。"}
    ]


async def test_an_owner_that_is_down_decides_nothing(
    intake: Intake, runtime: Runtime, owners: Owners, replies: Replies
) -> None:
    owners.down.add("139912")
    with pytest.raises(Busy):
        await intake.settle(record())
    assert await stored(runtime) == []
    assert replies.sent == []
    owners.down.clear()
    assert isinstance(await intake.settle(record()), MessageAccepted)


async def test_a_reply_that_kafka_did_not_take_is_sent_again_from_what_is_kept(
    intake: Intake, owners: Owners, replies: Replies
) -> None:
    replies.broken = True
    with pytest.raises(Busy):
        await intake.settle(record())
    calls = list(owners.calls)
    replies.broken = False
    await intake.settle(record())
    assert owners.calls == calls
    assert len(replies.said()[0][1]["guardian_codes"]) == 2


async def test_a_message_that_always_conflicts_is_refused_in_the_end(intake: Intake, owners: Owners) -> None:
    owners.refusing["/v1/children"] = (409, {"type": "https://hagukumi.example/problems/conflict", "title": "c"})
    with pytest.raises(Busy):
        await intake.settle(record(), attempt=1)
    assert isinstance(await intake.settle(record(), attempt=10), MessageRefused)


async def test_unreadable_bytes_are_answered_under_their_place(intake: Intake, replies: Replies) -> None:
    await intake.settle(Received(TOPIC, 0, 7, None, b"\x00\xff", []))
    said, data = replies.said()[0]
    assert (said, data["message_id"]) == ("MessageRefused", "municipal.139912.v1/0/7")
    assert replies.sent[0].key == b"municipal.139912.v1/0/7"


def past_doses(runtime: Runtime, *lots: str) -> Received:
    """Doses of the last days."""
    today = runtime.clock.today()
    doses = [
        {"given_on": (today - timedelta(days=n + 1)).isoformat(), "cvx": "170", "lot": lot}
        for n, lot in enumerate(lots)
    ]
    return record({"child": "c1", "doses": doses}, headers=kind("PastDosesReported"))


async def test_past_doses_are_recorded_one_by_one(
    intake: Intake, runtime: Runtime, owners: Owners, replies: Replies
) -> None:
    await intake.settle(past_doses(runtime, "A1", "A2"))
    assert [dose["lot"] for dose in owners.asked("/v1/children/c1/doses")] == ["A1", "A2"]
    assert replies.said()[0] == (
        "MessageAccepted",
        {"message_id": "PastDosesReported-1", "subject": "c1", "guardian_codes": []},
    )


async def test_a_refused_dose_takes_back_those_before_it(
    intake: Intake, runtime: Runtime, owners: Owners, replies: Replies
) -> None:
    owners.refusing["A3"] = (
        422,
        {
            "type": "https://hagukumi.example/problems/invalid",
            "errors": [{"pointer": "/given_on", "code": "already-recorded", "detail": "登録済みです。"}],
        },
    )
    await intake.settle(past_doses(runtime, "A1", "A2", "A3"))
    assert len(owners.asked("/retraction")) == 2
    assert replies.said()[0][1]["errors"][0]["pointer"] == "/doses/2/given_on"


async def test_a_move_a_notice_and_a_closure_go_to_their_owners(
    intake: Intake, owners: Owners, replies: Replies
) -> None:
    move = {"child": "c1", "to_municipality": "139921", "effective_on": "2026-11-01"}
    await intake.settle(record(move, headers=kind("MoveNotified")))
    notice = {"title": {"ja": "お知らせ"}, "body": {"ja": "本文"}, "audience": {"all": True}, "urgency": "info"}
    await intake.settle(record(notice, headers=kind("NoticeRequested")))
    closed = {
        "place": "k-1",
        "place_name": "わかば幼稚園",
        "closed_from": "2026-11-24",
        "closed_to": "2026-11-24",
        "reason": "大雨",
    }
    await intake.settle(record(closed, headers=kind("ClosureReported")))
    assert [path for _, path, _ in owners.calls] == [
        "/v1/children/c1/move",
        "/v1/announcements",
        "/v1/announcements",
    ]
    assert {said for said, _ in replies.said()} == {"MessageAccepted"}
