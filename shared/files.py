"""Where photos and other files lie: in the service's own store (GridFS), or on any S3 server; a key is written once."""

from typing import Protocol
from urllib.parse import quote

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shared.problems import Busy
from shared.settings import Settings
from shared.store import Store

S3_TIMEOUT_S = 20.0


class Files(Protocol):
    """The port: bytes under keys that are never used twice, so that nothing is ever replaced."""

    async def put(self, key: str, data: bytes) -> None:
        """Keep these bytes durably; raises Busy or a StoreError when that is not certain."""

    async def get(self, key: str) -> bytes | None:
        """The bytes, or None."""

    async def delete(self, key: str) -> None:
        """Delete them; nothing there is as good."""

    async def close(self) -> None:
        """Let go of connections."""


class StoreFiles:
    """Files in GridFS, beside the documents that name them."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    async def put(self, key: str, data: bytes) -> None:
        """Keep these bytes."""
        await self._store.put_file(self._bucket, key, data)

    async def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        return await self._store.get_file(self._bucket, key)

    async def delete(self, key: str) -> None:
        """Delete them."""
        await self._store.delete_file(self._bucket, key)

    async def close(self) -> None:
        """The store closes its own connections."""


class S3Files:
    """Files on an S3 server, by the three calls that all of them have; signed with AWS Signature Version 4.

    The address is configured like the store's and the broker's: no user's input reaches it but a key of our own making.
    """

    def __init__(self, settings: Settings, prefix: str) -> None:
        self._base = f"{(settings.files_s3_url or '').rstrip('/')}/{settings.files_s3_bucket}"
        self._prefix = prefix
        credentials = Credentials(
            settings.secret(settings.files_s3_access_key_file), settings.secret(settings.files_s3_secret_key_file)
        )
        self._signer = S3SigV4Auth(credentials, "s3", settings.files_s3_region)
        self._http = httpx.AsyncClient(timeout=S3_TIMEOUT_S, follow_redirects=False, trust_env=False)

    async def put(self, key: str, data: bytes) -> None:
        """Keep these bytes; their digest is signed, and the server checks it."""
        answer = await self._call("PUT", key, data)
        if answer.status_code != 200:
            raise Busy

    async def get(self, key: str) -> bytes | None:
        """The bytes, or None."""
        answer = await self._call("GET", key)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise Busy
        return answer.content

    async def delete(self, key: str) -> None:
        """Delete them."""
        answer = await self._call("DELETE", key)
        if answer.status_code not in {200, 204, 404}:
            raise Busy

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _call(self, method: str, key: str, data: bytes = b"") -> httpx.Response:
        url = f"{self._base}/{self._prefix}/{quote(key, safe='')}"
        request = AWSRequest(method=method, url=url, data=data)
        self._signer.add_auth(request)
        try:
            return await self._http.request(method, url, content=data, headers=dict(request.headers.items()))
        except httpx.HTTPError as error:
            raise Busy from error


def files_of(settings: Settings, store: Store, name: str) -> Files:
    """Where this deployment keeps its files of this kind."""
    return S3Files(settings, name) if settings.files_s3_url is not None else StoreFiles(store, name)
