"""What clients of each era get when a tool has to ask them first."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from hermes.crypto import Keyring
from hermes.gateway.asking import RequestStates
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller, Grants, Via
from hermes.platforms.asks import Asked, form

MODERN = "2026-07-28"
TOOL = "toy_send_message"
NAME = form("Your name?", {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
ANSWER = {"action": "accept", "content": {"name": "Ada"}}
ALICE = Caller("customer", "alice", Via.API_KEY, "id-alice", Grants.everything(), "free")


@pytest.fixture(autouse=True)
def asking(house: Any) -> None:
    """The tool greets whoever answers, by the gateway's own mechanism."""
    states = RequestStates(Keyring(b"k" * 32))

    async def run(arguments: dict[str, Any], options: CallOptions) -> dict[str, Any]:
        asks = states.opened(ALICE, "tools/call", arguments, options.dialogue)
        try:
            answer = asks.answers({"name": NAME}, None)["name"]
        except Asked as asked:
            raise states.required(ALICE, "tools/call", arguments, asks, asked) from None
        assert isinstance(answer, types.ElicitResult)
        return {"said": answer.content["name"] if answer.content else answer.action}

    house.gateway.on[TOOL] = run


def modern(capabilities: dict[str, Any], **params: Any) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": TOOL, "arguments": {"text": "x"}, "_meta": meta, **params},
    }


HEADERS = {
    "mcp-protocol-version": MODERN,
    "mcp-method": "tools/call",
    "mcp-name": TOOL,
    "accept": "application/json, text/event-stream",
}


async def test_a_modern_client_answers_with_its_next_request(direct: Any) -> None:
    for _ in range(2):  # the first time by the SDK's kernel, then directly: the same
        asked = (await direct.post("/mcp", json=modern({"elicitation": {}}), headers=HEADERS)).json()["result"]
        assert (asked["resultType"], asked["inputRequests"]["name"]["method"]) == (
            "input_required",
            "elicitation/create",
        )
        assert asked["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "hermes"
        assert "content" not in asked
        given = {"inputResponses": {"name": ANSWER, "more": ANSWER}, "requestState": asked["requestState"]}
        done = await direct.post("/mcp", json=modern({"elicitation": {}}, **given), headers=HEADERS)
        assert done.json()["result"]["structuredContent"] == {"said": "Ada"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"requestState": "a10.00"}, -32602),
        ({"inputResponses": {"name": 5}}, -32602),
        ({"inputResponses": {"name": {"roots": []}}}, -32602),
        ({"inputResponses": 5}, -32602),
        ({"requestState": 5}, -32602),
    ],
)
async def test_what_does_not_fit_is_a_protocol_error(direct: Any, given: dict[str, Any], code: int) -> None:
    answer = await direct.post("/mcp", json=modern({"elicitation": {}}, **given), headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def test_wrong_and_missing_answers_are_asked_for_again(direct: Any) -> None:
    for given in ({"inputResponses": {"other": ANSWER}}, {"inputResponses": {}}):
        answer = await direct.post("/mcp", json=modern({"elicitation": {}}, **given), headers=HEADERS)
        assert list(answer.json()["result"]["inputRequests"]) == ["name"]


async def test_a_modern_client_that_cannot_be_asked_is_told_what_it_lacks(direct: Any) -> None:
    for _ in range(2):
        answer = await direct.post("/mcp", json=modern({"elicitation": {"url": {}}}), headers=HEADERS)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, -32021)
        assert error["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}


async def test_without_a_session_a_legacy_client_is_told_so(direct: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": TOOL, "arguments": {"text": "x"}}}
    result = (await direct.post("/mcp", json=message, headers={"mcp-protocol-version": "2025-11-25"})).json()["result"]
    assert result["isError"] is True
    assert result["_meta"]["com.squaremcp/error"]["code"] == "missing_capability"
    assert "MCP_LEGACY_SESSIONS" in result["content"][0]["text"]


async def fill_in(_context: Any, params: Any) -> types.ElicitResult:
    assert params.message == "Your name?"
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def refuse(_context: Any, _params: Any) -> types.ErrorData:
    return types.ErrorData(code=-1, message="no")


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_sdk_client_is_asked_in_both_eras(house: Any, mode: str) -> None:
    async with house:
        base = await house.open_mcp(mcp_legacy_sessions=True)
        http = await house.http(base)
        transport = streamable_http_client(f"{base}/mcp", http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=fill_in) as client:
            result = await client.call_tool(TOOL, {"text": "x"})
            assert result.structured_content == {"said": "Ada"}


async def test_a_session_whose_client_does_not_answer_gets_an_error(house: Any) -> None:
    async with house:
        base = await house.open_mcp(mcp_legacy_sessions=True)
        transport = streamable_http_client(f"{base}/mcp", http_client=await house.http(base))
        async with Client(transport, mode="legacy", elicitation_callback=refuse) as client:
            result = await client.call_tool(TOOL, {"text": "x"})
            assert result.is_error
            assert result.meta["com.squaremcp/error"]["code"] == "conflict"
