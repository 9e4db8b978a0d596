"""A thousand accounts due at once, two replicas and three workers: each renewed once, at the vendor's pace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from conftest import RedisServer
from connections.oauth_bench import Bench, Time, bench_settings
from hermes.connections import tasks
from hermes.connections.models import ConnectionRow
from hermes.platforms.base import RateLimit
from hermes.platforms.twitter.oauth import SIGN_IN_AT_X
from hermes.sandbox.app import Sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings
from hermes.storage.queue import JobQueue
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

ACCOUNTS = 1000
CALLS = 200
VENDORS_LIMIT = 100
"""Requests for tokens that the vendor takes in a second."""
LIMIT = RateLimit(80, 1, source="the test's vendor")
"""What hermes keeps to: with some distance, for requests do not arrive as evenly as they are sent."""


@pytest.fixture
async def bench(database: Database, redis: Redis, valkey: RedisServer, tmp_path: Path) -> AsyncIterator[Bench]:
    sandbox = Sandbox(SandboxOptions(tokens_per_second=VENDORS_LIMIT))
    async with RunningSandbox(sandbox.app) as running:
        given = load_settings({}, env_file=None, data_dir=tmp_path)
        settings, catalog = bench_settings(given, running.origin)
        x = catalog.platforms["twitter"]
        x.oauth = (x.oauth[0].at(limit=LIMIT),)
        made = Bench(sandbox, settings, catalog, database, redis, valkey.url, Time(sandbox))
        yield made
        x.oauth = (x.oauth[0].at(limit=SIGN_IN_AT_X.limit),)
        for replica in made.replicas:
            await replica.renewals.close()
            await replica.upstream.close()


@pytest.mark.timeout(600)
async def test_a_thousand_due_at_once_are_renewed_once_each_while_calls_go_on(bench: Bench) -> None:
    for number in range(ACCOUNTS):
        await bench.link("twitter", f"cus_{number}", f"p{number}")
    bench.advance(hours=2, seconds=-20)
    ids = await _make_due(bench)
    before = {number: (await bench.row(f"cus_{number}", "twitter")).ciphertext for number in range(CALLS)}
    workers = [bench.replica(turn_seconds=30.0) for _ in range(3)]
    serving = [bench.replica(turn_seconds=30.0) for _ in range(2)]
    queues = []
    for worker in workers:
        queue = JobQueue(connect_redis(bench.redis_url), bench.redis_url)
        queue.task(tasks.RENEW, worker.renewals.renew)
        queue.start()
        queues.append(queue)
    try:
        for one in ids:
            assert await queues[0].enqueue(tasks.RENEW, one)
        calls = await asyncio.gather(
            *(
                serving[number % 2].renewals.fresh(f"cus_{number}", "twitter", "default", before[number])
                for number in range(CALLS)
            )
        )
        await _all_renewed(bench)
    finally:
        for queue in queues:
            await queue.stop()
            await queue.__aexit__()
    assert all(after != before[number] for number, after in enumerate(calls)), "every call got new tokens"
    desk = bench.desk("twitter")
    renewed = Counter(issued.grant.person for issued in desk.tokens.values() if issued.refresh and issued.spent)
    assert (len(renewed), set(renewed.values())) == (ACCOUNTS, {1}), "each once"
    assert len(desk.asked) == ACCOUNTS
    assert desk.limited == 0
    assert _most_within_a_second(list(desk.asked)) <= VENDORS_LIMIT
    async with bench.database.reading() as session:
        by_status = dict((await session.execute(select(ConnectionRow.status, func.count()).group_by("status"))).all())
    assert by_status == {"connected": ACCOUNTS}
    assert await bench.events() == []


async def _make_due(bench: Bench) -> list[str]:
    async with bench.database.session() as session:
        await session.execute(update(ConnectionRow).values(renew_at=bench.now()))
        return list((await session.execute(select(ConnectionRow.id))).scalars())


async def _all_renewed(bench: Bench) -> None:
    async with asyncio.timeout(300):
        while True:
            async with bench.database.reading() as session:
                query = select(func.count()).where(ConnectionRow.renew_at <= bench.now())
                if (await session.execute(query)).scalar_one() == 0:
                    return
            bench.desk("twitter").came.clear()
            with suppress(TimeoutError):  # the last of them come to an end without a further request
                async with asyncio.timeout(1):
                    await bench.desk("twitter").came.wait()


def _most_within_a_second(moments: list[float]) -> int:
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
