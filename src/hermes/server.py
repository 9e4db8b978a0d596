"""`hermes serve`: the stores, the jobs, the sandbox if wanted, and one or more processes that answer requests."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType

import structlog
import uvicorn

from hermes.app import House, open_house
from hermes.asgi import App
from hermes.sandbox.app import build_sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import Settings, SettingsError, local_url

log = structlog.get_logger(__name__)

_BACKLOG = 2048
_GRACE_SECONDS = 20
_GC_THRESHOLDS = (10_000, 50, 50)
_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How `hermes serve` was asked to run."""

    workers: int = 1
    jobs: bool = True
    sandbox: bool = False
    sandbox_port: int = 3457


async def serve(settings: Settings, options: ServeOptions, welcome: Callable[[House], object]) -> None:
    """Run until SIGINT or SIGTERM.

    Args:
        welcome: called (and awaited, if it returns an awaitable) once everything is ready, before the first request.

    Raises:
        SettingsError, DataFolderError, EvictingRedisError: hermes refuses to start; the message says why.
        CancelledError: it was told to end while it started.
    """
    if (starting := asyncio.current_task()) is not None:
        # Until requests are answered; at SIGINT asyncio does the same by itself.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, starting.cancel)
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listen(settings.host, settings.port))
        if settings.port == 0:
            port = listening.getsockname()[1]
            own = {} if settings.environ.get("PUBLIC_URL") else {"public_url": local_url(port)}
            settings = settings.model_copy(update={"port": port, **own})
        if options.sandbox and not settings.embedded:
            raise SettingsError(
                "--sandbox keeps its own data apart from real accounts: unset DATABASE_URL and REDIS_URL to use it."
            )
        sandbox = await _start_sandbox(settings, options, stack) if options.sandbox else None
        house = await stack.enter_async_context(open_house(settings, holder="server", sandbox=sandbox))
        if options.jobs:
            house.queue.start()
        answer = welcome(house)
        if asyncio.iscoroutine(answer):
            await answer
        if options.workers == 1:
            await answer_requests(house, listening)
        else:
            await _supervise(house.settings, options.workers, listening)


async def answer_requests(house: House, listening: socket.socket) -> None:
    """Answer requests on a bound socket until the process is told to stop; then finish what has begun."""
    app = App(house)
    house.queue.load()
    config = uvicorn.Config(
        app.asgi,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(house.settings.trusted_proxies),
        forwarded_allow_ips=list(house.settings.trusted_proxies),
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=75,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=64 * 1024,
    )
    # What start-up made lives as long as the process: the collector need not look at it again (reference: gc.freeze).
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    async with app.run():
        await _Server(config, app).serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends long streams when it is told to stop, so that nobody has to wait for their clients.

    uvicorn raises the signal again when it has stopped, which would end the process before the house is closed.
    """

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        # Closing the house is not to be cut short by a repeated SIGTERM; a person's Ctrl+C still may.
        loop.remove_signal_handler(signal.SIGINT)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._app.end_streams()


async def serve_child(settings: Settings, descriptor: int, parent: int) -> None:
    """One of several processes that answer requests on the parent's socket."""
    _end_with(parent)
    with socket.socket(fileno=descriptor) as listening:
        async with open_house(settings, holder="command") as house:
            await answer_requests(house, listening)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol left open asyncio would leave Nagle's algorithm on, and answers would wait for 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(_BACKLOG)
    listening.set_inheritable(True)
    return listening


async def _start_sandbox(settings: Settings, options: ServeOptions, stack: AsyncExitStack) -> str:
    """Start the stand-ins beside the gateway; returns where they answer."""
    app = build_sandbox(SandboxOptions.from_settings(settings))
    return (await stack.enter_async_context(RunningSandbox(app, port=options.sandbox_port))).origin


async def _supervise(settings: Settings, workers: int, listening: socket.socket) -> None:
    """Keep `workers` processes answering until this one is told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    children = [asyncio.create_task(_keep_child(settings, listening, stop)) for _ in range(workers)]
    await stop.wait()
    await asyncio.gather(*children)


async def _keep_child(settings: Settings, listening: socket.socket, stop: asyncio.Event) -> None:
    environ = {**os.environ, **settings.environ, **_as_environ(settings)}
    while not stop.is_set():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hermes", "serve-child", str(listening.fileno()), str(os.getpid()),
            env=environ, pass_fds=(listening.fileno(),),
        )  # fmt: skip
        ended, stopping = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
            await ended
        else:
            stopping.cancel()
            log.error("server_process_ended", status=child.returncode)
            # Not at once again and again when it cannot even start; a stop does not wait for this.
            await asyncio.wait({asyncio.create_task(stop.wait())}, timeout=1)


def _as_environ(settings: Settings) -> dict[str, str]:
    """The settings as the environment of a child, with what the command line and the first start changed."""
    values = {
        "PUBLIC_URL": settings.public_url,
        "DATA_DIR": str(settings.data_dir.resolve()),
        "LOG_LEVEL": settings.log_level,
        "LOG_FORMAT": settings.log_format,
    }
    for name in ("mcp_api_key", "credential_encryption_key", "jwt_secret", "meta_app_secret", "whatsapp_verify_token"):
        value = getattr(settings, name)
        if value is not None:
            values[name.upper()] = value.get_secret_value()
    return values


def _end_with(parent: int) -> None:
    """Have the kernel tell this process to end when the parent ends, however it does (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the server that this process belongs to has already ended")
