"""`hermes sandbox`: the stand-ins alone, as a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

COMMAND = (sys.executable, "-m", "hermes", "sandbox", "--port")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """One on a free port."""
    one = subprocess.Popen([*COMMAND, "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=_environ())
    yield one
    one.kill()
    one.wait()
    if one.stdout is not None:
        one.stdout.close()


def _environ() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_answers_and_ends_well(process: subprocess.Popen[str], number: signal.Signals) -> None:
    assert process.stdout is not None
    said = re.search(r"http://127\.0\.0\.1:([0-9]+)/", process.stdout.readline())
    assert said is not None
    assert int(said[1]) > 0
    answer = httpx2.Client(transport=httpx2.HTTPTransport(retries=10)).get(said[0] + "_sandbox/platforms")
    assert answer.status_code == 200
    process.send_signal(number)
    assert process.wait(20) == 0


def test_a_taken_port_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*COMMAND, port], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=_environ()
        )
    assert ended.returncode == 1
    assert port in ended.stderr
    assert "--port" in ended.stderr
    assert ended.stderr.count("\n") == 1
