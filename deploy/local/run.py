"""`make run`: the whole platform, an invented town in it, and where to look."""

import asyncio
import importlib
import json
import signal
import subprocess  # nosec B404 - the demo, as a program of its own
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local.errors import StackError
from deploy.local.platform import Platform, RunningPlatform
from shared.kafka_admin import clinic_user, municipality_user

DEFAULT_PORT = 8000
TOWN_SIZE = 200

console = Console(highlight=False)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM."""


def main(
    data: Annotated[Path, typer.Option(help="Where the state is kept.")] = Path(".hagukumi"),
    seed: Annotated[int, typer.Option(help="The invented town is made from this number; 0 makes none.")] = 20260401,
    size: Annotated[int, typer.Option(help="How many children the town has.")] = TOWN_SIZE,
    port: Annotated[int, typer.Option(envvar="HAGUKUMI_PORT", help="Where the gateway listens.")] = DEFAULT_PORT,
    egress: Annotated[
        str, typer.Option(envvar="HAGUKUMI_EGRESS_ALLOWED_ORIGIN", help="One local origin that pushes may go to.")
    ] = "",
    otel: Annotated[str, typer.Option(envvar="HAGUKUMI_OTEL_ENDPOINT", help="A trace collector.")] = "",
    demo: Annotated[
        bool, typer.Option(help="Tell the story, on the platform that runs here if one does, and end.")
    ] = False,
    driver: Annotated[str, typer.Option(envvar="HAGUKUMI_MONGO_DRIVER", help="pymongo or motor.")] = "pymongo",
) -> None:
    """Start everything, say when it is ready, and stop everything on Ctrl-C or SIGTERM."""
    if demo and _runs(data):
        raise typer.Exit(_tell(data))
    settings = {"HAGUKUMI_MONGO_DRIVER": driver}
    if egress:
        settings["HAGUKUMI_EGRESS_ALLOWED_ORIGIN"] = egress
    if otel:
        settings["HAGUKUMI_OTEL_ENDPOINT"] = otel
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    platform: Platform | None = None
    try:
        with progress() as show:
            platform = Platform(data, gateway_port=port, settings=settings, say=show)
            platform.bring_up()
            if seed:
                _seed(platform, size, seed, show)
        if demo:
            raise typer.Exit(_tell(data))
        where_to_look(platform)
        print(f"Hagukumi is ready: {platform.gateway_url} · Kafka {platform.kafka_bootstrap}", flush=True)
        threading.Event().wait()
    except StackError as error:
        _quiet()
        Console(stderr=True, highlight=False, markup=False).print(str(error), soft_wrap=True)
        raise typer.Exit(1) from None
    except Stopped:
        _quiet()
        console.print("Stopping …")
    finally:
        _quiet()
        if platform is not None:
            platform.stop()


def _runs(data: Path) -> bool:
    """Whether a platform runs on this folder."""
    try:
        RunningPlatform.of(data)
    except StackError:
        return False
    return True


def _tell(data: Path) -> int:
    """Tell the story; the exit code says whether all of it was true."""
    return subprocess.run([sys.executable, "-m", "deploy.local.demo", "--data", str(data)], check=False).returncode


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _quiet() -> None:
    """While stopping, which is bounded, a second Ctrl-C would only leave processes behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


class Shown:
    """A line for each thing that is there, and how long it took since the start."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("Starting Hagukumi …", total=None)
        self._begun = time.monotonic()

    def __call__(self, words: str) -> None:
        self.bar.console.print(f"[green]✓[/green] {words} [dim]{time.monotonic() - self._begun:.1f} s[/dim]")


@contextmanager
def progress() -> Iterator[Shown]:
    """What is being done now, below the lines of what is there."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield Shown(bar)


def _seed(platform: Platform, size: int, seed: int, show: Shown) -> None:
    """Make the town; one that is there already stays, one that was interrupted is finished."""
    try:
        module = importlib.import_module("deploy.local.seed")
    except ModuleNotFoundError as missing:
        if missing.name != "deploy.local.seed":
            raise
        raise StackError("There is no deploy/local/seed.py: make run SEED=0 starts without a town.") from None

    def follow(words: str, done: int, total: int) -> None:
        show.bar.update(show.task, description=f"The town: {words} {done} of {total}")

    asyncio.run(module.seed(platform, size, seed, progress=follow))
    show(f"A town of {size} children")


def where_to_look(platform: Platform) -> None:
    """Addresses, logins and Kafka users, for somebody who sees it for the first time."""
    operator = {"role": "operator", "who": "opens municipalities and clinics"}
    logins = platform.logins() or [{**operator, "body": {"subject": "operator-1", "role": "operator"}}]
    lines = [
        ("API documentation", f"{platform.gateway_url}/docs"),
        ("Sign in", f"POST {platform.gateway_url}/dev/token with one of these bodies"),
        *((f"  {one['role']}", f"{json.dumps(one['body'], ensure_ascii=False)}  {one['who']}") for one in logins),
        ("Kafka", f"{platform.kafka_bootstrap}, SASL_PLAINTEXT, SCRAM-SHA-256"),
        (
            "  a municipality",
            f"user {municipality_user('000000')[:-6]}<code>, password: POST /v1/municipalities, told once",
        ),
        ("  a clinic", f"user {clinic_user('0')[:-1]}<id>, password: POST /v1/clinics, told once"),
        ("  a service", f"user <service>, password in {_near(platform.secrets.folder)}/kafka-<service>"),
        ("Metrics, health", f"{platform.probe_url('gateway')}/metrics and /readyz (each service: platform.json)"),
        ("Logs", f"{_near(platform.data / 'logs')}/"),
    ]
    console.print()
    for name, words in lines:
        console.print(f"{name:<18} {words}", soft_wrap=True, markup=False)
    console.print()


def _near(path: Path) -> str:
    """As the person would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    typer.run(main)
