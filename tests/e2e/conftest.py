"""hermes as people run it: a process of its own, on a data folder of its own, with the sandbox in it or beside it.

It is forked from one that has loaded hermes already; with `fresh` it has an interpreter of its own, as people start it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from ephemeral_port_reserve import reserve
from redis import Redis

from e2e.wire import parsed
from forked import Forked, run_hermes, start_hermes

_READY = re.compile(r"hermes is ready at (\S+)")
_SANDBOX = re.compile(r"Sandbox\s+(\S+?)/? ")
_LAST_LINES = ("An MCP client", "For other people", "Log in with")
_START_SECONDS = 60
_LOOK_EVERY = 0.02
_SHOWN_LINES = 400
_MCP_HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
_ALL = 10_000


def running(pid: int) -> bool:
    """Whether a process lives (one that has ended and was not waited for does not)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")


def _descendants(pid: int) -> dict[int, str]:
    """Process id → command of everything that a process started."""
    table = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    found: dict[int, str] = {}
    wanted = {pid}
    while wanted:
        children = {int(row[0]): row[2] for row in rows if len(row) == 3 and int(row[1]) in wanted}
        found |= children
        wanted = set(children)
    return found


class Hermes:
    """One `hermes serve` process; `start` may be called again after `kill` or `stop`."""

    def __init__(self, data_dir: Path, *arguments: str, env: dict[str, str] | None = None, fresh: bool = False) -> None:
        self.data_dir = data_dir
        self.output: list[str] = []
        self.url = ""
        self.sandbox = ""
        self._arguments = arguments
        self._env = env or {}
        self._fresh = fresh
        self._process: subprocess.Popen[str] | Forked | None = None
        self._ready = threading.Event()

    def start(self) -> Hermes:
        """Start, and wait until it says that it is ready."""
        self._ready.clear()
        words = ["serve", "--port", "0", "--data-dir", str(self.data_dir)]
        sandbox = ["--sandbox", "--sandbox-port", "0"] if "--live" not in self._arguments else []
        rest = [argument for argument in self._arguments if argument != "--live"]
        self.url = ""
        self._process = self._launch([*words, *sandbox, *rest])
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        if not self._ready.wait(_START_SECONDS) or not self.url:
            raise AssertionError("hermes did not become ready:\n" + "".join(self.output[-40:]))
        return self

    def _launch(self, words: list[str]) -> subprocess.Popen[str] | Forked:
        env, cwd = {**_clean_environ(), **self._env}, self.data_dir.parent
        if not self._fresh:
            return start_hermes(words, env=env, cwd=cwd)
        command, pipe = [sys.executable, "-m", "hermes", *words], subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=env, cwd=cwd)

    def _read(self, process: subprocess.Popen[str] | Forked) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if found := _READY.search(line):
                self.url = found[1]
            if found := _SANDBOX.search(line):
                self.sandbox = found[1]
            if line.strip().startswith(_LAST_LINES):
                self._ready.set()
        self._ready.set()

    @property
    def launched(self) -> bool:
        """Whether there is a process, ready or not."""
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def api_key(self) -> str:
        """The demo customer's key."""
        return (self.data_dir / "demo-api-key").read_text().strip()

    @property
    def secrets(self) -> dict[str, str]:
        """The settings that the data folder keeps."""
        lines = (self.data_dir / "secrets.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    @property
    def operator_key(self) -> str:
        return self._env.get("MCP_API_KEY") or self.secrets["MCP_API_KEY"]

    @property
    def stores(self) -> dict[str, str]:
        """The settings by which another hermes uses the same database and Valkey."""
        socket_path = (self.data_dir / "valkey.socket").read_text()
        return {
            "DATABASE_URL": f"sqlite+aiosqlite:///{self.data_dir / 'hermes.db'}",
            "REDIS_URL": f"unix://{socket_path}",
        }

    @property
    def valkey_pid(self) -> int:
        """The embedded Valkey's process; 0 while there is none."""
        return next((pid for pid, command in _descendants(self.pid).items() if "valkey-server" in command), 0)

    @property
    def worker_pids(self) -> list[int]:
        """The processes of `--workers`."""
        return [pid for pid, command in _descendants(self.pid).items() if "serve-child" in command]

    def redis(self) -> Redis:
        """A client of the embedded Valkey."""
        return Redis(unix_socket_path=(self.data_dir / "valkey.socket").read_text(), decode_responses=True)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended; returns its exit status."""
        assert self._process is not None
        return self._process.wait(40)

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        status = self._process.wait(40)
        self._process.stdout.close() if self._process.stdout else None
        return status

    def run(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A `hermes` command beside the server, on the same data folder."""
        given = {**_clean_environ(), "DATA_DIR": str(self.data_dir), **self._env, **(env or {})}
        cwd = self.data_dir.parent
        if not self._fresh:
            return run_hermes(list(arguments), env=given, cwd=cwd, stdin=stdin)
        command = [sys.executable, "-m", "hermes", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, input=stdin, timeout=60, check=False, env=given, cwd=cwd
        )


def _clean_environ() -> dict[str, str]:
    """The environment without anything that would change hermes' settings."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "PYTHONPATH", "COVERAGE_PROCESS_START")
    return {name: value for name, value in os.environ.items() if name in kept}


class Sandbox:
    """A `hermes sandbox` process, whose record of what was sent outlives any hermes."""

    def __init__(self, folder: Path) -> None:
        self._port = reserve()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process = start_hermes(
            ["sandbox", "--port", str(self._port)], env=_clean_environ(), cwd=folder, heard=False
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the sandbox did not start"
            assert time.monotonic() < deadline, "the sandbox does not answer"
            time.sleep(_LOOK_EVERY)

    @property
    def env(self) -> dict[str, str]:
        """Settings of a live hermes whose platforms are this sandbox's."""
        return {
            "TELEGRAM_API_BASE_URL": f"{self.url}/telegram",
            "WHATSAPP_API_BASE_URL": f"{self.url}/whatsapp",
            "META_APP_SECRET": "sandbox-app-secret",
            "WHATSAPP_VERIFY_TOKEN": "sandbox-verify-token",
        }

    async def sent(self, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """The messages it was sent, at most the last ten thousand."""
        async with http.get(f"{self.url}/_sandbox/messages", params={"limit": _ALL}) as response:
            return [one for one in (await response.json())["messages"] if one["direction"] == "out"]

    async def fail(self, http: aiohttp.ClientSession, **failure: Any) -> None:
        """Switch a failure on."""
        async with http.post(f"{self.url}/_sandbox/failures", json=failure) as response:
            assert response.status == 200, await response.text()

    def close(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@dataclass(frozen=True)
class Answer:
    """What a call answered: `success` or the error's code, and the call's id."""

    code: str
    call_id: str | None
    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Api:
    """hermes' HTTP surface for one caller. The address is asked anew for every request: it changes with a restart."""

    hermes: Hermes
    http: aiohttp.ClientSession
    key: str
    customer_id: str = ""

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        sent = {"x-api-key": self.key, **headers}
        async with self.http.request(method, self.hermes.url + path, json=body, headers=sent) as response:
            return response.status, parsed(await response.text())

    async def get(self, path: str) -> Any:
        status, answer = await self.request("GET", path)
        assert status == 200, answer
        return answer

    async def over_mcp(self, tool: str, arguments: dict[str, Any], idempotency_key: str | None = None) -> Answer:
        """Call a tool over /mcp."""
        meta = {"com.squaremcp/idempotency-key": idempotency_key} if idempotency_key else {}
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        status, answer = await self.request("POST", "/mcp", message, **_MCP_HEADERS)
        result = answer.get("result") if status == 200 else None
        if result is None:
            return Answer(f"http_{status}", None, answer)
        if result["isError"]:
            error = result["_meta"]["com.squaremcp/error"]
            return Answer(error["code"], error.get("call_id"), error)
        return Answer("success", result["_meta"]["com.squaremcp/call-id"], result["structuredContent"])

    async def over_rest(self, path: str, arguments: dict[str, Any], idempotency_key: str | None = None) -> Answer:
        """Call a tool by its route."""
        headers = {"x-api-key": self.key} | ({"idempotency-key": idempotency_key} if idempotency_key else {})
        async with self.http.post(self.hermes.url + path, json=arguments, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status == 200:
                return Answer("success", response.headers["x-call-id"], answer)
            return Answer(answer.get("code", f"http_{response.status}"), answer.get("call_id"), answer)

    async def send(self, text: str, idempotency_key: str | None = None, *, rest: bool = False) -> Answer:
        """Send a Telegram message."""
        arguments = {"chat_id": "987654321", "text": text}
        if rest:
            return await self.over_rest("/api/telegram/message", arguments, idempotency_key)
        return await self.over_mcp("telegram_send_message", arguments, idempotency_key)

    async def trail(self) -> list[dict[str, Any]]:
        """The customer's whole audit trail, newest first."""
        entries: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.get("/api/audit?limit=500" + cursor)
            entries += page["entries"]
            if not page.get("next_cursor"):
                return entries
            cursor = f"&cursor={page['next_cursor']}"

    async def new_customer(self, name: str, plan: str = "enterprise") -> Api:
        """For the operator: make a customer."""
        wanted = {"email": f"{name}@example.com", "plan": plan}
        status, made = await self.request("POST", "/api/admin/customers", wanted)
        assert status == 201, made
        return Api(self.hermes, self.http, made["api_key"], made["id"])

    async def connect(self, platform: str, **credentials: str) -> None:
        status, answer = await self.request("POST", f"/api/connect/{platform}", credentials)
        assert status == 200, answer


async def wait_until(met: Callable[[], Any | Awaitable[Any]], seconds: float, what: str) -> Any:
    """Look until a condition is met, and return what it gave.

    Raises:
        AssertionError: it was not in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = met()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(_LOOK_EVERY)


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """`await until(condition, seconds, what)`."""
    return wait_until


@pytest.fixture
def lives() -> Callable[[int], bool]:
    """Whether a process lives."""
    return running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without limits of its own."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield session


@pytest.fixture
def api(http: aiohttp.ClientSession) -> Callable[..., Api]:
    """`api(hermes, key)`: what a caller with that key may do; without a key, the operator."""
    return lambda hermes, key=None: Api(hermes, http, key or hermes.operator_key)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox in a process of its own."""
    one = Sandbox(tmp_path)
    yield one
    one.close()


@pytest.fixture
def new_hermes(tmp_path: Path) -> Iterator[Callable[..., Hermes]]:
    """Makes hermes processes on `tmp_path/data`; all are killed at the end."""
    made: list[Hermes] = []

    def make(*arguments: str, folder: str = "data", env: dict[str, str] | None = None, fresh: bool = False) -> Hermes:
        made.append(Hermes(tmp_path / folder, *arguments, env=env, fresh=fresh))
        return made[-1]

    yield make
    for one in made:
        if one.launched:
            one.kill()
            print(*one.output[-_SHOWN_LINES:], sep="")  # noqa: T201  (pytest shows it where the test failed)


@pytest.fixture(scope="session")
def shared_hermes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hermes]:
    """One running hermes with the sandbox, for tests that leave it as it was."""
    one = Hermes(tmp_path_factory.mktemp("hermes") / "data").start()
    yield one
    one.stop()


@pytest.fixture
def town_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`Town` of town.py: the tests' scenario of customers side by side."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("town").Town
