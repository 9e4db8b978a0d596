"""Keeping to so many requests in a period over all replicas, by waiting: the library `limits` on the house's Redis."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from limits import RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter

from hermes.storage.rates import counters
from hermes.storage.redis import Redis

_SHORTEST_WAIT: Final = 0.02


class Limit(Protocol):
    """How many requests in how many seconds."""

    @property
    def requests(self) -> int: ...

    @property
    def seconds(self) -> float: ...


class Pace:
    """Lets requests through one by one, never more of them in any period than a limit says."""

    def __init__(self, redis: Redis) -> None:
        self._limiter = MovingWindowRateLimiter(counters(redis))

    async def turn(self, name: str, limit: Limit) -> None:
        """For the house: return when the next request of this name may be made.

        Raises:
            RedisError: it cannot be known.
        """
        item = RateLimitItemPerSecond(limit.requests, max(1, round(limit.seconds)))
        while not await self._limiter.hit(item, name):
            reset = (await self._limiter.get_window_stats(item, name)).reset_time
            await asyncio.sleep(max(_SHORTEST_WAIT, min(reset - time.time(), limit.seconds)))
