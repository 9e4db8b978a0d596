"""Which documents follow from the catalogue, and what they say. Everything outside of the marks is written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hermes.docs.pages import platform_part
from hermes.docs.words import cell, table
from hermes.platforms.base import Tool
from hermes.platforms.catalog import Catalog, load_catalog

BEGIN: Final = "<!-- written by `python -m hermes.docs` from the declarations: begin -->"
END: Final = "<!-- end of what is written by `python -m hermes.docs` -->"


def documents(root: Path) -> dict[Path, str]:
    """Path → what the document should say.

    Args:
        root: the repository's folder; what is written by hand is read from it.

    Raises:
        ValueError: a document's marks are broken.
    """
    catalog = load_catalog()
    found = {
        root / "README.md": _between_marks(_read(root / "README.md"), _summary(catalog)),
        root / "docs/tools.md": _between_marks(_read(root / "docs/tools.md"), _all_tools(catalog)),
    }
    for platform in catalog:
        path = root / "docs/platforms" / f"{platform.id}.md"
        written = _read(path) or f"# {platform.title}\n"
        found[path] = _between_marks(written, platform_part(platform, _by_hand(written)))
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _between_marks(text: str, part: str) -> str:
    """The text with `part` in the place of what stood between its marks; without marks, at its end."""
    begins, ends = text.count(BEGIN), text.count(END)
    if (begins, ends) == (0, 0):
        return f"{text.rstrip()}\n\n{BEGIN}\n\n{part.strip()}\n\n{END}\n"
    if (begins, ends) != (1, 1) or text.index(END) < text.index(BEGIN):
        raise ValueError(f"a document needs exactly one {BEGIN!r}, and after it one {END!r}")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{part.strip()}\n\n{END}{rest.split(END)[1]}"


def _by_hand(text: str) -> str:
    """The text without what stands between its marks."""
    before, _, rest = text.partition(BEGIN)
    return before + rest.partition(END)[2]


def _summary(catalog: Catalog) -> str:
    """README's table: one row for each tool, below its platform's name."""
    return f"{_count(catalog)}\n\n" + table(
        ("platform", "tool", "effect", "REST"),
        [
            (
                f"[{platform.title}](docs/platforms/{platform.id}.md)" if number == 0 else "",
                f"`{tool.name}`",
                tool.effect.value,
                f"`{tool.rest_method} {tool.rest_path}`",
            )
            for platform in catalog
            for number, tool in enumerate(platform.tools.values())
        ],
    )


def _all_tools(catalog: Catalog) -> str:
    return "\n\n".join(_sections(catalog))


def _sections(catalog: Catalog) -> Iterator[str]:
    yield _count(catalog)
    for platform in catalog:
        yield f"## [{platform.title}](platforms/{platform.id}.md)"
        rows = [
            (_link(tool), tool.effect.value, _route(tool), cell(tool.description)) for tool in platform.tools.values()
        ]
        yield table(("tool", "effect", "REST", "what it does"), rows)


def _count(catalog: Catalog) -> str:
    return f"{len(catalog.tools)} tools on {len(catalog.platforms)} platforms."


def _link(tool: Tool) -> str:
    return f"[`{tool.name}`](platforms/{tool.platform}.md#{tool.name})"


def _route(tool: Tool) -> str:
    return f"`{tool.rest_method} {tool.rest_path}`"
