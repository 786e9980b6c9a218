"""The local store: what was acknowledged is there after a crash."""

from pathlib import Path

import pytest

from deploy.local.ports import free_port
from deploy.local.processes import Supervisor
from deploy.local.store import LocalStore
from shared.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.fault]


async def test_acknowledged_inserts_survive_a_crash(tmp_path: Path, own: Supervisor) -> None:
    server = LocalStore(tmp_path / "store" / "records", free_port(), supervisor=own, name="records")
    server.start()
    store = Store.connect(server.url, "records")
    for number in range(200):
        assert await store.insert("things", {"_id": str(number)})
    server.kill9()
    await store.close()
    assert not server.process.alive
    server.restart()
    again = Store.connect(server.url, "records")
    try:
        assert [number for number in range(200) if await again.get("things", str(number)) is None] == []
    finally:
        await again.close()
