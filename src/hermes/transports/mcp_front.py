"""The front of `/mcp`: everything about a request that is HTTP's business, before MCP sees it.

In this order: Host and Origin, method, declared size and content type, who is calling, the body, its era. So a
stranger learns nothing but 401, and no protocol error comes before it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, Protocol

from mcp_types import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hermes.errors import HermesError, InsufficientScope, NotAuthenticated, NotFound
from hermes.identity.caller import Grants
from hermes.oauth.scopes import grants_of, scope_text
from hermes.observability.logs import request_id_of
from hermes.platforms.catalog import Catalog
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
from hermes.transports.batch import run_batch
from hermes.transports.era import BATCH_VERSION, batches_allowed
from hermes.transports.exchange import Answer, RpcRequest, Runner, error_body
from hermes.transports.guard import Guard
from hermes.transports.inbound import Inbound, Notify, client_name
from hermes.transports.messages import Read, read_message
from hermes.transports.sealed_sessions import HEADER, SealedSessions
from hermes.transports.selection import read_selection
from hermes.transports.stream import ResponseStream

_log = logging.getLogger("hermes.mcp")

MAX_BODY: Final = 4 * 1024 * 1024


class LegacySessions(Protocol):
    """The SDK's stateful sessions, for installs of one process that want them."""

    async def handle(self, incoming: Incoming, inbound: Inbound, body: bytes) -> None:
        """Serve one request whose body has been read already."""
        ...


class McpFront:
    """The ASGI application behind `/mcp`.

    Args:
        guard: knows our hosts and origins.
        authenticator: says who is calling.
        runner: answers requests.
        sessions: takes over legacy requests where sessions are wanted; None serves every era without state.
        sealed: gives legacy clients that open pages an id that says so, where there are no sessions.
        catalog: what a selection in the URL may name.
        needs_status: whether a request will be refused with an HTTP status, which a session's stream cannot have.
        resource_metadata: URL named in challenges (RFC 9728), where there is one.
    """

    def __init__(
        self,
        guard: Guard,
        authenticator: Authenticator,
        runner: Runner,
        *,
        catalog: Catalog,
        sessions: LegacySessions | None = None,
        sealed: SealedSessions | None = None,
        needs_status: Callable[[Inbound, RpcRequest], bool] = lambda _inbound, _request: False,
        resource_metadata: str | None = None,
    ) -> None:
        self._guard = guard
        self._authenticator = authenticator
        self._runner = runner
        self._catalog = catalog
        self._sessions = sessions
        self._sealed = sealed if sessions is None else None
        self._needs_status = needs_status
        self._resource_metadata = resource_metadata
        self._methods = ("POST",) if sessions is None else ("POST", "GET", "DELETE")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        refused = self._guard.refusal(headers)
        if refused is not None:
            status, text = refused
            await answer(send, status, error_body(None, INVALID_REQUEST, text))
            return
        incoming = Incoming(scope, receive, send, headers, self._guard.cors(headers))
        method = scope["method"]
        allowed = ", ".join(self._methods).encode()
        if method == "OPTIONS" and "origin" in headers:
            await answer(send, 204, headers=self._guard.preflight(headers, allowed))
        elif method not in self._methods:
            body = error_body(None, INVALID_REQUEST, "Method not allowed")
            await incoming.answer(405, body, headers=[(b"allow", allowed)])
        elif (unfit := _unfit(method, headers)) is not None:
            await incoming.answer(unfit.status, unfit.body)
        else:
            await self._admit(incoming)

    async def _admit(self, incoming: Incoming) -> None:
        try:
            caller = await self._authenticator.authenticate(incoming.headers, "mcp")
            selection = read_selection(incoming.scope.get("query_string", b""), self._catalog)
            body = await read_body(incoming.receive, MAX_BODY)
        except HermesError as error:
            await incoming.refuse(error, self._resource_metadata)
        except BodyTooLargeError:
            await incoming.answer(413, _too_large().body)
        except DisconnectedError:
            return
        else:
            inbound = Inbound(
                caller,
                request_id_of(incoming.scope),
                "mcp",
                client_name(None, incoming.headers),
                by_status=True,
                selection=selection,
                again=lambda: self._authenticator.authenticate(incoming.headers, "mcp"),
            )
            if incoming.scope["method"] == "POST":
                await self._post(incoming, inbound, body)
            elif self._sessions is not None:
                await self._sessions.handle(incoming, inbound, body)

    async def _post(self, incoming: Incoming, inbound: Inbound, body: bytes) -> None:
        try:
            message = parse_json(body)
        except BadJsonError as error:
            await incoming.answer(400, error_body(None, PARSE_ERROR, f"Parse error: {error}"))
            return
        if isinstance(message, list):
            await self._batch(incoming, inbound, message)
            return
        read = read_message(message, incoming.headers)
        if read.request is not None and _log.isEnabledFor(logging.DEBUG):
            # What a client calls itself and its method may hold anything, line breaks included.
            _log.debug("%s by %s", ascii(read.request.method[:100])[1:-1], ascii(inbound.client or "")[1:-1])
        if self._sessions is not None and self._for_session(read, inbound):
            await self._sessions.handle(incoming, replace(inbound, by_status=False), body)
        elif read.era.kind == "legacy" and self._sealed is not None:
            await self._legacy(incoming, inbound, read, self._sealed)
        elif read.request is not None:
            await self._request(incoming, inbound, read.request)
        elif read.answer is not None:
            await incoming.answer(read.answer.status, read.answer.body)

    async def _legacy(self, incoming: Incoming, inbound: Inbound, read: Read, sealed: SealedSessions) -> None:
        """A message of a client without a session, which may have an id that says what it can do."""
        request, session_id = read.request, incoming.headers.get(HEADER)
        if request is not None and request.method == "initialize":
            capabilities = (request.params or {}).get("capabilities")
            given = sealed.begin(inbound.caller, capabilities)
            if given is not None:
                incoming.extra.append((HEADER.encode(), given.encode()))
        elif session_id is not None:
            try:
                sealed.check(inbound.caller, session_id)
            except NotFound as error:
                body = error_body(request.id if request is not None else None, INVALID_REQUEST, error.message)
                await incoming.answer(404, body)
                return
            inbound = replace(inbound, opens_pages=True)
        if request is not None:
            await self._request(incoming, inbound, request)
        elif read.answer is not None:
            await incoming.answer(read.answer.status, read.answer.body)

    def _for_session(self, read: Read, inbound: Inbound) -> bool:
        legacy = read.era.kind == "legacy" and read.fit
        return legacy and (read.request is None or not self._needs_status(inbound, read.request))

    async def _request(self, incoming: Incoming, inbound: Inbound, request: RpcRequest) -> None:
        stream = ResponseStream(incoming, may_stream=_takes_stream(incoming.headers), cancel_with_client=request.modern)
        granted = None if request.modern else inbound.caller.grants
        await self._respond(incoming, stream, lambda notify: self._runner.run(request, inbound, notify), granted)

    async def _batch(self, incoming: Incoming, inbound: Inbound, messages: list[Any]) -> None:
        if not batches_allowed(incoming.headers):
            text = f"Batches are only part of protocol version {BATCH_VERSION}"
            await incoming.answer(400, error_body(None, INVALID_REQUEST, text))
            return

        async def one(message: Any) -> Answer | None:
            read = read_message(message, incoming.headers)
            if read.request is not None:
                return await self._runner.run(read.request, inbound, None)
            return read.answer if read.answer is not None and read.answer.body else None

        stream = ResponseStream(incoming, may_stream=False, cancel_with_client=False)
        await self._respond(incoming, stream, lambda _notify: run_batch(messages, one), inbound.caller.grants)

    async def _respond(
        self,
        incoming: Incoming,
        stream: ResponseStream,
        work: Callable[[Notify | None], Awaitable[Answer]],
        granted: Grants | None,
    ) -> None:
        """Answer with what the work gives.

        Args:
            incoming: where to.
            stream: how.
            work: gives the answer.
            granted: what the caller has, where a challenge is to name that too: clients of the older versions ask for
                exactly what it says, and would lose what they have (MCP 2025-11-25, "Scope Challenge Handling").
        """
        try:
            await stream.run(work)
        except (NotAuthenticated, InsufficientScope) as error:
            if granted is not None and isinstance(error, InsufficientScope):
                error.data["scope"] = scope_text(granted | grants_of([error.data["scope"]]))
            if stream.started:
                await stream.end(error_body(None, INTERNAL_ERROR, error.message))
            else:
                await incoming.refuse(error, self._resource_metadata)


def _unfit(method: str, headers: Headers) -> Answer | None:
    """What is wrong with a request before anyone looks at who sent it; None when nothing is."""
    if method != "POST":
        return None
    if (declared_length(headers) or 0) > MAX_BODY:
        return _too_large()
    if not is_json(headers):
        return Answer(415, error_body(None, INVALID_REQUEST, "Content-Type must be application/json"))
    if not _takes(headers, "application/json", "application/*"):
        text = "Accept must list application/json and text/event-stream"
        return Answer(406, error_body(None, INVALID_REQUEST, text))
    return None


def _too_large() -> Answer:
    return Answer(413, error_body(None, INVALID_REQUEST, f"The body is larger than {MAX_BODY} bytes"))


def _takes_stream(headers: Headers) -> bool:
    return _takes(headers, "text/event-stream", "text/*")


def _takes(headers: Headers, *kinds: str) -> bool:
    """Whether the Accept header (absent means anything) takes one of the media types."""
    accept = headers.get("accept")
    if accept is None:
        return True
    listed = {part.split(";", 1)[0].strip().lower() for part in accept.split(",")}
    return "*/*" in listed or not listed.isdisjoint(kinds)
