"""How often strangers may do something: counters in Redis that all replicas share (the library `limits`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from hermes.errors import RateLimited
from hermes.storage.redis import Redis

_PREFIX: Final = "limits"
_IPV6_HOUSEHOLD: Final = 64
"""Bits of an IPv6 address that a household has in common (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many times within so many seconds.

    Attributes:
        name: what is counted, e.g. `oauth.register`.
    """

    name: str
    times: int
    seconds: int


class Rates:
    """Counts in a sliding window. Without Redis nothing is let through."""

    def __init__(self, redis: Redis) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(counters(redis))

    async def take(self, rate: Rate, who: str) -> None:
        """Count one time.

        Args:
            who: whose times are counted together, e.g. `household(address)`.

        Raises:
            RateLimited: there were as many as are allowed; `retry_after` says when there is room again.
            RedisError: Redis did not answer.
        """
        item = RateLimitItemPerSecond(rate.times, rate.seconds)
        if await self._limiter.hit(item, rate.name, who):
            return
        stats = await self._limiter.get_window_stats(item, rate.name, who)
        raise RateLimited(
            "There were too many requests of this kind; wait a little before the next.",
            retry_after=max(1.0, round(stats.reset_time - time.time(), 1)),
            limited_by="address",
        )


def counters(redis: Redis) -> RedisStorage:
    """Where the library counts: the house's Redis."""
    # the pool is ours: the address in front of it is never connected to
    return RedisStorage(
        "async+redis://pool:6379",
        implementation="redispy",
        key_prefix=_PREFIX,
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # passed on to redis-py as it is
    )


def household(address: str) -> str:
    """The part of an address behind which one can assume one person: an IPv6 address without its last 64 bits."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, _IPV6_HOUSEHOLD), strict=False))
    return str(parsed)
