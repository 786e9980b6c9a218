"""Starts, watches, restarts and ends processes; nothing that it started is left when it goes, however it goes."""

import contextlib
import os
import signal
import subprocess  # nosec B404 - the platform's own processes
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.environment import ROOT
from deploy.local.errors import StackError

STOP_WITHIN_S = 20.0
START_WITHIN_S = 180.0
"""How long the start of anything is waited for: what ends meanwhile is said at once, what is slow has a slow machine."""
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_STEADY_S = 30.0
_TRIES = 2


class Process:
    """One process that can be started, stopped, killed and started again; its output goes to a file.

    `wanted` says whether it should be running: a supervisor starts it again when it should and is not.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        supervisor: "Supervisor",
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        ready: Callable[[], bool] | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.on_start = on_start
        self.command = list(command)
        self.log = log
        self.environment = dict(environment or {})
        self.wanted = False
        self.starts = 0
        self._ready = ready
        self.folder = folder
        self._supervisor = supervisor
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._pause = _FIRST_PAUSE_S
        self._started_at = 0.0
        self._again_at = 0.0
        supervisor.processes.append(self)

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    def start(self) -> None:
        """Start it, unless it runs."""
        with self._lock:
            self.wanted = True
            if self.alive:
                return
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    self.command,
                    cwd=self.folder,
                    env={**_inherited(), **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._supervisor.hold(self._process.pid)
            self.starts += 1
            self._started_at = time.monotonic()
            if self.on_start is not None:
                self.on_start()

    def wait_ready(self, within: float = START_WITHIN_S) -> float:
        """Seconds until it answers; raises StackError with the end of its log when it ends or does not answer."""
        begun, before = time.monotonic(), self.starts
        while self._ready is not None and not self._ready():
            hopeless = self.starts - before >= _TRIES or not self._supervisor.restarting(self)
            if not self.alive and hopeless:
                raise StackError(f"{self.name} ended while starting. {self.last_words()}")
            if time.monotonic() - begun > within:
                raise StackError(f"{self.name} did not answer within {within:.0f} s. {self.last_words()}")
            time.sleep(0.05)
        return time.monotonic() - begun

    def last_words(self, lines: int = 12) -> str:
        """The end of its log, for an error message."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return f"It wrote no log ({self.log})."
        return f"The end of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal (SIGSTOP and SIGCONT among them); nothing happens when it is gone."""
        with self._lock:
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(number)

    def kill9(self) -> None:
        """End it at once, as a crash would; a supervisor that watches starts it again."""
        with self._lock:
            self.signal(signal.SIGKILL)
            self._reap(5.0)

    def stop(self, within: float = STOP_WITHIN_S) -> int | None:
        """SIGTERM, a bounded wait, then SIGKILL; its exit code."""
        with self._lock:
            self.wanted = False
            self.signal(signal.SIGTERM)
            if not self._reap(within):
                self.signal(signal.SIGKILL)
                self._reap(5.0)
            return self._process.returncode if self._process is not None else None

    def restart(self, within: float = START_WITHIN_S) -> float:
        """Stop it, start it and wait until it answers; seconds until it did."""
        self.stop()
        self.start()
        return self.wait_ready(within)

    def revive(self) -> None:
        """Start it again if it should run and does not, with growing pauses while it keeps dying."""
        with self._lock:
            if not self.wanted or self.alive or self._process is None:
                return
            self._reap(0.0)
            now = time.monotonic()
            if self._again_at == 0.0:
                steady = now - self._started_at > _STEADY_S
                self._pause = _FIRST_PAUSE_S if steady else min(self._pause * 2, _LONGEST_PAUSE_S)
                self._again_at = now + self._pause
            if now >= self._again_at:
                self._again_at = 0.0
                self.start()

    def _reap(self, within: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        self._supervisor.release(self._process.pid)
        return True


class Supervisor:
    """What one start of the platform started. With `watch()` it also starts again what died, as Kubernetes would."""

    def __init__(self, lock: int | None = None) -> None:
        """`lock`: a file descriptor that the warden keeps open until everything has ended."""
        self._lock_handle = lock
        self.processes: list[Process] = []
        self._warden: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def hold(self, pid: int) -> None:
        """Have the warden end this process should this one be killed."""
        self._tell(f"+{pid}\n")

    def release(self, pid: int) -> None:
        """It has ended."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._warden is None:
                self._warden = subprocess.Popen(
                    [sys.executable, "-I", str(Path(__file__).with_name("warden.py"))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    start_new_session=True,
                    pass_fds=() if self._lock_handle is None else (self._lock_handle,),
                )
            if self._warden.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._warden.stdin.write(line)
                    self._warden.stdin.flush()

    def watch(self, every: float = 0.2) -> None:
        """Start again, from now on, what dies without having been stopped."""
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, args=(every,), name="supervisor", daemon=True)
            self._watcher.start()

    def _watch(self, every: float) -> None:
        while not self._ended.wait(every):
            for process in list(self.processes):
                process.revive()

    def restarting(self, process: Process) -> bool:
        """Whether this process, if it is not alive, will be started again."""
        return self._watcher is not None and process.wanted

    def stop(self) -> None:
        """Stop everything, last started first, those that do not need each other side by side."""
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join(5.0)
        for process in self.processes:
            process.wanted = False
        for group in _groups(list(reversed(self.processes))):
            stopping = [threading.Thread(target=process.stop) for process in group]
            for thread in stopping:
                thread.start()
            for thread in stopping:
                thread.join()
        if self._warden is not None:
            if self._warden.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._warden.stdin.close()
            self._warden.wait(15.0)
            self._warden = None


def _groups(processes: list[Process]) -> list[list[Process]]:
    """Services first, then the servers that they use."""
    services = [process for process in processes if process.name.startswith("service ")]
    return [services, [process for process in processes if process not in services]]


def _inherited() -> dict[str, str]:
    """The environment without settings of another platform."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HAGUKUMI_")}
