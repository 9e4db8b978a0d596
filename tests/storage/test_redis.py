"""The Redis client: scripts in one trip, no surprise in blocking reads, no server that forgets."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from hermes.storage.redis import EvictingRedisError, Redis, Script, connect_redis, refuse_eviction

pytestmark = pytest.mark.storage


async def test_a_script_runs_also_on_a_server_that_does_not_know_it(redis: Redis) -> None:
    script = Script("return {KEYS[1], ARGV[1], redis.call('incr', KEYS[2])}")
    await redis.script_flush()
    assert await script(redis, ["a", "n"], ["ü"]) == ["a", "ü", 1]
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert await script(redis, ["a", "n"], ["ü"]) == ["a", "ü", 2]
    stats = await redis.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == before + 1
    await redis.script_flush()
    assert await script(redis, ["a", "n"], [1]) == ["a", "1", 3]


async def test_a_script_that_fails_is_not_run_again(redis: Redis) -> None:
    script = Script("redis.call('incr', KEYS[1]); return redis.call('nonsense')")
    for _ in range(2):
        with pytest.raises(ResponseError):
            await script(redis, ["n"])
    assert await redis.get("n") == "2"


async def test_a_server_that_evicts_is_refused(redis: Redis) -> None:
    await refuse_eviction(redis)
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(EvictingRedisError, match=r"allkeys-lru.*noeviction"):
            await refuse_eviction(redis)
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_more_commands_than_connections_wait_for_their_turn(valkey: object, redis: Redis) -> None:
    narrow = connect_redis(valkey.url, max_connections=2)  # type: ignore[attr-defined]  # conftest's class has no module
    try:
        await asyncio.gather(*(narrow.incr("n") for _ in range(50)))
        assert await redis.get("n") == "50"
    finally:
        await narrow.aclose()


async def test_a_connection_closed_while_idle_is_replaced(redis: Redis) -> None:
    await redis.set("a", "1")
    await redis.client_kill_filter(_type="normal", skipme=True)
    assert await redis.get("a") == "1"


async def test_no_server_is_a_connection_error() -> None:
    client = connect_redis("unix:///nowhere/valkey.sock")
    with pytest.raises(RedisConnectionError):
        await client.ping()
    await client.aclose()
