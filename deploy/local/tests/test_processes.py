"""Nothing that was started is left, however its supervisor goes; a service that dies is started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.environment import ROOT
from deploy.local.errors import StackError
from deploy.local.processes import Process, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def until(true: Callable[[], bool], within: float = 20.0) -> bool:
    deadline = time.monotonic() + within
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def runs(pid: int) -> bool:
    """Whether the process is there and not just waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_process_that_dies_is_started_again_and_one_that_was_stopped_is_not(tmp_path: Path, own: Supervisor) -> None:
    noted: list[int | None] = []
    process = Process(
        "sleeper", SLEEPER, log=tmp_path / "log", supervisor=own, on_start=lambda: noted.append(process.pid)
    )
    own.watch(every=0.05)
    process.start()
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert until(lambda: process.alive and process.pid != first)
    # It is noted a moment after it began.
    assert until(lambda: len(noted) == 2)
    assert noted == [first, process.pid]
    process.stop()
    starts = process.starts
    assert not until(lambda: process.starts > starts, within=2.0)


def test_one_that_does_not_stop_is_ended_by_force(tmp_path: Path, own: Supervisor) -> None:
    process = Process("stubborn", STUBBORN, log=tmp_path / "log", supervisor=own)
    process.start()
    assert until(lambda: "up" in (tmp_path / "log").read_text())
    assert process.stop(within=0.3) == -signal.SIGKILL


def test_one_that_ends_while_starting_is_said_with_its_last_words(tmp_path: Path, own: Supervisor) -> None:
    process = Process(
        "broken",
        [sys.executable, "-c", "print('no such setting')"],
        log=tmp_path / "log",
        supervisor=own,
        ready=lambda: False,
    )
    process.start()
    with pytest.raises(StackError, match="no such setting"):
        process.wait_ready(20.0)


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from deploy.local.processes import Process, Supervisor
supervisor = Supervisor()
for name, command in (("a", {SLEEPER!r}), ("b", {SLEEPER!r})):
    process = Process(name, command, log=Path({str(tmp_path)!r}) / name, supervisor=supervisor)
    process.start()
    print(process.pid, flush=True)
print(supervisor._warden.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(3)]
    assert all(runs(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert until(lambda: not any(runs(pid) for pid in pids)), pids
