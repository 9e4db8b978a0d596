"""The platforms of hermes. Adding one is its file, its sandbox file, and its line here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from hermes.errors import NotFound
from hermes.platforms.base import Platform, Tool

AnyPlatform = Platform[Any, Any]

PLATFORMS = (
    "discord",
    "email",
    "facebook",
    "instagram",
    "linkedin",
    "obsidian",
    "snapchat",
    "telegram",
    "tiktok",
    "twitter",
    "whatsapp",
)


class Catalog:
    """All platforms and their tools, by id and by MCP name, in a fixed order."""

    def __init__(self, platforms: Iterable[AnyPlatform]) -> None:
        self.platforms: Mapping[str, AnyPlatform] = {platform.id: platform for platform in platforms}
        self.tools: Mapping[str, Tool] = {
            tool.name: tool for platform in self.platforms.values() for tool in platform.tools.values()
        }

    def __iter__(self) -> Iterator[AnyPlatform]:
        return iter(self.platforms.values())

    def named(self, platform_id: str) -> AnyPlatform:
        """The platform of this id.

        Raises:
            NotFound: there is none.
        """
        platform = self.platforms.get(platform_id)
        if platform is None:
            raise NotFound(f"There is no such platform; there are {', '.join(self.platforms)}.")
        return platform

    def platform_of(self, tool: Tool) -> AnyPlatform:
        return self.platforms[tool.platform]


def load_catalog(names: Iterable[str] = PLATFORMS) -> Catalog:
    """Import the platforms' files, `hermes.platforms.<name>`, each of which declares a `Platform` called `<name>`."""
    return Catalog(getattr(import_module(f"hermes.platforms.{name}"), name) for name in names)
