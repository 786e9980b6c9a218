"""Compiles what is asked most often to native code with mypyc, where there is a C compiler; says so where there is none.

`make setup` and the image's build run it. The result is looked for by shared/compiled.py; without it the same files run
as Python, with the same answers, at a third of the speed.
"""

import fcntl
import os
import shutil
import subprocess  # nosec B404 - runs this Python and the C compiler, with fixed words
import sys
import sysconfig
import tempfile
from pathlib import Path

from shared.compiled import PACKAGES, ROOT, home, sources

WITHOUT = "The rules of the schedule and what reads events run as Python, at a third of their speed: {why}."


def complaint() -> str | None:
    """What is missing to compile, in words that say how to get it; None when nothing is."""
    if shutil.which(os.environ.get("CC", "cc")) is None:
        return "there is no C compiler (on Debian: apt-get install -y gcc)"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are missing (on Debian: apt-get install -y python3-dev)"
    return None


def ensure(package: str) -> str | None:
    """Make the compiled code of a package's present sources unless it is there; why not, where it cannot be made."""
    made = home(package)
    if (made / ".complete").exists():
        return None
    found = complaint()
    if found is not None:
        return found
    made.parent.mkdir(exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / ".complete").exists():
            print(f"Compiling {package} to {made.relative_to(ROOT)} …", flush=True)
            failure = _compile(package, made)
            if failure is not None:
                return failure
    made.with_suffix(".lock").unlink(missing_ok=True)
    return None


def _compile(package: str, made: Path) -> str | None:
    """Compile aside, then put the whole in its place; the last line of what went wrong otherwise."""
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".native-") as aside:
        # A folder of its own: setuptools reads the project file of the folder it stands in.
        done = subprocess.run(  # noqa: S603 # nosec B603 - this Python and module, our folder
            [sys.executable, "-m", "deploy.engine", "--build", aside, package],
            cwd=aside,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        out = Path(aside, "out")
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
            return f"mypyc ended with {done.returncode}: {lines[-1]}"
        (out / ".complete").touch()
        shutil.rmtree(made, ignore_errors=True)
        out.replace(made)
    return None


def _build(aside: Path, package: str) -> None:
    from mypyc.build import mypycify
    from setuptools import setup

    place = Path(*package.split("."))
    shutil.copytree(ROOT / place, aside / place)
    for folder in place.parents[:-1]:
        (aside / folder / "__init__.py").write_text("")
    names = [str(path.relative_to(ROOT)) for path in sources(package)]
    options = ["--config-file=", "--explicit-package-bases", "--ignore-missing-imports", "--follow-imports=silent"]
    setup(
        name="hagukumi-native",
        packages=[],
        # Level 2: 4 % faster than level 1 for a quarter of a minute more of compiling; level 3 gains nothing on top.
        ext_modules=mypycify([*options, *names], opt_level="2", debug_level="0"),
        script_args=["--quiet", "build_ext", "--build-lib", "out", "--build-temp", "objects"],
    )


def main() -> int:
    """Compile; what is missing is said and is no failure, unless `--must`: the platform works without."""
    if sys.argv[1:2] == ["--build"]:
        _build(Path(sys.argv[2]), sys.argv[3])
        return 0
    for package in filter(sources, PACKAGES):
        why = ensure(package)
        if why is not None:
            print(WITHOUT.format(why=why), file=sys.stderr)
            return int(sys.argv[1:2] == ["--must"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
