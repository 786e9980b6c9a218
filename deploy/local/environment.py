"""Makes `.venv` from the hashed requirements; standard library only, since it runs before anything is installed.

An environment lives in `build/venv-<hash>` and `.venv` points to it, so a change of the requirements never pulls an
environment from under a running platform.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess  # nosec B404 - runs pip and nothing else
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "test.txt"
LINK = ROOT / ".venv"
OLDEST = (3, 11)
QUIET_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def complaint() -> str | None:
    """What this Python lacks, in words that say how to get it; None when it lacks nothing."""
    if sys.version_info[:2] < OLDEST:
        return f"Python 3.11 or later is needed; {sys.executable} is {sys.version.split()[0]}."
    try:
        import ensurepip  # noqa: F401 - only whether it is there
        import venv  # noqa: F401
    except ImportError:
        return (
            f"{sys.executable} cannot make virtual environments (ensurepip is missing). "
            "On Debian: apt-get install -y python3-venv"
        )
    return None


def fingerprint() -> str:
    """Changes when the requirements or the Python change."""
    about = f"{sys.version_info[:3]} {sys.platform} {os.uname().machine}".encode()
    return hashlib.sha256(REQUIREMENTS.read_bytes() + about).hexdigest()[:16]


def ensure() -> Path:
    """The environment's folder, made when it is not there; other processes that make it too are waited for."""
    home = ROOT / "build" / f"venv-{fingerprint()}"
    done = home / ".complete"
    if done.exists() and LINK.is_symlink() and LINK.resolve() == home.resolve():
        return home
    home.parent.mkdir(exist_ok=True)
    with (home.parent / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            print(f"Making {home.relative_to(ROOT)} from {REQUIREMENTS.relative_to(ROOT)} …", flush=True)
            _make(home)
            done.touch()
        _point_to(home)
    return home


def _make(home: Path) -> None:
    python = home / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(python), *QUIET_PIP, "--require-hashes", "--requirement", str(REQUIREMENTS)],
    ):
        subprocess.run(command, check=True)  # fixed words and our own paths


def _point_to(home: Path) -> None:
    """`.venv` changes in one step."""
    if LINK.is_dir() and not LINK.is_symlink():
        shutil.rmtree(LINK)
    fresh = LINK.with_name(f".venv.{os.getpid()}")
    fresh.symlink_to(home.relative_to(ROOT))
    fresh.replace(LINK)


def main() -> int:
    """Make the environment; 1 and a sentence when it cannot be made."""
    found = complaint()
    if found is None:
        try:
            ensure()
        except subprocess.CalledProcessError as failure:
            found = f"The environment could not be made: {failure.cmd[0]} ended with {failure.returncode}."
    if found is not None:
        print(found, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
