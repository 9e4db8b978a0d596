"""What calls say of accounts: they worked, or the platform could not be reached. Costs a call nothing.

What a call met is written behind it, and not again for five minutes while it stays the same. A process that dies takes
at most that much with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from hermes.connections.health_rows import SEEN_EVERY, HealthRows
from hermes.errors import HermesError, PlatformUnavailable
from hermes.identity.memory import Background, Memory

_SIZE: Final = 5_000


class CallWitness:
    """Notes how calls ended. Fits the pipeline's `Witness`."""

    def __init__(
        self,
        rows: HealthRows,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`clock` says how long ago something was noted, `now` when it was."""
        self._rows = rows
        self._clock = clock
        self._now = now
        self._noted: Memory[tuple[str, str, str], str] = Memory(_SIZE, clock)
        self._background = Background()

    def __call__(self, customer_id: str, platform: str, label: str, error: HermesError | None) -> None:
        """A call on this account succeeded, or ended with the error."""
        if error is not None and not isinstance(error, PlatformUnavailable):
            return  # it says something about the call, or is told where it is met
        name, met = (customer_id, platform, label), error.message if error is not None else ""
        if self._noted.get(name) == met:
            return
        self._noted.forget(name)
        self._noted.put(name, met, self._clock() + SEEN_EVERY.total_seconds())
        self._background.start("note what a call met", self._rows.seen(*name, self._now(), met or None))

    async def close(self) -> None:
        """Finish writing. To be called before SQL is closed."""
        await self._background.finish()
