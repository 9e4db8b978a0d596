"""Tags and links of a note, as Obsidian sees them: never inside code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

from hermes.platforms.obsidian.markdown import Outline
from hermes.platforms.obsidian.paths import fold

_TAG_CHARS = r"[^\u2000-\u206F\u2E00-\u2E7F'!\"#$%&()*+,.:;<=>?@^`{|}~\[\]\\\s]"
_TAG = re.compile(rf"(?:(?<=[\s(*~,;])|^)#({_TAG_CHARS}+)")
_WIKILINK = re.compile(r"(!?)\[\[([^\[\]|\n]{1,1000})(?:\|([^\[\]\n]{0,1000}))?\]\]")
# Neither part may contain another bracket, so that a line of brackets is read in one go.
_MARKDOWN_LINK = re.compile(r"(!?)\[([^\[\]\n]*)\]\(\s?(<[^<>\[\]\n]*>|[^()\[\]\s]*)(?:\s+\"[^\"\[\]\n]*\")?\s?\)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_TICKS = re.compile(r"`+")

LinkKind = Literal["wikilink", "markdown"]


@dataclass(frozen=True, slots=True)
class Link:
    """A link to something in the vault. `target` is empty for a link to a heading or block of the same note."""

    target: str
    kind: LinkKind
    embed: bool
    line: int
    heading: str | None = None
    block: str | None = None
    shown: str | None = None


def tags_of(properties: Mapping[str, Any], structure: Outline) -> list[str]:
    """The note's tags without `#`, in the order of their first use; two spellings of one tag count once."""
    found = [*property_tags(properties)]
    if any("#" in line for line in structure.lines):
        for _, text in _prose(structure):
            if "#" in text:
                found += [tag for tag in (_tag(match[1]) for match in _TAG.finditer(_without_links(text))) if tag]
    unique: dict[str, str] = {}
    for tag in found:
        unique.setdefault(fold(tag), tag)
    return list(unique.values())


def property_tags(properties: Mapping[str, Any]) -> list[str]:
    """The tags in the `tags` property: a list, or text with commas or spaces between."""
    value = properties.get("tags")
    words = re.split(r"[\s,]+", value) if isinstance(value, str) else value if isinstance(value, list) else []
    tags = (_tag(word.strip().removeprefix("#")) for word in words if isinstance(word, str))
    return [tag for tag in tags if tag and not re.search(r"\s", tag)]


def aliases_of(properties: Mapping[str, Any]) -> list[str]:
    value = properties.get("aliases")
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def links_of(properties: Mapping[str, Any], structure: Outline) -> list[Link]:
    """All links into the vault: wikilinks, embeds and Markdown links of the body, wikilinks of the properties."""
    found: list[Link] = []
    for value in _texts(properties):
        found += _wikilinks(value, 0)
    for number, text in _prose(structure):
        if "[[" in text:
            found += _wikilinks(text, number)
        if "](" in text:
            found += _markdown_links(text, number)
    return found


def without_code_spans(line: str) -> str:
    """A line with its code spans blanked out, all other characters in their places."""
    runs = list(_TICKS.finditer(line))
    if len(runs) < 2:
        return line
    # From the right, the next run of each length: every opening run then finds its end in one step.
    closing: dict[int, int] = {}
    partner: list[int | None] = [None] * len(runs)
    for index in range(len(runs) - 1, -1, -1):
        length = len(runs[index].group())
        partner[index] = closing.get(length)
        closing[length] = index
    pieces: list[str] = []
    at = index = 0
    while index < len(runs):
        end = partner[index]
        if end is None:
            index += 1
            continue
        start, stop = runs[index].start(), runs[end].end()
        pieces += (line[at:start], " " * (stop - start))
        at, index = stop, end + 1
    return "".join(pieces) + line[at:]


def _prose(structure: Outline) -> Iterator[tuple[int, str]]:
    for number in range(structure.first, len(structure.lines)):
        if not structure.code[number]:
            line = structure.lines[number]
            yield number, without_code_spans(line) if "`" in line else line


def _tag(text: str) -> str | None:
    tag = text.strip("/")
    return tag if tag and not tag.replace("/", "").isdecimal() else None


def _without_links(text: str) -> str:
    if "](" in text:
        text = _MARKDOWN_LINK.sub(" ", text)
    return _WIKILINK.sub(" ", text) if "[[" in text else text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _wikilinks(text: str, line: int) -> Iterator[Link]:
    for match in _WIKILINK.finditer(text):
        # In a table the bar is written \| so that it does not end the cell.
        target = match[2].removesuffix("\\") if match[3] is not None else match[2]
        yield _link(target, "wikilink", match[1], line, match[3])


def _markdown_links(text: str, line: int) -> Iterator[Link]:
    for match in _MARKDOWN_LINK.finditer(text):
        target = match[3].removeprefix("<").removesuffix(">")
        if target and not _SCHEME.match(target):
            yield _link(unquote(target), "markdown", match[1], line, match[2])


def _link(target: str, kind: LinkKind, embed: str, line: int, shown: str | None) -> Link:
    path, _, fragment = target.partition("#")
    block = fragment.removeprefix("^") if fragment.startswith("^") else None
    heading = fragment if fragment and block is None else None
    return Link(path.strip(), kind, bool(embed), line, heading, block, shown or None)
