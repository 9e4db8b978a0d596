"""How many attacks the tests try, and at which doors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_door_is_attacked_in_many_ways() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "attack_doors", "-p", "no:cacheprovider", "-m", "attack"]
    command += ["--collect-only", "-q", "-n", "0", "tests/oauth", "tests/web", "tests/identity"]
    environ = {**os.environ, "PYTHONPATH": str(TESTS / "plugins")}
    done = subprocess.run(command, cwd=TESTS.parent, env=environ, capture_output=True, text=True, check=True)
    found = re.search(r"^attacks: (\{.*\})$", done.stdout, re.M)
    assert found is not None, done.stdout
    doors = json.loads(found[1])
    assert set(doors) == {"authorize", "token", "register", "revoke", "consent", "login"}
    assert sum(doors.values()) >= 80, doors
