"""When an account is not linked or a call has to be approved: leading the person to our page, in the way that this
client understands.

Modern clients that open pages are asked to (`input_required`), and their retry simply runs the call again. Clients of
2025-11-25 that open pages get the error -32042, which says the same. Everybody else gets the link in the result's text.

Source: MCP 2026-07-28, client/elicitation; 2025-11-25, client/elicitation, "URL Elicitation Required Error".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import ElicitRequestURLParams

from hermes.errors import ApprovalRequired, NeedsReconnect, NotConnected
from hermes.gateway.asking import Asking, Dialogue
from hermes.gateway.call import Gateway
from hermes.gateway.connecting import question
from hermes.identity.caller import Caller
from hermes.transports.tool_results import failure

Mendable = NotConnected | NeedsReconnect | ApprovalRequired
"""Errors that a person mends on a page of ours."""


def opens_pages(capabilities: Any) -> bool:
    """Whether a client declared that it can be asked to open a page (ClientCapabilities, JSON)."""
    return isinstance(capabilities, Mapping) and Asking(capabilities).can("url")


def lead_to_page(
    gateway: Gateway,
    caller: Caller,
    call: tuple[str, Mapping[str, Any]],
    error: Mendable,
    *,
    modern: Dialogue | None,
    legacy: bool,
) -> dict[str, Any]:
    """The result of a call that a person has to do something for first, for clients that are not asked.

    Args:
        call: the tool's name and arguments.
        modern: what a request of the modern era says of being asked; None in the legacy era.
        legacy: whether it is a legacy client that opens pages.

    Raises:
        InputRequired: a modern client is asked.
        BadInput: its answer, or the state that came with it, does not fit.
        MCPError: -32042, a legacy client is asked.
    """
    if modern is not None:
        required = gateway.ask_to_open(caller, *call, modern, error)
        if required is not None:
            raise required
    elif legacy and (asked := question(error)) is not None:
        raise _elicitation_required(asked)
    return failure(error)


def _elicitation_required(asked: ElicitRequestURLParams) -> MCPError:
    # The version wants an id; nothing refers to it, since we learn of the end when the call comes again.
    return UrlElicitationRequiredError([asked.model_copy(update={"elicitation_id": secrets.token_hex(16)})])
