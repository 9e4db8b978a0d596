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

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from crontab import CronTab  # type: ignore[import-untyped]  # it ships no types

from hermes.storage.redis import Redis

if TYPE_CHECKING:
    from hermes.storage.streaq_jobs import StreaqJobs

JobFunction = Callable[..., Awaitable[None]]

_MAX_TRIES: Final = 8


class RetryLater(Exception):
    """Raised by a task that wants to run again with the same ids, once, after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__(f"again in {delay} s")
        self.delay = delay


@dataclass(frozen=True)
class Job:
    """What was registered under a name; `tab` says when it runs by the clock."""

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
        self._jobs: dict[str, Job] = {}
        self._streaq: StreaqJobs | None = None

    def task(self, name: str, function: JobFunction, *, max_tries: int = _MAX_TRIES) -> None:
        """Say what runs for `name`: an async function of the ids that are enqueued.

        If it raises, it is logged and tried again after a growing delay, `max_tries` times in all (a worker's death
        counts as one); after that the row's sweeper decides. If it runs for an hour it is cancelled and tried again.
        """
        self._add(Job(name, function, None, max_tries))

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
        self._add(Job(name, function, tab))

    def _add(self, job: Job) -> None:
        if job.name in self._jobs:
            raise ValueError(f"the job {job.name} is registered twice")
        self._jobs[job.name] = job

    def load(self) -> StreaqJobs:
        """What enqueues and runs the jobs. A server loads it before it answers requests; otherwise it is loaded when
        it is needed first, because streaq with its own Redis client takes 0.3 s and 20 MB, and most commands do not."""
        if self._streaq is None:
            from hermes.storage.streaq_jobs import StreaqJobs  # noqa: PLC0415

            self._streaq = StreaqJobs(
                self._jobs,
                self._redis,
                self._redis_url,
                concurrency=self._concurrency,
                claim_after=self._claim_after,
                grace=self._grace,
            )
        return self._streaq

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._streaq is not None:
            await self._streaq.stop()
            await self._streaq.close()

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        """Have `name` run with `ids`, after `delay` seconds. Call it after the row is committed.

        Returns:
            False if the queue cannot be reached: this is logged, and the row's sweeper will enqueue it.

        Raises:
            KeyError: no such job is registered.
        """
        return await self.load().enqueue(self._jobs[name], ids, delay)

    def start(self) -> None:
        """Begin to run jobs in this event loop, and go on when Redis comes and goes."""
        self.load().start()

    async def stop(self) -> None:
        """Take no more jobs, let running ones finish within the grace period, put the others back."""
        if self._streaq is not None:
            await self._streaq.stop()
