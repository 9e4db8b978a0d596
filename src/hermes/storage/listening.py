"""Hearing what is published on Redis: one connection per process and pattern, which comes back by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from hermes.cancellation import cancel
from hermes.storage.redis import Redis

_log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 5.0

Heard = Callable[[str, str], None]


class Listener:
    """Hears one pattern of channels from `start` to `stop`.

    Args:
        redis: where it is published.
        pattern: the channels, as PSUBSCRIBE takes them.
        heard: told the channel and the content of each message; must not wait.
        missed: told that messages may have been missed, because Redis was away.
        quiet: seconds of silence after which Redis is asked whether it is still there.
    """

    def __init__(
        self, redis: Redis, pattern: str, heard: Heard, missed: Callable[[], None], *, quiet: float = QUIET_SECONDS
    ) -> None:
        self._redis = redis
        self._pattern = pattern
        self._heard = heard
        self._missed = missed
        self._quiet = quiet
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def start(self) -> None:
        """Listen, if that has not begun; returns when what is published from now on is heard. While Redis is away it
        returns too: listening begins when Redis is back."""
        if self._task is None or self._task.done():
            self._listening.clear()
            self._task = asyncio.create_task(self._listen())
        await self._listening.wait()

    async def stop(self) -> None:
        """Listen no more."""
        task, self._task = self._task, None
        if task is not None:
            await cancel(task)

    async def _listen(self) -> None:
        pause = 0.0
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.psubscribe(self._pattern)
                    await pubsub.get_message(timeout=self._quiet)  # the subscription's confirmation
                    self._listening.set()
                    if pause:
                        pause = 0.0
                        self._missed()
                    await self._pass_on(pubsub)
            except RedisError:
                pause = min(pause + 0.5, _LONGEST_PAUSE)
                _log.warning("nothing is heard on %s while Redis is away", self._pattern, exc_info=pause == 0.5)
                self._listening.set()
                await asyncio.sleep(pause)

    async def _pass_on(self, pubsub: Any) -> None:
        loop = asyncio.get_running_loop()
        while True:
            until = loop.time() + self._quiet
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=self._quiet)
            if message is None:
                # None stands for silence, and for the answer to a ping as well: that is no reason for the next one.
                if loop.time() >= until - self._quiet / 10:
                    await pubsub.ping()
            elif message["type"] == "pmessage":
                self._heard(message["channel"], message["data"])
