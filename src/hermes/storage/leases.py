"""Rights that one holder has at a time, across all replicas: redis-py's lock behind the platforms' port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from redis.exceptions import LockNotOwnedError

from hermes.storage.redis import Redis


class RedisLeases:
    """Implements `hermes.platforms.ports.Leases`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def hold(self, customer_id: str, name: str, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Take the customer's lease for at most `seconds`; yields False when someone else holds it."""
        return self._hold(f"lock:{customer_id}:{name}", seconds)

    @asynccontextmanager
    async def _hold(self, key: str, seconds: float) -> AsyncIterator[bool]:
        lock = self._redis.lock(key, timeout=seconds, blocking=False)
        held = await lock.acquire()
        try:
            yield held
        finally:
            if held:
                with suppress(LockNotOwnedError):  # it ran out, and may be another's by now
                    await lock.release()
