"""The one outbound client connects to nothing that it should not know (security S10)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import egress
from shared.egress import Egress, EgressRefused, NotSent, OutcomeUnknown, is_public
from shared.settings import Settings


@pytest.fixture
async def outside() -> AsyncIterator[Egress]:
    """As in production: no local origin."""
    found = Egress(Settings(service="notify"))
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://fcm.googleapis.com/x", "scheme-or-port"),
        ("https://fcm.googleapis.com:444/x", "scheme-or-port"),
        ("ftp://fcm.googleapis.com/x", "scheme-or-port"),
        ("https://fcm.googleapis.com.evil.example/x", "host-unknown"),
        ("https://evil.example/fcm.googleapis.com", "host-unknown"),
        ("https://xfcm.googleapis.com/x", "host-unknown"),
        ("https://push.apple.com/x", "host-unknown"),
        ("https://notpush.apple.com/x", "host-unknown"),
        ("https://127.0.0.1/x", "host-unknown"),
        ("https://2130706433/x", "host-unknown"),
        ("https://[::ffff:127.0.0.1]/x", "host-unknown"),
        ("https://user@fcm.googleapis.com/x", "address-malformed"),
        ("https://fcm.googleapis.com#@evil.example/x", "address-malformed"),
        ("https://fcm.googleapis.com\\.evil.example/x", "address-malformed"),
        ("https://fcm.googleapis.com/x\r\nHost: evil", "address-malformed"),
        ("https://fcm.googleapis.com/ｘ", "address-malformed"),
        ("https://fcm.googleapis.com:port/x", "address-malformed"),
        ("https://[fcm.googleapis.com/x", "address-malformed"),
        ("https://fcm.googleapis.com/" + "x" * 2048, "address-malformed"),
        ("//fcm.googleapis.com/x", "scheme-or-port"),
        ("", "scheme-or-port"),
    ],
)
def test_every_other_address_is_refused_before_anything_is_connected(outside: Egress, url: str, code: str) -> None:
    with pytest.raises(EgressRefused) as refused:
        outside.check(url)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "url",
    [
        "https://fcm.googleapis.com/fcm/send/a:b-c_d",
        "https://FCM.googleapis.com/x",
        "https://fcm.googleapis.com:443/x",
        "https://updates.push.services.mozilla.com/wpush/v2/x",
        "https://api.push.apple.com/x",
        "https://wns2-am3p.notify.windows.com/w/?token=x%2b",
    ],
)
def test_push_services_are_let_through(outside: Egress, url: str) -> None:
    outside.check(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("142.250.196.106", True),
        ("2404:6800:4004:820::200a", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 (an address that must not be connected to)
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:142.250.196.106", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_which_addresses_are_public(address: str, *, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["142.250.196.106", "10.0.0.1"], ["::1"]])
async def test_a_known_name_that_points_inside_is_not_followed(
    outside: Egress, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name server, which is not ours, answers with an inside address."""
    loop = asyncio.get_running_loop()

    async def answers(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async def connects(*_: Any, **__: Any) -> None:
        pytest.fail("something was connected")

    monkeypatch.setattr(loop, "getaddrinfo", answers)
    monkeypatch.setattr(loop, "create_connection", connects)
    with pytest.raises(EgressRefused, match="address-not-public"):
        await outside.post("https://fcm.googleapis.com/x", b"", {})


async def test_one_exact_local_origin_in_development_and_none_in_production() -> None:
    allowed = Egress(
        Settings(service="notify", environment="development", egress_allowed_origin="http://127.0.0.1:8123")
    )
    allowed.check("http://127.0.0.1:8123/push/x")
    for other in (
        "http://127.0.0.1:8124/x",
        "https://127.0.0.1:8123/x",
        "http://localhost:8123/x",
        "http://127.0.0.1/x",
    ):
        with pytest.raises(EgressRefused):
            allowed.check(other)
    await allowed.close()
    with pytest.raises(ValueError, match="EGRESS_ALLOWED_ORIGIN"):
        Settings(service="notify", egress_allowed_origin="http://127.0.0.1:8123")


async def served(answer: bytes | None, *, silent: bool = False) -> tuple[asyncio.Server, Egress, str, list[bytes]]:
    """A server on loopback that gives this answer to everybody, a client that may call it, and what it got."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        if silent:
            await reader.read()
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = Egress(Settings(service="notify", environment="development", egress_allowed_origin=origin))
    return server, client, origin, got


async def test_a_redirect_is_an_answer_and_not_an_order() -> None:
    server, client, origin, got = await served(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    )
    async with server:
        assert (await client.post(f"{origin}/x", b"", {})).status_code == 302
    assert len(got) == 1
    await client.close()


async def test_an_endless_answer_is_cut() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Length: 999999999\r\n\r\n"
    server, client, origin, _ = await served(head + b"x" * (egress.MAX_ANSWER_BYTES + 4096))
    async with server:
        assert (await client.post(f"{origin}/x", b"", {})).status_code == 201
    await client.close()


async def test_silence_and_a_cut_line_are_unknown() -> None:
    """G5: what was sent may have arrived."""
    server, client, origin, got = await served(None, silent=True)
    async with server:
        with pytest.raises(OutcomeUnknown):
            await client.post(f"{origin}/x", b"secret", {}, timeout_s=0.2)
        await client.close()
    assert len(got) == 1
    server, client, origin, _ = await served(None)
    async with server:
        with pytest.raises(OutcomeUnknown):
            await client.post(f"{origin}/x", b"", {})
        await client.close()


async def test_nothing_listening_means_nothing_was_sent() -> None:
    server, client, origin, _ = await served(None)
    server.close()
    await server.wait_closed()
    with pytest.raises(NotSent):
        await client.post(f"{origin}/x", b"", {})
    await client.close()


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server, client, origin, got = await served(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    async with server:
        assert (await client.post(f"{origin}/x", b"", {})).status_code == 201
    assert len(got) == 1
    await client.close()
