"""A municipality's notice: previewed, confirmed, frozen, published now or later, corrected, recalled, accounted for."""

import json
from datetime import timedelta
from typing import Any

import pytest

from services.notify import store as kept
from services.notify.commands.announcements import publish_scheduled
from services.notify.tests.town import (
    FATHER,
    MOTHER,
    NOON,
    NOTICE,
    NURSE,
    OTHER_NURSE,
    OTHER_TOWN,
    REGISTER,
    TOWN,
    UNDER_SIX,
    Town,
)

pytestmark = pytest.mark.integration


async def a_mixed_town(town: Town) -> dict[str, str]:
    """Children of several ages, districts and plans; one in the next town, one moved away, one dead."""
    found = {
        "baby": await town.born("2026-10-01", ["mother-1", "father-1"], district="一丁目"),
        "toddler": await town.born("2024-05-01", ["mother-1"], district="二丁目"),
        "schoolchild": await town.born("2018-05-01", ["mother-2"], district="一丁目"),
        "neighbour": await town.born("2026-10-01", ["stranger"], town=OTHER_TOWN),
        "moved": await town.born("2026-10-01", ["mother-3"]),
        "dead": await town.born("2026-10-01", ["mother-4"]),
        "orphan": await town.born("2026-10-01", []),
    }
    await town.moves(found["moved"], OTHER_TOWN)
    await town.dies(found["dead"])
    await town.plans(found["toddler"], mr1="overdue")
    return found


@pytest.mark.parametrize(
    ("audience", "reached"),
    [
        (UNDER_SIX, ["father-1", "mother-1"]),
        ({"age_years": {"from": 6}}, ["mother-2"]),
        ({"district": "一丁目"}, ["father-1", "mother-1", "mother-2"]),
        ({"due": {"series": "mr1"}}, ["mother-1"]),
        ({"all": [UNDER_SIX, {"not": {"district": "一丁目"}}]}, ["mother-1"]),
        ({"any": [{"due": {"series": "mr1"}}, {"age_years": {"from": 6}}]}, ["mother-1", "mother-2"]),
        ({"municipality": TOWN, "age_months": {"under": 3}}, ["father-1", "mother-1"]),
        ({}, ["father-1", "mother-1", "mother-2"]),
    ],
)
async def test_the_preview_is_what_the_sending_reaches(
    town: Town, audience: dict[str, Any], reached: list[str]
) -> None:
    await a_mixed_town(town)
    preview = await town.does(NURSE, "POST", "/v1/announcements/preview", {"audience": audience})
    assert preview["recipients"] == len(reached)
    notice = await town.publishes(audience=audience, confirm=preview["recipients"])
    await town.expands(notice)
    ledger = await town.ledger(notice)
    assert [line["recipient"] for line in ledger["items"]] == reached
    assert (ledger["recipients"], ledger["inbox"], ledger["waiting"]) == (len(reached), len(reached), 0)
    rows = await town.runtime.store.find(kept.INBOX, {})
    assert sorted(row["recipient"] for row in rows) == reached


async def test_the_preview_counts_children_and_channels(town: Town) -> None:
    await a_mixed_town(town)
    preview = await town.does(NURSE, "POST", "/v1/announcements/preview", {"audience": UNDER_SIX})
    assert preview == {
        "recipients": 2,
        "children": 3,
        "pregnancies": 0,
        "by_channel": {"inbox": 2, "web_push": 0},
        "by_language": {"ja": 2},
        "everyone": False,
        "as_of": preview["as_of"],
    }


async def test_recipients_are_frozen_when_it_is_published(town: Town) -> None:
    child = await town.born(guardians=["mother-1", "father-1"])
    notice = await town.publishes()
    await town.loses(child, "father-1")
    await town.born(guardians=["mother-2"])
    await town.expands(notice)
    assert [line["recipient"] for line in (await town.ledger(notice))["items"]] == ["father-1", "mother-1"]


async def test_a_repeat_with_its_key_publishes_nothing_more(town: Town) -> None:
    await town.born()
    first = await town.call(NURSE, "POST", "/v1/announcements", NOTICE, Idempotency_Key="k1")
    again = await town.call(NURSE, "POST", "/v1/announcements", NOTICE, Idempotency_Key="k1")
    assert (again.status_code, again.json()) == (202, first.json())
    assert first.headers["location"] == f"/v1/announcements/{first.json()['id']}"
    assert await town.runtime.store.count(kept.ANNOUNCEMENTS, {}) == 1
    assert await town.runtime.store.count(kept.RECIPIENTS, {}) == 1
    other = await town.call(NURSE, "POST", "/v1/announcements", {**NOTICE, "urgency": "info"}, Idempotency_Key="k1")
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")
    none = await town.call(NURSE, "POST", "/v1/announcements", NOTICE, Idempotency_Key="")
    assert none.status_code == 400


async def test_nobody_and_everybody_ask_for_the_number(town: Town) -> None:
    await a_mixed_town(town)
    for audience, number in (({"age_years": {"from": 15}}, 0), ({}, 3), ({"age_years": {"under": 100}}, 3)):
        assert await town.refused({**NOTICE, "audience": audience}) == [("/confirm", "confirm-the-number")]
        wrong = {**NOTICE, "audience": audience, "confirm": number + 1}
        assert await town.refused(wrong) == [("/confirm", "confirm-the-number")]
    found = await town.does(NURSE, "POST", "/v1/announcements", {**NOTICE, "audience": {}, "confirm": 3})
    assert found["recipients"] == 3


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"title": {"en": "Closed"}}, "/title/ja", "required"),
    ({"title": {"ja": "あ" * 101}}, "/title/ja", "too-long"),
    ({"body": {"ja": "あ" * 4001}}, "/body/ja", "too-long"),
    ({"body": {"ja": "休園", "en": "  "}}, "/body/en", "empty"),
    ({"body": {"ja": "<b>休園</b>"}}, "/body/ja", "markup"),
    ({"body": {"ja": "<script>alert(1)</script>"}}, "/body/ja", "markup"),
    ({"title": {"ja": "休\u202e園"}}, "/title/ja", "unseen-sign"),
    ({"title": {"ja": "休園", "tlh": "bIQ"}}, "/title/tlh", "language-unknown"),
    ({"body": {"ja": "{{name}}さんへ"}}, "/body/ja", "placeholder-unknown"),
    ({"body": {"ja": "${town}"}}, "/body/ja", "placeholder-unknown"),
    ({"body": {"ja": "{{expires_on}}まで"}}, "/expires_at", "required"),
    ({"title": {"ja": "あ" * 80 + "{{town}}"}}, "/title/ja", "too-long"),
    ({"title": {"ja": "休園《closed》"}}, "/title/ja", "furigana-broken"),
    ({"title": {"ja": "休園《きゅうえん"}}, "/title/ja", "furigana-broken"),
    ({"title": {"ja": "《きゅうえん》"}}, "/title/ja", "furigana-broken"),
    ({"links": [{"url": "http://video.example/1", "title": {"ja": "動画"}}]}, "/links/0/url", "url-not-https"),
    ({"links": [{"url": "javascript:alert(1)", "title": {"ja": "動画"}}]}, "/links/0/url", "url-not-https"),
    ({"links": [{"url": "https://a@video.example/", "title": {"ja": "動画"}}]}, "/links/0/url", "url-not-https"),
    ({"links": [{"url": "https://video.example/<b>", "title": {"ja": "動画"}}]}, "/links/0/url", "url-not-https"),
    ({"links": [{"url": "https://video.example/", "title": {"en": "Video"}}]}, "/links/0/title/ja", "required"),
    ({"links": [{"url": "https://video.example/", "title": {"ja": "動画"}}] * 11}, "/links", "too-many"),
    ({"attachments": ["nothing"]}, "/attachments/0", "attachment-unknown"),
    ({"attachments": ["nothing"] * 6}, "/attachments", "too-many"),
    ({"publish_at": "2026-11-22T00:00:00Z"}, "/publish_at", "past"),
    ({"publish_at": "2026-11-24T00:00:00"}, "/publish_at", "zone-missing"),
    ({"expires_at": "2026-11-22T00:00:00Z"}, "/expires_at", "past"),
    (
        {"publish_at": "2026-11-25T00:00:00Z", "expires_at": "2026-11-24T00:00:00Z"},
        "/expires_at",
        "past",
    ),
    ({"audience": {"municipality": OTHER_TOWN}}, "/audience/municipality", "municipality-foreign"),
    ({"audience": {"not": {"municipality": OTHER_TOWN}}}, "/audience/not/municipality", "municipality-foreign"),
    ({"audience": {"income": 1}}, "/audience/income", "predicate-unknown"),
    ({"audience": []}, "/audience", "dict-type"),
    ({"urgency": "panic"}, "/urgency", "literal-error"),
    ({"sender": "me"}, "/sender", "extra-forbidden"),
    ({"confirm": "3"}, "/confirm", "int-type"),
]


@pytest.mark.parametrize(("changes", "pointer", "code"), BAD, ids=[f"{pointer}-{code}" for _, pointer, code in BAD])
async def test_what_must_not_go_out_is_refused_with_its_place(
    town: Town, changes: dict[str, Any], pointer: str, code: str
) -> None:
    await town.born()
    assert (pointer, code) in await town.refused({**NOTICE, **changes})


async def test_every_broken_rule_is_named_at_once(town: Town) -> None:
    found = await town.refused({**NOTICE, "title": {"en": "<i>"}, "body": {"ja": ""}})
    assert found == [("/title/ja", "required"), ("/title/en", "markup"), ("/body/ja", "empty")]


async def test_a_municipal_system_publishes_for_its_own_town(town: Town) -> None:
    await town.born()
    found = await town.does(REGISTER, "POST", "/v1/announcements", NOTICE)
    assert (await town.does(NURSE, "GET", f"/v1/announcements/{found['id']}"))["published_by"] == "register"


async def test_the_events_of_a_notice(town: Town) -> None:
    await town.born(guardians=[f"g{number:04}" for number in range(1200)])
    notice = await town.publishes()
    published, *pages = await town.announced(notice)
    assert published.type == "jp.hagukumi.notify.AnnouncementPublished.v1"
    assert (published.subject, published.tenant) == (notice, TOWN)
    data = json.loads(published.data)
    assert (data["recipients"], data["title"]) == (1200, NOTICE["title"])
    assert [page.subject for page in pages] == [f"{notice}:{number}" for number in range(3)]
    assert [(json.loads(page.data)["first"], json.loads(page.data)["count"]) for page in pages] == [
        (0, 500),
        (500, 500),
        (1000, 200),
    ]
    assert {page.stream for page in pages} == {"notify.fanout"}
    emergency = await town.publishes(urgency="emergency")
    assert {page.stream for page in await town.pages(emergency)} == {"notify.urgent"}


async def test_a_later_notice_waits_and_reaches_those_of_its_day(town: Town) -> None:
    child = await town.born(guardians=["mother-1", "father-1"])
    at = NOON + timedelta(hours=5)
    found = await town.does(NURSE, "POST", "/v1/announcements", {**NOTICE, "publish_at": at.isoformat()})
    assert (found["state"], found["recipients"]) == ("scheduled", 2)
    assert await publish_scheduled(town.notices) == 0
    assert await town.announced(found["id"]) == []
    await town.loses(child, "father-1")
    town.runtime.clock.move_to(at + timedelta(seconds=1))
    assert await publish_scheduled(town.notices) == 1
    assert await publish_scheduled(town.notices) == 0
    await town.expands(found["id"])
    assert (await town.ledger(found["id"]))["recipients"] == 1
    assert len(await town.inbox(MOTHER)) == 1
    assert await town.inbox(FATHER) == []


async def test_a_later_notice_is_never_published_after_its_recall(town: Town) -> None:
    await town.born()
    at = NOON + timedelta(hours=5)
    notice = await town.publishes(publish_at=at.isoformat())
    await town.does(NURSE, "POST", f"/v1/announcements/{notice}/recall", {"reason": "wrong day"})
    town.runtime.clock.move_to(at + timedelta(seconds=1))
    assert await publish_scheduled(town.notices) == 0
    assert await town.announced(notice) == []


async def test_a_time_armed_before_its_notice_was_written_waits_for_it(town: Town) -> None:
    """The writer's order is row, then notice: a worker that looks between the two must not drop the row."""
    await kept.schedule(town.runtime.store, "half-written", NOON)
    town.runtime.clock.move_to(NOON + timedelta(minutes=1))
    assert await publish_scheduled(town.notices) == 0
    assert await town.runtime.store.count(kept.SCHEDULED, {}) == 1
    town.runtime.clock.move_to(NOON + timedelta(hours=1))
    assert await publish_scheduled(town.notices) == 0
    assert await town.runtime.store.count(kept.SCHEDULED, {}) == 0


async def test_a_correction_shows_in_every_inbox_and_needs_the_version(town: Town) -> None:
    await town.born()
    notice = await town.publishes()
    await town.expands(notice)
    better = {"title": {"ja": "明日休園です"}, "body": {"ja": "今日ではなく明日です。"}, "reason": "wrong day"}
    path = f"/v1/announcements/{notice}"
    assert (await town.call(NURSE, "PUT", path, better)).status_code == 428
    assert (await town.call(NURSE, "PUT", path, better, If_Match='"7"')).status_code == 412
    etag = (await town.call(NURSE, "GET", path)).headers["etag"]
    assert (await town.call(NURSE, "PUT", path, better, If_Match=etag)).status_code == 200
    [item] = await town.inbox()
    assert (item["state"], item["title"]) == ("corrected", better["title"])
    events = [event.type.split(".")[-2] for event in await town.announced(notice)]
    assert events == ["AnnouncementPublished", "FanoutPage", "AnnouncementCorrected", "FanoutPage"]
    bad = await town.call(NURSE, "PUT", path, {**better, "title": {"ja": "<b>"}}, If_Match=etag)
    assert bad.status_code == 422


async def test_a_recall_stands_in_every_inbox_and_is_final(town: Town) -> None:
    await town.born()
    notice = await town.publishes()
    await town.expands(notice)
    path = f"/v1/announcements/{notice}"
    recalled = await town.call(NURSE, "POST", f"{path}/recall", {"reason": "wrong town"}, Idempotency_Key="r1")
    again = await town.call(NURSE, "POST", f"{path}/recall", {"reason": "wrong town"}, Idempotency_Key="r1")
    assert (again.status_code, again.json()) == (200, recalled.json())
    [item] = await town.inbox()
    assert item["state"] == "recalled"
    assert NOTICE["title"]["ja"] not in json.dumps(item, ensure_ascii=False)
    other = {"title": NOTICE["title"], "body": NOTICE["body"], "reason": "no"}
    etag = (await town.call(NURSE, "GET", path)).headers["etag"]
    assert (await town.call(NURSE, "PUT", path, other, If_Match=etag)).status_code == 409


async def test_an_expired_notice_says_so(town: Town) -> None:
    await town.born()
    notice = await town.publishes(expires_at=(NOON + timedelta(hours=1)).isoformat())
    await town.expands(notice)
    assert (await town.inbox())[0]["state"] == "current"
    town.runtime.clock.move_to(NOON + timedelta(hours=2))
    assert (await town.inbox())[0]["state"] == "expired"


async def test_the_ledger_is_paged_in_one_order_and_sums_to_the_audience(town: Town) -> None:
    guardians = [f"g{number:04}" for number in range(1203)]
    await town.born(guardians=guardians)
    notice = await town.publishes()
    before = await town.ledger(notice, "?limit=3")
    assert (before["inbox"], before["waiting"], before["items"][0]["state"]) == (0, 1203, "waiting")
    await town.expands(notice)
    seen: list[str] = []
    query = "?limit=500"
    while True:
        page = await town.ledger(notice, query)
        assert page["inbox"] + page["waiting"] == page["recipients"] == 1203
        assert sum(page["push"].values()) == 1203
        seen += [line["recipient"] for line in page["items"]]
        if page["next"] is None:
            break
        query = f"?limit=500&cursor={page['next']}"
    assert seen == guardians
    forged = await town.call(NURSE, "GET", f"/v1/announcements/{notice}/deliveries?cursor=WzVd.0000")
    assert forged.status_code == 422


async def test_another_town_sees_no_notice(town: Town) -> None:
    await town.born()
    notice = await town.publishes()
    foreign = await town.call(OTHER_NURSE, "GET", f"/v1/announcements/{notice}")
    missing = await town.call(OTHER_NURSE, "GET", "/v1/announcements/0123456789abcdef")
    assert (foreign.status_code, foreign.content) == (404, missing.content)
