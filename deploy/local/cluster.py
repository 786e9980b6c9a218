"""Sets up a Kafka cluster that others run: topics, users and rights. Containers and Kubernetes start it once as a job.

`python -m deploy.local.cluster keys DIR` makes every password and key of an installation; `… topology DIR` applies the
topics, users and rights as the administrator whose password lies there. Both may be repeated.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.local import topology
from deploy.local.secret_files import ADMIN, CONTROLLER, SecretFiles
from shared.kafka_admin import Credentials, KafkaAdmin

app = typer.Typer(add_completion=False, no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="Where `secrets/` is or will be.")]


@app.command()
def keys(folder: Folder) -> None:
    """Make what is missing: Kafka passwords, keys for internal calls, the development issuer's, the push key and the key of handbooks."""
    files = SecretFiles(folder)
    for user in (ADMIN, CONTROLLER, *topology.users()):
        files.password_file(user)
    files.internal_keys(topology.SERVICES)
    files.signing_key("development-issuer")
    files.push_key()
    files.signing_key("handbook")


@app.command(name="topology")
def apply(folder: Folder, within: Annotated[float, typer.Option(help="Seconds to wait for Kafka.")] = 120.0) -> None:
    """Create topics, users and rights; what is there stays."""
    files = SecretFiles(folder)
    admin = KafkaAdmin(
        os.environ["HAGUKUMI_KAFKA_BOOTSTRAP"],
        os.environ.get("HAGUKUMI_KAFKA_ADMIN_USER", ADMIN),
        files.password(ADMIN),
        replication=int(os.environ.get("HAGUKUMI_REPLICATION", "1")),
        min_insync=int(os.environ.get("HAGUKUMI_MIN_INSYNC", "1")),
    )
    deadline = time.monotonic() + within
    while not admin.answers(2.0):
        if time.monotonic() > deadline:
            raise typer.Exit(1)
        time.sleep(1.0)
    asyncio.run(furnish(admin, files))


async def furnish(admin: KafkaAdmin, files: SecretFiles) -> None:
    """Topics, users and rights of an installation."""
    development = os.environ.get("HAGUKUMI_ENVIRONMENT", "production") == "development"
    partitions = int(os.environ.get("HAGUKUMI_PARTITIONS", str(topology.PARTITIONS)))
    await admin.ensure_topics(topology.topics(partitions, development=development))
    await admin.create_scram_users(Credentials(user, files.password(user)) for user in topology.users())
    await admin.allow_all(topology.rights(development=development))


if __name__ == "__main__":
    app()
