"""What a person who is to agree to a call gets to see of it: all that will be sent, and nothing that pretends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel

from hermes.gateway.fence import fence_text
from hermes.platforms.base import Tool

LONGEST: Final = 600
"""Characters of one argument in a client's form; the page shows all of it."""


@dataclass(frozen=True, slots=True)
class ShownArgument:
    """One argument.

    Attributes:
        name: as the tool names it.
        text: its value: a text as it is, anything else as JSON.
        quoted: whether `text` is JSON.
        length: characters of the value as it will be sent.
        hidden: characters in it that cannot be seen, or that reorder what stands beside them; they are left out here.
        file: name and size, where the value is the handle of a kept file.
    """

    name: str
    text: str
    quoted: bool
    length: int
    hidden: int
    file: str | None = None


def shown_arguments(arguments: BaseModel, files: Mapping[str, str] | None = None) -> list[ShownArgument]:
    """Every argument that has a value, those with the tool's own defaults too.

    Args:
        arguments: as they were checked.
        files: what the handles among them stand for.
    """
    values = arguments.model_dump(mode="json", exclude_none=True)
    return [_shown(name, value, files or {}) for name, value in values.items()]


def handles(value: Any) -> list[str]:
    """The handles of kept files among arguments (JSON)."""
    if isinstance(value, str):
        return [value] if value.startswith("media_") and value.isascii() and len(value) <= _LONGEST_HANDLE else []
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [handle for part in parts for handle in handles(part)]


def question(tool: Tool, platform: str, account: str, shown: Sequence[ShownArgument]) -> str:
    """What the form in a client says. Values stand in JSON, one a line, so that no text can pass for a line of ours.

    Args:
        tool: what is to be run.
        platform: the platform's title.
        account: the account's label.
        shown: its arguments.
    """
    lines = [
        f"Run {tool.name} once? {tool.title} ({tool.effect}) on {platform}, account {account}. This is what will be "
        "sent; accept only if you want exactly this.",
        *(_line(argument) for argument in shown),
    ]
    return "\n".join(lines)


_LONGEST_HANDLE: Final = 64


def _shown(name: str, value: Any, files: Mapping[str, str]) -> ShownArgument:
    quoted = not isinstance(value, str)
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if quoted else str(value)
    safe = fence_text(text)
    found = [files[handle] for handle in handles(value) if handle in files]
    return ShownArgument(
        name=name,
        text=safe,
        quoted=quoted,
        length=len(text),
        hidden=max(len(text.replace("\r\n", "\n")) - len(safe), 0),
        file=", ".join(found) or None,
    )


def _line(argument: ShownArgument) -> str:
    text = argument.text if not argument.quoted else orjson.dumps(orjson.loads(argument.text)).decode()
    first = text[:LONGEST]
    value = first if argument.quoted else orjson.dumps(first).decode()
    notes = []
    if len(text) > LONGEST:
        notes.append(f"only the first {LONGEST} of {argument.length} characters are shown")
    if argument.hidden:
        notes.append(f"hidden characters that are not shown: {argument.hidden}")
    if argument.file is not None:
        notes.append(f"file: {argument.file}")
    return f"- {argument.name} = {value}" + (f" [{'; '.join(notes)}]" if notes else "")
