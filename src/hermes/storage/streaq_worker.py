"""streaq's worker (7.2) with our prefix, our stop signal, and room between renewing a claim and losing it."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from anyio import CancelScope
from streaq import StreaqError, Worker
from streaq.constants import REDIS_PREFIX

_log = logging.getLogger(__name__)

PREFIX: Final = "jobs"
_RENEWALS_PER_CLAIM: Final = 4


class StreaqWorker(Worker[None]):
    """One run of a worker, or one client; streaq's workers cannot be started twice.

    Its messages are JSON. It takes a job whose worker has not renewed its claim for `claim_after` seconds.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        concurrency: int,
        claim_after: float,
        stop: asyncio.Event,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare one run: `stop` ends it, `lost` is called when Redis is gone while it runs."""
        super().__init__(
            redis_url=redis_url,
            concurrency=concurrency,
            queue_name=PREFIX,
            serializer=_to_json,
            deserializer=json.loads,
            idle_timeout=timedelta(seconds=claim_after),
        )
        self._stop = stop
        self._lost = lost
        # a message that waits in this process is claimed again by this process after `claim_after` and would run twice
        self.prefetch = concurrency
        self._move_keys(f"{REDIS_PREFIX}{PREFIX}", PREFIX)

    def _move_keys(self, old: str, new: str) -> None:
        for name, value in vars(self).items():
            if isinstance(value, str) and value.startswith(old):
                setattr(self, name, new + value.removeprefix(old))
        self._streams = {self.stream_key + priority: ">" for priority in self.priorities}

    async def signal_handler(self, scope: CancelScope) -> None:
        """Take no new jobs once asked to stop; running ones are left to finish.

        streaq's own listens to SIGINT and SIGTERM whatever `handle_signals` says (7.2), which takes them away from the
        server that this worker runs in.
        """
        await self._stop.wait()
        scope.cancel()

    async def schedule_delayed_tasks(self) -> None:
        """As streaq's own; it lasts as long as the worker takes jobs, so its end tells why the worker stops."""
        try:
            await super().schedule_delayed_tasks()
        finally:
            if not self._stop.is_set():
                self._lost()

    async def renew_idle_timeouts(self, scope: CancelScope) -> None:
        """Renew claims several times before they lapse; streaq's own does it once, at nine tenths of the time, so that
        a short stall of the event loop would let another worker take a healthy job."""
        eager = copy.copy(self)
        eager.idle_timeout = self.idle_timeout // _RENEWALS_PER_CLAIM
        await Worker.renew_idle_timeouts(eager, scope)


class StreaqClient:
    """A worker that only enqueues, connected at first use.

    Its connection lives in a task of its own, because its cancel scopes must be left by the task that entered them.
    """

    def __init__(self, make_worker: Callable[[asyncio.Event], StreaqWorker]) -> None:
        self._make_worker = make_worker
        self._task: asyncio.Task[None] | None = None
        self._worker: asyncio.Future[StreaqWorker] | None = None
        self._closing = asyncio.Event()

    async def connected(self) -> StreaqWorker:
        """The worker, for `enqueue_unsafe`.

        Raises:
            StreaqError: no connection.
        """
        if self._worker is None or self._task is None or self._task.done():
            self._closing = asyncio.Event()
            self._worker = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._hold(self._worker, self._closing), name="jobs-client")
        return await asyncio.shield(self._worker)

    async def close(self) -> None:
        """Close the connection; `connected` opens a new one."""
        task, self._task = self._task, None
        self._closing.set()
        if task is not None:
            await asyncio.wait([task])

    async def _hold(self, connected: asyncio.Future[StreaqWorker], closing: asyncio.Event) -> None:
        try:
            async with self._make_worker(closing) as worker:
                connected.set_result(worker)
                await closing.wait()
        except Exception as error:  # noqa: BLE001  (told to whoever waits for the connection)
            if connected.done():
                _log.warning("the queue's connection ended: %s", kinds(error))
            else:
                connected.set_exception(StreaqError(f"no connection: {kinds(error)}"))


def kinds(error: BaseException) -> str:
    """The kinds of errors in an error or group of errors, for the log: their texts may quote a URL with a password."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({kinds(inner) for inner in error.exceptions}))
    return type(error).__name__


def _to_json(data: Any) -> str:
    # streaq keeps the exception of a failed job: its kind is enough, its text may quote a secret
    return json.dumps(data, default=lambda value: type(value).__name__)
