"""The gateway's Kafka side on the real store: its owners answer from memory, each key once."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.secret_files import SecretFiles
from deploy.local.store import LocalStore
from deploy.local.topology import SERVICES
from shared.bus import Message, SendFailed
from shared.ids import derived_id, new_id, one_time_code
from shared.runtime import Runtime
from shared.settings import Settings


class Owners:
    """records and notify as the intake meets them: they remember keys, refuse what is wrong, and can be down."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.down: set[str] = set()
        self.refusing: dict[str, tuple[int, dict[str, Any]]] = {}
        self._answers: dict[str, httpx.Response] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer of the owner that is asked."""
        claims = json.loads(_unpadded(request.headers["authorization"].split(".")[1]))
        if claims["mun"] in self.down:
            return httpx.Response(503, json={"type": "https://hagukumi.example/problems/busy", "title": "busy"})
        body = json.loads(request.content)
        key = request.headers["idempotency-key"]
        for text, (status, problem) in self.refusing.items():
            if text in request.content.decode() or text in request.url.path:
                return httpx.Response(status, json=problem)
        if key not in self._answers:
            self.calls.append((request.method, request.url.path, body))
            self._answers[key] = self._do(request.url.path, key, body)
        return self._answers[key]

    @staticmethod
    def _do(path: str, key: str, body: dict[str, Any]) -> httpx.Response:
        if path.endswith("/guardian-codes"):
            codes = [one_time_code(derived_id(key, str(n)).encode()) for n in range(body["count"])]
            return httpx.Response(201, json={"codes": [{"code": code} for code in codes]})
        return httpx.Response(202 if path.endswith("announcements") else 201, json={"id": derived_id("thing", key)})

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies of calls whose path ends so."""
        return [body for _, called, body in self.calls if called.endswith(path)]


def _unpadded(text: str) -> bytes:
    import base64

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Replies:
    """A producer at the edge that remembers what it was given; it can refuse."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.broken = False

    async def send(self, messages: Sequence[Message]) -> list[SendFailed | None]:
        if self.broken:
            return [SendFailed("KafkaTimeoutError", final=False) for _ in messages]
        self.sent += messages
        return [None for _ in messages]

    def said(self) -> list[tuple[str, dict[str, Any]]]:
        """(kind, data) of each reply."""
        return [(headers(one)["ce_type"].split(".")[-2], json.loads(one.value or b"")) for one in self.sent]


def headers(message: Message) -> dict[str, str]:
    """The headers as text."""
    return {name: raw.decode() for name, raw in message.headers}


@pytest.fixture(scope="session")
def gateway_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's own signing key and everybody's public keys."""
    return SecretFiles(tmp_path_factory.mktemp("gateway-keys")).internal_keys(SERVICES)["gateway"]


@pytest.fixture
def owners() -> Owners:
    """records and notify."""
    return Owners()


@pytest.fixture
def connected(owners: Owners) -> Callable[[Runtime], Runtime]:
    """Lets a runtime's internal calls reach these owners."""

    def connect(runtime: Runtime) -> Runtime:
        runtime.calls._http = httpx.AsyncClient(transport=httpx.MockTransport(owners.answer))
        return runtime

    return connect


@pytest.fixture
async def runtime(
    local_store: LocalStore, gateway_keys: Path, connected: Callable[[Runtime], Runtime]
) -> AsyncIterator[Runtime]:
    """A gateway on an empty database, without Kafka: what it would publish stays in outboxes."""
    found = connected(
        Runtime(
            Settings(
                service="gateway",
                environment="development",
                kafka_user="gateway",
                mongo_url=local_store.url,
                mongo_database=f"t{new_id()[:12]}",
                internal_keys_file=gateway_keys,
                url_records="http://records",
                url_notify="http://notify",
            )
        )
    )
    yield found
    await found.calls.close()
    await found.store.close()
