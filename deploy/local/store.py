"""SecantusDB on this machine: one server per service, as in production, each with its own folder and port."""

import asyncio
import sys
import threading
from pathlib import Path

from deploy.local.ports import HOST
from deploy.local.processes import START_WITHIN_S, Process, Supervisor
from shared.store import Store


class LocalStore:
    """A document store that speaks MongoDB's protocol. Acknowledged writes with `j: true` survive `kill9()`."""

    def __init__(self, folder: Path, port: int, *, supervisor: Supervisor, name: str = "store") -> None:
        self.folder = folder.resolve()
        self.port = port
        self.process = Process(
            f"store {name}",
            [
                str(Path(sys.executable).with_name("secantusd-py")),
                *("--standalone", "--host", HOST, "--port", str(port)),
                *("--storage-path", str(self.folder), "--cache-size", "128M", "--log-level", "WARNING"),
            ],
            log=self.folder.parent.parent / "logs" / f"store-{name}.log",
            supervisor=supervisor,
            folder=self.folder.parent,
            ready=self.answers,
        )
        self.folder.parent.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Where a driver finds it; the local server scans its table of retryable writes, so those are off."""
        return f"mongodb://{HOST}:{self.port}/?directConnection=true&retryWrites=false"

    def start(self, within: float = START_WITHIN_S) -> float:
        """Start it and wait until it answers; seconds until it did."""
        self.process.start()
        return self.process.wait_ready(within)

    def answers(self) -> bool:
        """Whether a ping succeeds within a second."""
        found: list[bool] = []
        # A thread of its own: the caller may already run an event loop.
        asking = threading.Thread(target=lambda: found.append(asyncio.run(_ping(self.url))), daemon=True)
        asking.start()
        asking.join(5.0)
        return found == [True]

    def kill9(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill9()

    def restart(self, within: float = START_WITHIN_S) -> float:
        """Stop it if it runs, start it and wait until it answers; seconds until it did."""
        return self.process.restart(within)

    def stop(self) -> None:
        """Stop it in order."""
        self.process.stop()


async def _ping(url: str) -> bool:
    store = Store.connect(url, "admin", timeout_ms=1_000)
    try:
        await asyncio.wait_for(store.ping(), 2.0)
    except Exception:
        return False
    finally:
        await store.close()
    return True
