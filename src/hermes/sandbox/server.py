"""Runs the sandbox under uvicorn, with a door in it for cutting connections."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hermes.sandbox.gate import CUT_EXTENSION
from hermes.sandbox.options import DEFAULT_PORT

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also lets the application close the connection under its own feet."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]  # extensions are free-form
        scope["extensions"] = {CUT_EXTENSION: self._cut}

    def _cut(self) -> None:
        self.cycle.disconnected = True
        self.transport.close()


def sandbox_server(app: ASGIApp, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> uvicorn.Server:
    """A uvicorn server for the sandbox; `await server.serve()` runs it. One process only: state is in memory.

    Args:
        port: 0 takes a free one.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=CuttableProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


async def serve_sandbox(app: ASGIApp, host: str, port: int, ready: Callable[[str], object]) -> None:
    """Run the sandbox by itself until SIGINT or SIGTERM, then return.

    Args:
        port: 0 takes a free one.
        ready: told once where it answers, as soon as nobody else can have the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    with _listen(host, port) as listening:
        number = listening.getsockname()[1]
        ready(_origin(host, number))
        await _Alone(sandbox_server(app, host, number).config).serve(sockets=[listening])


class RunningSandbox:
    """The sandbox beside other work in the same event loop.

    Use: `async with RunningSandbox(app) as sandbox: … sandbox.origin …`
    """

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = _listen(host, port)
        address = self._socket.getsockname()
        self.origin = _origin(host, address[1])
        self._server = _Embedded(sandbox_server(app, host, address[1]).config)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> RunningSandbox:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not self._server.started:
            ready.cancel()
            await self._task
            raise RuntimeError("the sandbox did not start; its log says why")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


class _Embedded(uvicorn.Server):
    """A server that leaves the process's signals alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # the base generates one
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class _Alone(uvicorn.Server):
    """A server that is through when it was told to stop. uvicorn's own raises the signal once more after that, and the
    process would end with it instead of with status 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _origin(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket that names its protocol: asyncio turns off Nagle's algorithm only for sockets that do."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
