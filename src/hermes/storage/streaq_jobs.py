"""The jobs of a `JobQueue`, enqueued and run by streaq."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from coredis.exceptions import RedisError, ResponseError
from streaq import StreaqError, StreaqRetry, TaskContext
from streaq.task import AsyncRegisteredTask

from hermes.storage.cron_lease import CronLease
from hermes.storage.queue import Job, RetryLater
from hermes.storage.redis import Redis
from hermes.storage.streaq_worker import StreaqClient, StreaqWorker, kinds

_log = logging.getLogger(__name__)

_LONGEST_DELAY: Final = 600
_LONGEST_RUN: Final = timedelta(hours=1)
_LONGEST_PAUSE: Final = 5.0
_ENQUEUE_SECONDS: Final = 5.0


class StreaqJobs:
    """What `JobQueue` has done by streaq; its methods and arguments are explained there."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        redis: Redis,
        redis_url: str,
        *,
        concurrency: int,
        claim_after: float,
        grace: float,
    ) -> None:
        """Prepare; nothing is connected yet. `jobs` may still grow until `start`."""
        self._jobs = jobs
        self._redis = redis
        self._redis_url = redis_url
        self._concurrency = concurrency
        self._claim_after = claim_after
        self._grace = grace
        self._running: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._client = StreaqClient(self._worker)

    async def enqueue(self, job: Job, ids: tuple[str | int, ...], delay: float) -> bool:
        """Have `job` run with `ids`, after `delay` seconds; false, and logged, if the queue cannot be reached."""
        try:
            async with asyncio.timeout(_ENQUEUE_SECONDS):
                try:
                    await self._publish(job, ids, delay)
                except ResponseError:  # a Redis that was replaced does not know streaq's functions yet
                    await self._client.close()
                    await self._publish(job, ids, delay)
        except (RedisError, StreaqError, OSError) as error:
            _log.warning("job %s could not be queued (%s); the sweep will do it", job.name, type(error).__name__)
            return False
        return True

    async def _publish(self, job: Job, ids: tuple[str | int, ...], delay: float) -> None:
        task = (await self._client.connected()).enqueue_unsafe(job.name, *ids)
        await (task.start(delay=timedelta(seconds=delay)) if delay else task)

    def start(self) -> None:
        """Begin to run jobs in this event loop."""
        if self._runner is None:
            self._stop.clear()
            self._runner = asyncio.create_task(self._keep_working(), name="jobs")

    async def stop(self) -> None:
        """End that; jobs that outlast the grace period are put back."""
        if self._runner is None:
            return
        self._stop.set()
        _, late = await asyncio.wait([self._runner], timeout=self._grace)
        if late:
            self._cancel(frozenset(self._running))
            await asyncio.wait([self._runner])
        self._runner = None

    async def close(self) -> None:
        """Close the connection that enqueues."""
        await self._client.close()

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

    def _register(self, worker: StreaqWorker, job: Job) -> None:
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

    async def _run(self, job: Job, context: TaskContext, ids: tuple[str | int, ...]) -> None:
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
    def _retry(job: Job, context: TaskContext, delay: float) -> StreaqError:
        if context.tries < job.max_tries:
            return StreaqRetry(delay=timedelta(seconds=delay))
        _log.error("job %s is given up after %d tries", job.name, context.tries)
        return StreaqError("given up")

    async def _work(self, job: Job, context: TaskContext, ids: tuple[str | int, ...]) -> None:
        if job.tab is None:
            await job.function(*ids)
            return
        async with CronLease(self._redis, job.name, context.task_id, self._claim_after) as mine:
            if mine:
                await job.function()
