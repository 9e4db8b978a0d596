"""A note read from its bytes: properties, structure, tags and links."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hermes.errors import InvalidArguments
from hermes.platforms.obsidian import frontmatter
from hermes.platforms.obsidian.links import Link, links_of, tags_of
from hermes.platforms.obsidian.markdown import Outline, newline_of, outline


def decode(data: bytes) -> str:
    """The text of a note.

    Raises:
        InvalidArguments: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        problem = f"the note is not UTF-8 text (byte {error.start})"
        raise InvalidArguments(f"{problem}.", fields=[{"field": "path", "problem": problem}]) from None


@dataclass
class Note:
    """A note's text, and what it says. Everything is worked out when it is first asked for."""

    text: str

    @cached_property
    def parts(self) -> frontmatter.Split:
        return frontmatter.split(self.text)

    @cached_property
    def _read(self) -> tuple[dict[str, Any], str | None]:
        return frontmatter.read(self.parts)

    @property
    def properties(self) -> dict[str, Any]:
        return self._read[0]

    @property
    def properties_error(self) -> str | None:
        return self._read[1]

    @property
    def newline(self) -> str:
        return newline_of(self.text)

    @cached_property
    def outline(self) -> Outline:
        return outline(self.text, len(self.parts.block))

    @cached_property
    def tags(self) -> list[str]:
        return tags_of(self.properties, self.outline)

    @cached_property
    def links(self) -> list[Link]:
        return links_of(self.properties, self.outline)
