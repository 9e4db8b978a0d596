"""One open `/sse` stream: runs the letters that are posted to it and sends what comes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp_types import INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from redis.exceptions import RedisError

from hermes.cancellation import cancel
from hermes.errors import HermesError
from hermes.identity.caller import Caller
from hermes.transports.asgi import Incoming, disconnected
from hermes.transports.connecting import opens_pages
from hermes.transports.exchange import RpcRequest, Runner, error_body
from hermes.transports.inbound import Inbound
from hermes.transports.sse_mailbox import TTL_SECONDS, Address, Letter, Mailbox
from hermes.transports.stream import PING, SSE_HEADERS, event

_log = logging.getLogger(__name__)

RENEW_SECONDS: Final = TTL_SECONDS / 3
SEND_SECONDS: Final = 30.0
"""A client that does not read for so long is taken for gone."""

AT_ONCE: Final = 16
"""Requests of one stream that run at the same time; further ones wait in its inbox."""


class SseStream:
    """Holds one stream until its client goes, its key stops counting, or the server stops.

    Args:
        incoming: the GET that opened it.
        address: where its letters wait.
        caller: who opened it.
        again: authenticates the same headers again, so that a revoked key or a suspended customer is noticed.
        mailbox: brings the letters.
        runner: answers requests.
        running: keeps requests that outlive the stream: going away is no cancellation in this era.
    """

    def __init__(
        self,
        incoming: Incoming,
        address: Address,
        caller: Caller,
        again: Callable[[], Awaitable[Caller]],
        mailbox: Mailbox,
        runner: Runner,
        running: set[asyncio.Task[None]],
    ) -> None:
        self._incoming = incoming
        self._address = address
        self._caller = caller
        self._again = again
        self._mailbox = mailbox
        self._runner = runner
        self._running = running
        self._version = LATEST_HANDSHAKE_VERSION
        self._opens_pages = False
        self._requests: dict[Any, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._sending = asyncio.Lock()
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Close the stream."""
        self._ended.set()

    async def run(self, endpoint: str) -> None:
        """Serve the stream from its first event to its end.

        Raises:
            RedisError: it cannot be registered; nothing was sent.
        """
        wake = await self._mailbox.open(self._address, self._caller.key_id)
        try:
            await self._incoming.send(
                {"type": "http.response.start", "status": 200, "headers": [*SSE_HEADERS, *self._incoming.extra]}
            )
            await self._send(event(endpoint.encode(), b"endpoint"))
            await self._until_ended(wake)
        finally:
            self._ended.set()
            await self._forget()

    async def _until_ended(self, wake: asyncio.Event) -> None:
        ends = [
            asyncio.ensure_future(disconnected(self._incoming.receive)),
            asyncio.ensure_future(self._ended.wait()),
            asyncio.ensure_future(self._deliver(wake)),
            asyncio.ensure_future(self._keep()),
        ]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                finished.result()
        finally:
            await cancel(*ends)
        if self._ended.is_set():
            async with self._sending:
                await self._incoming.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _keep(self) -> None:
        """Renew the registration, show that the stream is alive, and see that its key still counts."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._refresh_caller()
                await self._mailbox.renew(self._address, self._caller.key_id)
            except HermesError:
                self.end()
                return
            except RedisError:
                _log.warning("an /sse stream could not be renewed")
            await self._send(PING)

    async def _deliver(self, wake: asyncio.Event) -> None:
        while True:
            await self._room.acquire()
            try:
                letter = await self._next_letter(wake)
            except BaseException:
                self._room.release()
                raise
            task = asyncio.create_task(self._handle(letter))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            if letter.message.get("method") == "initialize":
                await asyncio.wait({task})

    async def _next_letter(self, wake: asyncio.Event) -> Letter:
        while True:
            wake.clear()
            try:
                letter = await self._mailbox.take(self._address)
            except RedisError:
                letter = None
            if letter is not None:
                return letter
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await wake.wait()
            except TimeoutError:
                continue

    async def _handle(self, letter: Letter) -> None:
        try:
            await self._answer(letter)
        except HermesError:
            self.end()
        except Exception:  # noqa: BLE001  (one message's fault must not end the stream of the others)
            _log.exception("a message of /sse failed")
        finally:
            self._room.release()

    async def _answer(self, letter: Letter) -> None:
        message = letter.message
        if message.get("method") == "notifications/cancelled":
            self._cancel(message.get("params"))
            return
        if "id" not in message or "method" not in message:
            return
        await self._refresh_caller()
        request = RpcRequest(message["id"], message["method"], message.get("params"), self._negotiated(message))
        inbound = Inbound(self._caller, letter.request_id, "sse", letter.client, opens_pages=self._opens_pages)
        if request.id in self._requests:
            body = error_body(None, INVALID_REQUEST, "A request with this id is still running")
            await self._send(event(body))
            return
        self._requests[request.id] = _current_task()
        try:
            answer = await self._runner.run(request, inbound, self._notify)
        finally:
            self._requests.pop(request.id, None)
        await self._send(event(answer.body))

    def _negotiated(self, message: dict[str, Any]) -> str:
        """The version that `initialize` agreed on; it and what the client can do hold for the whole stream."""
        if message["method"] == "initialize":
            params = message.get("params")
            said = params if isinstance(params, dict) else {}
            wanted = said.get("protocolVersion")
            self._opens_pages = opens_pages(said.get("capabilities"))
            self._version = wanted if wanted in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        return self._version

    def _cancel(self, params: Any) -> None:
        request_id = params.get("requestId") if isinstance(params, dict) else None
        task = self._requests.get(request_id) if isinstance(request_id, str | int) else None
        if task is not None:
            task.cancel()

    async def _refresh_caller(self) -> None:
        """Look at the key again (remembered for up to five seconds): grants, plan and suspension as they are now.

        Raises:
            HermesError: the key does not count any more.
        """
        try:
            self._caller = await self._again()
        except RedisError:
            _log.warning("the key of an /sse stream could not be checked again")

    async def _notify(self, body: bytes) -> None:
        await self._send(event(body))

    async def _send(self, chunk: bytes) -> None:
        async with self._sending:
            if self._ended.is_set():
                return
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._incoming.send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                self.end()

    async def _forget(self) -> None:
        try:
            await self._mailbox.close(self._address)
        except RedisError:
            _log.warning("an /sse stream could not be taken off the list; its entry expires")


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a request of /sse runs outside a task")
    return task
