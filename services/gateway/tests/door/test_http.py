"""The conventions of the door: keys, versions, lists, limits, headers, and answers that tell nothing."""

import asyncio
import json
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from services.gateway.api.door import SECURITY_HEADERS
from services.gateway.commands.limits import Bucket, Uploads
from services.gateway.tests.door.world import CHILD, NEIGHBOUR, UNKNOWN, World
from shared.auth import Principal
from shared.problems import Busy

DOSE = {"given_on": "2026-11-23", "cvx": "170"}
DOSES = f"/v1/children/{CHILD}/doses"


# Forwarding ---------------------------------------------------------------------------------------------------------


async def test_the_owner_gets_the_request_as_it_was_signed_for_its_principal(world: World) -> None:
    headers = {"If-Match": '"3"', "Hagukumi-Revision": f"records.child:{CHILD}=8", "X-Role": "operator"}
    await world.ask("clinic", "PUT", f"{DOSES}/d1", {**DOSE, "reason": "lot"}, headers=headers)
    service, method, path, principal, sent, body = world.owners.calls[-1]
    assert (service, method, path) == ("records", "PUT", f"{DOSES}/d1")
    assert principal == Principal("doctor-1", "clinic", "wakaba")
    assert json.loads(body) == {**DOSE, "reason": "lot"}
    assert sent["if-match"] == '"3"'
    assert sent["content-type"] == "application/json"
    assert "x-role" not in sent
    assert len(sent["hagukumi-correlation"]) == 32


async def test_the_owners_answer_comes_back_as_it_is(world: World) -> None:
    headers = {
        "ETag": '"7"',
        "Hagukumi-Revision": f"records.child:{CHILD}=9",
        "Location": f"{DOSES}/d9",
        "Set-Cookie": "x=1",
        "Connection": "close",
        "Server": "uvicorn",
    }
    world.owners.answers[DOSES] = JSONResponse({"id": "d9", "発": "育"}, 201, headers)
    answer = await world.ask("clinic", "POST", DOSES, DOSE)
    assert answer.status_code == 201
    assert answer.json() == {"id": "d9", "発": "育"}
    assert answer.headers["ETag"] == '"7"'
    assert answer.headers["Hagukumi-Revision"] == f"records.child:{CHILD}=9"
    assert answer.headers["Location"] == f"{DOSES}/d9"
    assert not {"set-cookie", "connection", "server"} & {name.lower() for name in answer.headers}


@pytest.mark.parametrize("status", [401, 500, 502, 503])
async def test_an_owner_that_fails_is_busy_and_safe_to_repeat(world: World, status: int) -> None:
    world.owners.answers[DOSES] = Response("Traceback (most recent call last)", status)
    answer = await world.ask("clinic", "POST", DOSES, DOSE)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "Traceback" not in answer.text


async def test_the_query_goes_on_and_nothing_else(world: World) -> None:
    await world.ask("mother", "GET", f"/v1/children/{CHILD}/plan?on=2027-01-01")
    assert world.owners.calls[-1][:3] == ("schedule", "GET", f"/v1/children/{CHILD}/plan?on=2027-01-01")
    await world.ask("mother", "GET", "/v1/inbox?limit=5&cursor=a%26b%3D..%2F")
    assert world.owners.calls[-1][2] == "/v1/inbox?limit=5&cursor=a%26b%3D..%2F"


# Idempotency --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "x" * 256, "a\tb"])
async def test_a_creating_post_needs_a_key(world: World, key: str | None) -> None:
    answer = await world.ask("clinic", "POST", DOSES, DOSE, key=key)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("idempotency-key-required")
    assert world.owners.calls == []


class Held(JSONResponse):
    """An owner that is still working."""

    def __init__(self) -> None:
        super().__init__({"id": "d9"}, 201)
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.set()
        await self.done.wait()
        await super().__call__(scope, receive, send)


async def test_the_same_key_while_the_first_is_worked_on_is_in_progress(world: World) -> None:
    held = Held()
    world.owners.answers[DOSES] = held
    first = asyncio.create_task(world.ask("clinic", "POST", DOSES, DOSE, key="k"))
    await held.begun.wait()
    second = await asyncio.wait_for(world.ask("clinic", "POST", DOSES, DOSE, key="k"), 10.0)
    assert second.status_code == 409
    assert second.json()["type"].endswith("in-progress")
    assert second.headers["Retry-After"] == "1"
    held.done.set()
    assert (await first).status_code == 201
    assert (await world.ask("clinic", "POST", DOSES, DOSE, key="k")).status_code == 201


async def test_a_repeat_is_audited_like_the_first(world: World) -> None:
    for _ in range(2):
        await world.ask("clinic", "POST", DOSES, DOSE, key="k")
    rows = await world.audit(whose=CHILD, action="recordDose")
    assert [(row["who"], row["outcome"], row["purpose"], row["status"]) for row in rows] == [
        ("doctor-1", "done", "care", 201)
    ] * 2


# Not there and not yours --------------------------------------------------------------------------------------------


async def test_not_there_and_not_yours_are_the_same_bytes(world: World) -> None:
    world.owners.answers["/v1/responses/theirs"] = JSONResponse({"detail": "not yours", "trace_id": "1"}, 404)
    told = [
        await world.ask("mother", "GET", f"/v1/children/{NEIGHBOUR}"),
        await world.ask("mother", "GET", f"/v1/children/{UNKNOWN}"),
        await world.ask("mother", "GET", f"/v1/children/{NEIGHBOUR}/plan"),
        await world.ask("mother", "POST", f"/v1/children/{NEIGHBOUR}/doses", DOSE),
        await world.ask("mother", "POST", f"/v1/children/{UNKNOWN}/doses", {"nonsense": 1}),
        await world.ask("mother", "POST", "/v1/responses", {"child": NEIGHBOUR, "form": "f"}),
        await world.ask("mother", "GET", "/v1/responses/theirs"),
        await world.ask("mother", "GET", "/v1/no-such-thing"),
        await world.ask(None, "GET", "/v1/children/../../etc/passwd"),
    ]
    assert {answer.status_code for answer in told} == {404}
    assert len({answer.content for answer in told}) == 1
    kept = [{name: v for name, v in a.headers.items() if not name.startswith("ratelimit")} for a in told]
    assert all(one == kept[0] for one in kept)


# Paths and methods (S3) -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/v1/forms/",
        "//v1/forms",
        "/v1//forms",
        "/V1/forms",
        "/v1/forms/..",
        "/v1/children/%2e%2e/forms",
        f"/v1/children/{CHILD}%2fplan",
        f"/v1/children/{CHILD}/",
        f"/v1/children/{CHILD};x=1",
        f"/v1/children/{CHILD}%00",
        f"/v1/children/{CHILD}%0a",
        "/internal/events/",
        "/docs/..%2fpage.css",
        "/docs/secret.css",
        "/metrics",
        "/readyz",
        "/",
    ],
)
async def test_another_spelling_of_a_path_is_not_there(world: World, path: str) -> None:
    assert (await world.ask("mother", "GET", path)).status_code == 404


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_a_method_that_is_not_offered_is_405_with_those_that_are(world: World, method: str) -> None:
    answer = await world.ask("mother", method, f"/v1/children/{CHILD}")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, PUT"


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_a_method_override_is_ignored(world: World, header: str) -> None:
    answer = await world.ask("mother", "GET", f"/v1/children/{CHILD}?_method=DELETE", headers={header: "DELETE"})
    assert answer.status_code == 200


# Bodies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
async def test_only_json_is_taken(world: World, kind: str) -> None:
    answer = await world.ask("clinic", "POST", DOSES, DOSE, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert world.owners.calls == []


async def test_a_packed_body_is_not_opened(world: World) -> None:
    answer = await world.ask("clinic", "POST", DOSES, DOSE, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


async def test_json_may_say_its_charset(world: World) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert (await world.ask("clinic", "POST", DOSES, DOSE, headers=headers)).status_code == 201


async def test_a_large_body_is_refused_before_anybody_reads_it(world: World) -> None:
    answer = await world.ask("clinic", "POST", DOSES, {"lot": "x" * 300_000})
    assert answer.status_code == 413

    async def endless() -> Any:
        for _ in range(40):
            yield b"x" * 10_000

    token = world.token("clinic")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": "k"}
    answer = await world.http.post(DOSES, content=endless(), headers=headers)
    assert answer.status_code == 413
    assert world.owners.calls == []


PHOTOS = f"/v1/children/{CHILD}/diary/e1/photos"
PHOTO = {"Content-Type": "image/jpeg"}


async def test_a_photo_may_be_larger_than_anything_else_and_goes_on_as_it_came(world: World) -> None:
    photo = bytes(range(256)) * 4_000
    assert (await world.ask("mother", "POST", PHOTOS, photo, headers=PHOTO)).status_code == 201
    *_, sent, body = world.owners.calls[-1]
    assert sent["content-type"] == "image/jpeg"
    assert body == photo
    too_large = await world.ask("mother", "POST", PHOTOS, b"x" * 15_000_001, headers=PHOTO)
    assert too_large.status_code == 413
    assert len(world.owners.calls) == 1


@pytest.mark.parametrize("kind", ["application/json", "image/svg+xml", "image/gif", "text/html", ""])
async def test_a_photo_is_of_an_accepted_kind(world: World, kind: str) -> None:
    answer = await world.ask("mother", "POST", PHOTOS, b"x", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "image/heic" in answer.headers["Accept"]
    assert world.owners.calls == []


async def test_large_bodies_in_work_are_bounded_for_one_and_for_all(world: World) -> None:
    held = Held()
    world.owners.answers[PHOTOS] = held
    first = asyncio.create_task(world.ask("mother", "POST", PHOTOS, b"x" * 1_000_000, headers=PHOTO))
    await held.begun.wait()
    world.owners.answers[PHOTOS] = again = Held()
    second = asyncio.create_task(world.ask("mother", "POST", PHOTOS, b"x", headers=PHOTO))
    await again.begun.wait()
    third = await world.ask("mother", "POST", PHOTOS, b"x", headers=PHOTO)
    assert third.status_code == 429
    held.done.set()
    again.done.set()
    assert [(await one).status_code for one in (first, second)] == [201, 201]
    assert (await world.ask("mother", "POST", PHOTOS, b"x", headers=PHOTO)).status_code == 201


def test_all_large_bodies_together_are_bounded() -> None:
    uploads = Uploads(1_000)
    one, two = uploads.begin("a"), uploads.begin("b")
    one.grow(900)
    with pytest.raises(Busy):
        two.grow(101)
    one.end()
    two.grow(1_000)


@pytest.mark.parametrize("headers", [{f"X-{n}": "y" for n in range(200)}, {"X": "y" * 40_000}])
async def test_endless_headers_are_refused(world: World, headers: dict[str, str]) -> None:
    assert (await world.ask("mother", "GET", "/v1/forms", headers=headers)).status_code == 431


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b'{"child": 1}', 422, "/child"),
        (b'{"child": null}', 422, "/child"),
        (b"[]", 422, "/child"),
        (b'{"child": {"$ne": ""}}', 422, "/child"),
        (b'{"child": "../other"}', 422, "/child"),
        (b'{"child": "a", "child": "b"}', 400, None),
        (b"[" * 100_000, 400, None),
    ],
)
async def test_a_body_that_names_no_child_is_refused_with_its_place(
    world: World, body: bytes, status: int, place: str | None
) -> None:
    headers = {"Authorization": f"Bearer {world.token('clinic')}", "Content-Type": "application/json"}
    answer = await world.http.post("/v1/pre-checks", content=body, headers={**headers, "Idempotency-Key": "k"})
    assert answer.status_code == status
    assert [error["pointer"] for error in answer.json().get("errors", [])] == ([place] if place else [])


# Headers ------------------------------------------------------------------------------------------------------------


async def test_every_answer_has_the_same_safe_headers(world: World) -> None:
    answers = [
        await world.ask("mother", "GET", f"/v1/children/{CHILD}"),
        await world.ask("mother", "GET", f"/v1/children/{UNKNOWN}"),
        await world.ask(None, "GET", "/v1/forms"),
        await world.ask("operator", "GET", f"/v1/children/{CHILD}"),
        await world.ask("mother", "PATCH", "/v1/forms"),
        await world.ask("clinic", "POST", DOSES, {"lot": "x" * 300_000}),
        await world.ask(None, "GET", "/openapi.json"),
        await world.ask(None, "GET", "/docs/page.css"),
        await world.ask(None, "POST", "/dev/token", {}),
        await world.ask(None, "GET", "/fhir/R4/metadata"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 401, 403, 405, 413, 200, 200, 422, 200]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert "server" not in answer.headers
    # A snapshot: whoever changes one of these says so here.
    assert SECURITY_HEADERS == {
        "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


async def test_the_documentation_page_loads_nothing_from_elsewhere_and_runs_no_script(world: World) -> None:
    page = await world.ask(None, "GET", "/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "/v1/children/{child}/plan" in page.text


@pytest.mark.parametrize(
    ("asked", "title"), [("ja", "見つかりません。"), ("en-GB,ja;q=0.5", "Not found."), ("fr", "見つかりません。")]
)
async def test_problems_speak_the_readers_language(world: World, asked: str, title: str) -> None:
    answer = await world.ask("mother", "GET", f"/v1/children/{UNKNOWN}", headers={"Accept-Language": asked})
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["title"] == title


# Limits (S13) -------------------------------------------------------------------------------------------------------


async def test_one_who_asks_too_much_waits_and_others_do_not(world: World) -> None:
    door = next(one for one in world.app.user_middleware if "DoorKeeper" in str(one.cls)).args[0]
    door.by_principal = Bucket("principal", 0.001, 3)
    left = [await world.ask("mother", "GET", "/v1/forms") for _ in range(4)]
    assert [answer.status_code for answer in left] == [200, 200, 200, 429]
    assert left[0].headers["RateLimit-Policy"] == '"principal";q=3;w=3000'
    assert left[0].headers["RateLimit"] == '"principal";r=2;t=0'
    assert int(left[3].headers["Retry-After"]) > 0
    assert (await world.ask("clinic", "GET", "/v1/forms")).status_code == 200


async def test_guessing_codes_ends_soon_and_right_codes_cost_nothing(world: World) -> None:
    for _ in range(12):
        assert (await world.ask("mother", "POST", "/v1/guardian-links", {"code": "RIGHT"})).status_code == 201
    world.owners.answers["/v1/guardian-links"] = JSONResponse({}, 404)
    told = [
        (await world.ask("removed", "POST", "/v1/guardian-links", {"code": f"WRONG-{n}"})).status_code
        for n in range(12)
    ]
    assert told == [404] * 10 + [429] * 2
    world.owners.answers.clear()
    assert (await world.ask("mother", "POST", "/v1/guardian-links", {"code": "RIGHT"})).status_code == 201


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("services.gateway.commands.limits.time.monotonic", lambda: now)
    bucket = Bucket("b", per_second=2.0, at_once=2)
    assert [bucket.take("a").granted for _ in range(3)] == [True, True, False]
    now = 0.5
    assert [bucket.take("a").granted for _ in range(2)] == [True, False]
    now = 60.0
    assert bucket.take("a").left == 1
