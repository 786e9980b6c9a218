"""An S3 server for tests: three calls, and every signature worked out anew from Amazon's published algorithm.

AWS Signature Version 4 for the Authorization header, as "Signature Calculations for the Authorization Header:
Transferring Payload in a Single Chunk" in the Amazon S3 API Reference describes it; that page's own example is a test.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([a-z0-9-]+)/s3/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
LATE = timedelta(minutes=15)


def signature(
    secret: str, method: str, path: str, query: str, headers: Mapping[str, str], signed: str, at: str, region: str
) -> str:
    """The signature that this request must carry; `headers` in small letters, `signed` their names joined by `;`."""
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/-_.~"),
            query,
            *(f"{name}:{' '.join(headers[name].split())}" for name in signed.split(";")),
            "",
            signed,
            headers["x-amz-content-sha256"],
        ]
    )
    scope = f"{at[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (at[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


class S3Server:
    """One bucket in memory, and what was refused and why."""

    def __init__(self, access_key: str, secret: str, bucket: str, region: str = "us-east-1") -> None:
        self._keys = {access_key: secret}
        self._region = region
        self._bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.refused: list[str] = []
        self.broken = False
        """Answers 503 to everything."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        answer = Response(status_code=503) if self.broken else self._answer(request, body)
        await answer(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        why = self._wrong(request, body)
        if why is not None:
            self.refused.append(why)
            return Response(f"<Error><Code>{why}</Code></Error>", 403, media_type="application/xml")
        bucket, _, key = request.url.path.removeprefix("/").partition("/")
        if bucket != self._bucket:
            return Response("<Error><Code>NoSuchBucket</Code></Error>", 404, media_type="application/xml")
        if request.method == "PUT":
            self.objects[key] = body
            return Response(status_code=200, headers={"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'})
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return Response(status_code=204)
        if key not in self.objects:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        return Response(self.objects[key], media_type="application/octet-stream")

    def _wrong(self, request: Request, body: bytes) -> str | None:
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None:
            return "AccessDenied"
        access_key, day, region, signed, given = found.groups()
        secret = self._keys.get(access_key)
        if secret is None:
            return "InvalidAccessKeyId"
        at = request.headers.get("x-amz-date", "")
        if abs(datetime.now(UTC) - datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)) > LATE or at[:8] != day:
            return "RequestTimeTooSkewed"
        if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed.split(";")):
            return "AccessDenied"
        if request.headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        headers = {name: request.headers[name] for name in signed.split(";")}
        wanted = signature(
            secret, request.method, request.url.path, request.url.query, headers, signed, at, self._region
        )
        if region != self._region or not hmac.compare_digest(wanted, given):
            return "SignatureDoesNotMatch"
        return None
