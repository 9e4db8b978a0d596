"""Which arguments of a tool a set of runs gives, down to the members of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def declared(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every argument and member of one, as `name`, `name.member`, through lists and alternatives."""
    for name, below in schema.get("properties", {}).items():
        yield f"{path}{name}"
        yield from declared(below, f"{path}{name}.")
    for key in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(key, ()):
            yield from declared(one, path)
    if isinstance(schema.get("items"), Mapping):
        yield from declared(schema["items"], path)


def given(value: Any, path: str = "") -> Iterator[str]:
    """Every member that a value has, named as `declared` names it."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield f"{path}{name}"
            yield from given(below, f"{path}{name}.")
    elif isinstance(value, list):
        for one in value:
            yield from given(one, path)
