"""How questions reach clients: as an `input_required` result in the modern era, as requests of ours in a session.

Source: MCP 2026-07-28, basic/patterns/mrtr; 2025-11-25, client/elicitation, client/sampling, client/roots.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PROTOCOL_VERSION_META_KEY,
    ElicitRequest,
    ElicitRequestURLParams,
    InputRequest,
)
from mcp_types.methods import serialize_server_result
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import ValidationError

from hermes.errors import BadInput, Conflict, MissingCapability
from hermes.gateway.asking import Dialogue, InputRequired, answer_type, written

Context = ServerRequestContext[Any, Any]
Work = Callable[[Dialogue | None], Awaitable[dict[str, Any]]]
"""Does what was asked for, with what the client can be asked and has answered; None: it cannot be asked."""

_MOST_ROUNDS: Final = 8
_ANSWER_SECONDS: Final = 300.0


async def answering(context: Context, work: Work) -> dict[str, Any]:
    """Do work that may have to ask, in the way that this client's era has; for handlers of the SDK's server.

    Raises:
        MCPError: as `translated`.
        Conflict: the client of a session did not answer.
    """
    dialogue = dialogue_of(context.params)
    if dialogue is not None or not context.session.can_send_request:
        return await translated(work(dialogue), context.method, modern=dialogue is not None)
    return await translated(_in_session(context, work), context.method, modern=False)


async def translated(work: Awaitable[dict[str, Any]], method: str, *, modern: bool) -> dict[str, Any]:
    """Await a result, or what has to be asked first as the result that says so.

    Raises:
        MCPError: -32602, an answer or its state does not fit; -32021 (modern only), the client cannot be asked.
        MissingCapability: a legacy client cannot be asked.
    """
    try:
        return await work
    except InputRequired as required:
        return _result(required, method)
    except BadInput as error:
        raise MCPError(code=INVALID_PARAMS, message=error.message) from None
    except MissingCapability as error:
        if not modern:
            raise
        raise incapable(error) from None


def dialogue_of(params: Mapping[str, Any] | None) -> Dialogue | None:
    """What a request of the modern era says of being asked, and answers; None in the legacy era."""
    meta = params.get("_meta") if params else None
    if params is None or not isinstance(meta, Mapping) or PROTOCOL_VERSION_META_KEY not in meta:
        return None
    capabilities, responses = meta.get(CLIENT_CAPABILITIES_META_KEY), params.get("inputResponses")
    state = params.get("requestState")
    return Dialogue(
        capabilities if isinstance(capabilities, Mapping) else {},
        responses if isinstance(responses, Mapping) else {},
        state if isinstance(state, str) else None,
    )


def incapable(error: MissingCapability) -> MCPError:
    """The protocol's own error for a capability that the client did not declare."""
    return MCPError(
        code=MISSING_REQUIRED_CLIENT_CAPABILITY,
        message=error.message,
        data={"requiredCapabilities": error.data.get("required_capabilities", {})},
    )


def _result(required: InputRequired, method: str) -> dict[str, Any]:
    asked = {
        "resultType": "input_required",
        "inputRequests": written(required.requests),
        "requestState": required.state,
    }
    return {"_meta": {}, **serialize_server_result(method, LATEST_MODERN_VERSION, asked)}


async def _in_session(context: Context, work: Work) -> dict[str, Any]:
    """Do the work as often as it asks, and have the session's client answer in between."""
    declared = context.session.client_capabilities
    capabilities = declared.model_dump(mode="json", by_alias=True, exclude_none=True) if declared is not None else {}
    dialogue = Dialogue(capabilities)
    for _ in range(_MOST_ROUNDS):
        try:
            return await work(dialogue)
        except InputRequired as required:
            answers = {key: await _ask(context, request) for key, request in required.requests.items()}
            dialogue = Dialogue(capabilities, answers, required.state)
    raise Conflict(f"This asked {_MOST_ROUNDS} times and did not come to an end.")


async def _ask(context: Context, request: InputRequest) -> dict[str, Any]:
    if isinstance(request, ElicitRequest) and isinstance(request.params, ElicitRequestURLParams):
        # 2025-11-25 wants an id; nothing refers to it, since we learn of the end when the page was used.
        params = request.params.model_copy(update={"elicitation_id": secrets.token_hex(16)})
        request = request.model_copy(update={"params": params})
    try:
        answer = await context.session.send_request(
            request,
            answer_type(request),
            request_read_timeout_seconds=_ANSWER_SECONDS,
            metadata=ServerMessageMetadata(related_request_id=context.request_id),
        )
    except (MCPError, ValidationError):
        raise Conflict("The client gave no answer to what it was asked first. Call again to be asked again.") from None
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)
