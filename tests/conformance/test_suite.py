"""The official conformance suite, in every era, against the real house with the suite's tools.

`make conformance` runs this. The suite cannot be run in parts of a scenario, so a run is one test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.timeout(300)

EXPECTED: dict[str, dict[str, str]] = yaml.safe_load(
    (Path(__file__).parent / "expected_failures.yml").read_text(encoding="utf-8")
)
TASKS = {
    "tasks-capability-negotiation",
    "tasks-dispatch-and-envelope",
    "tasks-lifecycle",
    "tasks-mrtr-composition",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-request-state-removal",
    "tasks-required-task-error",
    "tasks-status-notifications",
    "tasks-wire-fields",
}


def hold(outcome: Any, run: str) -> None:
    """Exactly what is expected to fail does, and what is expected to warn."""
    for found, named in ((outcome.failed, run), (outcome.warned, f"{run}, warnings")):
        expected = EXPECTED.get(named, {})
        assert {scenario: told for scenario, told in found.items() if scenario not in expected} == {}
        assert sorted(found) == sorted(expected), "what passes now is to be taken out of expected_failures.yml"


def test_2026_07_28(suite: Any, stateless: str) -> None:
    scored = suite.scored("2026-07-28")
    outcome = suite.run(stateless, "--requirements", "2026-07-28")
    hold(outcome, "2026-07-28")
    assert len(scored) == 37
    assert scored | TASKS <= outcome.ran
    assert not scored & EXPECTED["2026-07-28"].keys()
    assert not TASKS & EXPECTED["2026-07-28"].keys()
    assert outcome.status == 0


def test_2025_11_25_in_sessions(suite: Any, sessions: str) -> None:
    scored = suite.scored("2025-11-25")
    outcome = suite.run(sessions, "--requirements", "2025-11-25")
    hold(outcome, "2025-11-25, sessions")
    assert len(scored) == 30
    assert scored <= outcome.ran
    assert not scored & EXPECTED["2025-11-25, sessions"].keys()
    assert outcome.status == 0


def test_2025_11_25_without_sessions(suite: Any, stateless: str) -> None:
    outcome = suite.run(stateless, "--requirements", "2025-11-25")
    hold(outcome, "2025-11-25, stateless")
    assert suite.scored("2025-11-25") <= outcome.ran


@pytest.mark.parametrize("version", ["2025-06-18", "2025-03-26"])
def test_older_versions_in_sessions(suite: Any, sessions: str, version: str) -> None:
    outcome = suite.run(sessions, "--suite", "all", "--spec-version", version)
    hold(outcome, f"{version}, sessions")
    assert outcome.checks > 0
    assert outcome.status == 0


def test_2025_06_18_without_sessions(suite: Any, stateless: str) -> None:
    hold(suite.run(stateless, "--suite", "all", "--spec-version", "2025-06-18"), "2025-06-18, stateless")
