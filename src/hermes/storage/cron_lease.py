"""One run at a time, and each time once, for work that goes by the clock."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Final

from redis.exceptions import RedisError

from hermes.cancellation import cancel
from hermes.storage.redis import Redis, Script

_log = logging.getLogger(__name__)

_REMEMBERED_MS: Final = 86_400_000

_TAKE: Final = Script("""
if redis.call('exists', KEYS[2]) == 1 then return 0 end
local held = redis.call('get', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
""")

_GIVE_BACK: Final = Script("""
if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end
if ARGV[3] == '1' then redis.call('set', KEYS[2], '1', 'px', ARGV[2]) end
return 1
""")


class CronLease:
    """`async with CronLease(redis, name, run, seconds) as mine:` with `mine` false when the work is not to be done.

    It is not when another run of `name` is under way, or when this `run` (the id that all workers derive from the
    name and the time) has been done: a worker whose clock is behind would otherwise do it again. The lease is renewed
    while the block lasts, so one left by a killed worker lapses within `seconds`, or is taken over at once by the same
    run on another worker.
    """

    def __init__(self, redis: Redis, name: str, run: str, seconds: float) -> None:
        self._redis = redis
        self._keys = (f"jobs:lease:{name}", f"jobs:done:{run}")
        self._run = run
        self._ms = max(1, round(seconds * 1000))
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> bool:
        if not await _TAKE(self._redis, self._keys, (self._run, self._ms)):
            return False
        self._renewing = asyncio.create_task(self._renew())
        return True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewing is None:
            return
        await cancel(self._renewing)
        done = "1" if error is None else "0"
        await _GIVE_BACK(self._redis, self._keys, (self._run, _REMEMBERED_MS, done))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ms / 4000)
            try:
                await _TAKE(self._redis, self._keys, (self._run, self._ms))
            except RedisError as problem:
                _log.warning("the lease of a timed job could not be renewed: %s", type(problem).__name__)
