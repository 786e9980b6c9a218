"""`python -m shared.ops`: what an operator asks of a platform that runs, or of its stores."""

import asyncio
import logging
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from shared import audit
from shared.ops import asking, letters, parked, waiting
from shared.ops.places import Place, Trouble, about, public_key
from shared.settings import Settings
from shared.store import Store, StoreError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
parked_app = typer.Typer(no_args_is_help=True, help="Subjects that a view holds back: list, show, replay, discard.")
letters_app = typer.Typer(no_args_is_help=True, help="Records that were put aside: list, show, replay, discard.")
app.add_typer(parked_app, name="parked")
app.add_typer(letters_app, name="dead-letters")
# Into a file or a pipe nothing is cut off: ids are copied from here. What a record says is never taken for markup.
console = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 240)

Data = Annotated[Path, typer.Option(help="Data folder of a local platform (make run DATA=…)")]
Service = Annotated[str | None, typer.Option(help="This service only; without a data folder its environment is read")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and touch nothing")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the audit trail")]
Who = Annotated[str, typer.Option("--as", help="Who you are; it is kept in the audit trail")]
HERE = Path(".hagukumi")
T = TypeVar("T")


@app.callback()
def tools() -> None:
    """Tools for whoever runs Hagukumi. Nothing that is shown is about a person: ids are opaque."""
    # What a client library has to say about a server that is away, the tool says in one sentence.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Do it; whatever stops it becomes one sentence and exit code 1 or 2."""
    sentence, code = "", 1
    try:
        with console.status("looking …"):
            return asyncio.run(work)
    except Trouble as trouble:
        sentence, code = str(trouble), trouble.code
    except KafkaError as error:
        sentence = f"Kafka cannot be reached or refuses the operator ({type(error).__name__}). Nothing was touched."
    except StoreError as error:
        sentence = f"A store cannot be reached ({type(error).__name__}). What was not said to be done was not done."
    except Exception as error:
        # A trace would help nobody who has to act now; the class names the place to look.
        sentence = f"That did not work ({type(error).__name__})."
    console.print(sentence)
    raise typer.Exit(code)


def _place(data: Path, service: str | None) -> Place:
    try:
        return Place.find(data, service)
    except Trouble as trouble:
        console.print(str(trouble))
        raise typer.Exit(trouble.code) from None


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


# What waits -------------------------------------------------------------------------------------------------------


@app.command()
def lag(
    topic: Annotated[str | None, typer.Argument(help="One topic; all without it")] = None,
    data: Data = HERE,
    service: Service = None,
) -> None:
    """How many records each group of readers has still to read."""
    table = _table("group", "topic", "behind", "read")
    for row in _run(waiting.lag(_place(data, service), topic)):
        table.add_row(row.group, row.topic, str(row.behind), str(row.read))
    console.print(table)


@app.command()
def outbox(data: Data = HERE, service: Service = None) -> None:
    """What was committed and is not announced yet."""
    table = _table("service", "collection", "documents", "events", "oldest")
    for row in _run(waiting.outboxes(_place(data, service))):
        table.add_row(row.service, row.collection, str(row.documents), str(row.events), f"{row.oldest_s:.1f} s")
    console.print(table)


# Parked subjects --------------------------------------------------------------------------------------------------


@parked_app.command("list")
def list_parked(data: Data = HERE, service: Service = None) -> None:
    """Every subject that a view holds back, and why."""
    place = _place(data, service)

    async def all_of_them() -> list[parked.Parked]:
        return [one async for one in parked.parked(place) if service in {None, one.service}]

    found = _run(all_of_them())
    table = _table("service", "view", "document", "stream", "revision", "known", "reason")
    for row in found:
        table.add_row(row.service, row.view, row.document, row.stream, str(row.revision), str(row.waiting), row.reason)
    console.print(table if found else "Nothing is parked.")


@parked_app.command("show")
def show_parked(service: str, view: str, document: str, data: Data = HERE) -> None:
    """One of them, with the type of the event that it waits at; nothing of its content."""
    found, kind, told = _run(parked.one(_place(data, service), service, view, document))
    console.print(f"{found.view} of {found.service}, document {found.document}")
    console.print(f"waits at revision {found.revision} of {found.stream} {found.subject} ({found.reason})")
    console.print(f"which is {kind}, announced {told}; revisions up to {found.waiting} are known")


@parked_app.command("replay")
def replay_parked(
    service: str,
    view: str,
    document: str,
    data: Data = HERE,
    reason: Reason = "",
    who: Who = "",
    dry_run: DryRun = False,
) -> None:
    """Let the view try again, from the owner's archive."""
    place = _place(data, service)
    found = _run(parked.replay(place, service, view, document, reason=reason, who=who, dry_run=dry_run))
    console.print(f"{'Would try' if dry_run else 'Tries'} again from revision {found.revision} of {found.stream} on.")


@parked_app.command("discard")
def discard_parked(
    service: str,
    view: str,
    document: str,
    data: Data = HERE,
    reason: Reason = "",
    who: Who = "",
    dry_run: DryRun = False,
) -> None:
    """Let the view go on as if that one event said nothing."""
    place = _place(data, service)
    found = _run(parked.discard(place, service, view, document, reason=reason, who=who, dry_run=dry_run))
    console.print(f"{'Would go' if dry_run else 'Goes'} on behind revision {found.revision} of {found.stream}.")


# Dead letters -----------------------------------------------------------------------------------------------------


@letters_app.command("list")
def list_letters(
    topic: str,
    data: Data = HERE,
    service: Service = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were taken care of too")] = False,
) -> None:
    """The records of a topic that were put aside."""
    found = _run(letters.letters(_place(data, service), topic, handled=everything))
    table = _table("id", "reason", "reader", "type", "subject", "revision", "bytes", "what became of it")
    for row in found:
        table.add_row(
            row.id, row.reason, row.reader, row.type, row.subject, str(row.revision), str(row.size), row.handled
        )
    console.print(table if found else f"No dead letters of {topic} wait for anybody.")


@letters_app.command("show")
def show_letter(topic: str, letter: str, data: Data = HERE, service: Service = None) -> None:
    """One of them; its bytes stay where they are, only their digest is shown."""
    found = _run(letters.one(_place(data, service), topic, letter))
    at = datetime.fromtimestamp(found.at, UTC).isoformat(timespec="seconds")
    console.print(
        f"{found.id} of {found.topic}, put aside {at} by {found.reader or 'an unknown reader'}: {found.reason}"
    )
    console.print(f"{found.type or 'no type'}, subject {found.subject or 'none'}, revision {found.revision}")
    console.print(f"{found.size} bytes, SHA-256 {found.digest}; {found.handled or 'nobody took care of it yet'}")


@letters_app.command("replay")
def replay_letter(
    topic: str,
    letter: str,
    data: Data = HERE,
    service: Service = None,
    reason: Reason = "",
    who: Who = "",
    dry_run: DryRun = False,
) -> None:
    """Have its reader get that event from the owner's archive."""
    found = _run(letters.replay(_place(data, service), topic, letter, reason=reason, who=who, dry_run=dry_run))
    words = "would get" if dry_run else "gets"
    console.print(f"{found.reader} {words} revision {found.revision} of {found.subject} from the owner's archive.")


@letters_app.command("discard")
def discard_letter(
    topic: str,
    letter: str,
    data: Data = HERE,
    service: Service = None,
    reason: Reason = "",
    who: Who = "",
    dry_run: DryRun = False,
) -> None:
    """Say that nothing is to be done about it; its bytes stay in the topic."""
    found = _run(letters.discard(_place(data, service), topic, letter, reason=reason, who=who, dry_run=dry_run))
    console.print(f"{found.id} of {found.topic} {'would be' if dry_run else 'is'} off the list.")


# Repairs ----------------------------------------------------------------------------------------------------------


@app.command()
def reconcile(
    data: Data = HERE,
    service: Service = None,
    effects_since: Annotated[
        datetime | None,
        typer.Option(help="Have inbox items and the like made again from what was announced since (UTC)"),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Compare every view with its owners' heads; what is missing is fetched (after a loss in Kafka)."""
    place = _place(data, service)
    since = effects_since.replace(tzinfo=UTC).isoformat(timespec="milliseconds") if effects_since else ""

    async def all_of_them() -> None:
        for name in [service] if service else place.stores:
            async for line in asking.do(place, name, "reconcile", {"dry_run": dry_run, "effects_since": since}):
                console.print(f"{name}: {line}")

    _run(all_of_them())
    console.print(
        "Nothing was touched." if dry_run else "What is behind is being fetched; hagukumi_wanted_ranges falls to 0."
    )


@app.command()
def rebuild(service: str, view: str, data: Data = HERE, dry_run: DryRun = False) -> None:
    """Build a view anew from the owners' history beside live traffic, then switch to it."""
    place = _place(data, service)

    async def one_view() -> None:
        async with place.store(service) as store:
            known = await about(store, service)
        if view not in known["views"]:
            raise Trouble(f"{service} has no view {view}; it has {', '.join(known['views']) or 'none'}.", 2)
        if owns := known["owners"].get(view):
            raise Trouble(f"{view} is not rebuilt: its documents also hold {owns}. Primary data is never rebuilt.", 2)
        if dry_run:
            streams = ", ".join(stream for stream, name in known["readings"] if name == view)
            console.print(f"{view} would be built anew from {streams}. Nothing was touched.")
            return
        async for line in asking.do(place, service, "rebuild", {"view": view}):
            console.print(line)

    _run(one_view())


# Checks -----------------------------------------------------------------------------------------------------------


@app.command()
def verify(
    data: Data = HERE,
    service: Service = None,
    mongo_url: Annotated[str | None, typer.Option(help="Check only the audit, of a gateway with this store")] = None,
    database: Annotated[str, typer.Option(help="Its database")] = "gateway",
    keys: Annotated[Path | None, typer.Option(help="File with the services' public keys")] = None,
) -> None:
    """Check the audit's chains, every history and every plan; name what is wrong; exit code 1 when anything is."""
    if mongo_url is not None or not (data / "platform.json").exists():
        settings = Settings(service=service or "gateway")
        file = keys or settings.internal_keys_file
        public = _public_key(file, settings.service)
        good = _say_audit(*_run(_audit(mongo_url or settings.mongo_url, database, public)), signed=public is not None)
        raise typer.Exit(0 if good else 1)
    place = _place(data, service)
    good = True
    for name in [service] if service else list(place.stores):
        url, own = place.stores[name]
        public = _public_key(place.keys.get(name), name)
        bad, rows = _run(_audit(url, own, public))
        if rows:
            good &= _say_audit(bad, rows, signed=public is not None, whose=f"{name}: ")
        good &= _histories(place, name)
    for name in [service] if service else list(place.stores):
        good &= _run(_checks(place, name))
    raise typer.Exit(0 if good else 1)


def _public_key(file: Path | None, service: str) -> dict[str, Any] | None:
    try:
        return public_key(file, service)
    except Trouble as trouble:
        console.print(str(trouble))
        raise typer.Exit(trouble.code) from None


async def _audit(url: str, database: str, public: dict[str, Any] | None) -> tuple[list[audit.BadRow], int]:
    store = Store.connect(url, database)
    try:
        return [bad async for bad in audit.verify(store, public)], await store.count(audit.AUDIT, {})
    finally:
        await store.close()


def _say_audit(found: list[audit.BadRow], rows: int, *, signed: bool, whose: str = "") -> bool:
    for bad in found:
        console.print(f"{whose}bad audit row {bad.row}: {bad.why}")
    if not found:
        how = (
            "their anchors' signatures too"
            if signed
            else "no public key given, so the anchors' signatures were not checked"
        )
        console.print(f"{whose}{rows} audit rows, every chain is whole ({how}).")
    return not found


def _histories(place: Place, service: str) -> bool:
    subjects, events, bad = _run(
        asking.histories(place, service, lambda count: console.print(f"{service}: {count} events so far"))
    )
    for line in bad[:20]:
        console.print(f"{service}: {line}")
    console.print(f"{service}: {events} events of {subjects} subjects, {len(bad)} wrong.")
    return not bad


async def _checks(place: Place, service: str) -> bool:
    try:
        async for line in asking.do(place, service, "verify", {}):
            console.print(f"{service}: {line}")
    except Trouble as trouble:
        console.print(f"{service}: {trouble}")
        return False
    return True


if __name__ == "__main__":
    app()
