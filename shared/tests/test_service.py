"""The frame of every service: strict bodies, problem+json, bounds, one cause per request, nothing echoed."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ConfigDict, Field

from shared.context import cause
from shared.problems import Busy, Invalid, field_problems, language_of
from shared.runtime import Runtime
from shared.service import create_service, probe_app
from shared.settings import Settings
from shared.store import StoreUnreachable
from shared.strict_json import BadJson, loads
from shared.web import Frame, api_router


class Toy(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(max_length=20)
    grams: int | None = Field(default=None, strict=True)


def toy_app() -> FastAPI:
    routes = api_router()

    @routes.post("/toys", status_code=201)
    async def make(body: Toy) -> dict[str, str]:
        return {"name": body.name, "correlation": cause().correlation}

    @routes.get("/broken")
    async def broken() -> None:
        raise KeyError("a secret name")

    @routes.get("/store-away")
    async def store_away() -> None:
        raise StoreUnreachable("down")

    @routes.get("/busy")
    async def busy() -> None:
        raise Busy

    runtime = Runtime(Settings(service="toys", environment="development", max_body_bytes=2_000))
    return create_service(runtime, [routes], title="Toys")


@pytest.fixture
async def toys() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(toy_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://toys") as client:
        yield client


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name": "a"', 400, "malformed"),
        (b'{"name": NaN}', 400, "malformed"),
        (b'{"name": "a", "name": "b"}', 400, "malformed"),
        (b'{"name": "\xff"}', 400, "malformed"),
        (rb'{"name": "\ud800"}', 400, "malformed"),
        (b'{"name": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}", 400, "malformed"),
        (b'{"name": 7}', 422, "invalid"),
        (b'{"name": "a", "grams": true}', 422, "invalid"),
        (b'{"name": "a", "grams": 1.5}', 422, "invalid"),
        (b'{"name": "a", "colour": "green"}', 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"", 422, "invalid"),
        (b'{"name": "' + b"a" * 3_000 + b'"}', 413, "too-large"),
    ],
)
async def test_bad_bodies_get_a_problem(toys: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    answer = await toys.post("/toys", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_without_a_length_is_bounded_too(toys: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b'{"name": "' + b"a" * 500

    answer = await toys.post("/toys", content=endless(), headers=JSON)
    assert answer.status_code == 413


async def test_each_broken_field_has_pointer_and_code_and_no_input_is_echoed(toys: httpx.AsyncClient) -> None:
    answer = await toys.post("/toys", json={"name": "SECRET" * 10, "a/b": 1}, headers={"accept-language": "ja"})
    found = {(error["pointer"], error["code"]) for error in answer.json()["errors"]}
    assert found == {("/name", "string-too-long"), ("/a~1b", "extra-forbidden")}
    assert "SECRET" not in answer.text
    assert answer.json()["title"] == "入力に誤りがあります。"
    assert answer.headers["content-language"] == "ja"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/toys/", 404), ("//toys", 404), ("/broken", 500), ("/store-away", 503), ("/busy", 503)],
)
async def test_every_error_is_a_problem_without_its_cause(toys: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await toys.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_a_wrong_method_and_a_wrong_media_type(toys: httpx.AsyncClient) -> None:
    assert (await toys.delete("/toys")).status_code == 405
    assert (await toys.post("/toys", content=b"<a/>", headers={"content-type": "text/xml"})).status_code in {415, 422}


async def test_not_now_says_when(toys: httpx.AsyncClient) -> None:
    assert (await toys.get("/busy")).headers["retry-after"] == "1"


async def test_a_request_has_one_span_and_it_names_its_route_alone(
    toys: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    """FastAPI's own would carry path and query, which name children."""
    await toys.get("/busy?patient=c1")
    found = spans.get_finished_spans()
    assert [span.name for span in found] == ["GET /busy"]
    assert set(found[0].attributes or ()) == {"http.response.status_code"}


async def test_a_correlation_from_outside_is_taken_only_where_it_is_trusted() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": cause().correlation.encode()})

    for trusted, expected in ((True, True), (False, False)):
        transport = httpx.ASGITransport(Frame(app, 1_000, trusted))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            answer = await client.get("/", headers={"hagukumi-correlation": "chosen-by-caller"})
        assert (answer.text == "chosen-by-caller") is expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a": NaN}', "not-json"),
        (b'{"a":1,"a":2}', "duplicate-key"),
        (b"\xff", "not-utf-8"),
        (rb'"\ud800"', "not-json"),
        (b"[" * 40 + b"]" * 40, "too-deep"),
    ],
)
def test_strict_json_says_why(data: bytes, code: str) -> None:
    with pytest.raises(BadJson, match=code):
        loads(data)


def test_a_value_error_of_ours_is_not_quoted() -> None:
    rendered = Invalid(
        errors=field_problems([{"loc": ("name",), "type": "value_error", "msg": "Value error, Taro is bad"}])
    ).body("en")
    assert "Taro" not in str(rendered)


@pytest.mark.parametrize(
    ("header", "language"), [("", "ja"), ("en-US,en;q=0.9", "en"), ("fr, ja;q=0.5, en", "ja"), ("*", "ja")]
)
def test_language(header: str, language: str) -> None:
    assert language_of(header) == language


async def test_a_consumer_that_went_silent_is_not_alive_and_one_at_work_or_without_its_broker_is() -> None:
    app = toy_app()
    follower = app.state.runtime.follower

    async def live() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(probe_app(app)), base_url="http://probes") as probes:
            return (await probes.get("/livez")).status_code

    for now in range(0, 60, 5):
        follower.look("idle.v1", 0, now)
        follower._begun["busy.v1"] += 1
        follower.look("busy.v1", 9, now)
        follower._working.add("slow.v1")
        follower.look("slow.v1", 9, now)
    follower.look("away.v1", 9, 0)
    follower.look("away.v1", 9, 100)
    assert await live() == 200
    for now in range(0, 40, 5):
        follower.look("silent.v1", 1, now)
    assert (await live(), follower.silent) == (503, {"silent.v1"})
    follower._begun["silent.v1"] += 1
    follower.look("silent.v1", 1, 40)
    assert await live() == 200
