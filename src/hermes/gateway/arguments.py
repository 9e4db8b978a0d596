"""From what a client sent to a tool's checked arguments: clear errors that name the field and what is allowed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from hermes.errors import InvalidArguments
from hermes.platforms.base import Tool
from hermes.platforms.schema import Schema

_MAX_SHOWN = 10


def check_arguments(tool: Tool, arguments: Mapping[str, Any], *, query: bool) -> BaseModel:
    """Validate a call's arguments.

    Args:
        query: they are strings of a URL's query.

    Raises:
        InvalidArguments: `fields` has one `{field, problem}` for each fault.
    """
    try:
        return tool.validate_query(arguments) if query else tool.validate(arguments)
    except ValidationError as error:
        raise _explain(tool, error) from None
    except (TypeError, ValueError) as error:
        raise InvalidArguments(
            f"The arguments of {tool.name} hold something that JSON cannot carry: text must be valid Unicode and "
            "whole numbers must fit 64 bits.",
            detail=type(error).__name__,
        ) from None


def _explain(tool: Tool, error: ValidationError) -> InvalidArguments:
    known = tool.arguments_model.model_fields
    fields = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:_MAX_SHOWN]:
        name = ".".join(str(part) for part in item["loc"])[:100]
        if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
            problem = f"is not an argument of {tool.name}; it takes {', '.join(known) or 'none'}"
        elif item["type"] == "missing":
            problem = "is required"
        else:
            problem = item["msg"][0].lower() + item["msg"][1:]
        fields.append({"field": name, "problem": problem})
    first = fields[0]
    return InvalidArguments(f"Argument {first['field']!r} of {tool.name}: {first['problem']}.", fields=fields)


def with_account(schema: Schema, accounts: Sequence[str]) -> Schema:
    """The tool's schema with `account` as an argument, for a caller who has a choice to make."""
    choice = {
        "type": "string",
        "enum": list(accounts),
        "description": f"Which linked account to use; without it: {accounts[0]}.",
    }
    return {**schema, "properties": {**schema["properties"], "account": choice}}


def check_account(accounts: Sequence[str], given: Any) -> str:
    """The label of one of the caller's accounts.

    Raises:
        InvalidArguments: it is none of them; the error lists them.
    """
    if given not in accounts:
        problem = f"must be one of {', '.join(accounts)}"
        raise InvalidArguments(f"Argument 'account': {problem}.", fields=[{"field": "account", "problem": problem}])
    return str(given)


def check_idempotency_key(key: str) -> str:
    """The client's key, if it is 1 to 255 printable ASCII characters.

    Raises:
        InvalidArguments: it is something else.
    """
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        problem = "must be 1 to 255 printable ASCII characters"
        raise InvalidArguments(
            f"The idempotency key {problem}.", fields=[{"field": "Idempotency-Key", "problem": problem}]
        )
    return key


def digest_of(account: str, arguments: Mapping[str, Any]) -> str:
    """What makes two calls the same call: the account and the arguments, whatever their order."""
    return hashlib.sha256(orjson.dumps([account, arguments], option=orjson.OPT_SORT_KEYS)).hexdigest()
