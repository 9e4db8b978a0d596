"""Reading and writing the YAML of properties as Obsidian does: YAML 1.2, where `yes` and `12:30` are text.

Dates stay the text they are written as, and what hostile YAML could do (endless nesting, references that multiply)
ends in an error.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

MAX_BYTES = 64 * 1024
_MAX_DEPTH = 40
_MAX_NODES = 10_000
# Up to so many of the characters that can open a level, libyaml's recursion is harmless; beyond, levels are counted.
_HARMLESS_OPENERS = 1000

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # a PyYAML built without libyaml: the same behaviour, slower
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]  # same constructor and methods


class PropertiesError(ValueError):
    """The YAML cannot be read. The message is the parser's, with its line in the note."""


class _Loader(_SafeLoader):  # pyright: ignore[reportGeneralTypeIssues]  # one of two classes of the same kind
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML reads it so)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for something else than text, except dates, which Obsidian wants bare."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML reads it so)
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)  # Obsidian indents the items of lists

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     list("-+.0123456789")),
)  # fmt: skip
for _name, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def load_properties(text: str) -> dict[str, Any]:
    """The properties of a frontmatter block, JSON-ready.

    Raises:
        PropertiesError: it is not YAML, not a mapping, or too large or deep.
    """
    _check_size(text)
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  (derives from SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError) as error:
        raise PropertiesError(_message(error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PropertiesError("the properties are not a list of `name: value` lines")
    return plain(value)


def plain(value: dict[Any, Any]) -> dict[str, Any]:
    """A mapping as JSON values, as `load_properties` gives them. Raises PropertiesError if it is too large or deep."""
    converted: dict[str, Any] = _Plain().convert(value, 0)
    return converted


def compose(text: str) -> yaml.Node | None:
    """The node tree with the places of names and values. Raises PropertiesError."""
    _check_size(text)
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PropertiesError(_message(error)) from None
    return node


def dump_property(name: str, value: Any) -> list[str]:
    """The lines of `name: value`."""
    text = yaml.dump(
        {name: value}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, default_flow_style=False, width=math.inf
    )
    return str(text).rstrip("\n").split("\n")


def _check_size(text: str) -> None:
    if len(text.encode()) > MAX_BYTES:
        raise PropertiesError(f"the properties are larger than {MAX_BYTES} bytes")
    if sum(text.count(char) for char in "[{-?") <= _HARMLESS_OPENERS:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise PropertiesError(f"the properties are nested deeper than {_MAX_DEPTH} levels")
    except yaml.YAMLError as error:
        raise PropertiesError(_message(error)) from None


def _message(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    # The opening `---` is the note's first line and the parser counts from zero.
    return f"line {mark.line + 2}: {problem}" if mark is not None else str(problem)


class _Plain:
    """Turns what the parser made into JSON values, counting every visit: a reference used twice counts twice."""

    def __init__(self) -> None:
        self._left = _MAX_NODES

    def convert(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise PropertiesError("the properties are nested or repeated beyond what hermes reads")
        if isinstance(value, dict):
            return {_key(key): self.convert(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self.convert(item, depth + 1) for item in value]
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, int) and not isinstance(value, bool):
            # Beyond 2^53 a JSON reader would round it.
            return value if abs(value) <= 2**53 else str(value)
        return value if isinstance(value, str | bool | None) else str(value)


def _key(key: Any) -> str:
    return (
        key
        if isinstance(key, str)
        else "null"
        if key is None
        else str(key).lower()
        if isinstance(key, bool)
        else str(key)
    )
