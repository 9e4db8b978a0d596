"""What a door knows about a message when it hands it on: who called, by which request, and how to report progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers

from hermes.gateway.results import Transport
from hermes.identity.caller import Caller
from hermes.transports.selection import EVERYTHING, Selection

SCOPE_KEY: Final = "hermes.inbound"
"""Where the SDK's own session transport finds the `Inbound` of the request it was handed."""

Notify = Callable[[bytes], Awaitable[None]]
"""Sends one JSON-RPC notification on the request's own stream."""

_CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
_LONGEST_CLIENT: Final = 100


async def _not_again() -> Caller:
    raise TypeError("this door does not authenticate a request twice")


@dataclass(frozen=True, slots=True)
class Inbound:
    """The request that a message came in.

    Attributes:
        caller: who is calling.
        request_id: the HTTP request's id.
        transport: by which door.
        client: what the client calls itself (untrusted).
        by_status: whether `NotAuthenticated` and `InsufficientScope` can still become an HTTP status.
        selection: which of the caller's tools this connection wants.
        opens_pages: whether a legacy client said at its `initialize` that it can be asked to open a page.
        notify: sends a notification on the request's own stream; None where there is none.
        again: authenticates the same request once more, for answers that stay open.
    """

    caller: Caller
    request_id: str
    transport: Transport
    client: str | None = None
    by_status: bool = False
    selection: Selection = EVERYTHING
    opens_pages: bool = False
    notify: Notify | None = None
    again: Callable[[], Awaitable[Caller]] = _not_again


def inbound_of(context: Any) -> Inbound:
    """The request that a message came in: handed on by our own doors, or in the scope of the SDK's sessions."""
    carried = context.request
    if isinstance(carried, Inbound):
        return carried
    inbound = carried.scope[SCOPE_KEY] if carried is not None else None
    if not isinstance(inbound, Inbound):
        raise TypeError("an MCP message reached its handler without a caller")
    return inbound


def client_name(params: Mapping[str, Any] | None, headers: Headers | None) -> str | None:
    """What the client calls itself: `name/version` of its `_meta`, else its User-Agent; printable and bounded."""
    meta = params.get("_meta") if params else None
    info = meta.get(_CLIENT_INFO) if isinstance(meta, Mapping) else None
    if isinstance(info, Mapping) and isinstance(info.get("name"), str):
        version = info.get("version")
        return _printable(f"{info['name']}/{version}" if isinstance(version, str) else info["name"])
    return _printable(headers.get("user-agent", "")) if headers is not None else None


def _printable(text: str) -> str | None:
    return "".join(char for char in text[:_LONGEST_CLIENT] if char.isprintable()) or None
