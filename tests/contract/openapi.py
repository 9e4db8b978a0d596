"""Checks requests against an OpenAPI description: path, query and body; nothing unknown or missing, types as said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import jsonschema

from contract.requests import Sent

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri", raises=ValueError)
def _uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


class OpenApi:
    """One description. `prefix` is what stands in the requests' paths before the description's own."""

    def __init__(self, document: Mapping[str, Any], prefix: str = "") -> None:
        # A description that lets unknown keys pass would let a misspelled one pass: all objects are closed here.
        self._document = _closed(document)
        self._prefix = prefix
        self._paths = [(_pattern(path), path, item) for path, item in self._document["paths"].items()]
        # A fixed path wins over one with parameters.
        self._paths.sort(key=lambda entry: entry[1].count("{"))

    def problems(self, sent: Sent) -> list[str]:
        """What is wrong with a request; empty when it fits."""
        found = self._operation(sent)
        if found is None:
            return [f"{sent.method} {sent.path}: there is no such operation"]
        path, item, operation, values = found
        declared = [self._resolved(one) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        named = {(one["in"], one["name"]): one for one in declared}
        problems = [*self._in_path(named, values), *self._in_query(named, sent), *self._in_body(operation, sent)]
        return [f"{sent.method} {path}: {problem}" for problem in problems]

    def operation_of(self, sent: Sent) -> str | None:
        """`METHOD /path/{template}` of a request."""
        found = self._operation(sent)
        return None if found is None else f"{sent.method} {found[0]}"

    def _operation(self, sent: Sent) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, str]] | None:
        if not sent.path.startswith(self._prefix):
            return None
        below = sent.path.removeprefix(self._prefix)
        for pattern, path, item in self._paths:
            match = pattern.fullmatch(below)
            if match is not None and sent.method.lower() in item:
                names = re.findall(r"{(\w+)}", path)
                return path, item, item[sent.method.lower()], dict(zip(names, match.groups(), strict=True))
        return None

    def _in_path(self, named: Mapping[tuple[str, str], Any], values: Mapping[str, str]) -> Iterator[str]:
        for name, value in values.items():
            yield from self._checked(f"path {name}", named["path", name]["schema"], value)

    def _in_query(self, named: Mapping[tuple[str, str], Any], sent: Sent) -> Iterator[str]:
        given = [name for name, _ in sent.query]
        for (place, name), parameter in named.items():
            if place == "query" and parameter.get("required") and name not in given:
                yield f"query {name}: is required"
        for name, value in sent.query:
            parameter = named.get(("query", name))
            if parameter is None:
                yield f"query {name}: is not known"
            elif given.count(name) > 1 and not parameter.get("explode", True):
                yield f"query {name}: is given more than once"
            else:
                yield from self._checked(f"query {name}", parameter["schema"], self._from_text(parameter, value))

    def _from_text(self, parameter: Mapping[str, Any], text: str) -> Any:
        schema = self._resolved(parameter["schema"])
        if schema.get("type") == "array":
            return text.split(",") if not parameter.get("explode", True) else [text]
        return _from_text(schema.get("type"), text)

    def _in_body(self, operation: Mapping[str, Any], sent: Sent) -> Iterator[str]:
        declared = operation.get("requestBody")
        if declared is None:
            if sent.body is not None:
                yield "body: none is declared"
            return
        if sent.body is None:
            if declared.get("required"):
                yield "body: is required"
            return
        media = declared["content"].get(sent.content_type)
        if media is None:
            yield f"body: {sent.content_type} is not declared"
            return
        body = sent.body
        if sent.content_type == "multipart/form-data":
            known = self._resolved(media["schema"]).get("properties", {})
            body = {name: _from_text(known.get(name, {}).get("type"), value) for name, value in body.items()}
        yield from self._checked("body", media["schema"], body)

    def _checked(self, where: str, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
        whole = {**schema, "components": self._document.get("components", {})}
        for error in jsonschema.Draft202012Validator(whole, format_checker=FORMATS).iter_errors(value):
            yield f"{where}{error.json_path.removeprefix('$')}: {error.message}"

    def _resolved(self, node: Any) -> Any:
        while "$ref" in node:
            target: Any = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node


def _pattern(path: str) -> re.Pattern[str]:
    fixed = re.split(r"{\w+}", path)
    return re.compile("([^/]+)".join(re.escape(part) for part in fixed))


def _from_text(kind: Any, text: str) -> Any:
    """A value as its text means it; what means none stays a text, which then does not fit."""
    if kind == "integer" and re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "type" in node and "additionalProperties" not in node:
        closed["additionalProperties"] = False
    return closed
