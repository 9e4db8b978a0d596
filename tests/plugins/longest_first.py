"""`-p longest_first`: folders that take long come first, so that no process is left alone with one at the end."""

from __future__ import annotations

import pytest

LONGEST = ("e2e", "web", "harness", "conformance", "clients", "connections", "oauth")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the folders; within one nothing changes."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)
