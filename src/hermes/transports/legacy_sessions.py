"""`MCP_LEGACY_SESSIONS=true`: the SDK's stateful sessions for legacy clients, kept in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Message

from hermes.identity.caller import Caller
from hermes.transports.asgi import Incoming
from hermes.transports.inbound import SCOPE_KEY, Inbound


class SdkSessions:
    """Hands legacy requests to the SDK's session manager, each bound to the caller it came from."""

    def __init__(self, server: Server[Any]) -> None:
        self._manager = StreamableHTTPSessionManager(server, stateless=False)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Keep sessions as long as this is entered."""
        async with self._manager.run():
            yield

    async def handle(self, incoming: Incoming, inbound: Inbound, body: bytes) -> None:
        """Serve one request whose body has been read already."""
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await incoming.receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        held = {**incoming.scope, "user": _user(inbound.caller), SCOPE_KEY: inbound}
        await self._manager.handle_request(held, replay, incoming.send)


def _user(caller: Caller) -> AuthenticatedUser:
    """The principal that a session belongs to: a session of one key is unknown to every other."""
    return AuthenticatedUser(
        AccessToken(
            token="", client_id=caller.key_id, scopes=[], subject=caller.customer_id, claims={"iss": caller.via}
        )
    )
