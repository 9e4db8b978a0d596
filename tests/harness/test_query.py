"""Arguments in a URL's query mean the same as the same arguments in JSON, for every tool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.arguments import example_of, facts_of
from hermes.platforms.base import Tool
from hermes.platforms.catalog import load_catalog
from hermes.platforms.facts import shown
from hermes.transports.rest import query_arguments

TOOLS = load_catalog().tools
IN_QUERY = {"string", "integer", "number", "boolean"}


def plain(schema: Mapping[str, Any]) -> bool:
    """Whether an argument can stand in a query: text, numbers, true and false, and lists of them."""
    if "enum" in schema or "const" in schema:
        return True
    if "anyOf" in schema:
        return all(choice.get("type") == "null" or plain(choice) for choice in schema["anyOf"])
    kinds = schema.get("type")
    kinds = set(kinds if isinstance(kinds, list) else [kinds]) - {"null"}
    return kinds <= IN_QUERY or (kinds == {"array"} and plain(schema.get("items", {})))


def query_of(arguments: Mapping[str, Any]) -> bytes:
    """The arguments as a browser or curl writes them."""

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    pairs = [
        (name, text(item))
        for name, value in arguments.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return urlencode(pairs).encode()


def both(tool: Tool, arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    """What JSON and what the query make of the arguments: the checked values, or None where they are refused."""
    query = query_arguments(tool, query_of(arguments))
    found: list[Any] = []
    for read in (lambda: tool.validate(arguments), lambda: tool.validate_query(query)):
        try:
            found.append(_without_kinds(tool, read().model_dump()))
        except ValidationError:
            found.append(None)
    return found[0], found[1]


def _without_kinds(tool: Tool, checked: dict[str, Any]) -> dict[str, Any]:
    """A query does not tell a number from its digits: where an argument may be either, they mean the same."""
    either = {
        name
        for name, schema in tool.input_schema["properties"].items()
        if {"integer", "string"} <= {choice.get("type") for choice in schema.get("anyOf", ())}
    }
    return {name: _number(value) if name in either else value for name, value in checked.items()}


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value) else value


@pytest.mark.parametrize("name", TOOLS)
def test_the_example_means_the_same(name: str) -> None:
    tool = TOOLS[name]
    arguments = shown(example_of(tool, facts_of(tool.platform)))
    arguments = {key: value for key, value in arguments.items() if plain(tool.input_schema["properties"][key])}
    if not set(tool.input_schema.get("required", ())) <= set(arguments):
        assert tool.rest_method not in ("GET", "DELETE"), "it needs an argument that a query cannot hold"
        return
    by_json, by_query = both(tool, arguments)
    assert by_json is not None
    assert by_query == by_json


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values around what an argument may be; also ones it may not."""
    if "enum" in schema:
        return st.sampled_from([choice for choice in schema["enum"] if choice is not None])
    if "anyOf" in schema:
        return st.one_of(*(values(choice) for choice in schema["anyOf"] if choice.get("type") != "null"))
    kinds = schema.get("type", "string")
    kinds = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    return st.one_of(*(_simple(kind, schema) for kind in kinds))


def _simple(kind: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        least, most = schema.get("minimum", 0), schema.get("maximum", 2**40)
        return st.integers(least - 2, most + 2)
    if kind == "number":
        return st.floats(-200, 200)
    if kind == "array":
        return st.lists(values(schema["items"]), min_size=1, max_size=4)
    text = st.text(st.characters(codec="utf-8"), min_size=0, max_size=40)
    if "pattern" in schema:
        return st.one_of(st.from_regex(schema["pattern"], fullmatch=True).filter(_carried), text)
    return text


def _carried(text: str) -> bool:
    return all(not 0xD800 <= ord(character) < 0xE000 for character in text)


@pytest.mark.parametrize("name", [name for name, tool in TOOLS.items() if tool.rest_method in ("GET", "DELETE")])
def test_whatever_is_given_means_the_same(name: str) -> None:
    tool = TOOLS[name]
    properties = tool.input_schema["properties"]
    required = set(tool.input_schema.get("required", ()))
    assert all(plain(schema) for schema in properties.values()), "a query cannot hold every argument"
    parts = {key: values(schema) for key, schema in properties.items()}
    wanted = {key: part for key, part in parts.items() if key in required}
    optional = {key: part for key, part in parts.items() if key not in required}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.fixed_dictionaries(wanted, optional=optional))
    def agree(arguments: dict[str, Any]) -> None:
        by_json, by_query = both(tool, arguments)
        assert by_query == by_json

    agree()
