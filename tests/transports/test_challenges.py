"""Who must say who they are, and who must ask for more: 401 and 403 with their challenges, on every door."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

METADATA = "http://127.0.0.1:3456/.well-known/oauth-protected-resource/mcp"
MODERN, LEGACY = "2026-07-28", "2025-11-25"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
SEND = {"name": "toy_send_message", "arguments": {"text": "hi"}}
TOKEN = {"authorization": "Bearer sq_at_assistant"}
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}

STRANGER = f'Bearer realm="hermes", scope="all:read all:write", resource_metadata="{METADATA}"'
REFUSED = f'Bearer realm="hermes", error="invalid_token", scope="all:read all:write", resource_metadata="{METADATA}"'


def call(version: str, name: str = "toy_send_message", arguments: Any = None) -> tuple[dict[str, Any], dict[str, str]]:
    params: dict[str, Any] = {"name": name, "arguments": SEND["arguments"] if arguments is None else arguments}
    headers = JSON | {"mcp-protocol-version": version}
    if version == MODERN:
        params["_meta"] = META
        headers |= {"mcp-method": "tools/call", "mcp-name": name}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}, headers


CREDENTIALS: list[tuple[str, dict[str, str], str, str]] = [
    ("none", {}, "", STRANGER),
    ("a cookie only", {"cookie": "session=abc"}, "", STRANGER),
    ("in the query", {}, "?access_token=sq_at_assistant&api_key=key-alice&token=key-alice", STRANGER),
    ("an unknown token", {"authorization": "Bearer sq_at_other"}, "", REFUSED),
    ("an unknown key", {"x-api-key": "key-of-nobody"}, "", REFUSED),
    ("another scheme", {"authorization": "Basic a2V5OmFsaWNl"}, "", REFUSED),
]


@pytest.mark.parametrize(("given", "query", "challenge"), [c[1:] for c in CREDENTIALS], ids=[c[0] for c in CREDENTIALS])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/mcp", b"not even json"),
        ("GET", "/sse", None),
        ("POST", "/messages", b"{}"),
        ("GET", "/api/toy/me", None),
        ("POST", "/api/toy/message", b'{"text": "hi"}'),
    ],
)
@pytest.mark.storage
async def test_a_stranger_is_told_where_to_ask(
    house: Any, rest: Any, redis: Any, method: str, path: str, body: Any, given: dict[str, str], query: str,
    challenge: str,
) -> None:  # fmt: skip
    async with house:
        if path.startswith("/api"):
            http = rest
            del http.headers["x-api-key"]
        else:
            base = await (house.open_mcp() if path == "/mcp" else house.open_sse(redis))
            http = await house.http(base, None)
        answer = await http.request(method, path + query, content=body, headers=JSON | given)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
        assert answer.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize("version", [MODERN, LEGACY, "2025-06-18", "2025-03-26"])
async def test_a_tool_that_takes_more_says_how_much(house: Any, version: str, sessions: bool) -> None:
    async with house:
        http = await house.http(await house.open_mcp(mcp_legacy_sessions=sessions), None)
        body, headers = call(version)
        answer = await http.post("/mcp", json=body, headers=headers | TOKEN)
        assert answer.status_code == 403
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="hermes", error="insufficient_scope", error_description="')
        # A client of the older versions asks for exactly this, so it has to name what is granted already.
        scope = "toy:write" if version == MODERN else "toy:read toy:write"
        assert challenge.endswith(f'scope="{scope}", resource_metadata="{METADATA}"')
        assert (answer.json()["code"], answer.json()["scope"]) == ("insufficient_scope", scope)
        assert not house.gateway.calls


@pytest.mark.parametrize("sessions", [False, True])
async def test_through_search_mode_too(house: Any, sessions: bool) -> None:
    async with house:
        http = await house.http(await house.open_mcp(mcp_legacy_sessions=sessions), None)
        for version in (MODERN, LEGACY):
            body, headers = call(version, "gateway_call_tool", SEND)
            answer = await http.post("/mcp?mode=search", json=body, headers=headers | TOKEN)
            assert answer.status_code == 403, answer.text
            scope = "toy:write" if version == MODERN else "toy:read toy:write"
            assert f'scope="{scope}"' in answer.headers["www-authenticate"]
        body, headers = call(MODERN, "gateway_search_tools", {"query": "send"})
        found = (await http.post("/mcp?mode=search", json=body, headers=headers | TOKEN)).json()["result"]
        assert found["structuredContent"]["tools"][0]["name"] == "toy_send_message"


async def test_what_is_granted_is_called_and_what_could_be_is_listed(house: Any, direct: Any) -> None:
    del direct.headers["x-api-key"]
    body, headers = call(MODERN, "toy_get_me", {})
    answer = await direct.post("/mcp", json=body, headers=headers | TOKEN)
    assert answer.json()["result"]["structuredContent"] == {"said": "me"}
    body, headers = call(LEGACY)
    listed = await direct.post("/mcp", json=body | {"method": "tools/list", "params": {}}, headers=headers | TOKEN)
    names = [tool["name"] for tool in listed.json()["result"]["tools"]]
    assert names == list(house.catalog.tools)


async def test_a_batch_is_refused_as_a_whole(house: Any, direct: Any) -> None:
    del direct.headers["x-api-key"]
    body, _ = call("2025-03-26")
    answer = await direct.post("/mcp", json=[body], headers=JSON | {"mcp-protocol-version": "2025-03-26"} | TOKEN)
    assert (answer.status_code, "insufficient_scope" in answer.headers["www-authenticate"]) == (403, True)


async def test_over_rest(house: Any, rest: Any) -> None:
    del rest.headers["x-api-key"]
    answer = await rest.post("/api/toy/message", json={"text": "hi"}, headers=TOKEN)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="toy:write"' in answer.headers["www-authenticate"]
    assert (await rest.get("/api/toy/me", headers=TOKEN)).json() == {"said": "me"}


@pytest.mark.storage
async def test_over_sse_as_a_result(house: Any, redis: Any) -> None:
    async with house:
        http = await house.http(await house.open_sse(redis), None)
        async with http.stream("GET", "/sse", headers=TOKEN) as stream:
            lines = stream.aiter_lines()
            endpoint = await _data(lines)
            body, _ = call(LEGACY)
            assert (await http.post(endpoint, json=body, headers=TOKEN)).status_code == 202
            result = orjson.loads(await _data(lines))["result"]
            assert result["isError"]
            assert result["_meta"]["com.squaremcp/error"]["scope"] == "toy:write"
            assert "toy:write" in result["content"][0]["text"]


async def _data(lines: Any) -> str:
    async for line in lines:
        if line.startswith("data: "):
            return str(line.removeprefix("data: "))
    raise EOFError
