"""The entry point in processes of its own, and the official suite run against it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / ".tools/node/node_modules/.bin"
_FOLDER = re.compile(r"(?:server-|authorization-server-(?=authorization))?(?P<scenario>.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z")


@dataclass(frozen=True)
class Outcome:
    """What a run of the suite found.

    Attributes:
        ran: every scenario that was run.
        failed: scenario → what its failed checks say.
        warned: the same of warnings.
        checks: how many checks passed.
        status: the suite's own exit status.
    """

    ran: frozenset[str]
    failed: dict[str, list[str]]
    warned: dict[str, list[str]]
    checks: int
    status: int


class Suite:
    """Runs the suite's command line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def run(self, url: str, *options: str) -> Outcome:
        """Run scenarios against a server.

        Args:
            url: of the server.
            options: which scenarios, at which version.
        """
        self._runs += 1
        out = self._folder / str(self._runs)
        out.mkdir()
        done = self._call("server", "--url", url, "-o", str(out), *options)
        return _outcome(out, done.returncode, done.stdout + done.stderr)

    def scored(self, revision: str) -> frozenset[str]:
        """The scenarios of servers that a revision of the specification scores."""
        listed = self._call("list", "--server", "--requirements", revision).stdout
        return frozenset(
            re.findall(r"^  - (\S+)", listed.split("Client scenarios")[0].split("Run and reported")[0], re.M)
        )

    def authorization(self, about: dict[str, Any], client_id: str, port: int, agree: Callable[[str], Any]) -> Outcome:
        """Run both scenarios for authorization servers.

        Args:
            about: what the entry point says of itself.
            client_id: of a client that gets its answers at `http://127.0.0.1:{port}/callback`.
            port: a free one.
            agree: what the person does at the address that the client sends them to.
        """
        out = self._folder / "authorization"
        out.mkdir()
        where = ["--url", about["issuer"], "--resource", about["mcp"], "--client-id", client_id, "-p", str(port)]
        command = [str(PROGRAMS / "conformance"), "authorization", *where, "-o", str(out)]
        with subprocess.Popen(
            command, env=_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            assert run.stdout is not None
            said = []
            for line in run.stdout:
                said.append(line)
                if line.startswith(f"{about['issuer']}/oauth/authorize?"):
                    agree(line.strip())
            run.wait(60)
        return _outcome(out, run.returncode, "".join(said))

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(PROGRAMS / "conformance"), *arguments]
        return subprocess.run(command, env=_environ(), capture_output=True, text=True, timeout=240, check=False)


def _outcome(out: Path, status: int, said: str) -> Outcome:
    bad: dict[str, dict[str, list[str]]] = {"FAILURE": {}, "WARNING": {}}
    ran, passed = set(), 0
    for checks in out.glob("*/checks.json"):
        named = _FOLDER.fullmatch(checks.parent.name)
        assert named is not None, checks.parent.name
        scenario = named["scenario"]
        ran.add(scenario)
        for check in json.loads(checks.read_text()):
            passed += check["status"] == "SUCCESS"
            if check["status"] in bad:
                bad[check["status"]].setdefault(scenario, []).append(f"{check['id']}: {check.get('errorMessage')}")
    assert ran, said
    return Outcome(frozenset(ran), bad["FAILURE"], bad["WARNING"], passed, status)


def _environ() -> dict[str, str]:
    return {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "NO_COLOR": "1"}


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """The entry point as a process; gives what it says of itself."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "tests")}
    log = folder.with_suffix(".log")
    with log.open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "conformance.server", str(folder), *options],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        assert first, log.read_text()
        yield json.loads(first)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The official suite, as `make setup-node` installs it."""
    if not (PROGRAMS / "conformance").exists():
        pytest.skip("the suite is not installed: make setup-node, which needs npm")
    return Suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The house as it is by default: what it says of itself."""
    with serving(tmp_path_factory.mktemp("stateless") / "data") as about:
        yield about


@pytest.fixture
def stateless(house: dict[str, Any]) -> str:
    """Its MCP URL."""
    url: str = house["mcp"]
    return url


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The MCP URL of the house with MCP_LEGACY_SESSIONS=true."""
    with serving(tmp_path_factory.mktemp("sessions") / "data", "--sessions") as about:
        yield about["mcp"]
