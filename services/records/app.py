"""records: the record of each child, its family, its consents."""

import hashlib
import hmac

from fastapi import FastAPI

from services.records import store as kept
from services.records.api import diary, routers
from services.records.commands.diary import keeper
from services.records.commands.merging import saga_keeper
from services.records.commands.moves import day_keeper, turn_days
from services.records.commands.records import Records
from services.records.subscribers import subscribe
from shared.files import files_of
from shared.service import Runtime, create_service
from shared.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The service, wired."""
    runtime = Runtime(settings)
    own_key = (settings.internal_keys.get("private") or {}).get("d", "")
    records = Records(
        children=runtime.documents(kept.CHILDREN),
        organisations=runtime.documents(kept.ORGANISATIONS),
        diary=runtime.documents(kept.DIARY),
        files=files_of(settings, runtime.store, "photo_files"),
        secret=hmac.digest(own_key.encode(), b"records", hashlib.sha256),
    )
    subscribe(runtime, records)

    async def prepare() -> None:
        await kept.ensure_indexes(runtime.store)

    async def turn() -> None:
        await turn_days(records)

    runtime.on_start.append(prepare)
    runtime.on_stop.append(records.files.close)
    runtime.background += [lambda: keeper(records), lambda: day_keeper(records), lambda: saga_keeper(records)]
    runtime.on_clock.append(turn)
    app = create_service(runtime, routers(runtime, records), title="Hagukumi records", larger_body=diary.larger_body)
    app.state.records = records
    return app
