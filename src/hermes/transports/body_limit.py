"""A bound on bodies that are read whole, before it is known who sent them."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 4 * 1024 * 1024
"""Larger than any JSON that the routes take; most have tighter bounds of their own."""

_STREAMED: Final = frozenset({"/api/media"})
"""Paths whose bodies are never held in memory."""


class BodyLimit:
    """ASGI middleware around the JSON routes: FastAPI reads a whole body before it asks who is calling."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _STREAMED:
            await self._app(scope, receive, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise HTTPException(413)
            return message

        await self._app(scope, bounded, send)
