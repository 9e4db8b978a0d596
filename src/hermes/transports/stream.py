"""The response of one request: plain JSON, or an event stream as soon as there is something to tell before the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from hermes.transports.asgi import HeaderList, Incoming, disconnected
from hermes.transports.exchange import Answer
from hermes.transports.inbound import Notify

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy closes the stream."""

SSE_HEADERS: Final[HeaderList] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
PING: Final = b": ping\r\n\r\n"


def event(body: bytes, name: bytes = b"message") -> bytes:
    """One event of a stream; the body is JSON and so has no line break."""
    return b"event: " + name + b"\r\ndata: " + body + b"\r\n\r\n"


class ResponseStream:
    """Sends the answer of one request.

    Args:
        incoming: the request.
        may_stream: whether the client takes an event stream.
        cancel_with_client: whether the work ends when the client goes (the modern era) or is finished (legacy).
        keep_alive: seconds of silence before a comment is sent.
    """

    def __init__(
        self,
        incoming: Incoming,
        *,
        may_stream: bool,
        cancel_with_client: bool,
        keep_alive: float = KEEP_ALIVE,
    ) -> None:
        self._incoming = incoming
        self._send = incoming.send
        self._may_stream = may_stream
        self._cancel_with_client = cancel_with_client
        self._keep_alive = keep_alive
        self._lock = asyncio.Lock()
        self.started = False

    async def run(self, work: Callable[[Notify | None], Awaitable[Answer]]) -> None:
        """Do the work and send what it gives, with notifications before it as they come.

        Raises:
            Exception: what the work raises.
        """
        task = asyncio.ensure_future(work(self._notify if self._may_stream else None))
        # A legacy client that goes away cancels nothing, and what is sent to it then is dropped by the server.
        gone = asyncio.ensure_future(disconnected(self._incoming.receive)) if self._cancel_with_client else None
        try:
            if await self._wait(task, gone):
                await self._finish(task.result())
        finally:
            if gone is not None:
                gone.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    async def _wait(self, task: asyncio.Future[Answer], gone: asyncio.Future[None] | None) -> bool:
        """Wait for the work; false when the client went away first and the work is to end with it."""
        waiting: set[asyncio.Future[Answer] | asyncio.Future[None]] = {task} if gone is None else {task, gone}
        timeout = self._keep_alive if self._may_stream else None
        while True:
            done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return True
            if done:
                return False
            await self._write(PING)

    async def _notify(self, body: bytes) -> None:
        if self._may_stream:
            await self._write(event(body))

    async def _write(self, chunk: bytes) -> None:
        async with self._lock:
            if not self.started:
                self.started = True
                await self._send(
                    {"type": "http.response.start", "status": 200, "headers": [*SSE_HEADERS, *self._incoming.extra]}
                )
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _finish(self, outcome: Answer) -> None:
        if self.started:
            await self.end(outcome.body)
        else:
            await self._incoming.answer(outcome.status, outcome.body)

    async def end(self, body: bytes) -> None:
        """Send the last event of a stream that was begun."""
        async with self._lock:
            await self._send({"type": "http.response.body", "body": event(body), "more_body": False})
