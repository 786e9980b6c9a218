"""Each channel at a provider that checks what its protocol asks and answers each documented error."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notify import store as kept
from services.notify.commands.pushing import BREAK_AFTER, Pusher, PushTarget
from services.notify.tests.providers import Providers, address, is_reached_by
from services.notify.tests.town import MOTHER, NOTICE, Town
from shared.auth import Principal
from shared.ids import new_id
from shared.settings import Settings
from shared.store import Doc
from shared.testing.apns_service import REASONS
from shared.testing.fcm_service import ERRORS
from shared.testing.provider import Scripted

pytestmark = pytest.mark.integration

OK = {"fcm": 200, "apns": 200, "line": 200, "sms": 201}
CHANNELS = ("fcm", "apns", "line", "sms")


def message(who: Principal = MOTHER, urgency: str = "emergency") -> PushTarget:
    return PushTarget(new_id(), who.subject, urgency, {"ja": "保育園からのお知らせ"}, reminder=new_id())


async def always(_: PushTarget) -> bool:
    return True


async def sends(town: Town, target: PushTarget | None = None) -> Doc:
    """What the ledger keeps of a message that is sent, and worked on a second time."""
    target = target or message()
    await town.notices.pusher.push([target], always)
    await town.notices.pusher.push([target], always)
    [row] = [row for row in await town.runtime.store.find(kept.PUSHES, {}) if row["item"] == target.item]
    return row


# What arrives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_notice_passes_every_check_and_says_its_title_only(
    town: Town, providers: Providers, channel: str
) -> None:
    await town.born()
    token = await is_reached_by(town, channel)
    await town.does(MOTHER, "PUT", "/v1/preferences", {"topics": {"notices": ["push", "line", "sms"]}})
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    await town.expands(notice, pushes=True)
    provider = providers.of(channel)
    assert [request.problem for request in provider.requests if request.problem is not None] == []
    [(to, sent)] = provider.delivered
    assert to == token
    assert NOTICE["title"]["ja"] in json.dumps(sent, ensure_ascii=False)
    assert NOTICE["body"]["ja"] not in json.dumps(sent, ensure_ascii=False)
    [_, line] = (await town.ledger(notice))["items"]
    assert (line["channel"], line["state"], line["answer"], line["attempts"]) == (channel, "accepted", OK[channel], 1)
    assert [(one["state"], one["status"]) for one in line["tries"]] == [("accepted", OK[channel])]


async def test_the_app_learns_what_to_fetch(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "fcm")
    await is_reached_by(town, "apns")
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    [item] = await town.inbox()
    [(_, android)], [(_, apple)] = providers.fcm.delivered, providers.apns.delivered
    expected = {"item": item["id"], "urgency": "important", "announcement": notice}
    assert android["data"] == expected
    assert {name: apple[name] for name in expected} == expected


async def test_a_reminder_says_nothing_of_a_child(town: Town, providers: Providers) -> None:
    child = await town.born()
    for channel in CHANNELS:
        await is_reached_by(town, channel)
    await town.does(MOTHER, "PUT", "/v1/preferences", {"topics": {"reminders": ["push", "line", "sms"]}})
    await town.plans(child, mr1="overdue")
    await town.reminded(town.fires(child))
    for channel in CHANNELS:
        [(_, sent)] = providers.of(channel).delivered
        told = json.dumps(sent, ensure_ascii=False)
        assert "予定のお知らせ" in told
        assert not [word for word in ("MR", "麻しん", child, "ひかり") if word in told]


@pytest.mark.parametrize(
    ("urgency", "android", "apple"), [("emergency", "HIGH", "10"), ("important", "HIGH", "10"), ("info", "NORMAL", "5")]
)
async def test_how_urgent(town: Town, providers: Providers, urgency: str, android: str, apple: str) -> None:
    await is_reached_by(town, "fcm")
    await is_reached_by(town, "apns")
    await town.notices.pusher.push([message(urgency=urgency)], always)
    [(_, sent)] = providers.fcm.delivered
    assert sent["android"]["priority"] == android
    assert [request.headers["apns-priority"] for request in providers.apns.requests] == [apple]


async def test_the_longest_title_still_fits(town: Town, providers: Providers) -> None:
    """4,096 bytes at both: what is longer goes without its title rather than not at all."""
    await is_reached_by(town, "fcm")
    await is_reached_by(town, "apns")
    long = PushTarget(new_id(), MOTHER.subject, "info", {"ja": "あ" * 2_000})
    await town.notices.pusher.push([long], always)
    assert len(providers.fcm.delivered) == len(providers.apns.delivered) == 1


# What providers answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("fcm", "UNREGISTERED"),
        ("fcm", "SENDER_ID_MISMATCH"),
        ("apns", "BadDeviceToken"),
        ("apns", "DeviceTokenNotForTopic"),
        ("apns", "Unregistered"),
        ("apns", "ExpiredToken"),
        ("sms", "21211"),
        ("sms", "21610"),
        ("sms", "21614"),
        ("sms", "21635"),
    ],
)
async def test_a_dead_token_is_removed(town: Town, providers: Providers, channel: str, code: str) -> None:
    token = await is_reached_by(town, channel)
    providers.of(channel).scripts[token] = Scripted(code)
    row = await sends(town)
    assert (row["state"], row["reason"], row["attempts"]) == ("gone", code, 1)
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0
    assert (await kept.contact_of(town.runtime.store, MOTHER.subject)).channels == ()
    known = await town.runtime.store.get(kept.CONTACTS, MOTHER.subject)
    assert known is not None
    assert known["state"]["channels"] == []


async def test_a_token_that_its_app_registered_after_apple_saw_it_dead_is_kept(
    town: Town, providers: Providers
) -> None:
    """ "Stop pushing until the device registers a token with a later timestamp": this one has."""
    town.runtime.clock.move_to(datetime.now(UTC) + timedelta(hours=1))
    token = await is_reached_by(town, "apns")
    providers.apns.scripts[token] = Scripted("Unregistered", times=1)
    row = await sends(town)
    assert (row["state"], row["reason"]) == ("refused", "Unregistered")
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 1


FINAL = [
    *(("fcm", code) for code in ("INVALID_ARGUMENT", "QUOTA_EXCEEDED")),
    *(
        ("apns", reason)
        for reason, status in REASONS.items()
        if status in {400, 403, 404, 405, 413}
        and reason not in {"BadDeviceToken", "DeviceTokenNotForTopic", "ExpiredProviderToken", "IdleTimeout"}
    ),
    ("apns", "TooManyProviderTokenUpdates"),
    *(("line", code) for code in ("bad-request", "failed-to-send", "unauthorized", "forbidden", "monthly-limit")),
    *(("sms", code) for code in ("20003", "21212", "21602", "21603", "21604", "21617", "30001")),
]


@pytest.mark.parametrize(("channel", "code"), FINAL)
async def test_a_definite_refusal_that_no_repeat_would_mend_is_final(
    town: Town, providers: Providers, channel: str, code: str
) -> None:
    token = await is_reached_by(town, channel)
    providers.of(channel).scripts[token] = Scripted(code)
    row = await sends(town)
    assert (row["state"], row["attempts"]) == ("refused", 1)
    assert row["reason"] == {"failed-to-send": "bad-request"}.get(code, code)


@pytest.mark.parametrize(
    ("channel", "code", "retry_after"),
    [
        ("fcm", "UNAVAILABLE", 0),
        ("fcm", "QUOTA_EXCEEDED", 0),
        ("fcm", "THIRD_PARTY_AUTH_ERROR", None),
        ("apns", "TooManyRequests", None),
        ("apns", "ExpiredProviderToken", None),
        ("line", "rate-limit", None),
        ("sms", "20429", None),
        ("sms", "21611", 0),
        ("sms", "20503", 0),
    ],
)
async def test_a_definite_refusal_is_repeated_when_it_says(
    town: Town, providers: Providers, channel: str, code: str, retry_after: int | None
) -> None:
    token = await is_reached_by(town, channel)
    providers.of(channel).scripts[token] = Scripted(code, retry_after=retry_after, times=1)
    row = await sends(town)
    assert (row["state"], row["attempts"]) == ("accepted", 2)
    assert [one["state"] for one in row["tries"]] == ["refused", "accepted"]
    assert len(providers.of(channel).delivered) == 1


async def test_nobody_comes_back_earlier_than_asked(town: Town, providers: Providers) -> None:
    token = await is_reached_by(town, "fcm")
    providers.fcm.scripts[token] = Scripted("UNAVAILABLE", retry_after=600)
    row = await sends(town)
    assert (row["state"], row["attempts"]) == ("refused", 1)


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("fcm", "INTERNAL"),
        ("fcm", "UNAVAILABLE"),
        ("apns", "InternalServerError"),
        ("apns", "ServiceUnavailable"),
        ("apns", "Shutdown"),
        ("line", "internal"),
        ("sms", "20500"),
        ("sms", "20503"),
    ],
)
async def test_g5_an_error_behind_which_the_message_may_have_gone_out_is_never_repeated(
    town: Town, providers: Providers, channel: str, code: str
) -> None:
    token = await is_reached_by(town, channel)
    providers.of(channel).scripts[token] = Scripted(code, accepts=True)
    row = await sends(town)
    assert (row["state"], row["attempts"]) == ("unknown", 1)
    assert len(providers.of(channel).delivered) == 1


@pytest.mark.parametrize("channel", CHANNELS)
async def test_g5_accepted_and_then_silent_is_unknown_and_stays_so(
    town: Town, providers: Providers, channel: str
) -> None:
    await is_reached_by(town, channel)
    if channel == "fcm":
        await sends(town)  # the access token is there
    providers.of(channel).scripts["*"] = Scripted(after=5.0, accepts=True)
    providers.of(channel).delivered.clear()
    town.notices.pusher.timeout_s = 0.5
    row = await sends(town)
    assert (row["state"], row["attempts"], len(providers.of(channel).delivered)) == ("unknown", 1, 1)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_nothing_listens_nothing_was_sent(town: Town, providers: Providers, channel: str) -> None:
    await is_reached_by(town, channel)
    await providers.of(channel).__aexit__()
    row = await sends(town)
    assert (row["state"], row["attempts"]) == ("not-sent", 3)


async def test_g10_a_dead_provider_is_left_alone_and_harms_no_other(town: Town, providers: Providers) -> None:
    guardians = [Principal(f"g{number:02}", "guardian") for number in range(40)]
    for who in guardians:
        await is_reached_by(town, "fcm", who)
        await is_reached_by(town, "line", who)
    providers.fcm.scripts["*"] = Scripted("INTERNAL")
    await town.notices.pusher.push([message(who) for who in guardians], always)
    rows = await town.runtime.store.find(kept.PUSHES, {})
    states = [row["state"] for row in rows if row["channel"] == "fcm"]
    assert (len(states), set(states)) == (40, {"unknown", "provider-down"})
    assert states.count("unknown") < 40 - BREAK_AFTER / 2
    assert [row["state"] for row in rows if row["channel"] == "line"] == ["accepted"] * 40


# Credentials ------------------------------------------------------------------------------------------------------


async def test_one_access_token_serves_many_messages_and_a_revoked_one_is_fetched_anew(
    town: Town, providers: Providers
) -> None:
    await is_reached_by(town, "fcm")
    await sends(town)
    await sends(town)
    assert providers.fcm.grants == 1
    providers.fcm.forget_tokens()
    row = await sends(town)
    assert (row["state"], row["attempts"], providers.fcm.grants) == ("accepted", 2, 2)


async def test_apple_sees_one_provider_token_and_http_2(town: Town, providers: Providers) -> None:
    await is_reached_by(town, "apns")
    for _ in range(3):
        await sends(town)
    assert len({request.headers["authorization"] for request in providers.apns.requests}) == 1
    assert {request.version for request in providers.apns.requests} == {"2"}


async def test_a_repeat_under_the_same_retry_key_counts_as_what_it_repeats(town: Town, providers: Providers) -> None:
    """LINE accepted the first attempt, and its answer said the opposite."""
    token = await is_reached_by(town, "line")
    providers.line.scripts[token] = Scripted("rate-limit", times=1, accepts=True)
    row = await sends(town)
    assert (row["state"], row["status"], row["reason"]) == ("accepted", 409, "retry-key-accepted")
    assert len(providers.line.delivered) == 1


async def test_without_credentials_a_channel_is_off_and_says_so(town: Town, providers: Providers) -> None:
    await town.born()
    for channel in CHANNELS:
        await is_reached_by(town, channel)
    await town.does(MOTHER, "PUT", "/v1/preferences", {"topics": {"notices": ["push", "line", "sms"]}})
    bare = Settings(service="notify", environment="development")
    town.notices.pusher = Pusher(town.runtime.store, town.notices.pusher.egress, bare, town.runtime.clock)
    notice = await town.publishes()
    await town.expands(notice, pushes=True)
    lines = [line for line in (await town.ledger(notice))["items"] if line["channel"] != "inbox"]
    assert sorted((line["channel"], line["state"], line["reason"]) for line in lines) == [
        (channel, "failed", "no-credentials") for channel in sorted(CHANNELS)
    ]
    assert all(providers.of(channel).requests == [] for channel in CHANNELS)
    assert town.notices.pusher.states()["line"] == "off: no-credentials"


# Devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"channel": "fcm", "token": "短い"},
        {"channel": "fcm", "token": "x" * 19},
        {"channel": "apns", "token": "zz" * 32},
        {"channel": "apns", "token": "ab" * 20},
        {"channel": "apns", "token": "../../" + "ab" * 32},
        {"channel": "telegram", "token": "x" * 40},
        {"channel": "fcm", "token": {"$ne": ""}},
        {"channel": "fcm", "token": "x" * 40, "recipient": "father-1"},
    ],
)
async def test_what_is_no_token_is_refused(town: Town, body: dict[str, Any]) -> None:
    assert (await town.call(MOTHER, "PUT", "/v1/devices/phone", body)).status_code == 422
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0


async def test_a_phone_that_changed_hands_is_its_new_users(town: Town, providers: Providers) -> None:
    token = await is_reached_by(town, "fcm")
    stranger = Principal("stranger", "guardian")
    await town.does(stranger, "PUT", "/v1/devices/mine", {"channel": "fcm", "token": token})
    await town.notices.pusher.push([message()], always)
    assert not providers.fcm.delivered


async def test_a_token_that_was_renewed_replaces_the_old_one(town: Town, providers: Providers) -> None:
    await is_reached_by(town, "fcm")
    fresh = address("fcm", Principal("renewed", "guardian"))
    answer = await town.call(MOTHER, "PUT", "/v1/devices/fcm", {"channel": "fcm", "token": fresh})
    assert answer.status_code == 200
    await asyncio.gather(town.notices.pusher.push([message()], always))
    assert [to for to, _ in providers.fcm.delivered] == [fresh]


def test_every_documented_error_of_fcm_is_looked_at() -> None:
    looked_at = {code for channel, code in FINAL if channel == "fcm"}
    looked_at |= {"UNREGISTERED", "SENDER_ID_MISMATCH", "UNAVAILABLE", "INTERNAL", "THIRD_PARTY_AUTH_ERROR"}
    assert looked_at == set(ERRORS)
