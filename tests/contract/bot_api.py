"""Checks requests against the list of the Bot API's methods: fields known, required ones there, types as listed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from contract.requests import Sent

_PATH = re.compile(r"/bot[^/]+/(\w+)")


A_FILE = object()
"""What stands in a checked form for a file."""


class BotApi:
    """The description: `methods` and `types`, each with its fields."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._methods = document["methods"]
        self._types = document["types"]

    def problems(self, sent: Sent) -> list[str]:
        """What is wrong with a request; empty when it fits."""
        method = self.operation_of(sent)
        if method is None:
            return [f"{sent.method} {_PATH.sub('/bot…', sent.path)}: there is no such method"]
        body = sent.body or {}
        if sent.content_type == "multipart/form-data":
            fields = self._methods[method].get("fields", ())
            kinds = {field["name"]: field["types"] for field in fields}
            body = {name: _from_form(kinds.get(name, ()), value) for name, value in body.items()}
        if sent.query:
            return [f"{method}: parameters are in the URL"]
        return [f"{method}{problem}" for problem in self._fields(self._methods[method].get("fields", ()), body)]

    def operation_of(self, sent: Sent) -> str | None:
        found = _PATH.fullmatch(sent.path)
        return found[1] if found is not None and found[1] in self._methods else None

    def _fields(self, fields: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Iterator[str]:
        known = {field["name"]: field for field in fields}
        for name, field in known.items():
            if field["required"] and name not in given:
                yield f".{name}: is required"
        for name, value in given.items():
            if name not in known:
                yield f".{name}: is not known"
            elif not any(self._is(kind, value) for kind in known[name]["types"]):
                yield f".{name}: is none of {known[name]['types']}"

    def _is(self, kind: str, value: Any) -> bool:
        if kind.startswith("Array of "):
            inner = kind.removeprefix("Array of ")
            return isinstance(value, list) and all(self._is(inner, one) for one in value)
        match kind:
            case "Integer":
                return isinstance(value, int) and not isinstance(value, bool)
            case "Float":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "Boolean":
                return isinstance(value, bool)
            case "String":
                return isinstance(value, str)
            case "InputFile":
                return value is A_FILE
        described = self._types[kind]
        if described.get("subtypes"):
            return any(self._is(one, value) for one in described["subtypes"])
        return isinstance(value, dict) and not list(self._fields(described.get("fields", ()), value))


def _from_form(kinds: Sequence[str], text: str) -> Any:
    """A form's text as the field means it: a file, JSON, or the text itself."""
    if "InputFile" in kinds:
        return A_FILE
    if "String" in kinds:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
