"""Where the platform is that an operator's tool looks at: a local data folder, or the environment of one service."""

import contextlib
import getpass
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import bus
from shared.audit import Access, Audit
from shared.clock import Clock
from shared.ids import new_id
from shared.operations import ABOUT, OPERATIONS
from shared.settings import Settings
from shared.store import Doc, Store

OPERATOR = "operator"
WITHIN_MS = 5_000


class Trouble(Exception):
    """What stops a tool, as a sentence for the operator; `code` is the exit code (2: what was asked is wrong)."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True)
class Place:
    """Stores by service, and how to reach Kafka."""

    stores: dict[str, tuple[str, str]]
    """service -> (address, database)"""
    kafka: dict[str, Any]
    keys: dict[str, Path] = field(default_factory=dict)
    driver: str = "pymongo"
    settings: Settings | None = None
    """Of the one service whose environment this is: what other services hold it asks them for."""

    @classmethod
    def find(cls, data: Path, service: str | None) -> "Place":
        """The local platform of this folder; else, for a named service, what its environment says. Raises Trouble."""
        file = data / "platform.json"
        if file.exists():
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
                stores = {
                    name: (str(one["store"]), str(one.get("database", name))) for name, one in found["services"].items()
                }
                kafka = {
                    "bootstrap_servers": str(found["kafka_bootstrap"]),
                    "security_protocol": "SASL_PLAINTEXT",
                    "sasl_mechanism": "SCRAM-SHA-256",
                    "sasl_plain_username": OPERATOR,
                    "sasl_plain_password": Path(found["kafka_users"][OPERATOR]).read_text(encoding="utf-8"),
                }
            except (ValueError, KeyError, TypeError, OSError):
                raise Trouble(
                    f"{file} is not a whole description of a platform; `make run` writes it anew.", 2
                ) from None
            if service is not None and service not in stores:
                raise Trouble(f"The platform of {data} has no service {service}; it has {', '.join(stores)}.", 2)
            keys = {name: data / "secrets" / f"internal-keys-{name}.json" for name in stores}
            return cls(stores, kafka, keys)
        if service is None:
            raise Trouble(
                f"No platform is described in {data}. Name one (--data), or a service whose environment this is (--service).",
                2,
            )
        settings = Settings(service=service)
        keys = {service: settings.internal_keys_file} if settings.internal_keys_file else {}
        return cls(
            {service: (settings.mongo_url, settings.mongo_database)},
            bus.client_options(settings),
            keys,
            settings.mongo_driver,
            settings,
        )

    @contextlib.asynccontextmanager
    async def store(self, service: str) -> AsyncIterator[Store]:
        """One service's store. Raises Trouble when this place has none."""
        if service not in self.stores:
            raise Trouble(f"There is no service {service} here; there is {', '.join(self.stores)}.", 2)
        url, database = self.stores[service]
        store = Store.connect(url, database, driver=self.driver, timeout_ms=WITHIN_MS)
        try:
            yield store
        finally:
            await store.close()

    async def note(self, store: Store, service: str, action: str, what: str, reason: str, who: str) -> None:
        """Write into the service's audit trail who did what with which subject, and why; before it is done."""
        audit = Audit(store, Clock(), _keys(self.keys.get(service)).get("private"))
        await audit.start()
        try:
            await audit.write(
                Access(
                    who=who or getpass.getuser(),
                    role=OPERATOR,
                    organisation=None,
                    action=f"ops.{action}",
                    whose=(what,),
                    purpose=reason,
                    outcome="asked",
                    status=0,
                    route="shared.ops",
                    correlation=new_id(),
                )
            )
        finally:
            await audit.stop()


def _keys(file: Path | None) -> dict[str, Any]:
    """What a service's key file holds, nothing without one; an auditor's has public keys only. Raises Trouble for one that is not whole."""
    if file is None or not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {**found, "public": dict(found["public"])}
    except (ValueError, KeyError, TypeError, OSError):
        raise Trouble(f"{file} is not a whole file of keys. Nothing was touched.", 2) from None


def public_key(file: Path | None, service: str) -> dict[str, Any] | None:
    """The key with which a service's anchors are checked. Raises Trouble for a file that is not whole."""
    found: dict[str, Any] | None = _keys(file).get("public", {}).get(service)
    return found


async def about(store: Store, service: str) -> Doc:
    """What the running release of a service wrote about itself. Raises Trouble when it never ran."""
    found = await store.get(OPERATIONS, ABOUT)
    if found is None:
        raise Trouble(f"{service} has not run on this store yet, so it has no views to look at.")
    return found
