"""records: the record of each child, its family, its consents."""

import hmac
import json

from fastapi import FastAPI
from joserfc.jwk import ECKey

from services.records import store as kept
from services.records.api import diary, imports, routers
from services.records.commands.diary import keeper
from services.records.commands.imports import worker
from services.records.commands.merging import saga_keeper
from services.records.commands.moves import day_keeper, turn_days
from services.records.commands.pregnancies import birth_keeper
from services.records.commands.records import Records
from services.records.subscribers import subscribe
from shared.files import files_of
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings


def _handbook_key(settings: Settings) -> ECKey | None:
    """The key that signs handbooks; a deployment without one hands them out unsigned."""
    if settings.handbook_key_file is None:
        return None
    return ECKey.import_key(json.loads(settings.handbook_key_file.read_text(encoding="utf-8")))


def create_app(settings: Settings) -> FastAPI:
    """The service, wired."""
    runtime = Runtime(settings)
    records = Records(
        children=runtime.documents(kept.collections.CHILDREN),
        organisations=runtime.documents(kept.collections.ORGANISATIONS),
        diary=runtime.documents(kept.collections.DIARY),
        imports=runtime.documents(kept.collections.IMPORTS),
        pregnancies=runtime.documents(kept.collections.PREGNANCIES),
        files=files_of(settings, runtime.store, "photo_files"),
        import_files=files_of(settings, runtime.store, "import_files"),
        handbook_key=_handbook_key(settings),
        secret=hmac.digest(settings.own_secret, b"records", "sha256"),
    )
    subscribe(runtime, records)

    async def prepare() -> None:
        await kept.collections.ensure_indexes(runtime.store)

    async def turn() -> None:
        await turn_days(records)

    runtime.on_start.append(prepare)
    runtime.on_stop += [records.files.close, records.import_files.close]
    runtime.background += [
        lambda: keeper(records),
        lambda: day_keeper(records),
        lambda: saga_keeper(records),
        lambda: birth_keeper(records),
        lambda: worker(records),
    ]
    runtime.on_clock.append(turn)
    app = create_service(
        runtime,
        routers(records),
        title="Hagukumi records",
        larger_body=lambda scope: max(diary.larger_body(scope), imports.larger_body(scope)),
    )
    app.state.records = records
    return app
