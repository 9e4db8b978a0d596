"""A server made of a script: what it does with each connection, and what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedServer:
    """Answers the n-th request with the n-th behaviour (the last one goes on for ever)."""

    behaviours: list[Behaviour] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        body = await reader.readexactly(int(line.split(b":")[1]))
                    if line.startswith(b"transfer-encoding:"):
                        body = await reader.readuntil(b"0\r\n\r\n")
                self.requests.append(head + body)
                self.arrived.set()
                number = min(len(self.requests), len(self.behaviours)) - 1
                await self.behaviours[number](reader, writer)
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def answer(
    body: bytes = b'{"ok":true}', status: int = 200, headers: bytes = b"", length: int | None = None
) -> Behaviour:
    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n" % (status, size, headers) + body)
        if size != len(body):
            await writer.drain()
            writer.close()

    return behave


def raw(content: bytes) -> Behaviour:
    """Write these bytes, then close."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    return behave


class Say:
    """The behaviours, for tests to choose from."""

    answer = staticmethod(answer)
    raw = staticmethod(raw)


@pytest.fixture
def say() -> Say:
    return Say()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
