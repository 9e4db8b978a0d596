"""Rights that one holder has at a time, across all replicas: redis-py's lock behind the platforms' port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

import structlog
from redis.asyncio.lock import Lock
from redis.exceptions import LockNotOwnedError, RedisError

from hermes.cancellation import cancel
from hermes.storage.redis import Redis

_LOOK_EVERY: Final = 0.05

log = structlog.get_logger(__name__)


class RedisLeases:
    """Implements `hermes.platforms.ports.Leases`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def hold(self, customer_id: str, name: str, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Take the customer's lease for at most `seconds`; yields False when someone else holds it."""
        return self._hold(f"lock:{customer_id}:{name}", seconds)

    def turn(self, customer_id: str, name: str, seconds: float, *, wait: float) -> AbstractAsyncContextManager[bool]:
        """Wait for the customer's lease and keep it while the block lasts.

        Args:
            customer_id: whose lease it is.
            name: of what one holder does at a time.
            seconds: after which the lease of a process that died is free again.
            wait: seconds to wait for it; yields False when it was not free by then.
        """
        return self._turn(f"lock:{customer_id}:{name}", seconds, wait)

    @asynccontextmanager
    async def _hold(self, key: str, seconds: float) -> AsyncIterator[bool]:
        lock = self._redis.lock(key, timeout=seconds, blocking=False)
        held = await lock.acquire()
        try:
            yield held
        finally:
            if held:
                await _release(lock)

    @asynccontextmanager
    async def _turn(self, key: str, seconds: float, wait: float) -> AsyncIterator[bool]:
        lock = self._redis.lock(key, timeout=seconds, blocking_timeout=wait, sleep=_LOOK_EVERY)
        if not await lock.acquire():
            yield False
            return
        keeping = asyncio.create_task(_keep(lock, seconds))
        try:
            yield True
        finally:
            await cancel(keeping)
            with suppress(RedisError):  # then it runs out by itself
                await _release(lock)


async def _release(lock: Lock) -> None:
    with suppress(LockNotOwnedError):  # it ran out, and may be another's by now
        await lock.release()


async def _keep(lock: Lock, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds / 4)
        try:
            await lock.extend(seconds, replace_ttl=True)
        except RedisError as problem:
            log.warning("lease_not_extended", error=type(problem).__name__)
