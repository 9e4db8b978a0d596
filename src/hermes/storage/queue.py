"""Background jobs over Redis Streams: JSON only, at least once, taken again soon when a worker dies.

A room's `tasks.py` has plain async functions; `app.py` and `worker.py` register them:

    queue = JobQueue(stores.redis, stores.redis_url)
    queue.task("webhooks.deliver", deliveries.deliver)           # async def deliver(delivery_id: str) -> None
    queue.cron("webhooks.sweep", "* * * * *", deliveries.sweep)  # async def sweep() -> None
    async with queue:
        queue.start()  # only where jobs are to be run
        await queue.enqueue("webhooks.deliver", delivery.id)

The truth of a job is its row; a message only carries ids, and a sweeper enqueues what was lost. So a task claims its
row by a conditional UPDATE (storage/sql.py) and does nothing when the row does not want it any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

from coredis.exceptions import RedisError, ResponseError
from crontab import CronTab  # type: ignore[import-untyped]  # it ships no types
from streaq import StreaqError, StreaqRetry, TaskContext
from streaq.task import AsyncRegisteredTask

from hermes.storage.cron_lease import CronLease
from hermes.storage.redis import Redis
from hermes.storage.streaq_worker import StreaqClient, StreaqWorker, kinds

_log = logging.getLogger(__name__)

JobFunction = Callable[..., Awaitable[None]]

_MAX_TRIES: Final = 8
_LONGEST_DELAY: Final = 600
_LONGEST_RUN: Final = timedelta(hours=1)
_LONGEST_PAUSE: Final = 5.0
_ENQUEUE_SECONDS: Final = 5.0


class RetryLater(Exception):
    """Raised by a task that wants to run again with the same ids, once, after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__(f"again in {delay} s")
        self.delay = delay


@dataclass(frozen=True)
class _Job:
    name: str
    function: JobFunction
    tab: str | None = None
    max_tries: int = _MAX_TRIES


class JobQueue:
    """Register, then `async with queue:` to enqueue; `start()` runs jobs in this event loop until `stop()`."""

    def __init__(
        self, redis: Redis, redis_url: str, *, concurrency: int = 16, claim_after: float = 20.0, grace: float = 20.0
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            redis: for the leases of timed work.
            redis_url: the same server; the queue has connections of its own.
            concurrency: jobs this process runs at once.
            claim_after: seconds without a sign of life after which a job is taken from its worker. Every worker on
                one Redis must have the same.
            grace: seconds that running jobs get to finish at a stop; then they are put back for another worker.
        """
        self._redis = redis
        self._redis_url = redis_url
        self._concurrency = concurrency
        self._claim_after = claim_after
        self._grace = grace
        self._jobs: dict[str, _Job] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._client = StreaqClient(self._worker)

    def task(self, name: str, function: JobFunction, *, max_tries: int = _MAX_TRIES) -> None:
        """Say what runs for `name`: an async function of the ids that are enqueued.

        If it raises, it is logged and tried again after a growing delay, `max_tries` times in all (a worker's death
        counts as one); after that the row's sweeper decides. If it runs for an hour it is cancelled and tried again.
        """
        self._add(_Job(name, function, None, max_tries))

    def cron(self, name: str, tab: str, function: JobFunction) -> None:
        """Say what runs by the clock (UTC): once for every time of `tab` over all workers, never beside itself.

        A time that comes while the last run is still under way is left out.

        Args:
            name: as it appears in logs.
            tab: five fields as in cron, or seven with seconds first and years last.
            function: an async function without arguments.

        Raises:
            ValueError: `tab` is malformed.
        """
        CronTab(tab)
        self._add(_Job(name, function, tab))

    def _add(self, job: _Job) -> None:
        if job.name in self._jobs:
            raise ValueError(f"the job {job.name} is registered twice")
        self._jobs[job.name] = job

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        await self._client.close()

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        """Have `name` run with `ids`, after `delay` seconds. Call it after the row is committed.

        Returns:
            False if the queue cannot be reached: this is logged, and the row's sweeper will enqueue it.

        Raises:
            KeyError: no such job is registered.
        """
        job = self._jobs[name]
        try:
            async with asyncio.timeout(_ENQUEUE_SECONDS):
                try:
                    await self._publish(job, ids, delay)
                except ResponseError:  # a Redis that was replaced does not know streaq's functions yet
                    await self._client.close()
                    await self._publish(job, ids, delay)
        except (RedisError, StreaqError, OSError) as error:
            _log.warning("job %s could not be queued (%s); the sweep will do it", name, type(error).__name__)
            return False
        return True

    async def _publish(self, job: _Job, ids: tuple[str | int, ...], delay: float) -> None:
        task = (await self._client.connected()).enqueue_unsafe(job.name, *ids)
        await (task.start(delay=timedelta(seconds=delay)) if delay else task)

    def start(self) -> None:
        """Begin to run jobs in this event loop, and go on when Redis comes and goes."""
        if self._runner is None:
            self._stop.clear()
            self._runner = asyncio.create_task(self._keep_working(), name="jobs")

    async def stop(self) -> None:
        """Take no more jobs, let running ones finish within the grace period, put the others back."""
        if self._runner is None:
            return
        self._stop.set()
        _, late = await asyncio.wait([self._runner], timeout=self._grace)
        if late:
            self._cancel(frozenset(self._running))
            await asyncio.wait([self._runner])
        self._runner = None

    async def _keep_working(self) -> None:
        pause = 0.1
        while not self._stop.is_set():
            worker = self._worker(self._stop)
            for job in self._jobs.values():
                self._register(worker, job)
            try:
                await worker.run_async()
                pause = 0.1
            except Exception as error:  # noqa: BLE001  (whatever ends one worker must not end the work)
                pause = min(pause * 2, _LONGEST_PAUSE)
                _log.warning("the job worker lost its Redis and begins again: %s", kinds(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)

    def _worker(self, stop: asyncio.Event) -> StreaqWorker:
        return StreaqWorker(
            self._redis_url,
            concurrency=self._concurrency,
            claim_after=self._claim_after,
            stop=stop,
            lost=self._lost,
        )

    def _lost(self) -> None:
        # a worker without Redis ends only after its jobs, so it gives them the time for which nobody else takes them
        asyncio.get_running_loop().call_later(self._claim_after / 2, self._cancel, frozenset(self._running))

    def _cancel(self, jobs: Iterable[asyncio.Task[None]]) -> None:
        for job in jobs:
            job.cancel()

    def _register(self, worker: StreaqWorker, job: _Job) -> None:
        async def run(*ids: str | int) -> None:
            await self._run(job, registered.context, ids)

        options: dict[str, Any] = {
            "name": job.name,
            "max_tries": job.max_tries,
            "timeout": _LONGEST_RUN,
            "retry_timeouts": True,
            "ttl": 0,
            "silent": True,
        }
        registered: AsyncRegisteredTask[..., None]
        if job.tab is None:
            registered = worker.task(**options)(run)
        else:
            # streaq's own "unique" keeps a dead worker's lock for longer than the job may run: see CronLease
            registered = worker.cron(job.tab, unique=False, **options)(run)

    async def _run(self, job: _Job, context: TaskContext, ids: tuple[str | int, ...]) -> None:
        running = asyncio.create_task(self._work(job, context, ids), name=job.name)
        self._running.add(running)
        try:
            await running
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise StreaqRetry(delay=0) from None  # `_cancel` ended the job: put it back
        except RetryLater as wish:
            raise self._retry(job, context, wish.delay) from None
        except Exception:  # noqa: BLE001  (whatever a job raises is its failure, and is logged)
            _log.exception("job %s failed (try %d of %d)", job.name, context.tries, job.max_tries)
            raise self._retry(job, context, min(5 * 2 ** (context.tries - 1), _LONGEST_DELAY)) from None
        finally:
            self._running.discard(running)

    @staticmethod
    def _retry(job: _Job, context: TaskContext, delay: float) -> StreaqError:
        if context.tries < job.max_tries:
            return StreaqRetry(delay=timedelta(seconds=delay))
        _log.error("job %s is given up after %d tries", job.name, context.tries)
        return StreaqError("given up")

    async def _work(self, job: _Job, context: TaskContext, ids: tuple[str | int, ...]) -> None:
        if job.tab is None:
            await job.function(*ids)
            return
        async with CronLease(self._redis, job.name, context.task_id, self._claim_after) as mine:
            if mine:
                await job.function()
