"""What the job queue must do, with real workers that are killed: the test by which the queue was chosen."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from multiprocessing import Pipe
from typing import Any

import pytest

from forked import Forked
from hermes.storage.queue import JobQueue
from hermes.storage.redis import Redis, connect_redis
from storage import job_worker

pytestmark = pytest.mark.storage

SECONDS = 20.0


async def _nothing(*_: str) -> None:
    """The body of a job that only workers run."""


@pytest.fixture
async def queue(redis: Redis, valkey: Any) -> AsyncIterator[JobQueue]:
    """A queue that enqueues and runs nothing."""
    opened = JobQueue(redis, valkey.url)
    for name in ("gated", "again", "broken"):
        opened.task(name, _nothing)
    async with opened:
        yield opened


class Events:
    """What workers say, in order."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.seen: list[tuple[str, str]] = []

    async def next(self, what: str) -> str:
        """Wait until a worker says this; returns its name."""
        async with asyncio.timeout(SECONDS):
            while True:
                _, said = await self._redis.blpop(["events"])
                worker, _, event = said.partition(" ")
                self.seen.append((worker, event))
                if event == what:
                    return worker

    def count(self, what: str) -> int:
        return sum(event == what for _, event in self.seen)


@pytest.fixture
async def events(redis: Redis, valkey: Any) -> AsyncIterator[Events]:
    client = connect_redis(valkey.url, blocking=True)
    yield Events(client)
    await client.aclose()


class Worker:
    """A job worker in a process of its own."""

    def __init__(self, url: str, name: str) -> None:
        self._pipe, its = Pipe()
        with its:
            self._process = Forked(job_worker.main, url, name, its)

    async def ready(self) -> str:
        """Wait until it takes jobs; returns its name."""
        assert await asyncio.to_thread(self._pipe.poll, SECONDS)
        return str(self._pipe.recv())

    async def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait, SECONDS)

    async def end(self) -> int:
        """Tell it to end; returns its exit status."""
        self._pipe.send("end")
        return await asyncio.to_thread(self._process.wait, SECONDS)


@pytest.fixture
async def workers(redis: Redis, valkey: Any) -> AsyncIterator[dict[str, Worker]]:
    """Two workers, by name."""
    started = [Worker(valkey.url, name) for name in "ab"]
    yield {await worker.ready(): worker for worker in started}
    for worker in started:
        await worker.kill()


async def test_a_job_killed_with_its_worker_is_taken_again(
    queue: JobQueue, workers: dict[str, Worker], events: Events, redis: Redis
) -> None:
    assert await queue.enqueue("gated", "x")
    first = await events.next("begins x")
    await workers[first].kill()
    second = await events.next("begins x")
    assert second != first
    await redis.rpush("gate:x", "open")
    assert await events.next("ends x") == second
    await events.next("ticks")
    assert events.count("begins x") == 2
    assert events.count("ends x") == 1


async def test_a_healthy_long_job_is_not_doubled_and_a_retry_comes_once(
    queue: JobQueue, workers: dict[str, Worker], events: Events, redis: Redis
) -> None:
    assert await queue.enqueue("gated", "x")
    worker = await events.next("begins x")
    assert await queue.enqueue("broken", "y")
    assert await queue.enqueue("again", "z", delay=0.2)
    await events.next("try 2 z")
    for _ in range(6):  # three times as long as a claim lasts
        await events.next("ticks")
    await redis.rpush("gate:x", "open")
    assert await events.next("ends x") == worker
    assert events.count("begins x") == 1
    assert [event for _, event in events.seen if event.endswith(" z")] == ["try 1 z", "try 2 z"]
    assert events.count("breaks y") == 1


async def test_timed_work_runs_once_over_all_workers_and_goes_on_after_a_kill(
    workers: dict[str, Worker], events: Events, redis: Redis
) -> None:
    for _ in range(3):
        await events.next("ticks")
    await redis.set("hold ticks", "1")
    killed = await events.next("holds")
    await redis.delete("hold ticks")
    await workers[killed].kill()
    for _ in range(3):
        assert await events.next("ticks") != killed
    # every run leaves the mark of its time: a time that ran twice would be one mark for two runs
    await redis.set("hold ticks", "1")
    await events.next("holds")
    assert await redis.llen("events") == 0
    assert len(await redis.keys("jobs:done:*")) == events.count("ticks")


async def test_a_clean_stop_puts_a_running_job_back(
    queue: JobQueue, workers: dict[str, Worker], events: Events, redis: Redis
) -> None:
    assert await queue.enqueue("gated", "x")
    first = await events.next("begins x")
    stopping = asyncio.create_task(workers[first].end())
    second = await events.next("begins x")
    assert second != first
    assert await stopping == 0
    await redis.rpush("gate:x", "open")
    assert await events.next("ends x") == second


def _queue(redis: Redis, valkey: Any, function: Callable[..., Awaitable[None]]) -> JobQueue:
    queue = JobQueue(redis, valkey.url, claim_after=2, grace=5)
    queue.task("job", function)
    return queue


async def test_it_runs_inside_an_app_and_lets_a_job_finish_at_the_stop(redis: Redis, valkey: Any) -> None:
    began, finish, done = asyncio.Event(), asyncio.Event(), []

    async def job(*ids: str | int) -> None:
        began.set()
        await finish.wait()
        done.append(ids)

    async with _queue(redis, valkey, job) as queue:
        queue.start()
        assert await queue.enqueue("job", "ü", 1)
        await asyncio.wait_for(began.wait(), SECONDS)
        stopping = asyncio.create_task(queue.stop())
        await asyncio.sleep(0)
        finish.set()
        await asyncio.wait_for(stopping, SECONDS)
    assert done == [("ü", 1)]


async def test_it_goes_on_after_redis_was_emptied_and_its_connections_cut(redis: Redis, valkey: Any) -> None:
    done: asyncio.Queue[str] = asyncio.Queue()

    async with _queue(redis, valkey, done.put) as queue:
        queue.start()
        for n, harm in enumerate([redis.flushdb, lambda: redis.client_kill_filter(_type="normal", skipme=True)]):
            assert await queue.enqueue("job", f"before {n}")
            assert await asyncio.wait_for(done.get(), SECONDS) == f"before {n}"
            await harm()
            assert await queue.enqueue("job", f"after {n}")
            assert await asyncio.wait_for(done.get(), SECONDS) == f"after {n}"


async def test_what_is_stored_is_json_under_our_prefix(redis: Redis, queue: JobQueue) -> None:
    assert await queue.enqueue("gated", "x", delay=60)
    (key,) = await redis.keys("jobs:task:data:*")
    assert json.loads(await redis.get(key) or "")["a"] == ["x"]
    assert [key for key in await redis.keys("*") if not key.startswith("jobs:")] == []


async def test_a_server_that_lost_streaqs_functions_gets_them_again(redis: Redis, queue: JobQueue) -> None:
    assert await queue.enqueue("gated", "x")
    await redis.function_flush()
    assert await queue.enqueue("gated", "y")


async def test_without_redis_the_sweep_is_relied_on(redis: Redis) -> None:
    queue = JobQueue(redis, "unix:///nowhere/valkey.sock")
    queue.task("job", _nothing)
    async with queue:
        assert not await queue.enqueue("job", "x")


async def test_names_and_tabs_are_checked(redis: Redis, queue: JobQueue) -> None:
    with pytest.raises(KeyError):
        await queue.enqueue("unknown")
    with pytest.raises(ValueError, match="twice"):
        queue.task("gated", _nothing)
    with pytest.raises(ValueError, match="improper"):
        queue.cron("x", "every minute", _nothing)
