"""Rate limits of the stand-ins."""

from __future__ import annotations

from collections.abc import Hashable

from hermes.sandbox.clock import Clock


class RateLimiter:
    """A token bucket per key: `burst` at once, then `per_second`. A rate of None allows everything."""

    def __init__(self, clock: Clock, per_second: float | None, burst: int = 1) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = burst
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable) -> float:
        """Count one event of `key`: 0 when it may happen, else the seconds to wait (and it is not counted)."""
        if self._rate is None:
            return 0.0
        now = self._clock.now()
        full_at = max(now, self._full_at.get(key, now))
        over = full_at - now - (self._burst - 1) / self._rate
        if over > 1e-9:
            return over
        self._full_at[key] = full_at + 1 / self._rate
        return 0.0

    def clear(self) -> None:
        self._full_at.clear()
