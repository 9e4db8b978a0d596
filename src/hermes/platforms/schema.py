"""Exact JSON Schema 2020-12 from pydantic models, without pydantic's noise."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_NOISE = ("title", "discriminator")


def input_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's arguments: closed, references inlined, optional arguments as `type: [T, null]`.

    What it accepts is exactly what the model accepts in strict mode.
    """
    schema = _inline(model.model_json_schema(mode="validation"))
    schema.pop("description", None)
    schema.setdefault("properties", {})
    schema["additionalProperties"] = False
    return schema


def output_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's result as it is sent, that is with members that are null left out."""
    schema = _inline(model.model_json_schema(mode="serialization"))
    schema.pop("description", None)
    schema.setdefault("properties", {})
    result: Schema = _without_null(schema)
    return result


def without_member(schema: Schema, name: str) -> Schema | None:
    """The schema of an object without one of its members; None when it has no other."""
    properties = {key: value for key, value in schema["properties"].items() if key != name}
    required = [key for key in schema.get("required", ()) if key != name]
    rest = {key: value for key, value in schema.items() if key not in ("properties", "required")}
    return {**rest, "properties": properties, **({"required": required} if required else {})} if properties else None


def _inline(schema: Schema) -> Schema:
    definitions = schema.pop("$defs", {})

    def walk(node: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [walk(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if reference is not None:
            name = reference.rsplit("/", 1)[-1]
            if name in inside:
                raise TypeError(f"{name} refers to itself; a tool's schema must be finite")
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return walk(definitions[name], (*inside, name)) | walk(rest, inside)
        return _tidy({key: _walk_member(key, value, inside) for key, value in node.items()})

    def _walk_member(key: str, value: Any, inside: tuple[str, ...]) -> Any:
        # The members of "properties" are names of arguments: an argument called "title" is not noise.
        if key == "properties":
            return {name: walk(item, inside) for name, item in value.items()}
        if key in ("default", "const", "enum", "examples"):
            return value
        return walk(value, inside)

    result: Schema = walk(schema, ())
    return result


def _tidy(node: Schema) -> Schema:
    tidy = {key: value for key, value in node.items() if key not in _NOISE or not isinstance(value, str | dict)}
    if "default" in tidy and tidy["default"] is None:
        del tidy["default"]
    choices = tidy.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices and len(choices) == 2:
        other = next(choice for choice in choices if choice != {"type": "null"})
        if isinstance(other.get("type"), str):
            del tidy["anyOf"]
            merged = {**other, **tidy, "type": [other["type"], "null"]}
            if "enum" in merged:
                merged["enum"] = [*merged["enum"], None]
            if "const" in merged:
                merged["enum"] = [merged.pop("const"), None]
            return merged
    return tidy


def _without_null(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    cleaned = {
        key: {name: _without_null(item) for name, item in value.items()}
        if key == "properties"
        else value
        if key in ("default", "const", "enum", "examples")
        else _without_null(value)
        for key, value in node.items()
    }
    properties = node.get("properties", {})
    if "required" in cleaned:
        cleaned["required"] = [name for name in cleaned["required"] if not _nullable(properties.get(name, {}))]
        if not cleaned["required"]:
            del cleaned["required"]
    return _drop_null(cleaned)


def _nullable(node: Schema) -> bool:
    kind = node.get("type")
    return (isinstance(kind, list) and "null" in kind) or {"type": "null"} in node.get("anyOf", [])


def _drop_null(node: Schema) -> Schema:
    kind = node.get("type")
    if isinstance(kind, list) and "null" in kind:
        rest = [name for name in kind if name != "null"]
        node = {**node, "type": rest[0] if len(rest) == 1 else rest}
        if "enum" in node:
            node["enum"] = [value for value in node["enum"] if value is not None]
    choices = node.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        node = {**node, "anyOf": [choice for choice in choices if choice != {"type": "null"}]}
    return node
