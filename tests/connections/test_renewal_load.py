"""A thousand accounts due at once, two replicas and three workers: each renewed once, at the vendor's pace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from conftest import RedisServer
from connections.oauth_bench import Bench, Time, bench_settings
from harness.serving import serving
from hermes.app import House, build_house
from hermes.asgi import App
from hermes.connections import tasks
from hermes.connections.models import ConnectionRow
from hermes.keys.service import Keys
from hermes.platforms.base import RateLimit
from hermes.platforms.twitter.oauth import SIGN_IN_AT_X
from hermes.sandbox.app import Sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings
from hermes.storage.queue import JobFunction, JobQueue
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

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


class Impatient(JobQueue):
    """A queue whose timed work is due every second instead of every minute."""

    def cron(self, name: str, tab: str, function: JobFunction) -> None:
        super().cron(name, "* * * * * * *", function)


@asynccontextmanager
async def running_worker(bench: Bench) -> AsyncIterator[None]:
    """A process that finds the rows that are due and renews them."""
    worker = bench.replica(turn_seconds=30.0)
    async with Impatient(connect_redis(bench.redis_url), bench.redis_url) as queue:
        tasks.register_tasks(queue, worker.rows, worker.renewals)
        queue.start()
        yield


@asynccontextmanager
async def running_replica(bench: Bench) -> AsyncIterator[tuple[House, str]]:
    """A whole gateway on a socket of its own."""
    keys = Keys(bench.database, bench.settings, None, bench.keyring)
    stores = Stores(bench.database, bench.redis, bench.redis_url)
    settings = bench.settings.model_copy(update={"jwt_secret": SecretStr("only this test knows it" * 2)})
    house = build_house(settings, stores, bench.catalog, now=bench.now, keys=keys)
    app = App(house)
    async with app.run(), serving(app.asgi) as url:
        yield house, url
    await house.close()


@pytest.mark.timeout(600)
async def test_a_thousand_due_at_once_are_renewed_once_each_while_calls_go_on(bench: Bench) -> None:
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(running_replica(bench)) for _ in range(2)]
        house = replicas[0][0]
        customers = [await house.customers.create(f"p{number}@example.com", "growth") for number in range(CALLS)]
        whose = [*(str(one.row.id) for one in customers), *(f"cus_{number}" for number in range(CALLS, ACCOUNTS))]
        await bench.link_many("twitter", {one: f"p{number}" for number, one in enumerate(whose)})
        bench.advance(hours=2, seconds=-20)
        await _make_due(bench)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(timeout=120, limits=httpx2.Limits(max_connections=50))
        )

        async def call(number: int) -> tuple[int, str]:
            url = f"{replicas[number % 2][1]}/api/twitter/profile"
            answer = await http.get(url, headers={"x-api-key": customers[number].key.secret})
            return answer.status_code, str(answer.json().get("id"))

        for _ in range(3):
            await stack.enter_async_context(running_worker(bench))
        calls = await asyncio.gather(*(call(number) for number in range(CALLS)))
        await _all_renewed(bench)
    assert Counter(status for status, _ in calls) == {200: CALLS}
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


async def _make_due(bench: Bench) -> None:
    async with bench.database.session() as session:
        await session.execute(update(ConnectionRow).values(renew_at=datetime.now(UTC)))


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
