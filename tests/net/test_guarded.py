"""URLs that others gave us lead to the public internet only, whatever they look like."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.errors import InvalidArguments, PayloadTooLarge, PlatformUnavailable
from hermes.net.addresses import is_public, parse_host
from hermes.net.guarded import GuardedClient, Resolve

PUBLIC = "93.184.216.34"

NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  (nothing is bound)
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:5ef5:79fd:0:59d:a0e5:ba1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
    "ffff::1",
]

IS_PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.1.1",
    "223.255.255.254",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", IS_PUBLIC)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4).filter(lambda address: not is_public(address)))
def test_no_wrapping_makes_an_address_public(inner: IPv4Address) -> None:
    number = int(inner)
    for wrapped in (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80),
        IPv6Address(0x20010000 << 96 | int(IPv4Address("8.8.8.8")) << 64 | (number ^ 0xFFFFFFFF)),
        IPv6Address(0x20010000 << 96 | number << 64 | (int(IPv4Address("8.8.8.8")) ^ 0xFFFFFFFF)),
        IPv6Address(number),
    ):
        assert not is_public(wrapped)


ODD_HOSTS = [
    "0x7f.1",
    "0x7f000001",
    "0x7F.0.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.1",
    "1.2.3",
    "256.1.1.1",
    "0x",
    "1.2.3.0x",
    "1.2.3.08",
    "127.0.0.01",
    "localhost",
    "intranet",
    "a",
    "a..b",
    ".a.b",
    "-a.b",
    "a-.b",
    "a.b-",
    "a_b!.c",
    "a%2eb.com",
    "1::2::3",
    "12345::1",
    "::1%25lo",
]


@pytest.mark.parametrize("host", [*ODD_HOSTS, "", ".", "a" * 64 + ".com", "a." * 130 + "com", "ex ample.com", "é.com"])
def test_hosts_that_are_refused_without_asking_anyone(host: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_host(host)


@given(st.text(alphabet="0123456789abcdefxX.:-_%", max_size=40))
def test_a_host_that_any_program_could_read_as_an_address_is_one_to_us(host: str) -> None:
    try:
        read = socket.inet_aton(host)
    except OSError:
        return
    try:
        parsed = parse_host(host)
    except ValueError:
        return
    assert parsed == IPv4Address(read)


def answering(*answers: Sequence[str]) -> Resolve:
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


BAD_URLS = [
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "data:text/plain,hi",
    "//example.com/x",
    "/x",
    "example.com",
    "",
    "https://",
    "https:///x",
    "https://example.com:8443/",
    "https://example.com:80/",
    "https://example.com:99999/",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://:password@example.com/",
    "https://127.0.0.1\\@example.com/",
    "https://exa mple.com/",
    "https://exam\tple.com/",
    "https://example.com/\r\nX: y",
    "https://example.com/\u202e",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://127\u30020\u30020\u30021/",
    "https://localhost/",
    "https://127.0.0.1%2f.example.com/",
    *(f"https://{host}/" for host in ODD_HOSTS if "%" not in host and ":" not in host),
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_urls_that_are_refused(url: str) -> None:
    client = GuardedClient(resolve=answering([PUBLIC]))
    for attempt in (client.check(url, name="photo"), client.fetch(url, name="photo")):
        with pytest.raises(InvalidArguments) as caught:
            await attempt
        assert caught.value.data["fields"][0]["field"] == "photo"
        assert caught.value.nothing_sent
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://EXAMPLE.com.:443/a?b#c", f"https://{PUBLIC}/", "https://ü.de/"]
)
async def test_urls_that_are_allowed(url: str) -> None:
    await GuardedClient(resolve=answering([PUBLIC])).check(url)


@pytest.mark.parametrize("address", [*NOT_PUBLIC, "not an address"])
async def test_names_that_lead_inside_are_refused(address: str) -> None:
    client = GuardedClient(resolve=answering([PUBLIC, address]))
    with pytest.raises(InvalidArguments) as caught:
        await client.fetch("https://example.com/")
    assert address not in str(caught.value.as_dict())


async def test_names_without_address_are_refused() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (unknown, answering([])):
        with pytest.raises(InvalidArguments):
            await GuardedClient(resolve=resolve).fetch("https://example.com/")


async def test_the_checked_address_is_the_one_connected_to(
    scripted: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    async def record(sock: socket.socket, address: Any) -> None:
        connected.append(address[0])
        await real(sock, ("127.0.0.1", scripted.port))

    monkeypatch.setattr(loop, "sock_connect", record)
    scripted.behaviours = [say.answer(b"hi", headers=b"Content-Type: Image/PNG; a=b\r\n")]
    client = GuardedClient(resolve=answering([PUBLIC], ["127.0.0.1"]), allow_http=True)
    response = await client.fetch("http://rebind.example/")
    assert (response.status, response.body, response.content_type) == (200, b"hi", "image/png")
    assert connected == [PUBLIC]
    assert b"Host: rebind.example\r\n" in scripted.requests[0]
    with pytest.raises(InvalidArguments):
        await client.fetch("http://rebind.example/")
    assert connected == [PUBLIC]


async def test_a_redirect_is_an_answer(scripted: Any, say: Any) -> None:
    scripted.behaviours = [say.answer(b"", status=302, headers=b"Location: http://169.254.169.254/\r\n")]
    response = await _client(scripted).fetch(scripted.url)
    assert response.status == 302
    assert len(scripted.requests) == 1


async def test_an_answer_is_not_unpacked(scripted: Any, say: Any) -> None:
    bomb = gzip.compress(b"0" * 5_000_000)
    scripted.behaviours = [say.answer(bomb, headers=b"Content-Encoding: gzip\r\n")]
    response = await _client(scripted).fetch(scripted.url, max_bytes=100_000)
    assert response.body == bomb


async def test_an_answer_that_drips_is_given_up(scripted: Any) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    scripted.behaviours = [drip]
    with pytest.raises(PlatformUnavailable) as caught:
        await _client(scripted).fetch(scripted.url, seconds=0.2)
    assert caught.value.__context__ is None


async def test_a_name_server_that_does_not_answer_is_given_up() -> None:
    async def silent(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(PlatformUnavailable):
        await GuardedClient(resolve=silent).fetch("https://example.com/", seconds=0.05)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_large_answer_is_not_read_to_its_end(scripted: Any, say: Any, *, announced: bool) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000
    scripted.behaviours = [say.answer(b"x" * 300_000) if announced else say.raw(endless)]
    with pytest.raises(PayloadTooLarge):
        await _client(scripted).fetch(scripted.url, max_bytes=1000)


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"nonsense\r\n\r\n"])
async def test_a_broken_answer_is_no_answer(scripted: Any, say: Any, content: bytes) -> None:
    scripted.behaviours = [say.raw(content)]
    with pytest.raises(PlatformUnavailable):
        await _client(scripted).fetch(scripted.url)


async def test_headers_and_body_are_sent(scripted: Any, say: Any) -> None:
    scripted.behaviours = [say.answer()]
    await _client(scripted).fetch(scripted.url, method="POST", headers={"webhook-id": "1"}, body=b"{}")
    assert scripted.requests[0].startswith(b"POST / HTTP/1.1")
    assert b"webhook-id: 1" in scripted.requests[0]
    assert scripted.requests[0].endswith(b"\r\n\r\n{}")


def _client(scripted: Any) -> GuardedClient:
    return GuardedClient(trusted=[("127.0.0.1", scripted.port)])
