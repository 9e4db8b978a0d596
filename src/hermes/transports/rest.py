"""`/api/<platform>/…`: every tool as a plain HTTP route, derived from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hermes.errors import HermesError, InvalidArguments, PayloadTooLarge
from hermes.gateway.call import Gateway
from hermes.gateway.results import CallOptions
from hermes.observability.logs import request_id_of
from hermes.platforms.base import Tool
from hermes.platforms.catalog import Catalog
from hermes.transports.asgi import (
    Authenticator,
    BadJsonError,
    BodyTooLargeError,
    DisconnectedError,
    answer,
    declared_length,
    headers_of,
    is_json,
    parse_json,
    read_body,
)
from hermes.transports.inbound import client_name
from hermes.transports.problems import presented_in, problem

MAX_BODY: Final = 1024 * 1024
MAX_QUERY_FIELDS: Final = 200
IN_QUERY: Final = frozenset({"GET", "DELETE"})
"""Methods whose arguments stand in the query."""


class RestTransport:
    """The tools' routes.

    Args:
        catalog: whose tools get a route.
        gateway: runs them.
        authenticator: says who is calling.
        resource_metadata: URL named in challenges (RFC 9728), where there is one.
    """

    def __init__(
        self, catalog: Catalog, gateway: Gateway, authenticator: Authenticator, *, resource_metadata: str | None = None
    ) -> None:
        self._catalog = catalog
        self._gateway = gateway
        self._authenticator = authenticator
        self._resource_metadata = resource_metadata

    def routes(self) -> list[BaseRoute]:
        paths: dict[str, dict[str, Tool]] = {}
        for tool in self._catalog.tools.values():
            paths.setdefault(tool.rest_path, {})[tool.rest_method] = tool
        return [Route(path, _Door(self, tools)) for path, tools in paths.items()]

    async def serve(self, tool: Tool, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a tool: its result as JSON, or a problem document."""
        headers = headers_of(scope)
        try:
            await self._call(tool, scope, receive, send, headers)
        except HermesError as error:
            await self._problem(error, headers)(scope, receive, send)
        except DisconnectedError:
            return

    async def _call(self, tool: Tool, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        in_query = tool.rest_method in IN_QUERY
        if not in_query and (declared_length(headers) or 0) > MAX_BODY:
            raise _too_large()
        caller = await self._authenticator.authenticate(headers, "api", scope["method"])
        if in_query:
            arguments = query_arguments(tool, scope.get("query_string", b""))
        elif not is_json(headers) and headers.get("content-length") != "0" and "content-type" in headers:
            unfit = InvalidArguments("Send the arguments as a JSON object with Content-Type: application/json.")
            await problem(unfit, status=415)(scope, receive, send)
            return
        else:
            arguments = await _body_arguments(receive)
        options = CallOptions(
            transport="rest",
            request_id=request_id_of(scope),
            client=client_name(None, headers),
            idempotency_key=headers.get("idempotency-key"),
            query=in_query,
        )
        result = await self._gateway.call(caller, tool.name, arguments, options)
        told = [(b"x-call-id", result.call_id.encode())]
        if result.account is not None:
            told.append((b"x-account", result.account.encode()))
        await answer(send, 200, orjson.dumps(result.structured), headers=told)

    def _problem(self, error: HermesError, headers: Headers) -> Response:
        return problem(error, resource_metadata=self._resource_metadata, presented=presented_in(headers))


class _Door:
    """One path: the tools under it by method."""

    def __init__(self, transport: RestTransport, tools: Mapping[str, Tool]) -> None:
        self._transport = transport
        self._tools = tools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tool = self._tools.get(scope["method"])
        if tool is not None:
            await self._transport.serve(tool, scope, receive, send)
            return
        allowed = ", ".join(self._tools)
        wrong = InvalidArguments(f"This route takes {allowed}.")
        await problem(wrong, status=405, headers={"Allow": allowed})(scope, receive, send)


def query_arguments(tool: Tool, query: bytes) -> dict[str, Any]:
    """The arguments in a query: a name given several times, or one that stands for a list, gives a list.

    Raises:
        InvalidArguments: the query cannot be read.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise InvalidArguments(
            f"The query cannot be read; it has at most {MAX_QUERY_FIELDS} fields in percent-encoded UTF-8."
        ) from None
    properties = tool.input_schema["properties"]
    arguments: dict[str, Any] = {}
    for name, value in pairs:
        if name in arguments:
            known = arguments[name]
            arguments[name] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            arguments[name] = [value] if _is_list(properties.get(name)) else value
    return arguments


async def _body_arguments(receive: Receive) -> dict[str, Any]:
    try:
        body = await read_body(receive, MAX_BODY)
        arguments = parse_json(body) if body else {}
    except BodyTooLargeError:
        raise _too_large() from None
    except BadJsonError as error:
        raise InvalidArguments(f"The body must be a JSON object: {error}.") from None
    if not isinstance(arguments, dict):
        raise InvalidArguments("The body must be a JSON object whose members are the tool's arguments.")
    return arguments


def _is_list(schema: Any) -> bool:
    kind = schema.get("type") if isinstance(schema, dict) else None
    return kind == "array" or (isinstance(kind, list) and "array" in kind)


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {MAX_BODY} bytes.", limit_bytes=MAX_BODY)
