"""Where the one way out really connects, with whom it speaks TLS, and what it says when nobody knows (security S10)."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.egress import MAX_ANSWER_BYTES, Egress, EgressRefused, NotSent, OutcomeUnknown, is_public
from shared.settings import Settings

FCM = "fcm.googleapis.com"
PUBLIC = "142.250.66.106"


def egress(allowed: str | None = None, *, connections: int = 32) -> Egress:
    settings = Settings(service="notify", environment="development", egress_allowed_origin=allowed)
    return Egress(settings, connections=connections)


class Listener:
    """A server of raw bytes on loopback that remembers what it was sent; no reply means that the line is cut."""

    def __init__(self, reply: bytes | None = None, *, tls: ssl.SSLContext | None = None, silent: bool = False) -> None:
        self.reply, self.tls, self.silent = reply, tls, silent
        self.connections = 0
        self.received: list[bytes] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        ends = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                    self.received.append(head + await reader.readexactly(length))
                    if self.silent:
                        await ends.wait()
                    if self.reply is None:
                        writer.transport.abort()
                        return
                    writer.write(self.reply)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            ends.set()
            server.close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    "url",
    [
        # Addresses, however they are written.
        "https://127.1/x",
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1%25eth0]/x",
        "https://localhost/x",
        "https://metadata.google.internal/x",
        # Who is really meant.
        f"https://{FCM}@evil.example/x",
        f"https://@{FCM}/x",
        f"https://{FCM}/x#y",
        # Names that no name server should ever be asked for.
        f"https://{FCM}./x",
        "https://storage.googleapis.com/x",
        "https://notify.windows.com/x",
        "https://evil-notify.windows.com/x",
        "https://.push.apple.com/x",
        "https://a..push.apple.com/x",
        "https://-a.push.apple.com/x",
        "https://a_b.push.apple.com/x",
        "https://a%2e.push.apple.com/x",
        f"https://{'a' * 64}.push.apple.com/x",
        f"https://{'a.' * 130}push.apple.com/x",
        "https://fcm.google\u0430pis.com/x",
        "https://web.push.apple\u3002com/x",
        f"https://{FCM}:0/x",
        f"https://{FCM}:99999/x",
        "https:///x",
        # Not the one local origin, though it begins like it.
        "http://127.0.0.1:9001/x",
        "http://127.0.0.1:900.evil.example/x",
        "http://127.0.0.1:900@evil.example/x",
    ],
)
async def test_what_is_refused_is_not_even_looked_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, [PUBLIC])
    out = egress("http://127.0.0.1:900")
    with pytest.raises(EgressRefused):
        out.check(url)
    with pytest.raises(EgressRefused):
        await out.post(url, b"x", {})
    assert (names.asked, names.connected) == ([], [])


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "240.0.0.1",
        "::",
        "::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::10.0.0.1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2001:db8::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_an_ipv4_address_behind_a_translator_counts_by_itself() -> None:
    """NAT64 (RFC 6052): how a machine without IPv4 reaches a push service that has nothing else."""
    assert is_public("64:ff9b::8.8.8.8")


class Names:
    """A name server that answers from a list, one answer for each question, and remembers where anybody connects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str], lead_to: int | None = None) -> None:
        self.asked: list[str] = []
        self.connected: list[tuple[Any, ...]] = []
        left = list(answers)
        real: Callable[..., Awaitable[None]] = asyncio.selector_events.BaseSelectorEventLoop.sock_connect

        def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
            self.asked.append(host)
            if not left:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                if ":" not in address
                else (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
                for address in left.pop(0)
            ]

        async def connect(loop: Any, sock: socket.socket, address: tuple[Any, ...]) -> None:
            self.connected.append(address)
            if lead_to is None or address[0] != PUBLIC:
                raise ConnectionRefusedError
            await real(loop, sock, ("127.0.0.1", lead_to))

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["::ffff:127.0.0.1"], [PUBLIC, "10.0.0.1"], []])
async def test_an_allowed_name_that_points_inside_is_never_connected(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, addresses)
    with pytest.raises(EgressRefused) as refused:
        await egress().post(f"https://{FCM}/x", b"x", {})
    assert (refused.value.code, names.connected) == ("address-not-public", [])


async def test_a_name_cannot_change_between_check_and_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, [PUBLIC], ["127.0.0.1"])
    with pytest.raises(NotSent):
        await egress().post(f"https://{FCM}/x", b"x", {})
    assert names.asked == [FCM]
    assert names.connected == [(PUBLIC, 443)]


async def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, ["142.250.66.1", "142.250.66.2", "142.250.66.3", "142.250.66.4"])
    with pytest.raises(NotSent):
        await egress().post(f"https://{FCM}/x", b"x", {})
    assert [address[0] for address in names.connected] == ["142.250.66.1", "142.250.66.2", "142.250.66.3"]


async def test_a_name_that_nobody_knows_was_not_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch)
    with pytest.raises(NotSent):
        await egress().post(f"https://{FCM}/x", b"x", {})


def certificate(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for `name`, from an authority that this process trusts for the test."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both, trusted = folder / "server.pem", folder / "authority.pem"
    both.write_bytes(pem + secret)
    trusted.write_bytes(pem)
    monkeypatch.setattr(certifi, "where", lambda: str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


async def test_tls_is_with_the_name_although_the_connection_goes_to_the_checked_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path, FCM, monkeypatch)
    named: list[str | None] = []
    context.sni_callback = lambda _, name, __: named.append(name)
    async with Listener(reply("201 Created"), tls=context).listening() as server:
        Names(monkeypatch, [PUBLIC], lead_to=server.port)
        out = egress()
        answers = [await out.post(f"https://{FCM}/send/{place}", b"sealed", {"TTL": "60"}) for place in "ab"]
        await out.close()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert (named, server.connections) == ([FCM], 1)
    assert server.received[0].startswith(b"POST /send/a HTTP/1.1\r\nHost: fcm.googleapis.com\r\n")


async def test_a_certificate_of_another_name_is_not_talked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = certificate(tmp_path, f"{FCM}.evil.example", monkeypatch)
    async with Listener(reply("201 Created"), tls=context).listening() as server:
        Names(monkeypatch, [PUBLIC], lead_to=server.port)
        with pytest.raises(NotSent):
            await egress().post(f"https://{FCM}/send", b"sealed", {})
        assert server.received == []


async def test_a_redirect_leads_nowhere() -> None:
    async with Listener(reply("201 Created")).listening() as inside:
        moved = reply("307 Temporary Redirect", b"", f"Location: {inside.origin}/secret")
        async with Listener(moved).listening() as server:
            answer = await egress(server.origin).post(f"{server.origin}/x", b"x", {})
            assert (answer.status_code, len(server.received)) == (307, 1)
        assert inside.connections == 0


async def test_no_cookie_is_kept() -> None:
    async with Listener(reply("201 Created", b"", "Set-Cookie: a=b")).listening() as server:
        out = egress(server.origin)
        for _ in range(2):
            await out.post(f"{server.origin}/x", b"x", {})
        assert len(server.received) == 2
        assert b"cookie" not in server.received[1].lower()
        await out.close()


async def test_waiting_for_a_free_connection_is_bounded_and_nothing_was_sent() -> None:
    async with Listener(silent=True).listening() as server:
        out = egress(server.origin, connections=1)
        first = asyncio.create_task(out.post(f"{server.origin}/first", b"x", {}))
        async with asyncio.timeout(5):
            while not server.received:
                await asyncio.sleep(0)
        with pytest.raises(NotSent):
            await out.post(f"{server.origin}/second", b"x", {}, timeout_s=0.2)
        first.cancel()
        assert server.connections == 1


async def test_garbage_instead_of_an_answer_is_unknown() -> None:
    async with Listener(b"\x00\x01 this is no HTTP\r\n\r\n").listening() as server:
        with pytest.raises(OutcomeUnknown):
            await egress(server.origin).post(f"{server.origin}/x", b"x", {})


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\nbegins, and never ends",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n",
    ],
    ids=["slow", "broken"],
)
async def test_once_the_status_is_there_the_rest_of_the_answer_changes_nothing(answer: bytes) -> None:
    async with Listener(answer).listening() as server:
        found = await egress(server.origin).post(f"{server.origin}/x", b"x", {}, timeout_s=0.5)
        assert found.status_code == 201


async def test_a_long_answer_is_left_and_its_connection_not_used_again() -> None:
    async with Listener(reply("201 Created", b"x" * (2 * MAX_ANSWER_BYTES))).listening() as server:
        out = egress(server.origin)
        for _ in range(2):
            assert (await out.post(f"{server.origin}/x", b"x", {})).status_code == 201
        assert server.connections == 2
