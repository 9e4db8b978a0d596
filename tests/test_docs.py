"""The documents say what the code says: settings, errors, rooms, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes.errors import HermesError
from hermes.platforms.base import Env
from hermes.platforms.catalog import PLATFORMS, load_catalog
from hermes.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def rows(document: str) -> dict[str, tuple[str, ...]]:
    """The tables' rows of a document: first cell without its backticks → the other cells."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (ROOT / document).read_text().splitlines():
        if line.startswith("| `"):
            first, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
            found[first.strip(" `")] = tuple(rest)
    return found


def shown(default: object) -> str:
    if default is None or default == ():
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "environ"])
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    default, meaning = rows("docs/settings.md")[name.upper()]
    assert default == shown(Settings.model_fields[name].default)
    assert meaning


@pytest.mark.parametrize("platform_id", PLATFORMS)
def test_every_setting_of_a_platform_is_documented(platform_id: str) -> None:
    platform = load_catalog([platform_id]).platforms[platform_id]
    marks = [mark for info in platform.credentials.model_fields.values() for mark in info.metadata]
    names = {mark.name for mark in marks if isinstance(mark, Env)} | {setting.name for setting in platform.settings}
    if platform.base_url:
        names.add(f"{platform_id.upper()}_API_BASE_URL")
    settings = (ROOT / "docs/settings.md").read_text()
    for connect in platform.oauth:
        assert f"`{connect.provider.upper()}_CLIENT_ID`" in settings
    assert names - rows("docs/settings.md").keys() == set()


@pytest.mark.parametrize("platform_id", PLATFORMS)
def test_every_platform_has_a_page_that_names_its_tools(platform_id: str) -> None:
    page = (ROOT / "docs/platforms" / f"{platform_id}.md").read_text()
    tools = load_catalog([platform_id]).tools
    assert [name for name in tools if f"`{name}`" not in page] == []


def test_every_error_is_documented_with_its_status() -> None:
    def kinds(kind: type[HermesError]) -> Iterator[type[HermesError]]:
        for below in kind.__subclasses__():
            if below.__module__ == HermesError.__module__:
                yield below
                yield from kinds(below)

    documented = {code: int(cells[0]) for code, cells in rows("docs/errors.md").items()}
    assert documented == {kind.code: kind.status for kind in kinds(HermesError)}


def test_every_room_is_in_the_architecture() -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    packages = [path.parent.name for path in (ROOT / "src/hermes").glob("*/__init__.py")]
    assert packages
    assert [name for name in packages if not re.search(rf"\b{name}\b", architecture)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []
