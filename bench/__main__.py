"""`make bench`: every speed as a ratio to a raw ceiling measured in the same run."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import backbone, backlog, inbox, notify_preview, records_files, schedule_turn
from bench.doors import door_rows
from bench.harness import Row, compare, console, read_results, show, write
from bench.schedule_cdsi import cdsi_rows
from bench.schedule_plan import plan_rows
from deploy.local import topology
from deploy.local.broker import LocalKafka
from deploy.local.ports import free_port
from deploy.local.processes import Supervisor
from deploy.local.store import LocalStore
from shared.kafka_admin import Credentials
from shared.runtime import collect_seldom

NEEDS_BROKER = {"P1", "P4", "P11"}
RESULTS = Path(__file__).with_name("results")


async def _prepare(kafka: LocalKafka) -> None:
    admin = kafka.admin()
    await admin.ensure_topics(topology.topics())
    await admin.create_scram_users(Credentials(user, kafka.secrets.password(user)) for user in topology.users())
    await admin.allow_all(topology.rights())


def main(
    only: Annotated[str, typer.Option(help="Only these rows, for example P1,P4.")] = "",
    against: Annotated[Path | None, typer.Option("--compare", help="An older results file.")] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = RESULTS,
) -> None:
    """Measure, print the table, write the JSON."""
    try:
        before = read_results(against) if against is not None else {}
    except ValueError as error:
        console.print(str(error), style="red")
        raise typer.Exit(2) from None
    full = os.environ.get("SCALE") == "full"
    scale = 10 if full else 1
    chosen = {name.strip().upper() for name in only.split(",") if name.strip()}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hagukumi-bench-") as folder, Supervisor() as supervisor:
        kafka = LocalKafka(Path(folder), supervisor=supervisor)
        store = LocalStore(Path(folder) / "stores" / "bench", free_port(), supervisor=supervisor)
        works: dict[str, Callable[[], Coroutine[Any, Any, Row]]] = {
            "P1": lambda: backbone.consumer_frame(kafka, store, 60_000 * scale),
            "P2": lambda: backbone.view_update(store, 1_000 * scale),
            "P3": lambda: inbox.ingest(store, 4_000 * scale),
            "P4": lambda: backbone.relay(kafka, store, 500 * scale),
            "P11": lambda: backlog.drain(kafka, store, 10_000 * scale),
            "P12": lambda: backlog.grown(store, 1_000_000 if full else 50_000),
            "P10": lambda: backbone.telemetry(store, 1_000 * scale),
            "N1": lambda: notify_preview.preview(store),
            "R1": lambda: records_files.taking_over(store, 1_000 * scale),
            "R2": records_files.on_paper,
            "R3": lambda: records_files.diary_page(store, 500 * scale),
            "N2": lambda: schedule_turn.turn(store, schedule_turn.COUNTRY if full else 2_000),
        }
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("Starting the store …", total=None)
            store.start()
            # Those that need no broker go before it is started: what it does beside them is no part of them.
            for name in sorted(works, key=NEEDS_BROKER.__contains__):
                if chosen and name not in chosen:
                    continue
                if name in NEEDS_BROKER and not kafka.process.alive:
                    bar.update(task, description="Starting the broker …")
                    kafka.start()
                    asyncio.run(_prepare(kafka))
                bar.update(task, description=f"{name} …")
                # Each begins as a service that has just started: what others left is not walked through again.
                collect_seldom()
                rows.append(asyncio.run(works[name]()))
            rows.sort(key=lambda row: [*works].index(row.id))
            # The platforms that follow bring their own.
            kafka.stop()
            store.stop()
            if not chosen or chosen & {"P7", "P8", "P9", "P13"}:
                bar.update(task, description="P7, P8, P9, P13 at the door …")
                rows += [
                    row
                    for row in door_rows(Path(folder) / "platform", scale)
                    if not chosen or row.id.split()[0] in chosen
                ]
            if not chosen or "P6" in chosen:
                bar.update(task, description="P6: a notice to everybody …")
                rows += inbox.announcement_rows(Path(folder) / "town", 5_000 * scale)
            bar.update(task, description="P5, P13's check …")
            for ids, made in (({"P5", "P13"}, plan_rows), ({"CDSI"}, cdsi_rows)):
                if not chosen or chosen & ids:
                    rows += [row for row in made() if not chosen or row.id.split()[0].upper() in chosen]
    conditions = {"write concern": "majority, j: true", "batch": backbone.BATCH, "scale": "full" if full else "small"}
    show(rows, conditions)
    console.print(f"Written to {write(rows, conditions, out)}", style="dim")
    if against is not None:
        compare(rows, before, against.name)


if __name__ == "__main__":
    typer.run(main)
