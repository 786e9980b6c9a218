"""The one outbound HTTP client: exact origins, public addresses only, no redirects, everything bounded (security S10)."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from shared.settings import Settings

PUSH_HOSTS = frozenset({"fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com"})
PUSH_DOMAINS = (".push.apple.com", ".notify.windows.com")
"""Where browsers' push services live: whole hosts, and domains whose hosts change."""

MAX_ANSWER_BYTES = 65_536
MAX_URL = 2_048


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
    """Sends to push services, and in development to one exact local origin."""

    def __init__(self, settings: Settings, *, connections: int = 32) -> None:
        self._local = settings.egress_allowed_origin
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=10.0,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def check(self, url: str) -> None:
        """Raise EgressRefused unless the address is one of the allowed push services'; nothing is connected."""
        if len(url) > MAX_URL or any(ord(sign) <= 32 or ord(sign) > 126 for sign in url) or "\\" in url:
            raise EgressRefused("address-malformed")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise EgressRefused("address-malformed") from None
        if parts.username is not None or parts.password is not None or "@" in parts.netloc or parts.fragment:
            raise EgressRefused("address-malformed")
        if self._local is not None and f"{parts.scheme}://{parts.netloc}" == self._local:
            return
        if parts.scheme != "https" or port not in {None, 443}:
            raise EgressRefused("scheme-or-port")
        host = (parts.hostname or "").lower()
        if host not in PUSH_HOSTS and not any(host.endswith(domain) and host != domain[1:] for domain in PUSH_DOMAINS):
            raise EgressRefused("host-unknown")

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = 10.0
    ) -> httpx.Response:
        """POST to an allowed address; raises EgressRefused, NotSent or OutcomeUnknown.

        The address is resolved here and the connection goes to that very address, so that a name cannot point
        elsewhere between check and connection.
        """
        self.check(url)
        parts = urlsplit(url)
        target, extensions = url, {}
        if f"{parts.scheme}://{parts.netloc}" != self._local:
            address = await _public_address(parts.hostname or "")
            target = parts._replace(netloc=f"[{address}]" if ":" in address else address).geturl()
            extensions = {"sni_hostname": parts.hostname}
        request = self._http.build_request(
            "POST",
            target,
            content=body,
            headers={**headers, "Host": parts.netloc},
            timeout=timeout_s,
            extensions={**extensions, "timeout": httpx.Timeout(timeout_s).as_dict()},
        )
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._http.send(request, stream=True)
                size = 0
                try:
                    async for chunk in answer.aiter_raw():
                        size += len(chunk)
                        if size > MAX_ANSWER_BYTES:
                            break
                finally:
                    await answer.aclose()
                return answer
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(type(error).__name__) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise OutcomeUnknown(type(error).__name__) from error


async def _public_address(host: str) -> str:
    """The first address of a host, if all of them are public; raises EgressRefused or NotSent."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotSent("name-unknown") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise EgressRefused("address-not-public")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether this IP address belongs to the public internet; mapped and tunnelled ones count by what they hide."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        hidden = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if hidden is not None:
            found = hidden
    return found.is_global and not found.is_multicast
