"""A pytest plugin that says how many attacks were collected at each door: `pytest -p attack_doors -m attack`."""

from __future__ import annotations

import json
from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.line(f"attacks: {json.dumps(_doors)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _doors.update(door for item in items for mark in item.iter_markers("attack") for door in mark.args)


_doors: Counter[str] = Counter()
