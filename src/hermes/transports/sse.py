"""`GET /sse` and `POST /messages`: HTTP with server-sent events, as clients of 2024-11-05 speak it."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any, Final
from urllib.parse import parse_qs, quote

from mcp_types import INVALID_REQUEST, PARSE_ERROR
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hermes.errors import HermesError, NotFound, PayloadTooLarge, RateLimited
from hermes.observability.logs import request_id_of
from hermes.transports.asgi import (
    Authenticator,
    BadJsonError,
    BodyTooLargeError,
    DisconnectedError,
    Incoming,
    answer,
    declared_length,
    headers_of,
    is_json,
    parse_json,
    read_body,
)
from hermes.transports.exchange import Runner, error_body
from hermes.transports.guard import Guard
from hermes.transports.inbound import client_name
from hermes.transports.mcp_front import MAX_BODY
from hermes.transports.sse_mailbox import Address, Letter, Mailbox
from hermes.transports.sse_stream import SseStream

STREAMS_PER_CUSTOMER: Final = 32
_SESSION_ID_LENGTH: Final = 32


class SseTransport:
    """Everything behind `/sse` and `/messages`.

    Args:
        guard: knows our hosts and origins.
        authenticator: says who is calling.
        runner: answers requests.
        mailbox: brings messages to the replica that holds their stream.
        resource_metadata: URL named in challenges (RFC 9728), where there is one.
    """

    def __init__(
        self,
        guard: Guard,
        authenticator: Authenticator,
        runner: Runner,
        mailbox: Mailbox,
        *,
        resource_metadata: str | None = None,
    ) -> None:
        self._guard = guard
        self._authenticator = authenticator
        self._runner = runner
        self._mailbox = mailbox
        self._resource_metadata = resource_metadata
        self._streams: set[SseStream] = set()
        self._open: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()

    def routes(self) -> list[BaseRoute]:
        return [Route("/sse", _Door(self, "GET")), Route("/messages", _Door(self, "POST"))]

    def end_streams(self) -> None:
        """Close every stream, so that a server which stops need not wait for its clients to go."""
        for stream in list(self._streams):
            stream.end()

    async def close(self) -> None:
        """Close every stream, and wait for the requests that still run."""
        self.end_streams()
        if self._running:
            await asyncio.wait(self._running)
        await self._mailbox.stop()

    async def serve(self, incoming: Incoming, allowed: str) -> None:
        """Answer one request whose Host and Origin are in order; only `allowed` and preflights are."""
        method = incoming.scope["method"]
        if method == "OPTIONS" and "origin" in incoming.headers:
            await answer(incoming.send, 204, headers=self._guard.preflight(incoming.headers, allowed.encode()))
        elif method != allowed:
            body = error_body(None, INVALID_REQUEST, "Method not allowed")
            await incoming.answer(405, body, headers=[(b"allow", allowed.encode())])
        else:
            try:
                await (self._stream(incoming) if allowed == "GET" else self._message(incoming))
            except HermesError as error:
                await incoming.refuse(error, self._resource_metadata)
            except DisconnectedError:
                return

    def refusal(self, headers: Headers) -> tuple[int, str] | None:
        return self._guard.refusal(headers)

    def cors(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> Incoming:
        return Incoming(scope, receive, send, headers, self._guard.cors(headers))

    async def _stream(self, incoming: Incoming) -> None:
        headers = incoming.headers
        caller = await self._authenticator.authenticate(headers, "mcp")
        if self._open[caller.customer_id] >= STREAMS_PER_CUSTOMER:
            raise RateLimited(
                f"There are {STREAMS_PER_CUSTOMER} open /sse streams already; close some, or use /mcp instead.",
                limited_by="plan",
            )
        address = Address(caller.customer_id, secrets.token_hex(_SESSION_ID_LENGTH // 2))
        stream = SseStream(
            incoming,
            address,
            caller,
            lambda: self._authenticator.authenticate(headers, "mcp"),
            self._mailbox,
            self._runner,
            self._running,
        )
        self._streams.add(stream)
        self._open[caller.customer_id] += 1
        try:
            await stream.run(f"{quote(incoming.scope.get('root_path', ''))}/messages?session_id={address.session_id}")
        finally:
            self._streams.discard(stream)
            self._open[caller.customer_id] -= 1
            if not self._open[caller.customer_id]:
                del self._open[caller.customer_id]

    async def _message(self, incoming: Incoming) -> None:
        if (declared_length(incoming.headers) or 0) > MAX_BODY:
            raise PayloadTooLarge(f"The message is larger than {MAX_BODY} bytes.")
        if not is_json(incoming.headers):
            await incoming.answer(415, error_body(None, INVALID_REQUEST, "Content-Type must be application/json"))
            return
        caller = await self._authenticator.authenticate(incoming.headers, "mcp")
        try:
            message = parse_json(await read_body(incoming.receive, MAX_BODY))
        except BodyTooLargeError:
            raise PayloadTooLarge(f"The message is larger than {MAX_BODY} bytes.") from None
        except BadJsonError as error:
            await incoming.answer(400, error_body(None, PARSE_ERROR, f"Parse error: {error}"))
            return
        if not _is_message(message):
            await incoming.answer(400, error_body(None, INVALID_REQUEST, "Body must be one JSON-RPC 2.0 message"))
            return
        address = Address(caller.customer_id, _session_id(incoming.scope))
        letter = Letter(request_id_of(incoming.scope), message, client_name(None, incoming.headers))
        await self._post(incoming, address, caller.key_id, letter)

    async def _post(self, incoming: Incoming, address: Address, key_id: str, letter: Letter) -> None:
        posted = await self._mailbox.post(address, key_id, letter)
        if posted == "unknown":
            raise NotFound("There is no such stream for this key; open /sse again.")
        if posted == "full":
            raise RateLimited(
                "This stream has too many messages waiting; let some be answered first.",
                retry_after=1.0,
                limited_by="plan",
            )
        await answer(incoming.send, 202, b"Accepted", content_type=b"text/plain", headers=incoming.extra)


class _Door:
    """One of the two routes, as an ASGI application."""

    def __init__(self, transport: SseTransport, method: str) -> None:
        self._transport = transport
        self._method = method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        refused = self._transport.refusal(headers)
        if refused is not None:
            status, text = refused
            await answer(send, status, error_body(None, INVALID_REQUEST, text))
            return
        await self._transport.serve(self._transport.cors(scope, receive, send, headers), self._method)


def _session_id(scope: Scope) -> str:
    """The stream that a message is for.

    Raises:
        NotFound: the query names none, or something that none of ours is called.
    """
    query: dict[str, list[str]] = parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1"))
    session_id = query.get("session_id", [""])[0]
    if len(session_id) != _SESSION_ID_LENGTH or not all(char in "0123456789abcdef" for char in session_id):
        raise NotFound("There is no such stream; open /sse and post to the address that its first event names.")
    return session_id


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return False
    identified = "id" not in message or (isinstance(message["id"], str | int) and not isinstance(message["id"], bool))
    params = message.get("params")
    if "method" in message:
        return identified and isinstance(message["method"], str) and (params is None or isinstance(params, dict))
    return identified and ("result" in message or "error" in message)
