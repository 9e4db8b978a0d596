"""Choosing tools in the MCP URL: fewer schemas, the same rules."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest

SEARCH = ["gateway_search_tools", "gateway_describe_tool", "gateway_call_tool"]
HEADERS = {"accept": "application/json", "mcp-protocol-version": "2025-11-25"}


async def ask(client: httpx2.AsyncClient, query: str, method: str, **params: Any) -> Any:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return (await client.post(f"/mcp{query}", json=message, headers=HEADERS)).json()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["toy_get_me", "toy_get_echo", "toy_send_message", "toy_edit_message"]),
        ("?platforms=toy", ["toy_get_me", "toy_get_echo", "toy_send_message", "toy_edit_message"]),
        ("?tools=toy_get_me,toy_get_echo", ["toy_get_me", "toy_get_echo"]),
        ("?tools=toy_get_me&tools=toy_send_message", ["toy_get_me", "toy_send_message"]),
        ("?mode=search", SEARCH),
        ("?mode=search&tools=toy_get_me", SEARCH),
        ("?other=1", ["toy_get_me", "toy_get_echo", "toy_send_message", "toy_edit_message"]),
    ],
)
async def test_what_is_listed(direct: httpx2.AsyncClient, query: str, names: list[str]) -> None:
    listed = (await ask(direct, query, "tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in listed] == names


@pytest.mark.parametrize("query", ["?platforms=nope", "?tools=toy_get_me,toy_fly", "?mode=quick"])
async def test_a_typing_error_is_told(direct: httpx2.AsyncClient, query: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    answer = await direct.post(f"/mcp{query}", json=message, headers=HEADERS)
    assert answer.status_code == 400
    assert "there are" in answer.text


@pytest.mark.parametrize("query", ["?tools=toy_get_echo", "?mode=search"])
async def test_what_is_left_out_cannot_be_called(direct: httpx2.AsyncClient, query: str, house: Any) -> None:
    answer = await ask(direct, query, "tools/call", name="toy_get_me", arguments={})
    assert answer["error"]["code"] == -32602
    assert house.gateway.calls == []


async def test_search_describe_call(direct: httpx2.AsyncClient, house: Any) -> None:
    async def use(tool: str, **arguments: Any) -> Any:
        return (await ask(direct, "?mode=search", "tools/call", name=tool, arguments=arguments))["result"]

    found = (await use(SEARCH[0], query="send a text"))["structuredContent"]
    assert found["tools"][0]["name"] == "toy_send_message"
    assert (await use(SEARCH[0]))["structuredContent"]["tools"][0]["name"] == "toy_get_me"
    described = (await use(SEARCH[1], name="toy_send_message"))["structuredContent"]
    assert described["input_schema"] == house.catalog.tools["toy_send_message"].input_schema
    called = await use(SEARCH[2], name="toy_send_message", arguments={"text": "hi"})
    assert called["structuredContent"] == {"said": "hi"}
    [(caller, name, arguments, options)] = house.gateway.calls
    assert (caller.customer_id, name, arguments, options.transport) == (
        "alice",
        "toy_send_message",
        {"text": "hi"},
        "mcp",
    )


async def test_search_shows_and_calls_only_what_the_caller_may(direct: httpx2.AsyncClient, house: Any) -> None:
    house.gateway.hidden.add("toy_send_message")
    found = await ask(direct, "?mode=search", "tools/call", name=SEARCH[0], arguments={"query": "send"})
    assert "toy_send_message" not in orjson.dumps(found).decode()
    described = await ask(direct, "?mode=search", "tools/call", name=SEARCH[1], arguments={"name": "toy_send_message"})
    assert described["result"]["isError"]
    narrowed = "?mode=search&tools=toy_get_me"
    for tool in ("toy_send_message", "toy_get_echo"):
        answer = await ask(
            direct, narrowed, "tools/call", name=SEARCH[2], arguments={"name": tool, "arguments": {"text": "x"}}
        )
        assert answer["error"]["code"] == -32602
    assert house.gateway.calls == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (SEARCH[0], {"limit": 100}),
        (SEARCH[1], {}),
        (SEARCH[2], {"name": "toy_get_me"}),
        (SEARCH[2], {"name": 5, "arguments": {}}),
        (SEARCH[0], {"query": "x", "customer_id": "bob"}),
    ],
)
async def test_wrong_arguments(direct: httpx2.AsyncClient, name: str, arguments: dict[str, Any]) -> None:
    answer = await ask(direct, "?mode=search", "tools/call", name=name, arguments=arguments)
    assert answer["result"]["isError"]


async def test_search_mode_is_small(direct: httpx2.AsyncClient) -> None:
    listed = await ask(direct, "?mode=search", "tools/list")
    assert len(orjson.dumps(listed)) < 4_000
