"""`python -m shared.ops`: what an operator asks of a platform that runs, or of its stores."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from shared import audit
from shared.settings import Settings
from shared.store import Store

app = typer.Typer(no_args_is_help=True, add_completion=False)
console = Console(highlight=False, soft_wrap=True)


@app.callback()
def tools() -> None:
    """Tools for whoever runs Hagukumi."""


@app.command()
def verify(
    data: Annotated[Path, typer.Option(help="Data folder of a local platform (make run DATA=…)")] = Path(".hagukumi"),
    mongo_url: Annotated[str | None, typer.Option(help="The gateway's store, where there is no such folder")] = None,
    database: Annotated[str, typer.Option(help="Its database")] = "gateway",
    keys: Annotated[Path | None, typer.Option(help="File with the services' public keys")] = None,
) -> None:
    """Check the audit's chains and name the first bad row of each; exit code 1 when there is one."""
    if mongo_url is None:
        mongo_url, keys = _local(data, keys)
    public = None
    if keys is not None and keys.exists():
        public = json.loads(keys.read_text(encoding="utf-8"))["public"].get("gateway")
    found, rows = asyncio.run(_verify(mongo_url, database, public))
    for bad in found:
        console.print(f"bad audit row {bad.row}: {bad.why}")
    if found:
        raise typer.Exit(1)
    signed = (
        "their anchors' signatures too"
        if public
        else "no public key given, so the anchors' signatures were not checked"
    )
    console.print(f"{rows} audit rows, every chain is whole ({signed}).")


def _local(data: Path, keys: Path | None) -> tuple[str, Path | None]:
    """Where a local platform's gateway keeps its audit; else what the environment says."""
    place = data / "platform.json"
    if place.exists():
        found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return str(found["services"]["gateway"]["store"]), keys or data / "secrets" / "internal-keys-gateway.json"
    settings = Settings(service="gateway")
    return settings.mongo_url, keys or settings.internal_keys_file


async def _verify(url: str, database: str, public: dict[str, Any] | None) -> tuple[list[audit.BadRow], int]:
    store = Store.connect(url, database)
    try:
        return [bad async for bad in audit.verify(store, public)], await store.count(audit.AUDIT, {})
    finally:
        await store.close()


if __name__ == "__main__":
    app()
