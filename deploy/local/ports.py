"""Ports on loopback: free ones, remembered in the data folder so that a second start has the same addresses."""

import json
import random
import socket
from pathlib import Path

from deploy.local.errors import StackError

HOST = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections: a client cannot take one meanwhile.
_RANGE = (15_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port on which nobody listens."""
    for _ in range(200):
        port = random.randrange(*_RANGE)
        if is_free(port):
            return port
    raise StackError(f"No free port was found between {_RANGE[0]} and {_RANGE[1]}.")


class Ports:
    """The ports of one data folder, by name."""

    def __init__(self, data: Path) -> None:
        self._file = data / "ports.json"
        self._known: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def of(self, name: str) -> int:
        """The port of this name: the last one where it is still free, else another."""
        port = self._known.get(name)
        if port is None or not is_free(port):
            port = free_port()
            while port in self._known.values():
                port = free_port()
            self._known[name] = port
            self._file.write_text(json.dumps(self._known, indent=1))
        return port
