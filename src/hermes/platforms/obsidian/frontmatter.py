"""The properties at a note's start: found, read, and changed line by line so that every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from hermes.errors import InvalidArguments
from hermes.platforms.obsidian.yaml12 import PropertiesError, compose, dump_property, load_properties, plain

_BLOCK = re.compile(r"\A(\ufeff?---(\r?\n))((?:.*\n)*?)(---[ \t]*(?:\r?\n|\Z))")
_OPENED = re.compile(r"\A\ufeff?---\r?\n")


@dataclass(frozen=True, slots=True)
class Split:
    """A note's text in two: `head + yaml + tail` is the frontmatter block with its fences, then the body."""

    head: str
    yaml: str
    tail: str
    body: str

    @property
    def present(self) -> bool:
        return bool(self.tail)

    @property
    def block(self) -> str:
        return self.head + self.yaml + self.tail


def split(text: str) -> Split:
    """Split a note. Without a block that is opened by the first line and closed, all of it is body."""
    if not text.startswith(("---", "\ufeff---")):
        return Split("", "", "", text)
    match = _BLOCK.match(text)
    if match is None:
        return Split("", "", "", text)
    return Split(match[1], match[3], match[4], text[match.end() :])


def read(parts: Split) -> tuple[dict[str, Any], str | None]:
    """The properties, and what is wrong with them if they cannot be read."""
    try:
        return load_properties(parts.yaml), None
    except PropertiesError as error:
        return {}, str(error)


def edit(text: str, set_: Mapping[str, Any], delete: Iterable[str], newline: str) -> str:
    """The note with properties set and deleted; all other lines, comments and their order stay byte for byte.

    Raises:
        InvalidArguments: the block is malformed (with the parser's message), or written in a way that cannot be
            edited line by line.
    """
    parts = split(text)
    if not parts.present:
        return _without_block(text, set_, newline)
    newline = "\r\n" if parts.head.endswith("\r\n") else "\n"
    try:
        before = load_properties(parts.yaml)
        block = _Block(parts.yaml, newline)
        for name in delete:
            block.delete(name)
        for name, value in set_.items():
            block.set(name, value)
        after = load_properties(block.text)
    except PropertiesError as error:
        raise _refusal(f"the note's properties cannot be edited: {error}") from None
    wanted = {name: value for name, value in before.items() if name not in set(delete)} | plain(dict(set_))
    if after != wanted:
        raise _refusal("the note's properties are written in a way that cannot be edited safely; replace them by hand")
    return parts.head + block.text + parts.tail + parts.body


def _without_block(text: str, set_: Mapping[str, Any], newline: str) -> str:
    if _OPENED.match(text):
        raise _refusal("the note starts with --- but the properties are never closed; correct that first")
    if not set_:
        return text
    lines = [line for name, value in set_.items() for line in dump_property(name, value)]
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + newline.join(("---", *lines, "---", "")) + text.removeprefix("\ufeff")


def _refusal(problem: str) -> InvalidArguments:
    return InvalidArguments(
        problem[0].upper() + problem[1:] + ".", fields=[{"field": "frontmatter", "problem": problem}]
    )


class _Block:
    """The lines between the fences, edited one property at a time."""

    def __init__(self, text: str, newline: str) -> None:
        self.text = text
        self._newline = newline

    def delete(self, name: str) -> None:
        found = self._find(name)
        if found is not None:
            lines = self.text.splitlines(keepends=True)
            self.text = "".join(lines[: found.first] + lines[found.end :])

    def set(self, name: str, value: Any) -> None:
        found = self._find(name)
        new = dump_property(name, value)
        lines = self.text.splitlines(keepends=True)
        if found is None:
            lines += [line + self._newline for line in new]
        else:
            new[0] += found.comment
            lines[found.first : found.end] = [line + self._newline for line in new]
        self.text = "".join(lines)

    def _find(self, name: str) -> _Lines | None:
        root = compose(self.text)
        if root is None:
            return None
        if not isinstance(root, yaml.MappingNode) or root.flow_style:
            raise PropertiesError("they are not written as one `name: value` per line")
        lines = self.text.splitlines(keepends=True)
        starts = [key.start_mark.line for key, _ in root.value] + [len(lines)]
        same = [index for index, (key, _) in enumerate(root.value) if key.value == name]
        if not same:
            return None
        if len(same) > 1:
            raise PropertiesError(f"{name} is there {len(same)} times")
        index = same[0]
        first, end = starts[index], starts[index + 1]
        while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1
        return _Lines(first, end, _comment(lines[first], root.value[index][1], first))


@dataclass(frozen=True, slots=True)
class _Lines:
    """Where a property stands: lines `first` to `end` (exclusive), and the comment behind its value, if any."""

    first: int
    end: int
    comment: str


def _comment(line: str, value: yaml.Node, first: int) -> str:
    if value.end_mark.line != first:
        return ""
    rest = line[value.end_mark.column :].rstrip("\r\n")
    return rest if rest.lstrip().startswith("#") and rest[:1] in (" ", "\t") else ""
