"""Live events (SSE): ids only, to those whom they concern, for as long as the token is valid."""

import asyncio
import json
from typing import Any

import pytest

from services.gateway.api.events import _stream
from services.gateway.commands.changes import LISTENERS_EACH, RESYNC, WAITING_MOST, Listener, Listeners
from services.gateway.tests.door.world import CHILD, PEOPLE, World
from shared.problems import TooMany


class Client:
    """A browser's EventSource: reads what comes, goes away when told."""

    def __init__(self, world: World, who: str) -> None:
        self._gone = asyncio.Event()
        self._asked = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.came: asyncio.Queue[str] = asyncio.Queue()
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/v1/events",
            "raw_path": b"/v1/events",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {world.token(who)}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("gateway", 80),
            "scheme": "http",
            "root_path": "",
            "state": {},
        }
        self._task = asyncio.create_task(world.app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message.get("body"):
            self.came.put_nowait(message["body"].decode())

    async def next(self) -> str:
        return await asyncio.wait_for(self.came.get(), 5.0)

    async def leave(self) -> None:
        self._gone.set()
        await asyncio.wait_for(self._task, 20.0)


def listeners_of(world: World) -> Listeners:
    """The app's own listeners."""
    found: Listeners = world.app.state.listeners
    return found


async def test_a_listener_hears_what_concerns_it_and_no_more_than_the_id(world: World) -> None:
    mother, other, nurse = Client(world, "mother"), Client(world, "other_mother"), Client(world, "nurse")
    for one in (mother, other, nurse):
        assert await one.next() == "retry: 3000\n\n"
    assert mother.status == 200
    assert mother.headers["content-type"].startswith("text/event-stream")
    assert mother.headers["cache-control"] == "no-store"
    change = {"kind": "child", "id": CHILD, "revision": f"records.child:{CHILD}=9"}
    listeners_of(world).tell(["guardian:mother-1", "municipality:139912"], change)
    for one in (mother, nurse):
        event, data = (await one.next()).strip().split("\n")
        assert event == "event: changed"
        assert json.loads(data.removeprefix("data: ")) == change
    assert other.came.empty()
    assert [row["action"] for row in await world.audit(who="nurse-1")] == ["followEvents"]
    for one in (mother, other, nurse):
        await one.leave()
    assert not listeners_of(world)


async def test_the_stream_ends_with_the_token(world: World) -> None:
    class Connected:
        async def is_disconnected(self) -> bool:
            return False

    listeners = Listeners()
    person = PEOPLE["mother"]
    assert person is not None
    stream = _stream(listeners, listeners.join(person), 0, Connected())  # type: ignore[arg-type]
    assert [part async for part in stream] == ["retry: 3000\n\n"]
    assert not listeners


def test_one_who_reads_too_slowly_is_told_to_read_everything_again() -> None:
    person = PEOPLE["mother"]
    assert person is not None
    listener = Listener(person)
    for number in range(WAITING_MOST + 1):
        listener.tell({"kind": "child", "id": str(number)})
    assert listener.waiting.get_nowait() == RESYNC
    assert listener.waiting.empty()


def test_a_principal_has_a_bounded_number_of_streams() -> None:
    person, other = PEOPLE["mother"], PEOPLE["nurse"]
    assert person is not None
    assert other is not None
    listeners = Listeners()
    for _ in range(LISTENERS_EACH):
        listeners.join(person)
    with pytest.raises(TooMany):
        listeners.join(person)
    listeners.join(other)
