"""One JSON-RPC request, one answer: the SDK's kernel without a session, in both eras.

The SDK's own stateless legacy transport builds a session with its streams and tasks for every POST, and its modern one
checks again what the front has checked. The kernel below them (`serve_one`) is all that a request needs.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import anyio
import orjson
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_one
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS, InboundLadderRejection, InboundModernRoute
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import MessageMetadata, ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, RequestId
from pydantic import ValidationError

from hermes.errors import HermesError, InsufficientScope, NotAuthenticated
from hermes.transports.inbound import Inbound, Notify

_log = logging.getLogger(__name__)

_TRANSPORT: Final = TransportContext(kind="streamable-http", can_send_request=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON-RPC response and the HTTP status that goes with it when it is sent as plain JSON."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RpcRequest:
    """A JSON-RPC request whose envelope has been checked.

    Attributes:
        id: the client's id of the request.
        method: the method.
        params: its parameters.
        version: of the protocol, in which the answer is written.
        route: what the modern envelope says; None in the legacy era.
    """

    id: RequestId
    method: str
    params: dict[str, Any] | None
    version: str
    route: InboundModernRoute | None = None

    @property
    def modern(self) -> bool:
        return self.route is not None


class Runner(Protocol):
    """Answers JSON-RPC requests."""

    async def run(self, request: RpcRequest, inbound: Inbound, notify: Notify | None) -> Answer:
        """Answer one request.

        Args:
            request: the request.
            inbound: who sent it.
            notify: sends notifications that belong to it; None when there is no stream.

        Raises:
            NotAuthenticated, InsufficientScope: to be answered with their HTTP status.
        """
        ...


class Exchange:
    """Runs requests on the SDK's kernel."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server

    async def run(self, request: RpcRequest, inbound: Inbound, notify: Notify | None) -> Answer:
        """Answer one request; see `Runner`."""
        route = request.route
        connection = Connection.from_envelope(
            request.version,
            route.client_info if route else None,
            route.client_capabilities if route else None,
        )
        context = RequestContext(request, inbound, notify)
        work = serve_one(
            self._server, context, request.method, request.params, connection=connection, lifespan_state=None
        )
        return await answer_of(request, work)


async def answer_of(request: RpcRequest, work: Awaitable[dict[str, Any] | orjson.Fragment]) -> Answer:
    """Await a result and write it, or what went wrong, as the answer to a request.

    Raises:
        NotAuthenticated, InsufficientScope: to be answered with their HTTP status.
    """
    try:
        result = await work
    except MCPError as error:
        return _error(request, error.error.code, error.error.message, error.error.data)
    except ValidationError:
        return _error(request, INVALID_PARAMS, "Invalid request parameters")
    except (NotAuthenticated, InsufficientScope):
        raise
    except HermesError as error:
        return _error(request, INTERNAL_ERROR, error.message, error.as_dict())
    except Exception:  # noqa: BLE001  (what a client sees of a fault of ours is always this one sentence)
        _log.exception("an MCP handler failed: %s", request.method)
        return _error(request, INTERNAL_ERROR, "Internal error")
    return Answer(200, orjson.dumps({"jsonrpc": "2.0", "id": request.id, "result": result}))


def _error(request: RpcRequest, code: int, message: str, data: Any = None) -> Answer:
    # Only the modern era says by its status what went wrong; legacy clients expect their answer under 200.
    status = ERROR_CODE_HTTP_STATUS.get(code, 200) if request.modern else 200
    return Answer(status, error_body(request.id, code, message, data or None))


class RequestContext:
    """The SDK's dispatch context of one request: notifications go to the request's stream, requests go nowhere."""

    def __init__(self, request: RpcRequest, inbound: Inbound, notify: Notify | None) -> None:
        self.transport = _TRANSPORT
        self.can_send_request = False
        self.request_id: RequestId | None = request.id
        self.message_metadata: MessageMetadata = ServerMessageMetadata(request_context=replace(inbound, notify=notify))
        self.cancel_requested = anyio.Event()
        self._token = progress_token_from_params(request.params)
        self._notify = notify

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002  (the SDK's protocol)
        opts: CallOptions | None = None,  # noqa: ARG002  (the SDK's protocol)
    ) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002  (the SDK's protocol)
    ) -> None:
        if self._notify is not None:
            await self._notify(orjson.dumps({"jsonrpc": "2.0", "method": method, "params": dict(params or {})}))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self._token is None:
            return
        params: dict[str, Any] = {"progressToken": self._token, "progress": progress}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        await self.notify("notifications/progress", params)


def error_body(request_id: RequestId | None, code: int, message: str, data: Any = None) -> bytes:
    """A JSON-RPC error response; an id that could not be read is null."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": error})


def rejection(request_id: RequestId | None, refused: InboundLadderRejection) -> Answer:
    """The answer to a request whose envelope the SDK's ladder refused."""
    return Answer(
        ERROR_CODE_HTTP_STATUS.get(refused.code, 400),
        error_body(request_id, refused.code, refused.message, refused.data),
    )
