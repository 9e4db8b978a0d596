"""The direct path: `tools/call` and `tools/list` without the SDK's kernel, which costs more than the rest of the way.

Only requests that are plainly well formed go this way; whatever is unusual is left to the kernel, which knows the whole
specification. A test sends the same requests both ways and compares the answers byte for byte.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

from hermes.transports.exchange import Answer, RequestContext, RpcRequest, Runner, answer_of
from hermes.transports.inbound import Inbound, Notify
from hermes.transports.mcp_server import McpMethods, growing
from hermes.transports.tool_results import IDEMPOTENCY_KEY

_CALL_MEMBERS: Final = frozenset({"name", "arguments", "_meta"})
_LIST_MEMBERS: Final = frozenset({"cursor", "_meta"})
_LEGACY_META: Final = frozenset({"progressToken", IDEMPOTENCY_KEY})
_MODERN_META: Final = _LEGACY_META | {PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY}
_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 4096


class DirectPath:
    """Answers what it can by itself, and has the kernel answer the rest.

    Args:
        kernel: answers everything.
        methods: the handlers that the kernel would call.
        server_info: what the kernel stamps on modern results.
    """

    def __init__(self, kernel: Runner, methods: McpMethods, server_info: dict[str, str]) -> None:
        self._kernel = kernel
        self._methods = methods
        self._server_info = server_info
        self._clients: set[bytes] = set()

    async def run(self, request: RpcRequest, inbound: Inbound, notify: Notify | None) -> Answer:
        """Answer one request; see `Runner`."""
        fits = _fits_call if request.method == "tools/call" else _fits_list if request.method == "tools/list" else None
        params = request.params or {}
        if (
            fits is None
            or self._methods.shows_blocks(params.get("name"))
            or not fits(params)
            or not _fits_meta(params.get("_meta", {}), modern=request.modern)
        ):
            return await self._kernel.run(request, inbound, notify)
        if request.modern and (client := _client_of(params["_meta"])) not in self._clients:
            answer = await self._kernel.run(request, inbound, notify)
            if answer.status == 200:
                self._remember(client)
            return answer
        if request.method == "tools/list":
            return await answer_of(request, self._list(request, params, inbound))
        return await answer_of(request, self._call(request, params, inbound, notify))

    def _remember(self, client: bytes) -> None:
        """The kernel found nothing wrong with how this client describes itself, so it need not look again."""
        if len(client) <= _LONGEST_REMEMBERED:
            if len(self._clients) >= _REMEMBERED:
                self._clients.clear()
            self._clients.add(client)

    async def _list(self, request: RpcRequest, params: dict[str, Any], inbound: Inbound) -> orjson.Fragment:
        page = await self._methods.page(inbound, request.version, params.get("cursor"))
        return page.written

    async def _call(
        self, request: RpcRequest, params: dict[str, Any], inbound: Inbound, notify: Notify | None
    ) -> dict[str, Any]:
        report = None
        if progress_token_from_params(params) is not None:
            report = growing(RequestContext(request, inbound, notify).progress)
        result = await self._methods.call(inbound, params["name"], params.get("arguments", {}), params, report)
        if request.modern:
            result["_meta"][SERVER_INFO_META_KEY] = self._server_info
        else:
            del result["resultType"]
        return result


def _fits_call(params: dict[str, Any]) -> bool:
    return (
        params.keys() <= _CALL_MEMBERS
        and isinstance(params.get("name"), str)
        and isinstance(params.get("arguments", {}), dict)
    )


def _fits_list(params: dict[str, Any]) -> bool:
    return params.keys() <= _LIST_MEMBERS and isinstance(params.get("cursor", ""), str)


def _fits_meta(meta: Any, *, modern: bool) -> bool:
    if not isinstance(meta, dict) or not meta.keys() <= (_MODERN_META if modern else _LEGACY_META):
        return False
    token = meta.get("progressToken", 0)
    return isinstance(token, str | int) and not isinstance(token, bool)


def _client_of(meta: dict[str, Any]) -> bytes:
    """How a client describes itself, as one string of bytes."""
    return orjson.dumps(
        [meta.get(CLIENT_CAPABILITIES_META_KEY), meta.get(CLIENT_INFO_META_KEY), CLIENT_INFO_META_KEY in meta]
    )
