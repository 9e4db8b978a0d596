"""What the pure-ASGI doors share: reading a bounded body, answering, and parsing JSON that strangers sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hermes.errors import HermesError
from hermes.identity.caller import Caller
from hermes.transports.problems import presented_in, problem

MAX_DEPTH = 64
"""How deep JSON of a stranger may be nested. Every library on the way bears more, none bears everything."""

HeaderList = list[tuple[bytes, bytes]]


class Authenticator(Protocol):
    """Turns a request's headers into a caller."""

    async def authenticate(self, headers: Headers, surface: str, method: str | None = None) -> Caller:
        """Say who is calling.

        Args:
            headers: the request's headers.
            surface: `mcp` (no cookies) or `api`.
            method: the request's, where cookies count.

        Raises:
            NotAuthenticated: nobody, or a key we do not know.
            Suspended: a customer who may not call at present.
        """
        ...


class BodyTooLargeError(Exception):
    """The request's body is larger than this door takes."""


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


class BadJsonError(ValueError):
    """The body is not JSON, or nested deeper than `MAX_DEPTH`."""


def headers_of(scope: Scope) -> Headers:
    """The request's headers, without white space around values (RFC 9110, 5.5; httptools keeps it)."""
    return Headers(raw=[(name, value.strip(b" \t")) for name, value in scope["headers"]])


def declared_length(headers: Headers) -> int | None:
    """The body's length as the client declared it, or None (chunked)."""
    value = headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


async def read_body(receive: Receive, limit: int) -> bytes:
    """Read the whole body.

    Raises:
        BodyTooLargeError: more than `limit` bytes came.
        DisconnectedError: the client went away.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise DisconnectedError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise BodyTooLargeError
        return body
    parts = bytearray(body)
    while message.get("more_body", False):
        if len(parts) > limit:
            raise BodyTooLargeError
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        parts += message.get("body", b"")
    if len(parts) > limit:
        raise BodyTooLargeError
    return bytes(parts)


def parse_json(body: bytes) -> Any:
    """Parse strict JSON (UTF-8, no NaN, no lone surrogates) of bounded depth.

    Raises:
        BadJsonError: it is something else.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadJsonError("the body is not valid JSON") from None
    # Only a body with that many brackets can be that deep, and counting them is far cheaper than walking.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise BadJsonError(f"the body is nested deeper than {MAX_DEPTH} levels")
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    level: list[Any] = [value]
    for _ in range(depth + 1):
        level = [
            item
            for node in level
            if isinstance(node, list | dict)
            for item in (node if isinstance(node, list) else node.values())
        ]
        if not level:
            return False
    return True


def is_json(headers: Headers) -> bool:
    """Whether the request says that its body is JSON (`application/json`, parameters allowed)."""
    return headers.get("content-type", "").split(";", 1)[0].strip().lower() == "application/json"


async def answer(
    send: Send,
    status: int,
    body: bytes = b"",
    *,
    content_type: bytes = b"application/json",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer. Without a body no content type is named."""
    sent: HeaderList = [(b"content-length", str(len(body)).encode()), *headers]
    if body:
        sent.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


@dataclass(slots=True)
class Incoming:
    """One HTTP request at a pure-ASGI door.

    Attributes:
        scope, receive, send: as ASGI gives them.
        headers: of the request.
        extra: headers that go with every answer (CORS).
    """

    scope: Scope
    receive: Receive
    send: Send
    headers: Headers
    extra: HeaderList

    async def answer(self, status: int, body: bytes = b"", *, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Send a whole answer."""
        await answer(self.send, status, body, headers=[*self.extra, *headers])

    async def refuse(self, error: HermesError, resource_metadata: str | None = None) -> None:
        """Send an error as a problem document, with the challenge that belongs to it."""
        response = problem(error, resource_metadata=resource_metadata, presented=presented_in(self.headers))
        response.raw_headers.extend(self.extra)
        await response(self.scope, self.receive, self.send)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
