"""Outlives the supervisor by a moment: when that is gone, however it died, ends every process that it had started.

It reads `+<pid>` and `-<pid>` lines from standard input. End of input means that the supervisor is no more. Standard
library only and small: it is one more process beside the platform's own. A process is held by a file descriptor where
the system has those, so a number that was given away again is never mistaken for it.
"""

import contextlib
import os
import select
import signal
import sys
import time

GRACE_S = 10.0


class _Held:
    """One process, by file descriptor where there are such, else by number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            if self.handle is not None:
                signal.pidfd_send_signal(self.handle, number)
            else:
                os.kill(self.pid, number)

    def gone(self) -> bool:
        """Whether it has ended."""
        if self.handle is not None:
            return bool(select.select([self.handle], [], [], 0)[0])
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False


def main() -> None:
    """Follow the supervisor until it is gone, then end what is left: politely, then by force."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    held: dict[int, _Held] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            with contextlib.suppress(ProcessLookupError):
                held[pid] = _Held(pid)
        else:
            held.pop(pid, None)
    left = list(held.values())
    for process in left:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while left and time.monotonic() < deadline:
        left = [process for process in left if not process.gone()]
        time.sleep(0.1)
    for process in left:
        process.send(signal.SIGKILL)


if __name__ == "__main__":
    main()
