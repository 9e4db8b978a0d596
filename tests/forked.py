"""Processes of their own without the seconds that an interpreter takes to load hermes.

A server of `multiprocessing` has loaded hermes once and forks a process for whoever asks: a new process id, with
environment, folder, standard streams and signals of its own, that has opened and started nothing yet.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryFile
from typing import IO, Any

from hermes import commands
from hermes.platforms.catalog import PLATFORMS

LOADED = (
    *("hermes.__main__", "hermes.cli", "hermes.server", "hermes.worker", "hermes.demo"),
    *("hermes.storage.migrate", "hermes.storage.streaq_jobs"),
    *(f"hermes.commands.{module.name}" for module in iter_modules(commands.__path__)),
    *(f"hermes.{room}.{name}" for room in ("platforms", "sandbox") for name in PLATFORMS),
    *("pwdlib.hashers.argon2", "sqlalchemy.dialects.sqlite.aiosqlite", "aiosqlite"),
)
"""What servers and commands come to load. Names without a module are passed over: not every platform has a stand-in."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", *LOADED])
_lock = threading.Lock()
"""Looking how a process ended takes the answer off its pipe, so two threads must not look at once."""


class Forked:
    """A process that runs a function, with what the tests use of `subprocess.Popen`."""

    def __init__(self, target: Callable[..., object], *arguments: object, env: Mapping[str, str] | None = None) -> None:
        """Begin `target(*arguments)`.

        Args:
            target: a function that a module has by name; what an async one returns is awaited.
            arguments: what can be pickled.
            env: its environment; this process's, if it is not given.
        """
        given = dict(os.environ if env is None else env)
        self._process = _context.Process(target=_begin, args=(given, target, arguments), daemon=True)
        with _lock:
            self._process.start()
        self.stdout: IO[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status if it has ended, negative for a signal."""
        with _lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; returns its exit status.

        Raises:
            TimeoutExpired: it has not, so many seconds later.
        """
        wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def start_hermes(words: list[str], *, env: Mapping[str, str], cwd: Path, heard: bool = True) -> Forked:
    """`hermes` with these words, as `subprocess.Popen` would start it: its output and errors are in `stdout`.

    Args:
        heard: somebody reads it; otherwise there is no `stdout`.
    """
    with Connection(os.open(os.devnull, os.O_RDWR)) as nothing:
        if not heard:
            return Forked(_hermes, words, cwd, (nothing, nothing, nothing), env=env)
        reader, writer = _context.Pipe(duplex=False)
        with reader, writer:
            begun = Forked(_hermes, words, cwd, (nothing, writer, writer), env=env)
            begun.stdout = os.fdopen(os.dup(reader.fileno()))
            return begun


def run_hermes(
    words: list[str], *, env: Mapping[str, str], cwd: Path, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """`hermes` with these words, as `subprocess.run` would run it."""
    with TemporaryFile("w+") as given, TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
        given.write(stdin or "")
        given.seek(0)
        streams = tuple(Connection(os.dup(file.fileno())) for file in (given, output, errors))
        process = Forked(_hermes, words, cwd, streams, env=env)
        for stream in streams:
            stream.close()
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(9)
            raise
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(words, status, output.read(), errors.read())


def _begin(env: dict[str, str], target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(env)
    if asyncio.iscoroutinefunction(target):
        asyncio.run(target(*arguments))
    else:
        target(*arguments)


def _hermes(words: list[str], cwd: Path, streams: tuple[Any, Any, Any]) -> None:
    """Take the place of the process that was forked, and begin as `python -m hermes` does."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
    for stream in {id(stream): stream for stream in streams}.values():
        stream.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (as long as the process lives)
    os.chdir(cwd)
    program = sys.modules["hermes.__main__"]
    sys.argv = [str(program.__file__), *words]
    program.main()
