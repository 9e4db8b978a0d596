"""hermes as a subject of `../shared/bench`, which executes this file and calls `add_subjects` (its README says how).

64 enterprise customers with a key and a Telegram credential each call `telegram_send_message`. The stores lie where the
Node reference has its Redis, on the load generator's core: the bench's Redis (database 1) and an SQLite file. The
subjects named `embedded` have their own Valkey and the background work on hermes' core as well.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERMES = Path(os.environ["HERMES_BENCH_BIN"])
PROFILE_SECONDS = int(os.environ.get("HERMES_BENCH_PROFILE", "0"))
REDIS_DATABASE = 1
TOOL = "telegram_send_message"
REST_PATH = "/api/telegram/message"
ARGUMENTS = {"chat_id": "987654321", "text": "hello from the benchmark"}

Headers = dict[str, str]
Requests = list[tuple[Headers, dict[str, Any]]]


def add_subjects(subjects: list[Any], subject_type: Any, helpers: dict[str, Any]) -> None:
    """Append hermes on every wire, and teach the bench what it does not know of hermes."""
    bench = helpers["customers"].__globals__
    ours = {
        subject.name: subject
        for server in (Server("hermes", helpers), Server("hermes-embedded", helpers, embedded=True))
        for subject in server.subjects(subject_type)
    }
    subjects.extend(ours.values())
    Adapter(bench, ours).install()


class Server:
    """One `hermes serve` and its customers, shared by the subjects that differ only in the wire."""

    def __init__(self, name: str, helpers: dict[str, Any], *, embedded: bool = False) -> None:
        self.name = name
        self.port = next(helpers["port"])
        self.operator_key = secrets.token_urlsafe(32)
        self._bots: list[str] = [customer["bot"] for customer in helpers["customers"]()]
        self._keys: list[str] = []
        self._folder = helpers["RUN"] / f"{name}-data"
        self._upstream = f"http://127.0.0.1:{helpers['UP_PORT']}"
        self._redis_url = None if embedded else f"redis://127.0.0.1:{helpers['REDIS_PORT']}/{REDIS_DATABASE}"

    def subjects(self, subject_type: Any) -> Iterator[Any]:
        wires = ("modern",) if self._redis_url is None else ("modern", "stateless", "rest")
        for wire in wires:
            yield subject_type(
                f"{self.name}-{wire}-send",
                "5 hermes",
                self._command(),
                self.port,
                wire=wire,
                tool="send",
                env=self._environment(),
                cwd=str(self._folder.parent),
                needs=[str(HERMES)],
                ready_s=60,
                path=REST_PATH if wire == "rest" else "/mcp",
                setup=self.setup,
                share=None if wire == wires[0] else f"{self.name}-{wires[0]}-send",
            )

    def setup(self, _subject: Any) -> dict[str, Any]:
        """Make the customers, once; the wrapped `build` uses one key per customer."""
        if not self._keys:
            self._keys = [self._new_customer(number, bot) for number, bot in enumerate(self._bots)]
        return {"tool": TOOL, "arguments": ARGUMENTS, "keys": self._keys}

    def _new_customer(self, number: int, bot: str) -> str:
        wanted = {"email": f"bench{number}@example.com", "plan": "enterprise"}
        key = str(self._post("/api/admin/customers", self.operator_key, wanted)["api_key"])
        self._post("/api/connect/telegram", key, {"bot_token": bot})
        return key

    def _post(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if response.status not in (200, 201):
            raise RuntimeError(f"POST {path}: {response.status} {answer[:300]!r}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def _command(self) -> list[str]:
        serve = f'exec "{HERMES}" serve --host 127.0.0.1 --port {self.port} --workers 1'
        migrate = "" if self._redis_url is None else f'"{HERMES}" migrate && '
        return ["sh", "-c", f'rm -rf "{self._folder}" && mkdir -m 700 "{self._folder}" && {migrate}{serve}']

    def _environment(self) -> dict[str, str]:
        environment = {
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "DATA_DIR": str(self._folder),
            "MCP_API_KEY": self.operator_key,
            "TELEGRAM_API_BASE_URL": self._upstream,
            "LOG_LEVEL": "WARNING",
        }
        if self._redis_url is not None:
            environment |= {
                "DATABASE_URL": f"sqlite+aiosqlite:///{self._folder}/hermes.db",
                "REDIS_URL": self._redis_url,
                "CREDENTIAL_ENCRYPTION_KEY": secrets.token_hex(32),
                "JWT_SECRET": secrets.token_hex(32),
            }
        return environment


class Adapter:
    """Wraps functions of the bench where hermes differs: a key per customer, REST, its own audit trail, a profile."""

    def __init__(self, bench: dict[str, Any], ours: dict[str, Any]) -> None:
        self._bench = bench
        self._ours = ours
        self._build: Callable[..., Requests] = bench["build"]
        self._check: Callable[..., None] = bench["check"]
        self._measure: Callable[..., dict[str, Any]] = bench["measure"]
        self._run: Callable[..., None] = bench["run"]

    def install(self) -> None:
        self._bench |= {"build": self.build, "check": self.check, "measure": self.measure, "run": self.run}

    def build(self, subject: Any, extra: dict[str, Any] | None = None) -> Requests:
        if subject.name not in self._ours or extra is None:
            return self._build(subject, extra)
        keys: list[str] = extra["keys"]
        if subject.wire == "rest":
            return [
                ({"content-type": "application/json", "authorization": f"Bearer {key}"}, extra["arguments"])
                for key in keys
            ]
        customers = self._bench["customers"]
        self._bench["customers"] = lambda: [{"key": key} for key in keys]
        try:
            return self._build(subject, {"tool": extra["tool"], "arguments": extra["arguments"]})
        finally:
            self._bench["customers"] = customers

    def check(self, subject: Any, headers: Headers, body: dict[str, Any], want: str) -> None:
        if subject.wire != "rest":
            self._check(subject, headers, body, want)
            return
        status, _, answer = self._bench["http_post"](subject.port, subject.path, headers, body)
        if status != 200 or want not in answer.decode():
            raise RuntimeError(f"check: HTTP {status} {answer[:300]!r}")

    def measure(self, subject: Any, concurrency: int, seconds: int, redis: Any) -> dict[str, Any]:
        if subject.name not in self._ours:
            return self._measure(subject, concurrency, seconds, redis)
        return self._measure(subject, concurrency, seconds, _trail(self._bench, subject))

    def run(self, subs: list[Any], concurrencies: list[int], options: Any) -> None:
        """Measure; then, with nothing else to disturb, take a profile of hermes at 16 in flight."""
        self._run(subs, concurrencies, options)
        if PROFILE_SECONDS:
            for subject in subs:
                if subject.name in self._ours and subject.share is None and hasattr(subject, "reqs"):
                    self._profile(subject)

    def _profile(self, subject: Any) -> None:
        folder = Path(self._bench["HERE"])
        output = folder / "results" / f"profile-{subject.name}.txt"
        os.killpg(subject.proc.pid, signal.SIGCONT)
        command = [
            *(str(folder / "venv/py/bin/py-spy"), "record", "--gil", "--format", "raw", "--rate", "200"),
            *("--duration", str(PROFILE_SECONDS), "--pid", str(subject.proc.pid), "--output", str(output)),
        ]
        sampler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._bench["wrk"](subject, subject.reqs, 16, PROFILE_SECONDS + 1)
        finally:
            sampler.wait(30)
            os.killpg(subject.proc.pid, signal.SIGSTOP)


def _trail(bench: dict[str, Any], subject: Any) -> Callable[..., int | None]:
    """In the place of the bench's Redis client: no seeding, and `audit:seq` is what hermes' own trail grew by."""
    if "REDIS_URL" not in subject.env:
        socket = Path(subject.env["DATA_DIR"]) / "valkey.socket"
        count = _counter(_UnixResp(bench["Resp"], socket.read_text()))
    else:
        redis = bench["Resp"](bench["REDIS_PORT"])
        redis("SELECT", REDIS_DATABASE)
        count = _counter(redis)
    before = count()

    def answer(*command: Any) -> int | None:
        return count() - before if command == ("GET", "audit:seq") else None

    return answer


def _counter(redis: Callable[..., Any]) -> Callable[[], int]:
    def count() -> int:
        keys = redis("KEYS", "log_seq:*")
        return sum(int(value or 0) for value in redis("MGET", *keys)) if keys else 0

    return count


class _UnixResp:
    """The bench's Redis client on a unix socket."""

    def __init__(self, resp_type: Any, path: str) -> None:
        import socket  # noqa: PLC0415  (the bench executes this file; only the embedded subjects need it)

        self._client = resp_type.__new__(resp_type)
        self._client.s = socket.socket(socket.AF_UNIX)
        self._client.s.connect(path)
        self._client.f = self._client.s.makefile("rb")

    def __call__(self, *command: Any) -> Any:
        return self._client(*command)
