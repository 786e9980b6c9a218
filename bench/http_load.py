"""A lean HTTP/1.1 client over kept connections, so that what is measured is the server and not the client."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Answer:
    """Status, the headers that a bench looks at, and the body's size."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Connection:
    """One kept connection."""

    def __init__(self, url: str) -> None:
        split = urlsplit(url)
        self._host, self._port = split.hostname or "127.0.0.1", split.port or 80
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> Answer:
        """One request, one answer with a Content-Length."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        body = await self._reader.readexactly(int(headers.get(b"content-length", b"0")))
        return Answer(int(first.split(b" ", 2)[1]), headers, body)

    def close(self) -> None:
        """Let go of it."""
        if self._writer is not None:
            self._writer.close()


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(slots=True)
class Measured:
    """How it went: answers a second, and the latency of each in milliseconds."""

    rate: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0

    def percentile(self, percent: int) -> float:
        """The latency below which so many per cent lie, in milliseconds."""
        if len(self.latencies) < 2:
            return float("inf")
        return statistics.quantiles(self.latencies, n=100)[percent - 1]


async def as_fast_as_it_goes(
    url: str, requests: Callable[[int], bytes], count: int, connections: int, ok: Callable[[Answer], bool]
) -> Measured:
    """A closed loop: every connection asks again as soon as it was answered. `requests(n)` is the n-th request."""
    numbers = iter(range(count))
    found = Measured(0.0)

    async def work() -> None:
        connection = Connection(url)
        for number in numbers:
            begun = time.perf_counter()
            answer = await connection.ask(requests(number))
            found.latencies.append((time.perf_counter() - begun) * 1e3)
            found.refused += not ok(answer)
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    found.rate = count / (time.perf_counter() - begun)
    return found


async def at_a_rate(
    rate: float, seconds: float, ask: Callable[[Connection, int], object], url: str, connections: int = 32
) -> Measured:
    """An open loop: requests leave at their times whether or not earlier ones were answered; latency counts from then."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(Connection(url))
    found = Measured(rate)

    async def one(number: int, at: float) -> None:
        connection = await free.get()
        latency = await ask(connection, number)  # type: ignore[misc]
        free.put_nowait(connection)
        if latency is None:
            found.refused += 1
        else:
            found.latencies.append(latency if latency >= 0 else (time.perf_counter() - at) * 1e3)

    begun = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait().close()
    return found
