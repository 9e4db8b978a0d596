"""Redis (or Valkey): one bounded client, scripts in one round trip, and the refusal of a server that forgets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.maint_notifications import MaintNotificationsConfig

__all__ = ["EvictingRedisError", "Redis", "Script", "connect_redis", "refuse_eviction"]

_ANSWER_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 3.0


class EvictingRedisError(Exception):
    """The Redis server may throw keys away when its memory is full."""


def connect_redis(url: str, *, max_connections: int = 64, blocking: bool = False) -> Redis:
    """Make a client; it connects at its first command. Values come back as `str`.

    A command is never sent twice: what fails after sending may have been executed (a counter would count double), so
    the error goes to the caller. A connection that the server closed while idle is noticed and replaced before use.

    Args:
        url: `redis://`, `rediss://` or `unix:///path/to/socket`.
        max_connections: at most so many connections; further commands wait up to five seconds for one.
        blocking: for a client of its own that waits in blocking reads (XREAD BLOCK, BLPOP, pub/sub): no time-out on
            answers. Otherwise an answer must come within five seconds.

    Raises:
        ValueError: the URL is of another kind.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=_ANSWER_SECONDS,
        decode_responses=True,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=None if blocking else _ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)


async def refuse_eviction(redis: Redis) -> None:
    """Check that the server keeps what it accepted.

    Raises:
        EvictingRedisError: its maxmemory-policy is another than noeviction.
    """
    memory: dict[str, Any] = await redis.info("memory")
    policy = str(memory.get("maxmemory_policy", "unknown"))
    if policy != "noeviction":
        raise EvictingRedisError(
            f"Redis has maxmemory-policy {policy}, so it may silently drop credentials and audit entries; "
            "set `maxmemory-policy noeviction` on the server that REDIS_URL names."
        )


class Script:
    """A Lua script, sent by its hash: one round trip (two only when the server does not know it yet)."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Redis, keys: Sequence[str], args: Sequence[str | bytes | float] = ()) -> Any:
        """Run the script with KEYS and ARGV and return its answer.

        Raises:
            RedisError: the server refused or did not answer; after a time-out the script may have run.
        """
        try:
            return await redis.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await redis.eval(self.source, len(keys), *keys, *args)
