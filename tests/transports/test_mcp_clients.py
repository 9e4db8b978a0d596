"""The official SDK's clients, in every mode, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import MCPError

from hermes.errors import NotConnected

MODES = ["legacy", "auto", "2026-07-28"]


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize("mode", MODES)
async def test_lists_and_calls(house: Any, mode: str, sessions: bool) -> None:
    async with house:
        client = await house.client(await house.open_mcp(mcp_legacy_sessions=sessions), mode)
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["toy_get_me", "toy_get_echo", "toy_send_message", "toy_edit_message"]
        shown = tools["toy_send_message"]
        assert shown.title == "Send message"
        assert shown.description == "Send a text."
        assert shown.input_schema["required"] == ["text"]
        assert shown.annotations is not None
        assert (shown.annotations.read_only_hint, shown.annotations.destructive_hint) == (False, False)
        result = await client.call_tool("toy_get_echo", {"text": "hello", "times": 2})
        assert result.structured_content == {"said": "hello", "times": 2}
        assert result.content[0].text == '{"said":"hello","times":2}'
        assert (await client.list_prompts()).prompts == []
        assert (await client.list_resources()).resources == []
        assert (await client.list_resource_templates()).resource_templates == []


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_errors_of_a_call(house: Any, fails: Any, mode: str, sessions: bool) -> None:
    async with house:
        client = await house.client(await house.open_mcp(mcp_legacy_sessions=sessions), mode)
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("toy_nothing", {})
        assert unknown.value.error.code == -32602
        house.gateway.on["toy_send_message"] = fails(
            NotConnected("No account is linked.", platform="toy", connect_url="https://hermes.example/connect/toy")
        )
        result = await client.call_tool("toy_send_message", {"text": "x"})
        assert result.is_error
        assert result.content[0].text.startswith("No account is linked.")
        assert "https://hermes.example/connect/toy" in result.content[0].text
        assert result.meta["com.squaremcp/error"]["code"] == "not_connected"
        result = await client.call_tool("toy_get_echo", {"text": 5})
        assert result.is_error
        assert "text" in result.content[0].text


@pytest.mark.parametrize("sessions", [False, True])
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_progress_on_the_requests_own_stream(house: Any, mode: str, sessions: bool) -> None:
    async with house:

        async def slow(arguments: dict[str, Any], options: Any) -> dict[str, Any]:
            for value in (1, 2, 2, 1, 3):
                await options.report(value, 3, f"step {value}")
            return {"said": "done"}

        house.gateway.on["toy_send_message"] = slow
        client = await house.client(await house.open_mcp(mcp_legacy_sessions=sessions), mode)
        seen: list[tuple[float, float | None, str | None]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            seen.append((progress, total, message))

        result = await client.call_tool("toy_send_message", {"text": "x"}, progress_callback=on_progress)
        assert result.structured_content == {"said": "done"}
        assert seen == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


@pytest.mark.parametrize(("version", "cancels"), [("2026-07-28", True), ("2025-11-25", False)])
async def test_a_client_that_leaves_cancels_only_in_the_modern_era(house: Any, version: str, cancels: bool) -> None:
    async with house:
        begun, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        outcome: list[str] = []

        async def slow(arguments: dict[str, Any], options: Any) -> dict[str, Any]:
            begun.set()
            try:
                await release.wait()
                outcome.append("finished")
            except asyncio.CancelledError:
                outcome.append("cancelled")
                raise
            finally:
                ended.set()
            return {"said": "done"}

        house.gateway.on["toy_send_message"] = slow
        http = await house.http(await house.open_mcp())
        params: dict[str, Any] = {"name": "toy_send_message", "arguments": {"text": "x"}}
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
        if cancels:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            headers |= {"mcp-method": "tools/call", "mcp-name": "toy_send_message"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        post = asyncio.create_task(http.post("/mcp", json=body, headers=headers))
        await begun.wait()
        post.cancel()
        await asyncio.wait({post})
        await http.aclose()
        if not cancels:
            # The server learns that the client went before the call is let go on; the next request proves it is alive.
            other = await house.http(str(http.base_url))
            assert (await other.post("/mcp", json=[], headers=headers)).status_code == 400
            release.set()
        await asyncio.wait_for(ended.wait(), 5)
        assert outcome == ["cancelled" if cancels else "finished"]


async def test_a_call_of_a_session_is_cancelled_by_notification(house: Any) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(_arguments: dict[str, Any], _options: Any) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    house.gateway.on["toy_send_message"] = slow
    async with house:
        client = await house.client(await house.open_mcp(mcp_legacy_sessions=True), "legacy")
        calling = asyncio.create_task(client.call_tool("toy_send_message", {"text": "x"}))
        await asyncio.wait_for(begun.wait(), 10)
        # The official client sends notifications/cancelled for a request that its caller gives up.
        calling.cancel()
        await asyncio.wait({calling})
        await asyncio.wait_for(ended.wait(), 10)
        assert (await client.call_tool("toy_get_me", {})).structured_content == {"said": "me"}


async def test_a_session_is_its_own_callers(house: Any) -> None:
    async with house:
        base = await house.open_mcp(mcp_legacy_sessions=True)
        alice, bob = await house.http(base), await house.http(base, "key-bob")
        headers = {"accept": "application/json, text/event-stream"}
        hello = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        }
        opened = await alice.post("/mcp", json=hello, headers=headers)
        headers |= {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        assert (await bob.post("/mcp", json=ping, headers=headers)).status_code == 404
        assert (await alice.post("/mcp", json=ping, headers=headers)).status_code == 200
        assert (await alice.delete("/mcp", headers=headers)).status_code == 200
        assert (await alice.post("/mcp", json=ping, headers=headers)).status_code == 404
