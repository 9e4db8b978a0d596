"""What the platforms' client sends, how often, and what it says about a failure."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from hermes.errors import HermesError, Internal, OutcomeUnknown, PlatformUnavailable
from hermes.net.bodies import Part
from hermes.net.upstream import BoundUpstream, Upstream

SECRET = "123456:AAsecretsecretsecretsecret"

Bind = Callable[..., BoundUpstream]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(connect_seconds=2, idle_read_seconds=0.2)
    yield upstream
    await upstream.close()


@pytest.fixture
def bind(upstream: Upstream) -> Bind:
    def bind(*, write: bool, seconds: float = 5) -> BoundUpstream:
        return upstream.bind("Testgram", write, asyncio.get_running_loop().time() + seconds)

    return bind


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens: it is held for as long as the test lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


async def test_answers_of_every_status_are_returned(scripted: Any, say: Any, bind: Bind) -> None:
    for status in (200, 201, 204, 301, 400, 401, 404, 429, 500, 503):
        scripted.behaviours = [say.answer(b'{"n":1}' if status != 204 else b"", status=status, headers=b"X-A: b\r\n")]
        response = await bind(write=True).request("POST", f"{scripted.url}/x", json={"a": 1})
        assert response.status == status
        assert response.headers["x-a"] == "b"
        if status != 204:
            assert response.json() == {"n": 1}
    assert len(scripted.requests) == 10
    assert scripted.connections == 1


@pytest.mark.parametrize(
    ("given", "content_type", "body"),
    [
        ({"json": {"text": "é"}}, b"application/json", '{"text":"é"}'.encode()),
        ({"form": {"a": "1 2", "b": "ü"}}, b"application/x-www-form-urlencoded", b"a=1+2&b=%C3%BC"),
        ({"body": b"raw", "headers": {"Content-Type": "text/x"}}, b"text/x", b"raw"),
        ({"body": b"x" * 1_200_000}, b"application/octet-stream", b"x" * 1_200_000),
        (
            {"multipart": [Part("caption", "hi"), Part("photo", b"PNG", filename="a.png", content_type="image/png")]},
            b"multipart/form-data; boundary=",
            b'name="photo"; filename="a.png"\r\n\r\nPNG',
        ),
    ],
)
async def test_bodies(
    scripted: Any, say: Any, bind: Bind, *, given: dict[str, Any], content_type: bytes, body: bytes
) -> None:
    scripted.behaviours = [say.answer()]
    await bind(write=True).request("POST", f"{scripted.url}/x", query={"q": "a b", "l": ["1", "2"]}, **given)
    head, _, sent = scripted.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x?q=a+b&l=1&l=2 HTTP/1.1")
    assert b"content-type: " + content_type in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert body in sent


async def test_a_body_may_come_piece_by_piece(scripted: Any, say: Any, bind: Bind) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    scripted.behaviours = [say.answer()]
    await bind(write=True).request("PUT", scripted.url, body=pieces())
    assert scripted.requests[0].endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def _hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


BROKEN: dict[str, Callable[[Any], Callable[..., Awaitable[None]]]] = {
    "closed without an answer": lambda say: say.raw(b""),
    "cut inside the head": lambda say: say.raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut inside the body": lambda say: say.answer(b'{"ok":', length=500),
    "cut inside a chunk": lambda say: say.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"),
    "not HTTP": lambda say: say.raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "a head without end": lambda say: say.raw(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000),
    "no answer in time": lambda _: _hang,
    "announced too large": lambda say: say.answer(b"x" * 5000),
    "turns out too large": lambda say: say.raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"400\r\n"
        + b"x" * 1024
        + b"\r\n400\r\n"
        + b"x" * 1024
    ),
}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_write_without_clear_answer_is_sent_once_and_unknown(
    scripted: Any, say: Any, bind: Bind, method: str, broken: str
) -> None:
    scripted.behaviours = [BROKEN[broken](say)]
    http = bind(write=True)
    with pytest.raises(OutcomeUnknown) as caught:
        await http.request(method, f"{scripted.url}/bot{SECRET}/send", max_bytes=1500)
    assert len(scripted.requests) == 1
    assert http.may_have_acted
    _assert_tells_no_secret(caught.value)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_read_without_clear_answer_is_sent_twice_and_unavailable(
    scripted: Any, say: Any, bind: Bind, method: str, broken: str
) -> None:
    scripted.behaviours = [BROKEN[broken](say)]
    http = bind(write=False)
    with pytest.raises(PlatformUnavailable) as caught:
        await http.request(method, f"{scripted.url}/bot{SECRET}/get", max_bytes=1500)
    assert len(scripted.requests) == 2
    assert not http.may_have_acted
    assert not caught.value.nothing_sent
    _assert_tells_no_secret(caught.value)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_kept_alive_connection_that_closes_does_not_repeat_a_write(
    scripted: Any, say: Any, bind: Bind, method: str
) -> None:
    scripted.behaviours = [say.answer(), say.raw(b""), say.answer()]
    await bind(write=True).request(method, scripted.url)
    with pytest.raises(OutcomeUnknown):
        await bind(write=True).request(method, scripted.url)
    assert len(scripted.requests) == 2
    assert scripted.connections == 1


async def test_a_read_is_repeated_on_a_kept_alive_connection_that_closes(scripted: Any, say: Any, bind: Bind) -> None:
    scripted.behaviours = [say.answer(), say.raw(b""), say.answer(b'{"second":1}')]
    await bind(write=False).request("GET", scripted.url)
    assert (await bind(write=False).request("GET", scripted.url)).json() == {"second": 1}


@pytest.mark.parametrize("write", [True, False])
async def test_nothing_is_sent_where_nobody_listens(bind: Bind, closed_port: int, write: bool) -> None:
    http = bind(write=write)
    with pytest.raises(PlatformUnavailable) as caught:
        await http.request("POST", f"http://127.0.0.1:{closed_port}/bot{SECRET}/x")
    assert caught.value.nothing_sent
    assert not http.may_have_acted
    _assert_tells_no_secret(caught.value)


async def test_what_was_not_sent_is_tried_again(
    scripted: Any, say: Any, bind: Bind, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    real, ports = loop.sock_connect, iter([closed_port, closed_port])

    async def refuses_twice(sock: socket.socket, address: Any) -> None:
        await real(sock, (address[0], next(ports, address[1])))

    monkeypatch.setattr(loop, "sock_connect", refuses_twice)
    scripted.behaviours = [say.answer()]
    assert (await bind(write=True).request("POST", scripted.url)).status == 200
    assert len(scripted.requests) == 1


async def test_waiting_for_a_connection_until_the_deadline_sends_nothing(scripted: Any) -> None:
    scripted.behaviours = [_hang]
    upstream = Upstream(connections_per_host=1, idle_read_seconds=5)
    now = asyncio.get_running_loop().time()
    first = asyncio.create_task(upstream.bind("T", True, now + 3).request("POST", scripted.url))
    try:
        await scripted.arrived.wait()
        with pytest.raises(PlatformUnavailable) as caught:
            await upstream.bind("T", True, now + 0.2).request("POST", scripted.url)
        assert caught.value.nothing_sent
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await upstream.close()


async def test_the_deadline_ends_a_request_that_is_under_way(scripted: Any, bind: Bind) -> None:
    scripted.behaviours = [_hang]
    with pytest.raises(OutcomeUnknown):
        await bind(write=True).request("POST", scripted.url, timeout=0.05)


async def test_a_deadline_that_has_passed_sends_nothing(scripted: Any, say: Any, bind: Bind) -> None:
    scripted.behaviours = [say.answer()]
    with pytest.raises(PlatformUnavailable) as caught:
        await bind(write=True, seconds=-1).request("POST", scripted.url)
    assert caught.value.nothing_sent
    assert scripted.requests == []


async def test_a_cancelled_write_may_have_acted(scripted: Any, bind: Bind) -> None:
    scripted.behaviours = [_hang]
    http = bind(write=True)
    task = asyncio.create_task(http.request("POST", scripted.url))
    await scripted.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert http.may_have_acted


async def test_a_read_inside_a_writing_call_keeps_the_meaning_of_a_read(scripted: Any, say: Any, bind: Bind) -> None:
    scripted.behaviours = [say.raw(b"")]
    http = bind(write=True)
    with pytest.raises(PlatformUnavailable):
        await http.request("GET", scripted.url, write=False)
    assert not http.may_have_acted


async def test_redirects_are_not_followed(scripted: Any, say: Any, bind: Bind) -> None:
    scripted.behaviours = [say.answer(status=307, headers=b"Location: http://127.0.0.1:1/\r\n")]
    assert (await bind(write=True).request("POST", scripted.url, json={})).status == 307
    assert len(scripted.requests) == 1


async def test_an_invalid_url_is_our_own_fault_and_is_not_shown(bind: Bind) -> None:
    with pytest.raises(Internal) as caught:
        await bind(write=True).request("POST", f"http://exa mple:99999/{SECRET}")
    assert caught.value.nothing_sent
    _assert_tells_no_secret(caught.value)


@pytest.mark.parametrize(
    ("write", "kind", "retry_after"), [(True, OutcomeUnknown, None), (False, PlatformUnavailable, 7.0)]
)
async def test_an_unclear_answer_is_named_by_effect(
    scripted: Any, say: Any, bind: Bind, *, write: bool, kind: type[HermesError], retry_after: float | None
) -> None:
    scripted.behaviours = [say.answer(SECRET.encode(), status=503, headers=b"Retry-After: 7\r\n")]
    http = bind(write=write)
    response = await http.request("POST", scripted.url)
    with pytest.raises(ValueError, match="not JSON") as caught:
        response.json()
    assert caught.value.__context__ is None
    error = http.unclear(response)
    assert type(error) is kind
    assert error.retry_after == retry_after
    assert SECRET not in repr(response)
    _assert_tells_no_secret(error)


def _assert_tells_no_secret(error: HermesError) -> None:
    told = repr(error) + str(error.detail) + str(error.as_dict())
    assert SECRET not in told + "".join(traceback.format_exception(error))
    assert "127.0.0.1" not in told
    assert error.__cause__ is None
    assert error.__context__ is None
