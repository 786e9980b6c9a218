"""An address is somebody's when the code that was sent there comes back; and each is reached as they chose."""

import re
from datetime import timedelta
from typing import Any

import pytest

from services.notify import store as kept
from services.notify.commands.contact_points import CODES_PER_HOUR, CODES_PER_HOUR_AND_ADDRESS, GUESSES
from services.notify.tests.providers import Providers, address, is_reached_by
from services.notify.tests.town import FATHER, MOTHER, NOON, STRANGER, Town
from shared.auth import Principal
from shared.testing.provider import Scripted

pytestmark = pytest.mark.integration

WAYS = ("line", "sms", "mail")


def code_at(providers: Providers, channel: str) -> str:
    """The code that arrived last."""
    if channel == "mail":
        text = str(providers.mail.received[-1]["Subject"])
    else:
        text = str(providers.of(channel).delivered[-1][1])
    found = re.search(r"[0-9]{6}(?=（)", text)
    assert found is not None, text
    return found[0]


async def names(town: Town, channel: str, where: str | None = None, who: Principal = MOTHER, name: str = "mine") -> Any:
    body = {"channel": channel, "address": where or address(channel, who)}
    return await town.call(who, "PUT", f"/v1/contacts/{name}", body)


async def proves(town: Town, code: str, who: Principal = MOTHER, name: str = "mine") -> int:
    return (await town.call(who, "POST", f"/v1/contacts/{name}/proof", {"code": code})).status_code


@pytest.mark.parametrize("channel", WAYS)
async def test_an_address_counts_when_its_code_comes_back(town: Town, providers: Providers, channel: str) -> None:
    await town.born()
    assert (await names(town, channel)).json()["state"] == "code-sent"
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0
    code = code_at(providers, channel)
    assert code not in str(await town.runtime.store.find(kept.PROOFS, {}))
    assert await proves(town, code) == 200
    [row] = await town.runtime.store.find(kept.SUBSCRIPTIONS, {})
    assert (row["channel"], row["address"]) == (channel, address(channel))
    assert await proves(town, code) == 404  # it served
    [listed] = (await town.does(MOTHER, "GET", "/v1/contacts"))["contacts"]
    assert (listed["id"], listed["channel"]) == ("mine", channel)
    assert address(channel) not in str(listed)
    assert (await town.does(STRANGER, "GET", "/v1/contacts"))["contacts"] == []
    assert (await town.call(MOTHER, "DELETE", "/v1/contacts/mine")).status_code == 204
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0


async def test_guesses_are_few_even_all_at_once(town: Town, providers: Providers) -> None:
    await names(town, "sms")
    code = code_at(providers, "sms")
    wrong = f"{(int(code) + 1) % 10**6:06}"
    assert [await proves(town, wrong) for _ in range(GUESSES)] == [422] * GUESSES
    assert await proves(town, code) == 422
    assert await town.runtime.store.count(kept.SUBSCRIPTIONS, {}) == 0


async def test_a_code_grows_old_and_a_new_one_ends_it(town: Town, providers: Providers) -> None:
    await names(town, "sms")
    first = code_at(providers, "sms")
    town.runtime.clock.move_to(NOON + timedelta(minutes=11))
    assert await proves(town, first) == 422
    await names(town, "sms")
    second = code_at(providers, "sms")
    assert first == second or await proves(town, first) == 422
    assert await proves(town, second) == 200


async def test_a_code_is_its_askers_alone(town: Town, providers: Providers) -> None:
    await names(town, "sms")
    assert await proves(town, code_at(providers, "sms"), STRANGER) == 404


async def test_nobody_floods_a_strangers_phone(town: Town, providers: Providers) -> None:
    number = address("sms")
    for count in range(CODES_PER_HOUR_AND_ADDRESS):
        assert (await names(town, "sms", number, Principal(f"g{count}", "guardian"))).status_code == 202
    assert (await names(town, "sms", number, FATHER)).status_code == 429
    assert len(providers.sms.delivered) == CODES_PER_HOUR_AND_ADDRESS
    for count in range(CODES_PER_HOUR):
        assert (await names(town, "mail", f"m{count}@family.example", STRANGER, f"m{count}")).status_code == 202
    assert (await names(town, "mail", "one-more@family.example", STRANGER, "more")).status_code == 429
    town.runtime.clock.move_to(NOON + timedelta(hours=2))
    assert (await names(town, "sms", number, FATHER)).status_code == 202


@pytest.mark.parametrize(
    ("channel", "where"),
    [
        ("sms", "03-1234-5678"),
        ("sms", "110"),
        ("sms", "0900-123-456"),
        ("sms", "+1"),
        ("sms", "電話番号"),
        ("mail", "mother"),
        ("mail", "mother@localhost"),
        ("mail", "a..b@family.example"),
        ("mail", "mother@family.example\r\nBcc: x@example.com"),
        ("mail", "<mother@family.example>"),
        ("mail", "mother@family.example, father@family.example"),
        ("line", "mother"),
        ("line", "C" + "0" * 32),
    ],
)
async def test_what_is_no_address_is_refused(town: Town, providers: Providers, channel: str, where: str) -> None:
    answer = await names(town, channel, where)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/address"
    assert await town.runtime.store.count(kept.PROOFS, {}) == 0


@pytest.mark.parametrize("where", ["090-1234-5678", "０９０１２３４５６７８", "+81 90 1234 5678"])
async def test_a_number_has_one_spelling(town: Town, providers: Providers, where: str) -> None:
    assert (await names(town, "sms", where)).status_code == 202
    assert providers.sms.delivered[-1][0] == "+819012345678"


async def test_an_address_that_takes_nothing_is_said_at_once(town: Town, providers: Providers) -> None:
    providers.sms.scripts["*"] = Scripted("21614")
    answer = await names(town, "sms")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not-deliverable")


async def test_a_channel_that_is_off_is_said_at_once(town: Town) -> None:
    answer = await names(town, "sms", "090-1234-5678")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "channel-off")


# Preferences ------------------------------------------------------------------------------------------------------


async def test_each_topic_comes_the_way_that_was_chosen_and_emergencies_every_way(
    town: Town, providers: Providers
) -> None:
    child = await town.born()
    for channel in ("fcm", *WAYS):
        await is_reached_by(town, channel)
    chosen = {"topics": {"notices": ["line"], "reminders": ["push", "sms"]}}
    await town.does(MOTHER, "PUT", "/v1/preferences", chosen)
    await town.expands(await town.publishes(), pushes=True)
    assert counts(providers) == {"fcm": 0, "line": 1, "sms": 0, "mail": 0}
    await town.plans(child, mr1="overdue")
    await town.reminded(town.fires(child))
    assert counts(providers) == {"fcm": 1, "line": 1, "sms": 1, "mail": 0}
    await town.does(MOTHER, "PUT", "/v1/preferences", {"topics": {"notices": []}})
    await town.expands(await town.publishes(urgency="info"), pushes=True)
    assert counts(providers) == {"fcm": 1, "line": 1, "sms": 1, "mail": 0}
    told = await town.does(MOTHER, "GET", "/v1/preferences")
    assert told["topics"] == {"notices": [], "reminders": ["push", "sms"], "library": ["push", "line", "mail"]}


def counts(providers: Providers) -> dict[str, int]:
    found = {name: len(providers.of(name).delivered) for name in ("fcm", "line", "sms")}
    return {**found, "mail": len(providers.mail.received)}


async def test_an_sms_is_kept_for_emergencies_unless_it_is_asked_for(town: Town, providers: Providers) -> None:
    await town.born()
    await is_reached_by(town, "sms")
    await town.expands(await town.publishes(), pushes=True)
    assert counts(providers)["sms"] == 0


async def test_everybody_is_told_in_their_language(town: Town, providers: Providers) -> None:
    await town.born(guardians=[MOTHER.subject, FATHER.subject])
    for who in (MOTHER, FATHER):
        await is_reached_by(town, "line", who)
    await town.does(FATHER, "PUT", "/v1/preferences", {"language": "en"})
    await town.expands(await town.publishes(), pushes=True)
    told = {to: message["messages"][0]["text"] for to, message in providers.line.delivered}
    assert told == {
        address("line"): "わかば幼稚園は本日休園です",
        address("line", FATHER): "Wakaba kindergarten is closed today",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"language": "tlh"},
        {"topics": {"notices": ["pigeon"]}},
        {"topics": {"emergencies": []}},
        {"topics": {"notices": "push"}},
        {"digest": "yes"},
        {"recipient": "father-1"},
        {"topics": {"$set": []}},
    ],
)
async def test_a_choice_that_is_none_is_refused(town: Town, body: dict[str, Any]) -> None:
    assert (await town.call(MOTHER, "PUT", "/v1/preferences", body)).status_code == 422
    assert await town.runtime.store.count(kept.PREFERENCES, {}) == 0
