"""`python -m services.records` serves; `python -m services.records verify FILE --keys KEYS` proves a handbook without a network."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from services.records.app import create_app
from services.records.domain.handbook_pack import QR_PREFIX, NotProven, opened, read_qr
from shared.service import run


def verify(
    file: Annotated[Path, typer.Argument(help="A signed handbook, or a text file with what a QR code says.")],
    keys: Annotated[Path, typer.Option(help="The JWK set of GET /v1/handbook-keys, kept at hand.")],
) -> None:
    """Say whether a trusted key signed this handbook, and what it says."""
    from joserfc.jwk import ECKey

    try:
        trusted = {one["kid"]: ECKey.import_key(one) for one in json.loads(keys.read_text(encoding="utf-8"))["keys"]}
        text = file.read_text(encoding="utf-8").strip()
        if text.startswith(QR_PREFIX):
            said = read_qr(text, trusted)
            name, born, doses, issued = said["name"], said["born"], said["doses"], said["issued"]
        else:
            book = opened(json.loads(text), trusted)
            name = f"{book['child']['name']['family']} {book['child']['name']['given']}"
            born, issued = book["child"]["birth_date"], book["issued_at"]
            doses = [[dose["given_on"], dose["code"], dose.get("lot", "")] for dose in book["doses"]]
    except NotProven as why:
        typer.echo(f"NOT PROVEN: {why}", err=True)
        raise typer.Exit(1) from why
    except (OSError, ValueError, KeyError, TypeError) as error:
        typer.echo(f"NOT PROVEN: unreadable ({type(error).__name__})", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"PROVEN: {name}, born {born}, issued {issued}, {len(doses)} doses")
    for given_on, code, lot in doses:
        typer.echo(f"  {given_on}  {code}  {lot}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["verify"]:
        sys.argv.pop(1)
        typer.run(verify)
    else:
        run(create_app, "records")
