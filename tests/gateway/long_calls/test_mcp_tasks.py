"""Long calls over MCP: tasks for clients that declare the extension, one answer with progress for the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers

from hermes.identity.caller import Caller
from hermes.observability.logs import RequestLog
from hermes.settings import Settings
from hermes.transports.mcp import McpTransport
from hermes.transports.tasks import EXTENSION

pytestmark = pytest.mark.storage

VERSION = "2026-07-28"
TOOL = "vendor_upload_video"
UNKNOWN = "call_" + "0" * 32


class Keys:
    """Callers by name."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}

    async def authenticate(self, headers: Headers, surface: str = "mcp", method: str | None = None) -> Caller:
        return self.callers[headers["x-api-key"]]


class McpClient:
    """Speaks the modern era over HTTP, as one caller."""

    def __init__(self, http: httpx2.AsyncClient, key: str, extensions: dict[str, Any] | None = None) -> None:
        self._http = http
        self._key = key
        self._extensions = {EXTENSION: {}} if extensions is None else extensions

    async def send(self, method: str, called: str | None = None, /, **params: Any) -> httpx2.Response:
        meta: dict[str, Any] = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {"extensions": self._extensions},
            **params.pop("meta", {}),
        }
        headers = {
            "x-api-key": self._key,
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": VERSION,
            "mcp-method": method,
        }
        if called is not None:
            headers["mcp-name"] = called
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}}
        return await self._http.post("/mcp", json=body, headers=headers)

    async def result(self, method: str, called: str | None = None, /, **params: Any) -> dict[str, Any]:
        answer = await self.send(method, called, **params)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()["result"]
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "hermes"
        return result

    async def error(self, method: str, called: str | None = None, /, **params: Any) -> tuple[int, int, Any]:
        answer = await self.send(method, called, **params)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error.get("data")

    async def upload(self) -> dict[str, Any]:
        return await self.result("tools/call", TOOL, name=TOOL, arguments={"title": "x"})

    async def task(self, method: str, task_id: str, **params: Any) -> dict[str, Any]:
        return await self.result(f"tasks/{method}", task_id, taskId=task_id, **params)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def process(bench) -> Any:
    return bench.start_process()


@pytest.fixture
async def http(bench, process, keys) -> AsyncIterator[httpx2.AsyncClient]:
    keys.callers = {"a": await bench.customer(), "b": await bench.customer("b@example.com")}
    transport = McpTransport(Settings(), process.gateway, keys, version="1", long_calls=process.long_calls)
    app = RequestLog(Starlette(routes=transport.routes()))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:3456") as client:
        yield client


async def finished(process: Any) -> None:
    """Wait until no call is under way."""
    await asyncio.gather(*(run.work for run in process.long_calls._runs.values()))


async def test_the_extension_is_offered(http) -> None:
    found = await McpClient(http, "a").result("server/discover")
    assert found["capabilities"]["extensions"] == {EXTENSION: {}}


async def test_a_long_tool_is_a_task_from_its_beginning_to_its_result(http, bench, process) -> None:
    client = McpClient(http, "a")
    for _ in range(2):  # the first request of a client goes through the SDK's kernel, later ones do not
        gate = bench.vendor.before["chunk-1"] = bench.gate()
        task = await client.upload()
        assert task["resultType"] == "task"
        assert task["status"] == "working"
        assert (task["ttlMs"], task["pollIntervalMs"]) == (86_400_000, 2_000)
        await gate.reached.wait()
        working = await client.task("get", task["taskId"])
        assert (working["resultType"], working["status"]) == ("complete", "working")
        assert working["statusMessage"] == "uploading: part 1"
        assert working["createdAt"] == task["createdAt"]
        assert working["createdAt"].endswith("Z")
        gate.open.set()
        await finished(process)
        done = await client.task("get", task["taskId"])
        assert (done["status"], done["result"]["isError"]) == ("completed", False)
        assert done["result"]["structuredContent"]["container"].startswith("container#")
        assert await client.task("update", task["taskId"], inputResponses={"x": {}}) == {
            "resultType": "complete",
            "_meta": done["_meta"],
        }


async def test_a_failed_call_is_a_completed_task_with_an_error_result(http, bench, process) -> None:
    async def fail() -> None:
        raise RuntimeError("a secret detail")

    bench.vendor.before["publish"] = fail
    client = McpClient(http, "a")
    task = await client.upload()
    await finished(process)
    done = await client.task("get", task["taskId"])
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert done["result"]["_meta"]["com.squaremcp/error"]["code"] == "outcome_unknown"
    assert "secret" not in json.dumps(done)


async def test_a_task_is_cancelled_before_its_next_step(http, bench, process) -> None:
    gate = bench.vendor.before["chunk-0"] = bench.gate()
    client = McpClient(http, "a")
    task = await client.upload()
    await gate.reached.wait()
    assert (await client.task("cancel", task["taskId"]))["resultType"] == "complete"
    gate.open.set()
    await finished(process)
    ended = await client.task("get", task["taskId"])
    assert ended["status"] == "cancelled"
    assert "result" not in ended
    assert "publish" not in bench.vendor.received


async def test_a_refusal_before_the_task_is_a_plain_result(http) -> None:
    result = await McpClient(http, "a").result("tools/call", TOOL, name=TOOL, arguments={})
    assert (result["resultType"], result["isError"]) == ("complete", True)


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
async def test_nobody_sees_what_is_not_theirs(http, process, method) -> None:
    task_id = (await McpClient(http, "a").upload())["taskId"]
    await finished(process)
    name = f"tasks/{method}"
    for client, wanted in (
        (McpClient(http, "b"), task_id),
        (McpClient(http, "a"), UNKNOWN),
        (McpClient(http, "a"), ""),
    ):
        assert (await client.error(name, wanted, taskId=wanted, inputResponses={}))[:2] == (400, -32602)
    assert (await McpClient(http, "a").error(name, None))[:2] == (400, -32602)


@pytest.mark.parametrize("method", ["get", "update", "cancel"])
async def test_the_methods_want_the_extension_and_the_matching_header(http, method) -> None:
    required = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    plain = McpClient(http, "a", extensions={})
    assert await plain.error(f"tasks/{method}", UNKNOWN, taskId=UNKNOWN) == (400, -32021, required)
    client = McpClient(http, "a")
    for header in (None, "call_1"):
        assert (await client.error(f"tasks/{method}", header, taskId=UNKNOWN))[:2] == (400, -32020)


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
async def test_methods_of_the_first_tasks_are_unknown(http, method) -> None:
    assert (await McpClient(http, "a").error(method))[:2] == (404, -32601)


async def test_legacy_clients_know_no_tasks(http) -> None:
    headers = {"x-api-key": "a", "accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {"taskId": UNKNOWN}}
    answer = await http.post("/mcp", json=body, headers=headers)
    assert answer.json()["error"]["code"] == -32601


async def test_a_client_without_the_extension_gets_progress_and_one_result(http, bench) -> None:
    client = McpClient(http, "a", extensions={})
    answer = await client.send("tools/call", TOOL, name=TOOL, arguments={"title": "x"}, meta={"progressToken": "p"})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    told = [event["params"] for event in events[:-1]]
    assert [(item["progressToken"], item["progress"], item["total"]) for item in told] == [
        ("p", n, 3) for n in (1, 2, 3)
    ]
    assert events[-1]["result"]["resultType"] == "complete"
    assert events[-1]["result"]["structuredContent"]["id"] == "publish#1"
