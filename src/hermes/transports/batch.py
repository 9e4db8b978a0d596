"""JSON-RPC batches, which only 2025-03-26 has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp_types import INVALID_REQUEST

from hermes.transports.exchange import Answer, error_body

LONGEST: Final = 50
"""How many messages a batch may have; each counts as a request of its own."""


async def run_batch(messages: list[Any], one: Callable[[Any], Awaitable[Answer | None]]) -> Answer:
    """Run each message as if it had come alone, side by side, and collect the answers in order.

    Args:
        messages: the parsed array.
        one: runs one message; gives None for what needs no answer.

    Returns:
        An array of answers; 202 without a body when nothing needs one; an error for an empty or too long batch.
    """
    if not messages or len(messages) > LONGEST:
        return Answer(400, error_body(None, INVALID_REQUEST, f"A batch has 1 to {LONGEST} messages"))
    # Every message is finished before an error of one is raised: a call that was begun is never abandoned for it.
    outcomes = await asyncio.gather(*(_run(message, one) for message in messages), return_exceptions=True)
    bodies: list[bytes] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is not None:
            bodies.append(outcome.body)
    return Answer(200, b"[" + b",".join(bodies) + b"]") if bodies else Answer(202, b"")


async def _run(message: Any, one: Callable[[Any], Awaitable[Answer | None]]) -> Answer | None:
    if isinstance(message, dict) and message.get("method") == "initialize":
        return Answer(400, error_body(None, INVALID_REQUEST, "initialize cannot be part of a batch"))
    return await one(message)
