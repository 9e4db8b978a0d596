"""Rules of the house that import-linter does not hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent / "src" / "hermes"
FILES = sorted(SOURCES.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            names.add(node.module or "")
    return names


def test_no_file_is_too_long_to_read() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {str(path): length for path, length in lengths.items() if length > 500} == {}


def test_the_sandbox_knows_nothing_of_hermes_but_settings() -> None:
    allowed = ("hermes.sandbox", "hermes.settings")
    found = {name for path in (SOURCES / "sandbox").rglob("*.py") for name in imported(path)}
    assert {name for name in found if name.startswith("hermes") and not name.startswith(allowed)} == set()


@pytest.mark.parametrize(
    ("modules", "allowed_in"),
    [
        ({"pickle", "marshal", "shelve", "dill", "cloudpickle"}, ()),  # whoever writes to Redis must not run code
        ({"httpx", "httpx2", "requests", "urllib3", "urllib.request", "http.client"}, ()),
        ({"aiohttp"}, ("net", "sandbox")),
    ],
)
def test_modules_that_only_some_rooms_may_use(modules: set[str], allowed_in: tuple[str, ...]) -> None:
    elsewhere = [path for path in FILES if path.relative_to(SOURCES).parts[0] not in allowed_in]
    assert [str(path) for path in elsewhere if imported(path) & modules] == []
