"""hermes as people run it: a process of its own, on a data folder of its own, with the sandbox."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_READY = re.compile(r"hermes is ready at (\S+)")
_SANDBOX = re.compile(r"Sandbox\s+(\S+?)/? ")
_START_SECONDS = 60


class Hermes:
    """One `hermes serve` process; `start` may be called again after `kill` or `stop`."""

    def __init__(self, data_dir: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.output: list[str] = []
        self.url = ""
        self.sandbox = ""
        self._arguments = arguments
        self._env = env or {}
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()

    def start(self) -> Hermes:
        """Start, and wait until it says that it is ready."""
        self._ready.clear()
        command = [sys.executable, "-m", "hermes", "serve", "--port", "0", "--data-dir", str(self.data_dir)]
        sandbox = ["--sandbox", "--sandbox-port", "0"] if "--live" not in self._arguments else []
        rest = [argument for argument in self._arguments if argument != "--live"]
        self._process = subprocess.Popen(
            [*command, *sandbox, *rest],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**_clean_environ(), **self._env},
            cwd=self.data_dir.parent,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        if not self._ready.wait(_START_SECONDS) or not self.url:
            raise AssertionError("hermes did not become ready:\n" + "".join(self.output[-40:]))
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if found := _READY.search(line):
                self.url = found[1]
            if found := _SANDBOX.search(line):
                self.sandbox = found[1]
            if line.startswith("An MCP client") or "docs/settings.md" in line or "For other people" in line:
                self._ready.set()
        self._ready.set()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def api_key(self) -> str:
        """The demo customer's key."""
        return (self.data_dir / "demo-api-key").read_text().strip()

    @property
    def operator_key(self) -> str:
        found = re.search(r"MCP_API_KEY=(\S+)", (self.data_dir / "secrets.env").read_text())
        assert found
        return found[1]

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

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A `hermes` command beside the server, on the same data folder."""
        return subprocess.run(
            [sys.executable, "-m", "hermes", *arguments],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=60,
            check=False,
            env={**_clean_environ(), "DATA_DIR": str(self.data_dir), **self._env},
            cwd=self.data_dir.parent,
        )


def _clean_environ() -> dict[str, str]:
    """The environment without anything that would change hermes' settings."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "PYTHONPATH", "COVERAGE_PROCESS_START")
    return {name: value for name, value in os.environ.items() if name in kept}


@pytest.fixture
def new_hermes(tmp_path: Path) -> Iterator[Callable[..., Hermes]]:
    """Makes hermes processes on `tmp_path/data`; all are killed at the end."""
    made: list[Hermes] = []

    def make(*arguments: str, folder: str = "data", env: dict[str, str] | None = None) -> Hermes:
        made.append(Hermes(tmp_path / folder, *arguments, env=env))
        return made[-1]

    yield make
    for one in made:
        if one._process is not None:
            one.kill()


@pytest.fixture(scope="session")
def shared_hermes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hermes]:
    """One running hermes with the sandbox, for tests that leave it as it was."""
    one = Hermes(tmp_path_factory.mktemp("hermes") / "data").start()
    yield one
    one.stop()
