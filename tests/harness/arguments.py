"""Arguments for calls of a tool: ones that work, and ones with a fault, all from the declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import jsonschema
from pydantic import SecretStr

from hermes.platforms.base import Tool
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.facts import Facts, load_facts
from hermes.sandbox_mode import demo_credentials

Arguments = dict[str, Any]

LONG_TEXT = 1_100_000
"""More than a whole request to hermes may have."""

_WRONG: tuple[Any, ...] = ({"wrong": [1]}, [["wrong"]], "wrong", 3.75, True, 7)


def facts_of(platform_id: str) -> Facts:
    """The platform's facts; none for a platform without a file of them, which test_checklists.py tells."""
    try:
        return load_facts(platform_id)
    except FileNotFoundError:
        return Facts.model_construct()


def token_field(platform: AnyPlatform) -> str | None:
    """The credential's field of which the stand-in makes something special: a token, or a password."""
    fields = platform.credentials.model_fields
    if "password" in fields:
        return "password"
    return next((name for name, info in fields.items() if _is_secret(info.annotation) and "token" in name), None)


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)


def account_on(platform: AnyPlatform, number: int, word: str = "") -> tuple[Arguments, str | None]:
    """Credentials that the stand-in takes, of the account of that number, and the token by which it knows the account
    (None where there is none). `word`: what the token is to contain."""
    credentials: Arguments = dict(demo_credentials()[platform.id])
    field = token_field(platform)
    if field is None:
        return credentials, None
    for name, value in list(credentials.items()):
        if name == "address":
            credentials[name] = value.replace("@", f"{number:06}@")
        elif value.isdigit() and value in credentials[field]:
            # The token says which of the vendor's ids it controls: they are this account's alone, too.
            credentials[name] = f"{value[:-6]}{number:06}"
            credentials[field] = credentials[field].replace(value, credentials[name])
    credentials[field] = f"{credentials[field]}{number:06}{word}"
    return credentials, credentials[field]


def example_of(tool: Tool, facts: Facts) -> Arguments:
    """The example of the tool's platform, or what the schema itself says about the required arguments."""
    given = facts.examples.get(tool.name.removeprefix(f"{tool.platform}_"))
    if given is not None:
        return dict(given)
    properties = tool.input_schema["properties"]
    return {name: _generated(properties[name]) for name in tool.input_schema.get("required", ())}


def faulty(kind: str, tool: Tool, working: Mapping[str, Any]) -> Iterator[tuple[str, Arguments]]:
    """Every way in which the working arguments get this fault: the argument at fault, and the arguments."""
    properties = tool.input_schema["properties"]
    if kind == "missing_argument":
        for name in tool.input_schema.get("required", ()):
            yield name, {key: value for key, value in working.items() if key != name}
    elif kind == "wrong_type":
        for name, schema in properties.items():
            yield name, {**working, name: _of_wrong_type(schema)}
    elif kind == "too_long":
        for name, schema in properties.items():
            for value in _too_long(schema):
                yield name, {**working, name: value}
    else:
        yield "no_such_argument", {**working, "no_such_argument": "x"}


def _of_wrong_type(schema: Mapping[str, Any]) -> Any:
    validator = jsonschema.Draft202012Validator(schema)
    return next(value for value in _WRONG if not validator.is_valid(value))


def _too_long(schema: Mapping[str, Any]) -> Iterator[Any]:
    for choice in schema.get("anyOf", (schema,)):
        kinds = choice.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if "string" in kinds:
            yield "a" * (choice.get("maxLength", LONG_TEXT) + 1)
        if "array" in kinds and "maxItems" in choice:
            yield [_generated(choice["items"])] * (choice["maxItems"] + 1)
        if "integer" in kinds or "number" in kinds:
            most = choice.get("maximum", choice.get("exclusiveMaximum"))
            if most is not None:
                yield most + 1


def _generated(schema: Mapping[str, Any]) -> Any:
    """Something that fits, for schemas without patterns; a tool with others says an example in its facts."""
    for member in ("examples", "enum"):
        if schema.get(member):
            return schema[member][0]
    for member in ("const", "default"):
        if member in schema:
            return schema[member]
    if "anyOf" in schema:
        return _generated(schema["anyOf"][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: _generated(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [_generated(schema["items"])] * schema.get("minItems", 0)
    simple: Mapping[str, Any] = {
        "string": "a" * schema.get("minLength", 1),
        "integer": schema.get("minimum", 1),
        "number": schema.get("minimum", 1),
        "boolean": True,
    }
    return simple[kind]
