"""The network between services and their servers, as a fault script wants it: a small TCP proxy on loopback."""

import asyncio
import socket
import struct
from enum import Enum
from typing import Self

from deploy.local.ports import HOST

CHUNK = 65_536
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST instead of FIN."""


class Network(Enum):
    """What happens to bytes."""

    OPEN = "they pass"
    SLOW = "they pass 20 ms later"
    DEAF = "questions pass, answers are lost: what was asked is done, and nobody is told"
    HOLE = "nothing passes, nothing is said"
    RESET = "every connection is reset"


class Proxy:
    """Stands before one server; `set_to` changes what it does to the connections that are there and to those that come.

    What was lost in a hole stays lost: connections that lived through one are reset when it closes, as after a partition.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._mode = Network.OPEN
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.lost = 0
        """Connections that were reset, so that a fault that met nobody is seen."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._come, HOST, 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._cut()
        for task in list(self._tasks):
            task.cancel()

    def set_to(self, mode: Network) -> None:
        """From now on this is the network."""
        before, self._mode = self._mode, mode
        if mode is Network.RESET or before in {Network.DEAF, Network.HOLE}:
            self._cut()

    def _cut(self) -> None:
        for pair in list(self._pairs):
            self.lost += 1
            for writer in pair:
                _reset(writer)

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Network.RESET:
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection(HOST, self._target, limit=CHUNK)
        except OSError:
            _reset(writer)
            return
        pair = (writer, back)
        self._pairs.add(pair)
        pipes = [
            asyncio.create_task(self._pipe(reader, back, Network.HOLE)),
            asyncio.create_task(self._pipe(there, writer, Network.HOLE, Network.DEAF)),
        ]
        self._tasks.update(pipes)
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            self._tasks.difference_update(pipes)
            self._pairs.discard(pair)
            for one in pair:
                one.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *swallowed: Network) -> None:
        try:
            while data := await reader.read(CHUNK):
                if self._mode in swallowed:
                    continue
                if self._mode is Network.SLOW:
                    await asyncio.sleep(0.02)
                writer.write(data)
                await writer.drain()
        except OSError:
            return


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()
