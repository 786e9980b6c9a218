"""Files in GridFS and on an S3 server: the same three calls, the same answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from deploy.local.ports import free_port
from shared.files import Files, S3Files, StoreFiles, files_of
from shared.problems import Busy
from shared.settings import Settings
from shared.store import Store
from shared.testing.s3_server import S3Server, signature

pytestmark = pytest.mark.integration


def s3_settings(folder: Path, port: int, **changes: str) -> Settings:
    names = {"access": "AKIAHAGUKUMITEST", "secret": "an/invented+secret", **changes}
    for name in ("access", "secret"):
        (folder / name).write_text(names[name] + "\n", encoding="utf-8")
    return Settings(
        service="records",
        environment="development",
        files_s3_url=f"http://127.0.0.1:{port}",
        files_s3_region=changes.get("region", "ap-northeast-1"),
        files_s3_access_key_file=folder / "access",
        files_s3_secret_key_file=folder / "secret",
    )


@contextlib.asynccontextmanager
async def serving(server: S3Server) -> AsyncIterator[int]:
    port = free_port()
    running = uvicorn.Server(
        uvicorn.Config(server, host="127.0.0.1", port=port, log_level="critical", access_log=False, lifespan="off")
    )
    running.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    yield port
    running.should_exit = True
    await task


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[tuple[S3Server, int]]:
    server = S3Server("AKIAHAGUKUMITEST", "an/invented+secret", "hagukumi", "ap-northeast-1")
    async with serving(server) as port:
        yield server, port


async def keeps(files: Files) -> None:
    """What every place for files has to do."""
    data = bytes(range(256)) * 4_000
    assert await files.get("a.full") is None
    await files.put("a.full", data)
    await files.put("a.small", b"x")
    assert await files.get("a.full") == data
    await files.delete("a.full")
    await files.delete("a.full")
    assert await files.get("a.full") is None
    assert await files.get("a.small") == b"x"


async def test_files_lie_in_gridfs(store: Store) -> None:
    await keeps(StoreFiles(store, "photo_files"))


async def test_files_lie_on_an_s3_server(s3: tuple[S3Server, int], tmp_path: Path, store: Store) -> None:
    server, port = s3
    files = files_of(s3_settings(tmp_path, port), store, "photo_files")
    assert isinstance(files, S3Files)
    await keeps(files)
    assert server.refused == []
    assert "photo_files/a.small" in server.objects
    await files.close()


async def test_gridfs_is_where_files_lie_unless_said_otherwise(store: Store) -> None:
    assert isinstance(files_of(Settings(service="records"), store, "photo_files"), StoreFiles)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"secret": "another"}, "SignatureDoesNotMatch"),
        ({"access": "AKIASOMEBODYELSE"}, "InvalidAccessKeyId"),
        ({"region": "eu-west-1"}, "SignatureDoesNotMatch"),
    ],
)
async def test_a_wrong_signature_is_refused_and_nothing_is_said_to_be_kept(
    s3: tuple[S3Server, int], tmp_path: Path, changes: dict[str, str], why: str
) -> None:
    server, port = s3
    files = S3Files(s3_settings(tmp_path, port, **changes), "photo_files")
    for attempt in (files.put("a", b"x"), files.get("a"), files.delete("a")):
        with pytest.raises(Busy):
            await attempt
    assert server.refused == [why] * 3
    assert server.objects == {}
    await files.close()


async def test_a_server_that_fails_or_is_away_is_busy(s3: tuple[S3Server, int], tmp_path: Path) -> None:
    server, port = s3
    server.broken = True
    for where in (port, free_port()):
        files = S3Files(s3_settings(tmp_path, where), "photo_files")
        for attempt in (files.put("a", b"x"), files.get("a"), files.delete("a")):
            with pytest.raises(Busy):
                await attempt
        await files.close()


def test_the_simulator_agrees_with_amazons_own_example() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": empty,
        "x-amz-date": "20130524T000000Z",
    }
    found = signature(
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "GET",
        "/test.txt",
        "",
        headers,
        "host;range;x-amz-content-sha256;x-amz-date",
        "20130524T000000Z",
        "us-east-1",
    )
    assert found == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
