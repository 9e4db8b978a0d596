"""Calls of a tool by every door, each with what it answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from e2e.wire import parsed
from hermes.platforms.base import Tool

MODERN: Final = "2026-07-28"
LEGACY: Final = "2025-11-25"
TASKS: Final = "io.modelcontextprotocol/tasks"
POLL_SECONDS: Final = 0.5
DOORS: Final = ("modern", "legacy", "rest", "task")


@dataclass(frozen=True)
class Answer:
    """What a call ended with: `success` or the error's code, and the call's id."""

    code: str
    call_id: str | None
    data: Any = field(repr=False)

    @property
    def unknown(self) -> bool:
        return self.code == "outcome_unknown"


@dataclass(frozen=True)
class Client:
    """One customer's client, which speaks all of them."""

    url: str
    http: aiohttp.ClientSession
    key: str = field(repr=False)

    async def call(self, door: str, tool: Tool, arguments: dict[str, Any], idempotency_key: str | None) -> Answer:
        """Call a tool, and wait until it is through."""
        if door == "rest":
            return await self._rest(tool, arguments, idempotency_key)
        meta = {"com.squaremcp/idempotency-key": idempotency_key} if idempotency_key else {}
        version = LEGACY if door == "legacy" else MODERN
        params = {"name": tool.name, "arguments": arguments, "_meta": meta}
        result = await self._mcp(version, "tools/call", tool.name, params, tasks=door == "task")
        while result.get("resultType") == "task" or result.get("status") == "working":
            await asyncio.sleep(POLL_SECONDS)
            task = {"taskId": result["taskId"], "_meta": {}}
            result = await self._mcp(MODERN, "tasks/get", result["taskId"], task, tasks=True)
        return _answer_of(result.get("result", result))

    async def request(self, method: str, path: str, **given: Any) -> tuple[int, Any, Any]:
        """Status, JSON and headers of an answer."""
        headers = {"x-api-key": self.key, **given.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **given) as response:
            text = await response.text()
            return response.status, parsed(text), response.headers

    async def keep(self, content: bytes, name: str) -> str:
        """Hand over a file; gives its handle."""
        status, kept, _ = await self.request("PUT", f"/api/media?filename={name}", data=content)
        assert status == 201, kept
        return str(kept["handle"])

    async def _rest(self, tool: Tool, arguments: dict[str, Any], key: str | None) -> Answer:
        headers = {"idempotency-key": key} if key else {}
        given: dict[str, Any] = {"json": arguments}
        if tool.rest_method in ("GET", "DELETE"):
            given = {"params": {name: _in_query(value) for name, value in arguments.items()}}
        status, said, got = await self.request(tool.rest_method, tool.rest_path, headers=headers, **given)
        if status == 200:
            return Answer("success", got["x-call-id"], said)
        return Answer(said["code"], said.get("call_id"), said)

    async def _mcp(self, version: str, method: str, name: str, params: dict[str, Any], *, tasks: bool) -> Any:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
        if version == MODERN:
            headers |= {"mcp-method": method, "mcp-name": name}
            params["_meta"] |= {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}} if tasks else {}},
            }
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        _, said, _ = await self.request("POST", "/mcp", json=message, headers=headers)
        assert "result" in said, said
        return said["result"]


def _answer_of(result: dict[str, Any]) -> Answer:
    if result.get("isError"):
        error = result["_meta"]["com.squaremcp/error"]
        return Answer(error["code"], error.get("call_id"), error)
    assert "structuredContent" in result, result
    return Answer("success", result["_meta"]["com.squaremcp/call-id"], result["structuredContent"])


def _in_query(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
