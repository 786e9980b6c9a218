"""From a municipality's click to a family's inbox: the trace can be walked by parents and links, and by nothing less."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from deploy.local.broker import LocalKafka
from deploy.local.client import until
from deploy.local.ports import free_port
from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from services.gateway.app import create_app as create_gateway
from services.notify import store as kept
from services.notify.app import create_app as create_notify
from shared.ids import new_id
from shared.runtime import Runtime
from shared.settings import Settings
from shared.testing.plugin import service_settings

pytestmark = [pytest.mark.integration, pytest.mark.journey]
TOWN = "139912"


@contextlib.asynccontextmanager
async def serving(app: FastAPI, port: int) -> AsyncIterator[Runtime]:
    """The app on loopback, with its relay and readers."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", access_log=False))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(60):
            while not server.started:
                assert not running.done()
                await asyncio.sleep(0.02)
        yield app.state.runtime
    finally:
        server.should_exit = True
        await running


def _settings(
    service: str, kafka: LocalKafka, store: LocalStore, secrets: SecretFiles, urls: dict[str, str]
) -> Settings:
    found = service_settings(service, kafka, store, f"{service[:2]}{new_id()[:10]}")
    found.internal_keys_file = secrets.internal_keys(("gateway", "notify"))[service]
    found.vapid_key_file = secrets.push_key()
    found.url_notify, found.url_gateway = urls["notify"], urls["gateway"]
    if service == "gateway":
        found.issuer_key_file = secrets.signing_key("development-issuer")
    return found


def walk(spans: Sequence[ReadableSpan], start: ReadableSpan, *, parents: bool = True, links: bool = True) -> set[str]:
    """The names of all spans that can be reached from `start` by children, and by spans that link back."""
    seen, waiting, names = set(), [start], set()
    while waiting:
        here = waiting.pop()
        if here.context.span_id in seen:
            continue
        seen.add(here.context.span_id)
        names.add(here.name)
        for span in spans:
            child = parents and span.parent is not None and span.parent.span_id == here.context.span_id
            linked = links and any(link.context.span_id == here.context.span_id for link in span.links)
            if child or linked:
                waiting.append(span)
    return names


async def test_the_walk_from_the_door_to_the_inbox(
    local_kafka: LocalKafka, local_store: LocalStore, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    ports = {name: free_port() for name in ("gateway", "notify")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    secrets = SecretFiles(tmp_path)
    settings = {name: _settings(name, local_kafka, local_store, secrets, urls) for name in ports}
    async with (
        serving(create_notify(settings["notify"]), ports["notify"]) as notify,
        serving(create_gateway(settings["gateway"]), ports["gateway"]),
        httpx.AsyncClient(base_url=urls["gateway"], trust_env=False, timeout=30) as http,
    ):
        await notify.store.insert(
            kept.AUDIENCE,
            {
                "_id": kept.pack_of(TOWN, "c1"),
                "municipality": TOWN,
                "lines": {"c1": '0000000001["c","2024-01-01",null,["g1"],"",""]'},
            },
        )
        wish = {"subject": "nurse-1", "role": "staff", "municipality": TOWN, "profession": "public_health_nurse"}
        token = (await http.post("/dev/token", json=wish)).json()["access_token"]
        notice: dict[str, Any] = {
            "title": {"ja": "休園"},
            "body": {"ja": "本日は休園です。"},
            "audience": {"age_years": {"under": 6}},
            # Everybody there is: a notice to all, or to nobody, is confirmed by its number.
            "confirm": 1,
        }
        answer = await http.post(
            "/v1/announcements", json=notice, headers={"Authorization": f"Bearer {token}", "Idempotency-Key": new_id()}
        )
        assert answer.status_code == 202, answer.text

        async def arrived() -> int:
            return await notify.store.count(kept.INBOX, {"recipient": "g1"})

        await until(arrived, "the notice is in the inbox", within=30)
        async with asyncio.timeout(10):
            while not any(span.name == "notify.fanout.v1 process" for span in spans.get_finished_spans()):
                await asyncio.sleep(0.05)
    made = spans.get_finished_spans()
    door = next(
        span
        for span in made
        if span.name == "POST /v1/announcements" and (span.parent is None or not span.parent.is_remote)
    )
    assert "inbox write" in walk(made, door)
    assert "inbox write" not in walk(made, door, links=False)
    assert "inbox write" not in walk(made, door, parents=False)
    told = json.dumps([json.loads(span.to_json()) for span in made], ensure_ascii=False)
    assert "休園" not in told
    assert "g1" not in {value for span in made for value in (span.attributes or {}).values()}
