"""What a process remembers for a few seconds, and one look-up for many who ask at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

import structlog

K = TypeVar("K")
V = TypeVar("V")

Clock = Callable[[], float]

_log = structlog.get_logger(__name__)


class Memory(Generic[K, V]):
    """A bounded memory whose entries end at a moment that is given with them. What was used last stays longest."""

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: K, value: V, until: float) -> None:
        """Remember until this moment of the clock; what is remembered from a later read is kept."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] > until:
            return
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def forget(self, key: K) -> None:
        self._entries.pop(key, None)


class SingleFlight(Generic[K, V]):
    """Runs one look-up per key at a time; who asks meanwhile gets its answer, as long as it is not too old.

    A look-up is not cancelled with the one who asked first.
    """

    def __init__(self, max_age: float, clock: Clock) -> None:
        """
        Args:
            max_age: seconds after its start until which others may still join a look-up.
        """
        self._max_age = max_age
        self._clock = clock
        self._flights: dict[K, tuple[float, asyncio.Task[V]]] = {}

    async def do(self, key: K, look_up: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The answer of the look-up under way, or of a new one; its exception likewise."""
        flight = self._flights.get(key)
        if flight is None or flight[0] + self._max_age <= self._clock():
            task = asyncio.create_task(look_up())
            flight = self._flights[key] = (self._clock(), task)
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight[1])

    def _landed(self, key: K, task: asyncio.Task[V]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight[1] is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # taken, so that asyncio does not complain when nobody waits any more


class Background:
    """Work that no caller waits for. Its failures are logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Awaitable[object]) -> None:
        task = asyncio.create_task(self._run(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until nothing is left to do."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _run(self, name: str, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001  (whatever it is, the caller has been served; it belongs in the log)
            _log.warning("background_work_failed", work=name, exc_info=True)
