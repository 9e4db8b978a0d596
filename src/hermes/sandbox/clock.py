"""The sandbox's time: real time that can be moved forward, or frozen so that a test alone moves it."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count

ROUNDING = 1e-6
"""Seconds since 1970 as a float are exact to a fraction of a microsecond: sums of steps may miss a due time by that."""


class Clock:
    """Simulated time in seconds since 1970, with timers that fire in order of their due time."""

    def __init__(self, *, frozen: bool = False) -> None:
        """A frozen clock stands still between `advance` calls; otherwise it runs with the machine's."""
        self._frozen_at = time.time() if frozen else None
        self._ahead = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._wake: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return (time.time() if self._frozen_at is None else self._frozen_at) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move time forward and fire what is due, each timer seeing its own due time as now.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("time only moves forward")
        end = self.now() + seconds
        while self._timers and self._timers[0][0] <= end + ROUNDING:
            due = self._timers[0][0]
            self._ahead += max(0.0, due - self.now())
            self._fire_one()
        self._ahead += max(0.0, end - self.now())
        self._arm()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` once, `seconds` of simulated time from now; zero or less means in the loop's next round."""
        heapq.heappush(self._timers, (self.now() + max(0.0, seconds), next(self._order), callback))
        self._arm()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of simulated time."""
        done = asyncio.get_running_loop().create_future()
        self.call_later(seconds, lambda: None if done.done() else done.set_result(None))
        await done

    def clear(self) -> None:
        """Forget all timers."""
        self._timers.clear()
        self._arm()

    def _fire_one(self) -> None:
        _, _, callback = heapq.heappop(self._timers)
        callback()

    def _fire_due(self) -> None:
        self._wake = None
        while self._timers and self._timers[0][0] <= self.now():
            self._fire_one()
        self._arm()

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if not self._timers:
            return
        wait = self._timers[0][0] - self.now()
        if self._frozen_at is None or wait <= 0:
            self._wake = asyncio.get_running_loop().call_later(max(0.0, wait), self._fire_due)
