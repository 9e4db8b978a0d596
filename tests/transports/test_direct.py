"""The direct path answers exactly as the SDK's kernel does, byte for byte, notifications included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import InboundModernRoute

from hermes import errors
from hermes.identity.caller import Caller, Grants, Via
from hermes.transports.direct import DirectPath
from hermes.transports.exchange import Exchange, RpcRequest
from hermes.transports.inbound import Inbound
from hermes.transports.mcp_server import McpMethods, build_server, server_info
from hermes.transports.tool_list import ToolList

VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INFO = "io.modelcontextprotocol/clientInfo"
VERSION = "io.modelcontextprotocol/protocolVersion"
KEY = "com.squaremcp/idempotency-key"

REQUESTS: list[tuple[str, dict[str, Any] | None]] = [
    ("tools/list", None),
    ("tools/list", {}),
    ("tools/list", {"cursor": ""}),
    ("tools/list", {"cursor": None}),
    ("tools/list", {"cursor": "cGFnZTox"}),
    ("tools/list", {"cursor": "nonsense"}),
    ("tools/list", {"cursor": 5}),
    ("tools/list", {"more": 1}),
    ("tools/call", None),
    ("tools/call", {"name": "toy_get_me"}),
    ("tools/call", {"name": "toy_get_me", "arguments": None}),
    ("tools/call", {"name": "toy_get_me", "arguments": []}),
    ("tools/call", {"name": "toy_get_me", "arguments": {}, "more": 1}),
    ("tools/call", {"name": "toy_get_echo", "arguments": {"text": 'ü \u2028 "q" </script>', "tags": ["a"]}}),
    ("tools/call", {"name": "toy_get_echo", "arguments": {"text": 1}}),
    ("tools/call", {"name": "toy_send_message", "arguments": {"text": "fails"}}),
    ("tools/call", {"name": "toy_edit_message", "arguments": {"text": "breaks"}}),
    ("tools/call", {"name": "nope", "arguments": {}}),
    ("tools/call", {"name": ""}),
    ("tools/call", {"name": 5}),
    ("tools/call", {"arguments": {}}),
    ("ping", {}),
]
METAS: list[Any] = [
    {},
    None,
    5,
    {"progressToken": "t"},
    {"progressToken": 1},
    {"progressToken": True},
    {"progressToken": None},
    {"progressToken": 1.5},
    {KEY: "k"},
    {KEY: 5},
    {INFO: {"name": "c", "version": "1"}},
    {INFO: {"name": "c"}},
    {INFO: 5},
    {INFO: None},
    {CAPABILITIES: {"elicitation": {"url": {}}, "sampling": {}}},
    {CAPABILITIES: {"roots": 5}},
    {CAPABILITIES: []},
    {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    {"io.modelcontextprotocol/logLevel": "loud"},
]


class Both:
    """The same handlers behind the kernel and behind the direct path."""

    def __init__(self, house: Any) -> None:
        house.gateway.on["toy_send_message"] = self._fail
        house.gateway.on["toy_edit_message"] = self._break
        house.gateway.on["toy_get_me"] = self._progress
        methods = McpMethods(house.gateway, ToolList(3, server_info("1.2.3")))
        self.kernel = Exchange(build_server(methods, "1.2.3"))
        self.direct = DirectPath(Exchange(build_server(methods, "1.2.3")), methods, server_info("1.2.3"))
        caller = Caller("customer", "alice", Via.API_KEY, "k", Grants.everything(), "growth")
        self.inbound = Inbound(caller, "r", "mcp", None, by_status=True)

    @staticmethod
    async def _fail(_arguments: Any, _options: Any) -> Any:
        raise errors.RateLimited("Too fast.", retry_after=3.5, limited_by="toy")

    @staticmethod
    async def _break(_arguments: Any, _options: Any) -> Any:
        raise RuntimeError("a secret detail")

    @staticmethod
    async def _progress(_arguments: Any, options: Any) -> Any:
        if options.report is not None:
            for step in (1, 1, 2.5):
                await options.report(step, 3.0, "on the way")
        return {"said": options.idempotency_key or "me"}

    async def compare(self, request: RpcRequest) -> None:
        expected = await self._run(self.kernel, request)
        # Once as the kernel's guest, and once more when the client is known.
        assert await self._run(self.direct, request) == expected
        assert await self._run(self.direct, request) == expected

    async def _run(self, runner: Any, request: RpcRequest) -> tuple[int, bytes, list[bytes]]:
        sent: list[bytes] = []

        async def notify(body: bytes) -> None:
            sent.append(body)

        answer = await runner.run(request, self.inbound, notify)
        return answer.status, answer.body, sent


def request_of(version: str, method: str, params: dict[str, Any] | None, meta: Any) -> RpcRequest:
    if version != "2026-07-28":
        given_params = params if meta == {} else {**(params or {}), "_meta": meta}
        return RpcRequest("id-1", method, given_params, version)
    whole = {VERSION: version, CAPABILITIES: {}} | (meta if isinstance(meta, dict) else {})
    route = InboundModernRoute(version, whole.get(INFO), whole[CAPABILITIES])
    return RpcRequest("id-1", method, {**(params or {}), "_meta": whole}, version, route)


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_pair(house: Any, version: str) -> None:
    both = Both(house)
    for method, params in REQUESTS:
        for meta in METAS:
            await both.compare(request_of(version, method, params, meta))


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_most_of_them_go_the_direct_way(house: Any, version: str) -> None:
    both = Both(house)
    request = request_of(version, "tools/call", {"name": "toy_get_me", "arguments": {}}, {"progressToken": 1})
    await both.compare(request)

    async def not_asked(*_: Any) -> Any:
        raise AssertionError("the kernel was asked")

    both.direct._kernel = type("Nobody", (), {"run": staticmethod(not_asked)})()
    await both.direct.run(request, both.inbound, None)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
metas = st.dictionaries(
    st.sampled_from(["progressToken", KEY, INFO, CAPABILITIES, "other"]), values | st.just({}), max_size=4
)
given_params = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["toy_get_me", "toy_get_echo", "nope"]) | values,
        "arguments": st.dictionaries(st.sampled_from(["text", "times", "tags", "x"]), values) | values,
        "cursor": values,
        "other": values,
    },
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    version=st.sampled_from(VERSIONS),
    method=st.sampled_from(["tools/list", "tools/call"]),
    params=given_params,
    meta=metas,
)
async def test_whatever_comes(house: Any, version: str, method: str, params: dict[str, Any], meta: Any) -> None:
    await Both(house).compare(request_of(version, method, params, meta))
