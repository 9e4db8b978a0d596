"""Streaming from URLs that others gave us: bounded in bytes, in time and in silence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hermes.errors import InvalidArguments, PayloadTooLarge, PlatformUnavailable
from hermes.net.guarded import GuardedClient


def client(scripted: Any) -> GuardedClient:
    return GuardedClient(trusted=[("127.0.0.1", scripted.port)])


async def everything(scripted: Any, **limits: Any) -> bytes:
    given = {"max_bytes": 1000, "seconds": 20.0, **limits}
    async with client(scripted).stream(f"{scripted.url}/a", **given) as answer:
        return b"".join([piece async for piece in answer.content])


async def test_the_body_comes_piece_by_piece(scripted, say) -> None:
    scripted.behaviours = [say.answer(b"x" * 1000, headers=b"Content-Type: Image/PNG; a=b\r\n")]
    async with client(scripted).stream(f"{scripted.url}/a", max_bytes=1000, seconds=20) as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
        assert b"".join([piece async for piece in answer.content]) == b"x" * 1000


async def test_what_is_too_long_is_cut_off_whether_it_says_so_or_not(scripted, say) -> None:
    scripted.behaviours = [say.answer(b"x" * 1001), say.raw(b"HTTP/1.1 200 X\r\n\r\n" + b"x" * 1001)]
    for _ in range(2):
        with pytest.raises(PayloadTooLarge):
            await everything(scripted)


async def silence(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()
    await asyncio.Event().wait()


async def no_head(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("behaviour", "limits"),
    [(silence, {"idle_seconds": 0.1}), (no_head, {"idle_seconds": 0.1}), (drip, {"seconds": 0.2})],
    ids=["silent", "no head", "dripping"],
)
async def test_a_server_that_takes_too_long_is_left(scripted, behaviour, limits) -> None:
    scripted.behaviours = [behaviour]
    with pytest.raises(PlatformUnavailable):
        await everything(scripted, **limits)


async def test_a_body_that_breaks_off_is_no_answer(scripted, say) -> None:
    scripted.behaviours = [say.answer(b"x" * 10, length=500)]
    with pytest.raises(PlatformUnavailable):
        await everything(scripted)


@pytest.mark.parametrize("place", ["https://10.0.0.1/", "/elsewhere", "https://example.com/", "//localhost/"])
async def test_a_redirect_is_not_followed(scripted, say, place) -> None:
    scripted.behaviours = [say.answer(b"", status=302, headers=f"Location: {place}\r\n".encode())]
    with pytest.raises(InvalidArguments):
        await everything(scripted)
    assert len(scripted.requests) == 1
