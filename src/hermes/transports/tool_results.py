"""How the outcome of a call looks as an MCP `tools/call` result."""

from __future__ import annotations

import math
from typing import Any, Final

import orjson

from hermes.errors import HermesError
from hermes.gateway.results import CallResult

ERROR_KEY: Final = "com.squaremcp/error"
CALL_ID_KEY: Final = "com.squaremcp/call-id"
ACCOUNT_KEY: Final = "com.squaremcp/account"
IDEMPOTENCY_KEY: Final = "com.squaremcp/idempotency-key"


def success(result: CallResult) -> dict[str, Any]:
    """The result of a call that succeeded: the JSON as text for models, and as structured content for programs; before
    it the blocks to show, if there are any."""
    told = {CALL_ID_KEY: result.call_id or None, ACCOUNT_KEY: result.account}
    shown: dict[str, Any] = {
        "_meta": {name: value for name, value in told.items() if value is not None},
        "content": [],
        "isError": False,
        "resultType": "complete",
    }
    data = result.structured
    if result.blocks:
        data = {name: value for name, value in data.items() if name != "content"}
        shown["content"] = list(result.structured["content"])
    if data or not result.blocks:
        shown["content"].append({"text": orjson.dumps(data).decode(), "type": "text"})
        shown["structuredContent"] = data
    return shown


def failure(error: HermesError) -> dict[str, Any]:
    """The result of a call that failed: text with the way out, and the error's members in `_meta`.

    Not in `structuredContent`: TypeScript SDK 1.x, which most clients are built on, checks that against the tool's
    output schema in errors too and throws the message away
    (https://github.com/modelcontextprotocol/typescript-sdk/issues/2748).
    """
    return {
        "_meta": {ERROR_KEY: orjson.loads(orjson.dumps(error.as_dict(), default=str))},
        "content": [{"text": error_text(error), "type": "text"}],
        "isError": True,
        "resultType": "complete",
    }


def error_text(error: HermesError) -> str:
    """The message, and below it what a model needs of the details and the message does not say already."""
    lines = [error.message]
    fields = error.data.get("fields")
    for item in fields if isinstance(fields, list) else ():
        if isinstance(item, dict) and str(item.get("problem")) not in error.message:
            lines.append(f"- {item.get('field')}: {item.get('problem')}")
    link = error.data.get("connect_url")
    if isinstance(link, str) and link not in error.message:
        lines.append(f"Connect here: {link}")
    if error.retry_after is not None:
        lines.append(f"Try again in {max(1, math.ceil(error.retry_after))} s.")
    return "\n".join(lines)
