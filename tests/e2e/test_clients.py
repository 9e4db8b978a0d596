"""All 14 tools, listed and called by the official SDK's clients in every mode, over REST, and from the command line."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jsonschema
import pytest
from mcp import Client, ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

PHOTO = "https://example.com/cat.jpg"
TEMPLATE = {"to": "+4915112345678", "name": "hello_world", "language": "en_US"}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("obsidian_append_to_note", {"path": "Log.md", "content": "A line about hermes.", "create": True}),
    ("obsidian_search_notes", {"query": "hermes"}),
    ("obsidian_read_note", {"path": "Log.md"}),
    ("obsidian_update_note", {"path": "Log.md", "frontmatter": {"set": {"done": True}}}),
    ("obsidian_sync_status", {}),
    ("telegram_get_me", {}),
    ("telegram_send_message", {"chat_id": 987654321, "text": "Hello from hermes"}),
    ("telegram_send_photo", {"chat_id": "987654321", "photo": PHOTO, "caption": "A cat"}),
    ("telegram_get_updates", {"limit": 5}),
    ("telegram_get_chat", {"chat_id": 987654321}),
    ("whatsapp_send_message", {"to": "+4915112345678", "text": "Hello from hermes"}),
    ("whatsapp_send_template", TEMPLATE),
    ("whatsapp_list_templates", {"limit": 3}),
    ("whatsapp_get_message_status", {"message_id": "wamid.unknown"}),
]
NAMES = sorted(name for name, _ in CALLS)
PLATFORMS = ("obsidian", "telegram", "whatsapp")


def _of_these(tools: Iterable[str]) -> list[str]:
    return sorted(name for name in tools if name.startswith(PLATFORMS))


@asynccontextmanager
async def over_mcp(hermes: Any, mode: str) -> AsyncIterator[Any]:
    async with httpx2.AsyncClient(headers={"x-api-key": hermes.api_key}) as http:
        transport = streamable_http_client(f"{hermes.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


@asynccontextmanager
async def over_sse(hermes: Any, _mode: str) -> AsyncIterator[Any]:
    headers = {"x-api-key": hermes.api_key}
    async with sse_client(f"{hermes.url}/sse", headers=headers) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        yield client


@pytest.mark.parametrize(
    ("connect", "mode"),
    [(over_mcp, "2026-07-28"), (over_mcp, "legacy"), (over_mcp, "auto"), (over_sse, "2024-11-05")],
)
async def test_sdk_clients(shared_hermes: Any, connect: Any, mode: str) -> None:
    """The SDK's client itself holds every structured result against the tool's output schema."""
    async with connect(shared_hermes, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert _of_these(tools) == NAMES
        for name, arguments in CALLS:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, result.content)
            assert json.loads(result.content[0].text) == result.structured_content
            jsonschema.validate(result.structured_content, tools[name].output_schema)


async def test_rest(shared_hermes: Any) -> None:
    async with httpx2.AsyncClient(base_url=shared_hermes.url, headers={"x-api-key": shared_hermes.api_key}) as http:
        tools = {tool["name"]: tool for tool in (await http.get("/tools")).json()["tools"]}
        assert _of_these(tools) == NAMES
        for name, arguments in CALLS:
            method, path = tools[name]["rest"]["method"], tools[name]["rest"]["path"]
            given: dict[str, Any] = {"params": arguments} if method == "GET" else {"json": arguments}
            answer = await http.request(method, path, **given)
            assert answer.status_code == 200, (name, answer.text)
            jsonschema.validate(answer.json(), tools[name]["output_schema"])


def _words(arguments: dict[str, Any]) -> list[str]:
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in arguments.items()]


async def test_command_line(shared_hermes: Any) -> None:
    """Each tool by `hermes tools call`, beside the running server: for the demo customer, audited as the operator."""
    listed = await asyncio.to_thread(shared_hermes.run, "tools", "list", "--json")
    tools = {tool["name"]: tool for tool in json.loads(listed.stdout)}
    assert _of_these(tools) == NAMES
    calls: dict[str, str] = {}

    async def call_all(platform: str) -> None:
        for name, arguments in CALLS:
            if name.startswith(platform):
                command = ("tools", "call", name, *_words(arguments), "--customer", "demo@sandbox.example", "--json")
                called = await asyncio.to_thread(shared_hermes.run, *command)
                assert called.returncode == 0, (name, called.stdout, called.stderr)
                outcome = json.loads(called.stdout)
                jsonschema.validate(outcome["result"], tools[name]["output_schema"])
                calls[name] = outcome["call_id"]

    await asyncio.gather(*map(call_all, PLATFORMS))
    async with httpx2.AsyncClient(base_url=shared_hermes.url, headers={"x-api-key": shared_hermes.api_key}) as http:
        lines = {line["id"]: line for line in (await http.get("/api/audit?limit=500")).json()["entries"]}
    assert {name: lines[call]["tool"] for name, call in calls.items()} == {name: name for name in NAMES}
    assert {lines[call]["caller"]["kind"] for call in calls.values()} == {"operator"}


def test_printed_first_call(shared_hermes: Any) -> None:
    """What `hermes serve --sandbox` prints to paste is pasted into a shell."""
    printed = "".join(shared_hermes.output)
    start = printed.index("  curl ")
    command = printed[start : printed.index("An MCP client", start)]
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stderr
    sent = json.loads(ran.stdout)
    assert sent["text"] == "Hello from hermes"
    assert sent["chat"]["id"] == 987654321


def test_printed_command_for_a_client(shared_hermes: Any) -> None:
    """It works in any folder, and says where this server is."""
    command = re.search(r"An MCP client:  (.*)", "".join(shared_hermes.output))
    assert command is not None
    ran = subprocess.run(
        ["/bin/sh", "-c", command[1]], capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )
    assert ran.returncode == 0, ran.stderr
    assert f"{shared_hermes.url}/mcp" in ran.stdout
