"""Five hundred accounts due at once and two workers: each is looked at once, at the vendor's pace, and they spread."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from conftest import RedisServer
from connections.conftest import NoRenewals, NoteCredentials
from hermes.connections import tasks
from hermes.connections.health import Health
from hermes.connections.health_rows import HealthRows
from hermes.connections.models import ConnectionRow
from hermes.connections.probing import Prober
from hermes.connections.store import CredentialStore
from hermes.net.upstream import Upstream
from hermes.platforms.base import Account, PasteToken, Platform
from hermes.platforms.catalog import Catalog
from hermes.platforms.ports import Ports
from hermes.settings import Settings
from hermes.storage.queue import JobQueue
from hermes.storage.redis import connect_redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

ACCOUNTS = 500
PER_SECOND = 100
EVERY = timedelta(hours=6)


class Vendor:
    """Remembers who was looked at, and when."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.all = asyncio.Event()

    def platform(self) -> Platform[NoteCredentials, str]:
        platform = Platform(
            "notes",
            title="Notes",
            credentials=NoteCredentials,
            connect=PasteToken("https://example.com/notes", ()),
            open=lambda context, _credentials: context.customer_id,
            base_url="https://notes.example.com",
        )

        @platform.probe
        async def probe(customer_id: str) -> Account:
            self.asked.append((time.monotonic(), customer_id))
            if len(self.asked) >= ACCOUNTS:
                self.all.set()
            return Account(customer_id)

        return platform


class Turns:
    """Remembers when the pace let a look through, over both workers."""

    def __init__(self) -> None:
        self.given: list[float] = []

    def watch(self, health: Health) -> None:
        limiter: Any = health._pace._limiter
        hit = limiter.hit

        async def watched(*asked: Any) -> bool:
            moment = time.monotonic()
            let_through = bool(await hit(*asked))
            if let_through:
                self.given.append(moment)
            return let_through

        limiter.hit = watched


def paced(moments: list[float], most: int) -> bool:
    """Whether there are never more than so many within a second."""
    moments = sorted(moments)
    return all(later - first >= 1 for first, later in zip(moments, moments[most:], strict=False))


@pytest.mark.timeout(300)
async def test_each_is_looked_at_once_in_an_interval(
    database: Database, valkey: RedisServer, store: CredentialStore, toy_settings: Settings
) -> None:
    vendor, turns = Vendor(), Turns()
    catalog, rows = Catalog([vendor.platform()]), HealthRows(database)
    plaintext = NoteCredentials(token=SecretStr("t")).to_json()
    for number in range(ACCOUNTS):
        await store.put(f"cus_{number}", "notes", "default", plaintext, Account(str(number)))
    await _make_due(database)
    upstream, clients, queues, crons = Upstream(), [], [], []
    for _ in range(2):
        client = connect_redis(valkey.url)
        queue = JobQueue(client, valkey.url)
        health = Health(
            catalog,
            store,
            rows,
            Prober(upstream, toy_settings, Ports(None, None, None)),  # type: ignore[arg-type]  # not used here
            NoRenewals(),  # type: ignore[arg-type]  # what is needed of them
            client,
            store.mark_needs_reconnect,  # type: ignore[arg-type]  # as the service does, without its notices
            every=EVERY,
            per_second=PER_SECOND,
        )
        turns.watch(health)
        tasks.register_checks(queue, rows, health)
        crons.append(queue._jobs["connections.queue_checks"].function)
        clients.append(client)
        queues.append(queue)
    for queue in queues:
        queue.start()
    try:
        await asyncio.gather(*(cron() for cron in crons), *(cron() for cron in crons))
        async with asyncio.timeout(200):
            await vendor.all.wait()
        await asyncio.gather(*(cron() for cron in crons))
        claimed = int(datetime.now(UTC).timestamp() * 1000) - 60_000
        await health.check(await _id_of(database, "cus_0"), claimed)
    finally:
        for queue in queues:
            await queue.stop()
            await queue.__aexit__()
        for client in clients:
            await client.aclose()
        await upstream.close()
    times = Counter(customer for _, customer in vendor.asked)
    assert (len(times), set(times.values())) == (ACCOUNTS, {1}), "each once, also when a job comes again"
    assert len(turns.given) >= ACCOUNTS
    assert paced(turns.given, PER_SECOND + 5)
    # A look follows its turn as soon as the account was read, which on a busy machine may take most of a second.
    assert paced([moment for moment, _ in vendor.asked], 2 * PER_SECOND)
    async with database.reading() as session:
        waits = [at - datetime.now(UTC) for at in await session.scalars(select(ConnectionRow.check_at))]
    assert EVERY * 0.75 < min(waits) < EVERY * 0.9
    assert EVERY * 1.1 < max(waits) < EVERY * 1.25
    per_minute = Counter(int(wait.total_seconds() // 60) for wait in waits)
    assert max(per_minute.values()) < ACCOUNTS / 20, "they do not come all at once again"


async def _make_due(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(days=1)
    due: dict[str, Any] = {"check_at": before, "last_checked_at": before, "last_success_at": before}
    async with database.session() as session:
        await session.execute(update(ConnectionRow).values(due))


async def _id_of(database: Database, customer_id: str) -> str:
    async with database.reading() as session:
        return str(await session.scalar(select(ConnectionRow.id).where(ConnectionRow.customer_id == customer_id)))
