"""Places where the fault rig lets a process die; nothing happens unless a development setting names the place."""

import os
import signal

_armed: dict[str, int] = {}


def arm(place: str | None) -> None:
    """Let the process die at `place`, or at its n-th passing: `place:n`."""
    _armed.clear()
    if place:
        name, _, count = place.partition(":")
        _armed[name] = int(count or 1)


def crash_point(place: str) -> None:
    """Die here, as by kill -9, if this place is armed."""
    if place in _armed:
        _armed[place] -= 1
        if _armed[place] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
