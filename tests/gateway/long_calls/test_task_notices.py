"""`notifications/tasks` on a subscription: each customer's own tasks, as `tasks/get` shows them, until they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from hermes.observability.logs import RequestLog
from hermes.settings import Settings
from hermes.storage.notices import Notices
from hermes.transports.mcp import McpTransport
from hermes.transports.tasks import EXTENSION

from .test_mcp_tasks import UNKNOWN, Keys, McpClient

pytestmark = pytest.mark.storage

METHOD = "subscriptions/listen"


@pytest.fixture
def process(bench) -> Any:
    return bench.start_process()


@pytest.fixture
async def transport(bench, process, redis) -> AsyncIterator[McpTransport]:
    notices = process.rows._notices = Notices(redis, quiet=0.5)
    keys = Keys()
    keys.callers = {"a": await bench.customer(), "b": await bench.customer("b@example.com")}
    yield McpTransport(Settings(), process.gateway, keys, version="1", long_calls=process.long_calls, notices=notices)
    await notices.close()


@pytest.fixture
async def http(transport) -> AsyncIterator[httpx2.AsyncClient]:
    app = RequestLog(Starlette(routes=transport.routes()))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:3456") as client:
        yield client


async def opened(transport: McpTransport, client: McpClient, *task_ids: str) -> asyncio.Task[httpx2.Response]:
    subscriptions = transport._subscriptions
    assert subscriptions is not None
    before = len(subscriptions._open)
    task = asyncio.create_task(client.send(METHOD, notifications={"taskIds": list(task_ids)}))
    async with asyncio.timeout(10):
        while len(subscriptions._open) == before:  # noqa: ASYNC110  (nothing tells when it is open)
            await asyncio.sleep(0.01)
    return task


async def frames(answer: asyncio.Task[httpx2.Response]) -> list[dict[str, Any]]:
    text = (await answer).text
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


async def test_a_task_is_told_of_until_its_result(transport, http, bench, process, redis) -> None:
    mine, others = McpClient(http, "a"), McpClient(http, "b")
    gate = bench.vendor.before["chunk-0"] = bench.gate()
    task_id = (await mine.upload())["taskId"]
    await gate.reached.wait()
    hers = await opened(transport, mine, task_id, UNKNOWN, task_id)
    his = await opened(transport, others, task_id)
    gate.open.set()
    await asyncio.gather(*(run.work for run in process.long_calls._runs.values()))
    ended = await mine.task("get", task_id)
    # What was published before the end is heard before the streams are told to end.
    await asyncio.gather(*process.rows._notices._publishing)
    heard = asyncio.Event()
    caller = transport.front._authenticator.callers["a"]
    await process.rows._notices.listen(caller.customer_id, lambda notice: heard.set() if not notice.name else None)
    process.rows._notices.tell(caller.customer_id, "accounts")
    async with asyncio.timeout(10):
        await heard.wait()
    await asyncio.sleep(0.05)
    transport.end_streams()

    first, *told, _ = await frames(hers)
    assert first["params"]["notifications"] == {"taskIds": [task_id]}
    assert {frame["method"] for frame in told} == {"notifications/tasks"}
    assert all(frame["params"]["taskId"] == task_id for frame in told)
    last = told[-1]["params"]
    assert last.pop("_meta") == {"io.modelcontextprotocol/subscriptionId": 7}
    assert last == {name: ended[name] for name in ended if name not in ("resultType", "_meta")}
    assert last["status"] == "completed"

    only = await frames(his)
    assert [frame.get("method") for frame in only] == ["notifications/subscriptions/acknowledged", None]
    assert only[0]["params"]["notifications"] == {}


async def test_who_does_not_know_tasks_cannot_listen_to_them(transport, http) -> None:
    plain = McpClient(http, "a", extensions={})
    required = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    assert await plain.error(METHOD, notifications={"taskIds": [UNKNOWN]}) == (400, -32021, required)
