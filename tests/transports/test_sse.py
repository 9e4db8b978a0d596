"""`/sse` and `/messages`: the official client, streams held by another replica, and streams of other callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest
from mcp import ClientSession
from mcp.client.sse import sse_client

from hermes.storage.redis import Redis
from hermes.transports.sse_mailbox import INBOX_LENGTH, Address, Mailbox

pytestmark = pytest.mark.storage

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


class Stream:
    """An open stream, read event by event."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()
        self.endpoint = ""

    async def event(self) -> tuple[str, str]:
        name = ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return name, line.removeprefix("data: ")
        raise EOFError

    async def answer(self) -> Any:
        name, data = await self.event()
        assert name == "message"
        return orjson.loads(data)


@asynccontextmanager
async def opened(http: httpx2.AsyncClient) -> AsyncIterator[Stream]:
    async with http.stream("GET", "/sse") as response:
        assert response.headers["content-type"] == "text/event-stream"
        stream = Stream(response)
        name, stream.endpoint = await stream.event()
        assert name == "endpoint"
        assert stream.endpoint.startswith("/messages?session_id=")
        yield stream


async def test_the_official_client(house: Any, redis: Any) -> None:
    async with house:
        base = await house.open_sse(redis)
        async with (
            sse_client(f"{base}/sse", headers={"x-api-key": "key-alice"}) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            assert [tool.name for tool in tools] == list(house.catalog.tools)
            result = await session.call_tool("toy_get_echo", {"text": "hello"})
            assert result.structured_content == {"said": "hello", "times": 1}
            assert house.gateway.calls[-1][3].transport == "sse"


async def test_a_message_reaches_the_replica_that_holds_the_stream(house: Any, redis: Any) -> None:
    async with house:
        here, there = await house.open_sse(redis), await house.open_sse(redis)
        alice, elsewhere = await house.http(here), await house.http(there)
        async with opened(alice) as stream:
            for number in range(5):
                posted = await elsewhere.post(stream.endpoint, json=PING | {"id": number})
                assert (posted.status_code, posted.text) == (202, "Accepted")
                assert await stream.answer() == {"jsonrpc": "2.0", "id": number, "result": {}}


async def test_a_stream_is_its_own_callers(house: Any, redis: Any) -> None:
    async with house:
        base = await house.open_sse(redis)
        alice, bob, nobody = await house.http(base), await house.http(base, "key-bob"), await house.http(base, None)
        async with opened(alice) as hers, opened(bob) as his:
            assert (await bob.post(hers.endpoint, json=PING)).status_code == 404
            assert (await nobody.post(hers.endpoint, json=PING)).status_code == 401
            assert (await bob.post(his.endpoint, json=PING | {"id": "bob"})).status_code == 202
            assert (await his.answer())["id"] == "bob"
            assert (await alice.post(hers.endpoint, json=PING | {"id": "alice"})).status_code == 202
            assert (await hers.answer())["id"] == "alice"
    assert not await redis.keys("sse:*")


async def test_progress_comes_before_the_answer(house: Any, redis: Any) -> None:
    async def slow(_arguments: Any, options: Any) -> dict[str, Any]:
        await options.report(1, 2, None)
        return {"said": "done"}

    house.gateway.on["toy_get_me"] = slow
    async with house:
        alice = await house.http(await house.open_sse(redis))
        async with opened(alice) as stream:
            params = {"name": "toy_get_me", "_meta": {"progressToken": "t"}}
            await alice.post(stream.endpoint, json=PING | {"method": "tools/call", "params": params})
            assert (await stream.answer())["params"] == {"progressToken": "t", "progress": 1.0, "total": 2.0}
            assert (await stream.answer())["result"]["structuredContent"] == {"said": "done"}


async def test_cancelling_and_leaving(house: Any, redis: Any) -> None:
    begun, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    outcomes: list[str] = []

    async def slow(_arguments: Any, _options: Any) -> dict[str, Any]:
        begun.set()
        try:
            await release.wait()
            outcomes.append("finished")
        except asyncio.CancelledError:
            outcomes.append("cancelled")
            raise
        finally:
            ended.set()
        return {"said": "done"}

    house.gateway.on["toy_get_me"] = slow
    call = PING | {"method": "tools/call", "params": {"name": "toy_get_me"}}
    async with house:
        alice = await house.http(await house.open_sse(redis))
        async with opened(alice) as stream:
            await alice.post(stream.endpoint, json=call)
            await asyncio.wait_for(begun.wait(), 5)
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
            await alice.post(stream.endpoint, json=cancel)
            await asyncio.wait_for(ended.wait(), 5)
            begun.clear()
            ended.clear()
            await alice.post(stream.endpoint, json=call | {"id": 2})
            await asyncio.wait_for(begun.wait(), 5)
            house.sse[0].end_streams()
            with pytest.raises(EOFError):
                await stream.event()
        release.set()
        await asyncio.wait_for(ended.wait(), 5)
    assert outcomes == ["cancelled", "finished"]


async def test_a_revoked_key_ends_its_stream(house: Any, redis: Any) -> None:
    async with house:
        alice = await house.http(await house.open_sse(redis))
        async with opened(alice) as stream:
            await alice.post(stream.endpoint, json=PING)
            await stream.answer()
            # Posted while the key still counts, and run when it does not any more.
            house.authenticator.revoked.add("key-alice")
            assert (await alice.post(stream.endpoint, json=PING)).status_code == 401
            (key,) = await redis.keys("sse:alice:*")
            holder = await redis.hget(key, "holder")
            await redis.rpush(f"{key}:inbox", orjson.dumps(["r", None, PING]))
            await redis.publish(f"sse-wake:{holder}", key.rsplit(":", 1)[-1])
            with pytest.raises(EOFError):
                await stream.event()


async def test_a_full_inbox_and_a_lost_holder(house: Any, redis: Any) -> None:
    async with house:
        alice = await house.http(await house.open_sse(redis))
        session = "0" * 32
        await redis.hset(f"sse:alice:{session}", mapping={"key": "id-alice", "holder": "gone"})
        for _ in range(INBOX_LENGTH):
            assert (await alice.post(f"/messages?session_id={session}", json=PING)).status_code == 202
        full = await alice.post(f"/messages?session_id={session}", json=PING)
        assert (full.status_code, full.headers["retry-after"]) == (429, "1")
        assert 0 < await redis.ttl(f"sse:alice:{session}:inbox") <= 30
        await redis.delete(f"sse:alice:{session}")
        assert (await alice.post(f"/messages?session_id={session}", json=PING)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "given", "content", "status"),
    [
        ("POST", "/sse", {}, b"{}", 405),
        ("GET", "/messages", {}, None, 405),
        ("GET", "/sse", {"x-api-key": "nope"}, None, 401),
        ("GET", "/sse", {"x-api-key": "key-suspended"}, None, 403),
        ("GET", "/sse", {"host": "evil.example"}, None, 421),
        ("GET", "/sse", {"origin": "http://evil.example"}, None, 403),
        ("POST", "/messages", {}, orjson.dumps(PING), 404),
        ("POST", "/messages?session_id=zz", {}, orjson.dumps(PING), 404),
        ("POST", "/messages?session_id=" + "0" * 32, {}, orjson.dumps(PING), 404),
        ("POST", "/messages?session_id=" + "0" * 32, {}, b"no", 400),
        ("POST", "/messages?session_id=" + "0" * 32, {}, b"[]", 400),
        ("POST", "/messages?session_id=" + "0" * 32, {}, b'{"jsonrpc":"2.0","id":[],"method":"ping"}', 400),
        ("POST", "/messages?session_id=" + "0" * 32, {"content-type": "text/plain"}, b"{}", 415),
        ("POST", "/messages?session_id=" + "0" * 32, {}, b"x" * (4 * 1024 * 1024 + 1), 413),
    ],
)
async def test_each_refusal(
    house: Any, redis: Any, method: str, path: str, given: dict[str, str], content: Any, status: int
) -> None:
    async with house:
        alice = await house.http(await house.open_sse(redis))
        answer = await alice.request(
            method, path, content=content, headers={"content-type": "application/json"} | given
        )
        assert answer.status_code == status


async def test_silence_is_cheap_and_ends_at_once(redis: Redis) -> None:
    """Redis is asked once per span of silence, not as fast as it answers; and stopping does not wait for the next."""
    mailbox = Mailbox(redis, quiet=0.1)
    address = Address("cus_1", "0" * 32)
    await mailbox.open(address, "key_1")
    began = asyncio.get_running_loop().time()
    before = await _pings(redis)
    while await _pings(redis) < before + 4:  # noqa: ASYNC110  (the count of another process can only be looked at)
        await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began > 0.25
    await mailbox.close(address)
    async with asyncio.timeout(5):
        await mailbox.stop()


async def _pings(redis: Redis) -> int:
    stats: Any = await redis.info("commandstats")
    return int(stats.get("cmdstat_ping", {"calls": 0})["calls"])
