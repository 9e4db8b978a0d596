"""Every transport error of /mcp, per era: what is sent, and which status and JSON-RPC code come back."""

# ruff: noqa: E501  (a table is read by rows)
from __future__ import annotations

from typing import Any

import orjson
import pytest

from hermes import errors

MODERN, LEGACY = "2026-07-28", "2025-11-25"
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


def rpc(method: str, params: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}} | members


def modern(method: str, params: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return rpc(method, {**(params or {}), "_meta": META}, **members)


def headers(version: str | None = MODERN, method: str | None = "tools/list", name: str | None = None) -> dict[str, str]:
    given = {"mcp-protocol-version": version, "mcp-method": method, "mcp-name": name}
    return ACCEPT | {key: value for key, value in given.items() if value is not None}


CALL = {"name": "toy_get_me", "arguments": {}}
HELLO = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
L = headers(LEGACY, None)
N = headers(None, None)

TABLE: list[tuple[str, Any, dict[str, str], int, int | None]] = [
    # the modern envelope and its mirrors
    ("listed", modern("tools/list"), headers(), 200, None),
    ("called", modern("tools/call", CALL), headers(method="tools/call", name="toy_get_me"), 200, None),
    ("base64 name", modern("tools/call", CALL), headers(method="tools/call", name="=?base64?dG95X2dldF9tZQ==?="), 200, None),
    ("no _meta", rpc("tools/list"), headers(), 400, -32602),
    ("no version in _meta", rpc("tools/list", {"_meta": {"io.modelcontextprotocol/clientCapabilities": {}}}), headers(), 400, -32602),
    ("no capabilities", rpc("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}), headers(), 400, -32602),
    ("no version header", modern("tools/list"), headers(None), 400, -32020),
    ("legacy version header", modern("tools/list"), headers(LEGACY), 400, -32020),
    ("unknown version header", modern("tools/list"), headers("2031-01-01"), 400, -32020),
    ("unknown version", rpc("tools/list", {"_meta": META | {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}}), headers("2031-01-01"), 400, -32022),
    ("no method header", modern("tools/list"), headers(method=None), 400, -32020),
    ("wrong method header", modern("tools/list"), headers(method="tools/call"), 400, -32020),
    ("method header in another case", modern("tools/list"), headers(method="Tools/List"), 400, -32020),
    ("no name header", modern("tools/call", CALL), headers(method="tools/call"), 400, -32020),
    ("wrong name header", modern("tools/call", CALL), headers(method="tools/call", name="toy_get_echo"), 400, -32020),
    ("bad base64 name", modern("tools/call", CALL), headers(method="tools/call", name="=?base64?%%?="), 400, -32020),
    # methods of the modern era
    ("unknown method", modern("tools/frobnicate"), headers(method="tools/frobnicate"), 404, -32601),
    ("removed: initialize", modern("initialize", HELLO), headers(method="initialize"), 404, -32601),
    ("removed: ping", modern("ping"), headers(method="ping"), 404, -32601),
    ("removed: setLevel", modern("logging/setLevel", {"level": "info"}), headers(method="logging/setLevel"), 404, -32601),
    ("not declared: listen", modern("subscriptions/listen", {"notifications": {}}), headers(method="subscriptions/listen"), 404, -32601),
    ("unknown tool", modern("tools/call", CALL | {"name": "nope"}), headers(method="tools/call", name="nope"), 400, -32602),
    ("no tool name", modern("tools/call", {"arguments": {}}), headers(method="tools/call"), 400, -32602),
    ("arguments no object", modern("tools/call", {"name": "toy_get_me", "arguments": [1]}), headers(method="tools/call", name="toy_get_me"), 400, -32602),
    ("bad cursor", modern("tools/list", {"cursor": "nope"}), headers(), 400, -32602),
    ("empty cursor", modern("tools/list", {"cursor": ""}), headers(), 200, None),
    ("cursor past the end", modern("tools/list", {"cursor": "cGFnZTo5"}), headers(), 400, -32602),
    ("unknown resource", modern("resources/read", {"uri": "x://y"}), headers(method="resources/read", name="x://y"), 400, -32602),
    ("unknown prompt", modern("prompts/get", {"name": "p"}), headers(method="prompts/get", name="p"), 400, -32602),
    # bodies of the modern era
    ("a batch", [modern("tools/list")], headers(), 400, -32600),
    ("a response", {"jsonrpc": "2.0", "id": 1, "result": {}}, headers(), 400, -32600),
    ("a number", 5, headers(), 400, -32600),
    ("no jsonrpc", {"id": 1, "method": "tools/list", "params": {"_meta": META}}, headers(), 400, -32600),
    ("boolean id", modern("tools/list", id=True), headers(), 400, -32600),
    ("null id", modern("tools/list", id=None), headers(), 400, -32600),
    ("params no object", rpc("tools/list") | {"params": [1]}, headers(), 400, -32600),
    ("a notification", {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}, headers(), 202, None),
    # legacy
    ("initialize", rpc("initialize", HELLO), N, 200, None),
    ("initialize, unknown version", rpc("initialize", HELLO | {"protocolVersion": "2031-01-01"}), N, 200, None),
    ("initialize, malformed", rpc("initialize"), N, 200, -32602),
    ("listed, 2025-11-25", rpc("tools/list"), L, 200, None),
    ("listed, no header", rpc("tools/list"), N, 200, None),
    ("ping", rpc("ping"), L, 200, None),
    ("unknown method, legacy", rpc("tools/frobnicate"), L, 200, -32601),
    ("unknown tool, legacy", rpc("tools/call", CALL | {"name": "nope"}), L, 200, -32602),
    ("bad cursor, legacy", rpc("tools/list", {"cursor": "nope"}), L, 200, -32602),
    ("unknown resource, legacy", rpc("resources/read", {"uri": "x://y"}), L, 200, -32002),
    ("unknown version header, legacy body", rpc("tools/list"), headers("1999-01-01", None), 400, -32600),
    ("a notification, legacy", {"jsonrpc": "2.0", "method": "notifications/initialized"}, L, 202, None),
    ("a response, legacy", {"jsonrpc": "2.0", "id": 1, "result": {}}, L, 202, None),
    ("bad envelope, legacy", {"jsonrpc": "1.0", "id": 1, "method": "ping"}, L, 400, -32600),
    ("a batch at 2025-11-25", [rpc("ping")], L, 400, -32600),
    ("an empty batch", [], N, 400, -32600),
    ("a batch too long", [rpc("ping")] * 51, N, 400, -32600),
]  # fmt: skip


@pytest.mark.parametrize(("body", "given", "status", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
async def test_each_message(direct: Any, body: Any, given: dict[str, str], status: int, code: int | None) -> None:
    answer = await direct.post("/mcp", content=orjson.dumps(body), headers=given)
    assert answer.status_code == status, answer.text
    if code is not None:
        assert answer.json()["error"]["code"] == code
    elif status == 200:
        assert "result" in answer.json()
    if status == 202:
        assert answer.content == b""
    if isinstance(body, dict) and body.get("id") == 7:
        assert answer.json()["id"] == 7
    assert "mcp-session-id" not in answer.headers


async def test_unsupported_version_names_those_we_have(direct: Any) -> None:
    body = rpc("tools/list", {"_meta": META | {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}})
    answer = await direct.post("/mcp", json=body, headers=headers("2031-01-01"))
    assert answer.json()["error"]["data"] == {"supported": [MODERN], "requested": "2031-01-01"}


async def test_a_routing_header_twice(direct: Any) -> None:
    given = [*headers().items(), ("mcp-method", "tools/list")]
    answer = await direct.post("/mcp", json=modern("tools/list"), headers=given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize(
    ("method", "given", "content", "status"),
    [
        ("POST", {"host": "evil.example.com"}, b"{}", 421),
        ("POST", {"host": "evil.example.com", "origin": "http://evil.example.com"}, b"{}", 421),
        ("POST", {"origin": "http://evil.example.com"}, b"{}", 403),
        ("POST", {"origin": "null"}, b"{}", 403),
        ("POST", {"origin": "http://127.0.0.1.evil.example"}, b"{}", 403),
        ("GET", {}, None, 405),
        ("DELETE", {}, None, 405),
        ("PUT", {}, b"{}", 405),
        ("POST", {"content-type": "text/plain"}, b"{}", 415),
        ("POST", {"content-type": "application/jsonp"}, b"{}", 415),
        ("POST", {"accept": "text/html"}, b"{}", 406),
        ("POST", {}, b"x" * (4 * 1024 * 1024 + 1), 413),
        ("POST", {"x-api-key": "wrong"}, b"not json", 401),
        ("POST", {"x-api-key": "key-suspended"}, b"{}", 403),
        ("POST", {}, b"not json", 400),
        ("POST", {}, b"", 400),
        ("POST", {}, b"\xff", 400),
        ("POST", {}, b'{"a":NaN}', 400),
        ("POST", {}, b"[" * 3000 + b"]" * 3000, 400),
        ("POST", {}, b'{"a":' * 100 + b"1" + b"}" * 100, 400),
        ("POST", {"origin": "http://localhost:6274"}, orjson.dumps(modern("tools/list")), 200),
        ("POST", {"host": "LOCALHOST:99"}, orjson.dumps(modern("tools/list")), 200),
        ("POST", {"accept": "application/json"}, orjson.dumps(modern("tools/list")), 200),
        ("POST", {"content-type": "Application/JSON; charset=utf-8"}, orjson.dumps(modern("tools/list")), 200),
    ],
)
async def test_each_request(direct: Any, method: str, given: dict[str, str], content: Any, status: int) -> None:
    answer = await direct.request(method, "/mcp", content=content, headers=headers() | given)
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"] == "POST"
    if content in (b"not json", b"", b"\xff") and status == 400:
        assert answer.json()["error"]["code"] == -32700
        assert answer.json()["id"] is None


async def test_a_body_sent_in_pieces_is_bounded_too(direct: Any) -> None:
    async def pieces() -> Any:
        for _ in range(5):
            yield b"x" * 1024 * 1024

    assert (await direct.post("/mcp", content=pieces(), headers=headers())).status_code == 413


async def test_a_stranger_is_told_how_to_say_who_they_are(direct: Any) -> None:
    answer = await direct.post("/mcp?api_key=key-alice", content=b"not json", headers=headers() | {"x-api-key": ""})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.json()["code"] == "not_authenticated"


async def test_public_origin_and_hosts(house: Any) -> None:
    async with house:
        base = await house.open_mcp(
            public_url="https://mcp.example.com",
            allowed_hosts="other.example.org:8443",
            allowed_origins="https://claude.ai",
        )
        http = await house.http(base)

        async def status(**given: str) -> int:
            answer = await http.post("/mcp", json=modern("tools/list"), headers=headers() | given)
            return int(answer.status_code)

        assert await status(host="mcp.example.com") == 200
        assert await status(host="other.example.org:8443") == 200
        assert await status(host="other.example.org:1") == 421
        assert await status(host="example.com") == 421
        assert await status(origin="https://mcp.example.com") == 200
        assert await status(origin="https://claude.ai") == 200
        assert await status(origin="https://claude.ai:444") == 403
        assert await status(origin="http://localhost:1234") == 403
        preflight = {"origin": "https://claude.ai", "access-control-request-headers": "authorization,mcp-method"}
        answer = await http.request("OPTIONS", "/mcp", headers=preflight)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-headers"] == "authorization,mcp-method"


@pytest.mark.parametrize(
    ("body", "given"),
    [(modern("tools/call", CALL), headers(method="tools/call", name="toy_get_me")), (rpc("tools/call", CALL), L)],
)
@pytest.mark.parametrize(("error", "status"), [("NotAuthenticated", 401), ("InsufficientScope", 403)])
async def test_errors_of_a_call_that_are_http_statuses(
    house: Any, direct: Any, fails: Any, body: Any, given: dict[str, str], error: str, status: int
) -> None:
    house.gateway.on["toy_get_me"] = fails(getattr(errors, error)("Ask for more.", scope="toy:read"))
    answer = await direct.post("/mcp", json=body, headers=given)
    assert answer.status_code == status
    # Older clients ask for exactly what they read there, so what they have is named too.
    scope = "toy:read" if "mcp-method" in given else "all:read all:write toy:read"
    assert (f'scope="{scope}"' in answer.headers["www-authenticate"]) == (status == 403)


async def test_a_fault_of_ours_says_nothing(house: Any, direct: Any) -> None:
    async def broken(_arguments: Any, _options: Any) -> Any:
        raise RuntimeError("secret detail")

    house.gateway.on["toy_get_me"] = broken
    answer = await direct.post("/mcp", json=rpc("tools/call", CALL), headers=L)
    assert answer.json()["error"] == {"code": -32603, "message": "Internal error"}


async def test_batches(house: Any, direct: Any) -> None:
    body = [
        rpc("tools/call", {"name": "toy_get_echo", "arguments": {"text": "a"}}, id=1),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        rpc("tools/call", {"name": "nope"}, id="two"),
        rpc("initialize", HELLO, id=3),
        "nonsense",
    ]
    for given in (N, headers("2025-03-26", None)):
        answer = await direct.post("/mcp", json=body, headers=given)
        assert answer.status_code == 200
        first, second, third, fourth = answer.json()
        assert (first["id"], first["result"]["content"][0]["text"]) == (1, '{"said":"a","times":1}')
        assert (second["id"], second["error"]["code"]) == ("two", -32602)
        assert third["error"]["code"] == fourth["error"]["code"] == -32600
    quiet = await direct.post("/mcp", json=[{"jsonrpc": "2.0", "method": "notifications/initialized"}], headers=N)
    assert (quiet.status_code, quiet.content) == (202, b"")


async def test_what_a_modern_list_says_about_itself(direct: Any) -> None:
    result = (await direct.post("/mcp", json=modern("tools/list"), headers=headers())).json()["result"]
    assert (result["resultType"], result["cacheScope"]) == ("complete", "private")
    assert result["ttlMs"] >= 0
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "hermes"
    found = (
        await direct.post("/mcp", json=modern("server/discover"), headers=headers(method="server/discover"))
    ).json()
    assert found["result"]["supportedVersions"] == [MODERN]
    assert set(found["result"]["capabilities"]) == {"tools", "prompts", "resources", "logging", "completions"}
    assert not any(found["result"]["capabilities"]["tools"].values())


async def test_what_a_call_carries(house: Any, direct: Any) -> None:
    params = {**CALL, "_meta": {"com.squaremcp/idempotency-key": "k-1"}}
    await direct.post("/mcp", json=rpc("tools/call", params), headers=L | {"x-request-id": "req-1"})
    caller, name, arguments, options = house.gateway.calls[-1]
    assert (caller.customer_id, name, arguments) == ("alice", "toy_get_me", {})
    assert (options.transport, options.request_id, options.idempotency_key) == ("mcp", "req-1", "k-1")
    params["_meta"]["com.squaremcp/idempotency-key"] = 5
    answer = await direct.post("/mcp", json=rpc("tools/call", params), headers=L)
    assert answer.json()["result"]["isError"] is True
    info = META | {"io.modelcontextprotocol/clientInfo": {"name": "Claude\n", "version": "4"}}
    await direct.post(
        "/mcp", json=rpc("tools/call", CALL | {"_meta": info}), headers=headers(method="tools/call", name="toy_get_me")
    )
    assert house.gateway.calls[-1][3].client == "Claude/4"


async def test_a_hidden_tool_is_unknown(house: Any, direct: Any) -> None:
    house.gateway.hidden.add("toy_get_me")
    listed = (await direct.post("/mcp", json=rpc("tools/list"), headers=L)).json()["result"]["tools"]
    assert "toy_get_me" not in [tool["name"] for tool in listed]
    answer = await direct.post("/mcp", json=rpc("tools/call", CALL), headers=L)
    assert answer.json()["error"]["code"] == -32602
