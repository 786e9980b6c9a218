"""Who gets in: role by route by relation, written by hand."""

import re
from typing import Any

import pytest

from services.notify.tests.town import (
    ALARM,
    CLINIC,
    MOTHER,
    NOTICE,
    NURSE,
    OPERATOR,
    OTHER_NURSE,
    PDF,
    REGISTER,
    ROSTER,
    SCHOOL,
    STRANGER,
    TOWN,
    UNDER_SIX,
    Town,
)
from shared.auth import Principal
from shared.testing.push_service import PushService, Receiver

pytestmark = pytest.mark.integration

CALLERS = {
    "the recipient": MOTHER,
    "another guardian": STRANGER,
    "clinic": CLINIC,
    "staff of the town": NURSE,
    "staff of another town": OTHER_NURSE,
    "system of the town": REGISTER,
    "staff of no town": Principal("lost", "staff"),
    "operator": OPERATOR,
    # A claim of a town does not make a clinic or a guardian its staff.
    "clinic of the town": Principal("doctor-2", "clinic", organisation="clinic-2", municipality=TOWN),
    "guardian of the town": Principal("stranger-2", "guardian", municipality=TOWN),
}

# For each route: what each of CALLERS gets, in their order. 404 is what a missing notice gets; 403 is for the role.
TABLE: dict[str, tuple[int, ...]] = {
    "POST /v1/announcements/preview": (403, 403, 403, 200, 200, 200, 403, 403, 403, 403),
    "POST /v1/announcements": (403, 403, 403, 202, 422, 202, 403, 403, 403, 403),
    "GET /v1/announcements": (403, 403, 403, 200, 200, 200, 403, 403, 403, 403),
    "POST /v1/attachments": (403, 403, 403, 201, 201, 201, 403, 403, 403, 403),
    # Of a notice that is out already there is nothing to approve.
    "POST /v1/announcements/{announcement}/approval": (403, 403, 403, 409, 404, 403, 403, 403, 403, 403),
    "POST /v1/announcements/{announcement}/break-glass": (403, 403, 403, 409, 404, 403, 403, 403, 403, 403),
    "GET /v1/announcements/{announcement}/attachments/{attachment}": (
        *(200, 404, 404, 200, 404, 404, 404, 404, 404, 404),
    ),
    "GET /v1/announcements/{announcement}": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "PUT /v1/announcements/{announcement}": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "POST /v1/announcements/{announcement}/recall": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "GET /v1/announcements/{announcement}/deliveries": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "POST /v1/inbox/{item}/safety": (200, 404, 403, 403, 403, 403, 403, 403, 403, 404),
    "POST /v1/announcements/{announcement}/safety": (403, 403, 403, 200, 404, 403, 403, 403, 403, 403),
    "GET /v1/announcements/{announcement}/safety": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "PUT /v1/municipalities/{code}/shelters/{shelter}": (403, 403, 403, 201, 404, 403, 403, 403, 403, 403),
    "GET /v1/municipalities/{code}/shelters": (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    "PUT /v1/municipalities/{code}/duty-roster": (403, 403, 403, 200, 404, 403, 403, 403, 403, 403),
    "GET /v1/municipalities/{code}/duty-roster": (403, 403, 403, 200, 404, 403, 403, 403, 403, 403),
    "POST /v1/alarms": (403, 403, 403, 201, 409, 201, 403, 403, 403, 403),
    "GET /v1/alarms": (403, 403, 403, 200, 200, 200, 403, 403, 403, 403),
    "POST /v1/alarms/{alarm}/acknowledgement": (403, 403, 403, 200, 404, 403, 403, 403, 403, 403),
    "GET /v1/training": (403, 403, 403, 200, 200, 403, 403, 403, 403, 403),
    "POST /v1/training/{course}/completions": (403, 403, 403, 200, 200, 403, 403, 403, 403, 403),
    "GET /v1/municipalities/{code}/training": (403, 403, 403, 200, 404, 403, 403, 403, 403, 403),
    "GET /v1/library": (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    "GET /v1/library/{article}": (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    "POST /v1/calendar-feed": (201, 201, 403, 403, 403, 403, 403, 403, 403, 201),
    "DELETE /v1/calendar-feed": (204, 404, 403, 403, 403, 403, 403, 403, 403, 404),
    # For whoever knows the address; the gateway asks nobody to sign in.
    "GET /v1/calendars/{feed}": (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    "GET /v1/inbox": (200, 200, 403, 403, 403, 403, 403, 403, 403, 200),
    "POST /v1/inbox/{item}/read": (200, 404, 403, 403, 403, 403, 403, 403, 403, 404),
    "GET /v1/push-key": (200, 200, 200, 200, 200, 200, 200, 200, 200, 200),
    "PUT /v1/push-subscriptions/{name}": (200, 201, 403, 403, 403, 403, 403, 403, 403, 201),
    "DELETE /v1/push-subscriptions/{name}": (204, 404, 403, 403, 403, 403, 403, 403, 403, 404),
    "GET /v1/announcements/{announcement}/board": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "GET /v1/announcements/{announcement}/call-list": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "PUT /v1/announcements/{announcement}/calls/{recipient}": (403, 403, 403, 200, 404, 200, 403, 403, 403, 403),
    "POST /v1/announcements/{announcement}/deliveries/repeat": (403, 403, 403, 202, 404, 202, 403, 403, 403, 403),
    "GET /v1/contacts": (200, 200, 403, 403, 403, 403, 403, 403, 403, 200),
    # Refused for want of a carrier; whose address it would be is looked at before that.
    "PUT /v1/contacts/{name}": (422, 422, 403, 403, 403, 403, 403, 403, 403, 422),
    "POST /v1/contacts/{name}/proof": (404, 404, 403, 403, 403, 403, 403, 403, 403, 404),
    "DELETE /v1/contacts/{name}": (404, 404, 403, 403, 403, 403, 403, 403, 403, 404),
    "GET /v1/preferences": (200, 200, 403, 403, 403, 403, 403, 403, 403, 200),
    "PUT /v1/preferences": (200, 200, 403, 403, 403, 403, 403, 403, 403, 200),
    # Whoever has the mail may stop the mails; a token that is made up is not there.
    "GET /v1/unsubscriptions/{token}": (200,) * 10,
    "POST /v1/unsubscriptions/{token}": (404,) * 10,
    "PUT /v1/devices/{name}": (200, 201, 403, 403, 403, 403, 403, 403, 403, 201),
    "DELETE /v1/devices/{name}": (204, 404, 403, 403, 403, 403, 403, 403, 403, 404),
}


def body_for(route: str, push: PushService, made: dict[str, str]) -> Any:
    """A good body for each route."""
    if route.startswith("PUT /v1/push"):
        return Receiver(push, "other").subscription()
    return {
        "POST /v1/announcements/preview": {"audience": UNDER_SIX},
        "POST /v1/announcements": NOTICE,
        "PUT /v1/announcements/{announcement}": {"title": NOTICE["title"], "body": NOTICE["body"], "reason": "typo"},
        "POST /v1/announcements/{announcement}/recall": {"reason": "wrong"},
        "POST /v1/announcements/{announcement}/break-glass": {"reason": "nobody there"},
        "POST /v1/calendar-feed": {},
        "PUT /v1/municipalities/{code}/duty-roster": ROSTER,
        "POST /v1/alarms": ALARM,
        "POST /v1/training/{course}/completions": {"answers": [2, 0]},
        "POST /v1/inbox/{item}/safety": {"state": "safe"},
        "POST /v1/announcements/{announcement}/safety": {"state": "safe", "child": made.get("child", "c")},
        "PUT /v1/municipalities/{code}/shelters/{shelter}": SCHOOL,
        "POST /v1/attachments": {"name": "map.pdf", "content": PDF},
        "PUT /v1/announcements/{announcement}/calls/{recipient}": {"outcome": "no-answer"},
        "PUT /v1/contacts/{name}": {"channel": "sms", "address": "090-1234-5678"},
        "POST /v1/contacts/{name}/proof": {"code": "123456"},
        "PUT /v1/preferences": {"language": "en"},
        "PUT /v1/devices/{name}": {"channel": "fcm", "token": "d:" + "t" * 40},
    }.get(route)


async def everything(town: Town, push: PushService) -> dict[str, str]:
    """A notice that the mother has in her inbox, her browser and her app."""
    child = await town.born()
    paper = await town.does(NURSE, "POST", "/v1/attachments", {"name": "map.pdf", "content": PDF})
    notice = await town.publishes(attachments=[paper["id"]], safety_check=True)
    await town.expands(notice)
    await town.does(MOTHER, "PUT", "/v1/push-subscriptions/phone", Receiver(push, "phone").subscription())
    await town.does(MOTHER, "PUT", "/v1/devices/phone", {"channel": "apns", "token": "ab" * 32})
    feed = (await town.does(MOTHER, "POST", "/v1/calendar-feed", {}))["url"].rpartition("/")[2]
    await town.employs(NURSE.subject)
    roster = f"/v1/municipalities/{TOWN}/duty-roster"
    if (await town.call(NURSE, "GET", roster)).status_code == 404:
        await town.does(NURSE, "PUT", roster, ROSTER)
    alarm = await town.does(NURSE, "POST", "/v1/alarms", ALARM)
    return {
        "announcement": notice,
        "alarm": alarm["id"],
        "course": "sids",
        "feed": feed,
        "article": "week-01",
        "code": TOWN,
        "shelter": "school",
        "child": child,
        "attachment": paper["id"],
        "item": (await town.inbox())[0]["id"],
        "name": "phone",
        "token": "made.up",
        "recipient": MOTHER.subject,
    }


def test_every_route_of_the_service_has_a_row(town: Town) -> None:
    routed = {
        f"{method.upper()} {path}"
        for path, methods in town.app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/v1/")
    }
    assert set(TABLE) == routed


@pytest.mark.parametrize("route", list(TABLE))
async def test_role_by_route_by_relation(town: Town, common_push: PushService, route: str) -> None:
    method, _, template = route.partition(" ")
    got = {}
    made: dict[str, str] = {}
    for who, caller in CALLERS.items():
        made = made or await everything(town, common_push)
        path = template.format(**made)
        headers = {}
        if route == "PUT /v1/announcements/{announcement}" or ("duty-roster" in path and method == "PUT"):
            headers["If_Match"] = (await town.call(NURSE, "GET", path)).headers["etag"]
        answer = await town.call(caller, method, path, body_for(route, common_push, made), **headers)
        got[who] = answer.status_code
        if answer.is_success and method != "GET":
            made = {}
    assert got == dict(zip(CALLERS, TABLE[route], strict=True))


@pytest.mark.parametrize("route", list(TABLE))
async def test_nobody_without_the_gateways_signature(town: Town, common_push: PushService, route: str) -> None:
    method, _, template = route.partition(" ")
    path = re.sub(r"\{[a-z]+\}", "x", template)
    assert (await town.call(None, method, path, body_for(route, common_push, {}))).status_code == 401
    other = town.tokens.sign("records", "act", NURSE)
    answer = await town.call(None, method, path, body_for(route, common_push, {}), Authorization=f"Bearer {other}")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("POST /v1/announcements", b"{", 400),
        ("POST /v1/announcements", b'{"title": {"ja": NaN}}', 400),
        ("POST /v1/announcements", b'{"title": {}, "title": {}}', 400),
        ("POST /v1/announcements", b"[]", 422),
        ("POST /v1/announcements/preview", b"{}", 422),
        ("POST /v1/announcements/preview", b'{"audience": {"all": 7}}', 422),
        ("GET /v1/inbox?limit=0", None, 422),
        ("GET /v1/inbox?limit=many", None, 422),
    ],
)
async def test_what_cannot_be_read_is_the_callers_fault(
    town: Town, route: str, body: bytes | None, status: int
) -> None:
    method, _, path = route.partition(" ")
    answer = await town.call(MOTHER if "inbox" in path else NURSE, method, path, body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
