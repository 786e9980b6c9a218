"""records: the record of each child, its family, its consents."""

import hashlib
import hmac

from fastapi import FastAPI

from services.records import store as kept
from services.records.api import routers
from services.records.commands.records import Records
from services.records.subscribers import subscribe
from shared.service import Runtime, create_service
from shared.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The service, wired."""
    runtime = Runtime(settings)
    own_key = (settings.internal_keys.get("private") or {}).get("d", "")
    records = Records(
        children=runtime.documents(kept.CHILDREN),
        organisations=runtime.documents(kept.ORGANISATIONS),
        secret=hmac.digest(own_key.encode(), b"records", hashlib.sha256),
    )
    subscribe(runtime, records)

    async def prepare() -> None:
        await kept.ensure_indexes(runtime.store)

    runtime.on_start.append(prepare)
    return create_service(runtime, routers(runtime, records), title="Hagukumi records")
