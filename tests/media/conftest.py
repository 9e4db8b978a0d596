"""A media store over real SQL and disk, whose clock the test moves, and a server that gives files."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from hermes.crypto import Keyring
from hermes.media.places import FolderPlace
from hermes.media.store import MediaStore
from hermes.net.guarded import GuardedClient
from hermes.storage.sql import Database


def jpeg(width: int = 300, height: int = 200) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "JPEG")
    return file.getvalue()


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@dataclass
class MediaBench:
    store: MediaStore
    database: Database
    folder: Path
    clock: list[float]
    port: int
    answers: dict[str, Callable[[Any], Awaitable[None]]] = field(default_factory=dict)
    jpeg: Callable[..., bytes] = jpeg
    pieces: Callable[..., AsyncIterator[bytes]] = pieces

    def url(self, path: str) -> str:
        return f"http://files.test:{self.port}{path}"

    def serve(self, path: str, content: bytes, content_type: str = "image/jpeg", status: int = 200, **more: str) -> str:
        """Have the server give content; returns its URL."""
        headers = [(b"content-type", content_type.encode())]
        headers += [(name.encode(), value.encode()) for name, value in more.items()]

        async def give(send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

        self.answers[path] = give
        return self.url(path)

    async def keep(self, customer_id: str, content: bytes, filename: str = "a.jpg", content_type: str = "") -> str:
        return await self.store.keep(customer_id, pieces(content), filename=filename, content_type=content_type)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
async def media(database: Database, tmp_path: Path) -> AsyncIterator[MediaBench]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    clock = [time.time()]
    guarded = GuardedClient(resolve=resolve, trusted=[("files.test", port)])
    folder = tmp_path / "media"
    store = MediaStore(database, Keyring(b"k" * 32), guarded, FolderPlace(folder), now=lambda: clock[0])
    bench = MediaBench(store, database, folder, clock, port)

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await bench.answers[scope["path"]](send)

    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    yield bench
    server.should_exit = True
    await serving
