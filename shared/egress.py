"""The one outbound HTTP client: exact hosts, public addresses only, no redirects, everything bounded (security S10).

It stands on httpcore, httpx's own engine: redirects, cookies and proxies of the environment do not exist there, and the
address of a connection is chosen at the moment of connecting, so that no name can point elsewhere between check and connection.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore
import httpx

from shared.settings import Settings

PUSH_HOSTS = frozenset({"fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com"})
PUSH_DOMAINS = (".push.apple.com", ".notify.windows.com")
"""Where browsers' push services live: whole hosts, and domains whose hosts change."""

API_HOSTS = frozenset(
    {
        "api.line.me",
        "api.push.apple.com",
        "api.sandbox.push.apple.com",
        "api.twilio.com",
        "fcm.googleapis.com",
        "oauth2.googleapis.com",
    }
)
"""What our own channels call, at addresses that no caller names: never where a browser's subscription may point."""

MAX_ANSWER_BYTES = 65_536
MAX_URL = 2_048
ADDRESSES_TRIED = 3
CONNECT_S = 3.0
IDLE_S = 30.0

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_SENDING = tuple(f"http{v}.send_request_{part}.started" for v in ("11", "2") for part in ("headers", "body"))
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class EgressRefused(Exception):
    """This address is not one that Hagukumi speaks to; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotSent(Exception):
    """Nothing reached the other side: it is safe to try again."""


class OutcomeUnknown(Exception):
    """Something may have reached the other side: it is not safe to try again."""


class Egress:
    """Sends to push services and the channels' providers, and in development to exact local origins."""

    def __init__(self, settings: Settings, *, connections: int = 32) -> None:
        origins = {settings.egress_allowed_origin, *settings.provider_origins.values()} - {None}
        self._local = frozenset(str(origin) for origin in origins)
        backend = _PublicOnly([urlsplit(origin) for origin in self._local])
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_S,
            network_backend=backend,
        )
        self._http2 = httpcore.AsyncConnectionPool(
            http1=False, http2=True, max_connections=2, keepalive_expiry=IDLE_S, network_backend=backend
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()
        await self._http2.aclose()

    def check(self, url: str, *, api: bool = False) -> None:
        """Raise EgressRefused unless the address is one of the allowed push services', or with `api` one of our own channels'."""
        if len(url) > MAX_URL or any(ord(sign) <= 32 or ord(sign) > 126 for sign in url) or "\\" in url:
            raise EgressRefused("address-malformed")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise EgressRefused("address-malformed") from None
        if "@" in parts.netloc or "#" in url:
            raise EgressRefused("address-malformed")
        if f"{parts.scheme}://{parts.netloc}" in self._local:
            return
        if parts.scheme != "https" or port not in {None, 443}:
            raise EgressRefused("scheme-or-port")
        host = parts.hostname or ""
        known = host in API_HOSTS if api else host in PUSH_HOSTS or host.endswith(PUSH_DOMAINS)
        if not _HOST.fullmatch(host) or not known:
            raise EgressRefused("host-unknown")

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float = 10.0,
        api: bool = False,
        http2: bool = False,
    ) -> httpx.Response:
        """POST to an allowed address; the answer, or EgressRefused, NotSent or OutcomeUnknown.

        `timeout_s` bounds all of it: waiting for a connection, the name, the handshake, sending and the answer. The answer's
        body is there as far as it came whole, in time and within its bound; else it is empty.
        """
        self.check(url, api=api)
        sending = False
        pool = self._http2 if http2 else self._pool

        async def watch(step: str, _: Mapping[str, Any]) -> None:
            nonlocal sending
            sending = sending or step in _SENDING

        try:
            async with (
                asyncio.timeout(timeout_s) as bound,
                pool.stream(
                    "POST", url, content=body, headers=list(headers.items()), extensions={"trace": watch}
                ) as got,
            ):
                kept = [(name, value) for name, value in got.headers if name.lower() != b"content-encoding"]
                return httpx.Response(got.status, headers=kept, content=await _drain(got, bound.when()))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            # OSError holds the TimeoutError of the bound above.
            kind = OutcomeUnknown if sending else NotSent
            raise kind(type(error).__name__) from error


async def _drain(answer: httpcore.Response, until: float | None) -> bytes:
    """Read the body, so that the connection can serve again; a long, slow or broken one changes no outcome and counts as none."""
    parts: list[bytes] = []
    size = 0
    with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, TimeoutError):
        # A moment before the whole bound, since the status is known by now.
        async with asyncio.timeout_at(until - 0.1 if until is not None else None):
            async for chunk in answer.aiter_stream():
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    return b""
                parts.append(chunk)
            return b"".join(parts)
    return b""


class _PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to public addresses, and to the local origins of a development platform."""

    def __init__(self, local: Iterable[SplitResult]) -> None:
        self._local = {(origin.hostname, origin.port) for origin in local}
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, check, and connect to the very address that was checked; the next one when it does not answer."""
        found = [host] if (host, port) in self._local else await _public_addresses(host, port)
        for address in found[:ADDRESSES_TRIED]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._sockets.connect_tcp(address, port, CONNECT_S, local_address, socket_options)
        raise httpcore.ConnectError("no-address-answers")

    async def sleep(self, seconds: float) -> None:
        """Sleep, as the pool asks for."""
        await asyncio.sleep(seconds)


async def _public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, if all of them are public; raises EgressRefused or httpcore.ConnectError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError("name-unknown") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(is_public(address) for address in addresses):
        raise EgressRefused("address-not-public")
    return addresses


def is_public(address: str) -> bool:
    """Whether this IP address belongs to the public internet; one that carries an IPv4 address counts by that one."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None or found in _NAT64:
            found = ipaddress.IPv4Address(found.packed[-4:])
        elif found.scope_id is not None or found not in _UNICAST_V6 or found.sixtofour or found.teredo:
            return False
    return found.is_global and not found.is_multicast
