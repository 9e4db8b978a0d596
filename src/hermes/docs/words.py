"""JSON Schema in words, and Markdown's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def cell(text: str) -> str:
    """Text for a table's cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("](", "]&#40;")


def code(value: Any) -> str:
    """A JSON value as code, on one line."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"`{text}`".replace("|", "\\|")


def arguments(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Every argument, members of objects below them: name, kind, default, meaning."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        default = "required" if name in required else code(member["default"]) if "default" in member else ""
        yield f"`{path}`", cell(kind_of(member)), default, cell(member.get("description", ""))
        inner, mark = (member["items"], "[]") if isinstance(member.get("items"), dict) else (member, "")
        yield from arguments(inner, f"{path}{mark}.")


def kind_of(schema: Mapping[str, Any]) -> str:
    """What a value is and how large it may be, such as `text, 1 to 4,096 characters`."""
    if "enum" in schema:
        return "one of " + ", ".join(code(choice) for choice in schema["enum"] if choice is not None)
    if "const" in schema:
        return code(schema["const"])
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(kind_of(choice) for choice in choices))
    kinds = schema.get("type", "anything")
    kinds = [kind for kind in kinds if kind != "null"] if isinstance(kinds, list) else [kinds]
    return " or ".join(_simple(kind, schema) for kind in kinds)


def _simple(kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array":
        return (
            f"list of {kind_of(schema.get('items', {}))}{_between('', schema.get('minItems'), schema.get('maxItems'))}"
        )
    if kind == "string":
        word = {"date-time": "date and time", "date": "date"}.get(schema.get("format", ""), "text")
        return word + _between("characters", schema.get("minLength"), schema.get("maxLength"))
    if kind in ("integer", "number"):
        word = "whole number" if kind == "integer" else "number"
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        return word + _between("", least, schema.get("maximum", schema.get("exclusiveMaximum")))
    return {"boolean": "true or false"}.get(kind, kind)


def _between(unit: str, least: float | None, most: float | None) -> str:
    """`, 1 to 10 characters`; bounds that only guard against overflow are left out."""
    unit = f" {unit}" if unit else ""
    if most is not None and abs(most) >= 2**31:
        most = None
    if least is not None and (abs(least) >= 2**31 or (least == 0 and unit)):
        least = None
    if least is not None and most is not None:
        return f", {least:,} to {most:,}{unit}" if least != most else f", {most:,}{unit}"
    if most is not None:
        return f", at most {most:,}{unit}"
    return f", at least {least:,}{unit}" if least is not None else ""
