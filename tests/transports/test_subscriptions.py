"""`subscriptions/listen`: what is told, to whom, in which order, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest

from hermes.storage.notices import Kind, Notices
from hermes.storage.redis import Redis
from hermes.transports import subscriptions

pytestmark = pytest.mark.storage

VERSION = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {}}
HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": "subscriptions/listen",
}
LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
TOOLS, PROMPTS, RESOURCES = (f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources"))
ID = "listen-1"


def body(notifications: dict[str, Any], request_id: Any = ID, capabilities: Any = None) -> dict[str, Any]:
    meta = META | {"io.modelcontextprotocol/clientCapabilities": capabilities or {}}
    params = {"notifications": notifications, "_meta": meta}
    return {"jsonrpc": "2.0", "id": request_id, "method": "subscriptions/listen", "params": params}


class Listening:
    """An open subscription, read frame by frame."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()

    async def frame(self, seconds: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                if line.startswith("data: "):
                    return orjson.loads(line.removeprefix("data: "))
        raise EOFError

    async def told(self) -> str:
        """The next notification's method; every frame is tagged with the subscription."""
        frame = await self.frame()
        assert frame["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": ID}
        assert "id" not in frame
        return str(frame["method"])

    async def ended(self) -> dict[str, Any]:
        frame = await self.frame()
        assert frame == {
            "jsonrpc": "2.0",
            "id": ID,
            "result": {"_meta": frame["result"]["_meta"], "resultType": "complete"},
        }
        assert frame["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == ID
        with pytest.raises(EOFError):
            await self.frame()
        return frame


@asynccontextmanager
async def listening(http: httpx2.AsyncClient, **wanted: Any) -> AsyncIterator[Listening]:
    """A subscription whose acknowledgement, its first frame, has been read."""
    async with http.stream("POST", "/mcp", json=body(wanted), headers=HEADERS) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
        stream = Listening(response)
        first = await stream.frame()
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"]["notifications"] == wanted
        assert first["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": ID}
        yield stream


async def tell(redis: Redis, customer: str, kind: Kind, name: str = "") -> None:
    """Give notice as another process would."""
    notices = Notices(redis)
    notices.tell(customer, kind, name)
    await notices.close()


async def test_each_kind_and_nothing_that_was_not_asked_for(house: Any, redis: Redis) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        async with listening(alice, **LISTS) as everything, listening(alice, toolsListChanged=True) as tools:
            await tell(redis, "alice", "accounts")
            assert [await everything.told() for _ in range(2)] == [TOOLS, RESOURCES]
            assert await tools.told() == TOOLS
            await tell(redis, "alice", "notes", "obsidian://default/A.md")
            await tell(redis, "alice", "call", "call_1")
            house.authenticator.plans["alice"] = "starter"
            await tell(redis, "alice", "caller")
            assert [await everything.told() for _ in range(4)] == [RESOURCES, TOOLS, PROMPTS, RESOURCES]
            assert await tools.told() == TOOLS
            house.replicas[0].end_streams()
            await everything.ended()
            await tools.ended()


async def test_a_change_of_another_key_changes_no_list(house: Any, redis: Redis) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        async with listening(alice, **LISTS) as stream:
            await tell(redis, "alice", "caller")
            await tell(redis, "alice", "accounts")
            assert await stream.told() == TOOLS
            assert await stream.told() == RESOURCES


async def test_nobody_hears_of_others(house: Any, redis: Redis) -> None:
    """Every kind of notice to one customer, on every replica; another's subscriptions stay silent until their own."""
    async with house:
        bases = [await house.open_replica(redis) for _ in range(2)]
        async with (
            listening(await house.http(bases[0]), **LISTS) as hers,
            listening(await house.http(bases[0], "key-bob"), **LISTS) as his,
            listening(await house.http(bases[1], "key-bob"), **LISTS) as his_elsewhere,
        ):
            for customer in ("alice", "alice:changes", "bob:changes", "*", "b?b", "", "bob ", "Bob", "xbob"):
                for kind in ("caller", "accounts", "notes", "note", "call", "anything"):
                    await tell(redis, customer, kind, "bob")
            await tell(redis, "bob", "notes")
            for stream in (his, his_elsewhere):
                assert await stream.told() == RESOURCES
            house.replicas[0].end_streams()
            house.replicas[1].end_streams()
            await his.ended()
            await his_elsewhere.ended()
            assert await hers.told() == TOOLS


@pytest.mark.parametrize("how", ["revoked", "suspended"])
async def test_it_ends_with_the_right_to_call(house: Any, redis: Redis, how: str) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        async with listening(alice, **LISTS) as stream:
            getattr(house.authenticator, how).add("key-alice")
            await tell(redis, "alice", "caller")
            await tell(redis, "alice", "accounts")
            await stream.ended()
        refused = await alice.post("/mcp", json=body(LISTS), headers=HEADERS)
        assert refused.status_code == (401 if how == "revoked" else 403)


async def test_an_expired_token_is_noticed_without_any_notice(
    house: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        house.replicas[0]._subscriptions._check_seconds = 0.1
        async with listening(alice, **LISTS) as stream:
            house.authenticator.revoked.add("key-alice")
            await stream.ended()


async def test_after_a_gap_everything_is_looked_at_again(house: Any, redis: Redis) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        async with listening(alice, **LISTS) as stream:
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            assert [await stream.told() for _ in range(3)] == [TOOLS, PROMPTS, RESOURCES]
            await tell(redis, "alice", "notes")
            assert await stream.told() == RESOURCES


async def test_a_customer_has_so_many_at_once(house: Any, redis: Redis) -> None:
    async with house:
        base = await house.open_replica(redis)
        alice, bob = await house.http(base), await house.http(base, "key-bob")
        house.replicas[0]._subscriptions._per_customer = 2
        async with listening(alice, **LISTS):
            async with listening(alice, **LISTS):
                refused = await alice.post("/mcp", json=body(LISTS), headers=HEADERS)
                assert refused.json()["error"]["data"]["code"] == "rate_limited"
                async with listening(bob, **LISTS):
                    pass
            async with asyncio.timeout(10):
                while len(house.replicas[0]._subscriptions._open) > 1:  # noqa: ASYNC110  (leaving takes a moment)
                    await asyncio.sleep(0.01)
            async with listening(alice, **LISTS):
                pass


async def test_what_waits_for_a_slow_client_is_said_once(house: Any) -> None:
    """A hundred notices while the client does not read are one of each kind."""
    sent: list[str] = []
    reading, begun, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def notify(frame: bytes) -> None:
        sent.append(orjson.loads(frame)["method"])
        begun.set()
        await reading.wait()
        if len(sent) == 3:
            done.set()

    caller = await house.authenticator.authenticate({"x-api-key": "key-alice"})
    inbound = subscriptions.Inbound(caller, "r", "mcp", notify=notify)
    subscription = subscriptions._Subscription(
        inbound, notify, dict(LISTS), {}, house.authenticator.again, lambda *_: True, None
    )
    task = asyncio.create_task(subscription.run(60))
    await begun.wait()
    for _ in range(100):
        subscription.hear(subscriptions.Notice("accounts"))
    reading.set()
    await done.wait()
    subscription.end()
    await task
    assert sent == ["notifications/subscriptions/acknowledged", TOOLS, RESOURCES]


WRONG: list[tuple[str, dict[str, Any], dict[str, str], int, int]] = [
    ("no stream taken", body(LISTS), {"accept": "application/json"}, 400, -32600),
    ("no filter", body(LISTS) | {"params": {"_meta": META}}, {}, 400, -32602),
    ("a filter that is none", body({"toolsListChanged": [1]}), {}, 400, -32602),
    ("too many resources", body({"resourceSubscriptions": [f"obsidian://a/{n}" for n in range(101)]}), {}, 400, -32602),
    ("too many tasks", body({"taskIds": ["x"] * 101}), {}, 400, -32602),
    ("tasks that are none", body({"taskIds": "call_1"}), {}, 400, -32602),
    ("tasks of numbers", body({"taskIds": [1]}), {}, 400, -32602),
]


@pytest.mark.parametrize(("sent", "given", "status", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
async def test_what_cannot_be_listened_to(
    house: Any, redis: Redis, sent: Any, given: dict[str, str], status: int, code: int
) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        answer = await alice.post("/mcp", json=sent, headers=HEADERS | given)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_nothing_that_is_not_theirs_is_acknowledged(house: Any, redis: Redis) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        wanted = LISTS | {"resourceSubscriptions": ["file:///etc/passwd"], "taskIds": ["call_" + "0" * 32]}
        async with alice.stream("POST", "/mcp", json=body(wanted), headers=HEADERS) as response:
            first = await Listening(response).frame()
            assert first["params"]["notifications"] == LISTS


async def test_legacy_clients_have_no_such_method(house: Any, redis: Redis) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        message = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"notifications": LISTS}}
        headers = {"accept": HEADERS["accept"], "mcp-protocol-version": "2025-11-25"}
        answer = await alice.post("/mcp", json=message, headers=headers)
        assert answer.json()["error"]["code"] == -32601


async def test_the_official_client(house: Any, redis: Redis) -> None:
    async with house:
        client = await house.client(await house.open_replica(redis), VERSION)
        async with client.listen(tools_list_changed=True, resources_list_changed=True) as events:
            await tell(redis, "alice", "accounts")
            seen = [await anext(events), await anext(events)]
            assert [type(event).__name__ for event in seen] == ["ToolsListChanged", "ResourcesListChanged"]
            house.replicas[0].end_streams()
            assert [event async for event in events] == []


async def test_what_is_declared_is_what_there_is(house: Any, redis: Redis) -> None:
    async with house:
        alice = await house.http(await house.open_replica(redis))
        message = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}
        headers = HEADERS | {"mcp-method": "server/discover"}
        found = (await alice.post("/mcp", json=message, headers=headers)).json()["result"]
        assert found["capabilities"]["tools"] == {"listChanged": True}
        assert found["capabilities"]["resources"] == {"listChanged": True, "subscribe": True}
        assert found["capabilities"]["prompts"] == {"listChanged": True}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        told = (await alice.post("/mcp", json=message, headers={"accept": HEADERS["accept"]})).json()["result"]
        assert told["capabilities"]["resources"] == {"subscribe": False, "listChanged": False}
        assert told["capabilities"]["tools"] == {"listChanged": False}
