"""Accounts are looked at from time to time; only the vendor's own word ends one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import orjson
import pytest

from conftest import RedisServer
from connections.oauth_bench import Bench, Time, bench_settings
from hermes.connections.health import Health
from hermes.connections.health_rows import HealthRows
from hermes.connections.probing import Prober
from hermes.connections.telling import Telling
from hermes.events.mail import Mail
from hermes.identity.service import new_customer
from hermes.platforms.ports import Ports
from hermes.sandbox.app import Sandbox
from hermes.sandbox.failures import Failure, FailureKind
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

EVERY = timedelta(hours=6)


@dataclass
class Watch:
    """The bench, and what looks at its accounts."""

    bench: Bench
    seen: list[tuple[str, str]] = field(default_factory=list)

    def health(self) -> Health:
        """As another process has it."""
        replica = self.bench.replica()
        ports = Ports(message_statuses=None, leases=None, media=None)  # type: ignore[arg-type]  # probes use none
        return Health(
            self.bench.catalog,
            replica.store,
            self.rows,
            Prober(replica.upstream, self.bench.settings, ports),
            replica.renewals,
            self.bench.redis,
            replica.store.mark_needs_reconnect,  # type: ignore[arg-type]  # as the service does, without its notices
            every=EVERY,
            per_second=100,
            observe=lambda platform, outcome: self.seen.append((platform, outcome)),
            now=self.bench.now,
        )

    @property
    def rows(self) -> HealthRows:
        return HealthRows(self.bench.database)

    async def due(self, health: Health) -> list[tuple[str, int]]:
        """What the minute's job would queue."""
        now = self.bench.now()
        claimed = await self.rows.claim_due(now, health.unasked, 500)
        return [(one, int(now.timestamp() * 1000)) for one, _ in claimed]


@pytest.fixture
async def watch(database: Database, redis: Redis, valkey: RedisServer, tmp_path: Path) -> AsyncIterator[Watch]:
    sandbox = Sandbox(SandboxOptions(frozen_clock=True))
    async with RunningSandbox(sandbox.app) as running:
        given = load_settings({}, env_file=None, data_dir=tmp_path)
        settings, catalog = bench_settings(given, running.origin)
        made = Bench(sandbox, settings, catalog, database, redis, valkey.url, Time(sandbox))
        yield Watch(made)
        for replica in made.replicas:
            await replica.renewals.close()
            await replica.upstream.close()


async def test_an_account_that_works_is_seen_to_work(watch: Watch) -> None:
    await watch.bench.link("discord")
    watch.bench.advance(minutes=1)
    health = watch.health()
    assert [await health.check(*one) for one in await watch.due(health)] == [None]
    assert watch.seen == [], "what was proven a moment ago is not asked again"
    watch.bench.advance(hours=8)
    (due,) = await watch.due(health)
    await health.check(*due)
    row = await watch.bench.row("cus_a", "discord")
    assert (row.status, row.last_error, row.last_checked_at, row.last_success_at) == (
        "connected",
        None,
        watch.bench.now(),
        watch.bench.now(),
    )
    assert timedelta(0) < row.check_at - watch.bench.now() - EVERY * 0.8 <= EVERY * 0.4
    kept = orjson.loads(await watch.bench.redis.get("platform_health:cus_a:discord"))
    assert kept == {"outcome": "works", "error": None, "checked_at": watch.bench.now().isoformat()}
    assert 0 < await watch.bench.redis.ttl("platform_health:cus_a:discord") <= 600
    assert watch.seen == [("discord", "works")]


async def test_a_job_that_runs_twice_looks_once(watch: Watch) -> None:
    await watch.bench.link("discord")
    watch.bench.advance(hours=8)
    first, second = watch.health(), watch.health()
    claims = await asyncio.gather(watch.due(first), watch.due(second))
    (due,) = [one for each in claims for one in each]
    await asyncio.gather(*(health.check(*due) for health in (first, second, first, second)))
    await first.check(*due)
    assert watch.seen == [("discord", "works")]


@pytest.mark.parametrize(
    "failure",
    [
        {"kind": "server_error", "status": 500},
        {"kind": "server_error", "status": 503},
        {"kind": "malformed"},
        {"kind": "cut_before"},
        {"kind": "timeout_before"},
        {"kind": "rate_limit", "retry_after": 90},
    ],
    ids=lambda failure: f"{failure['kind']}-{failure.get('status', '')}",
)
async def test_an_hour_of_a_vendors_trouble_disconnects_nobody(
    watch: Watch, failure: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hermes.connections.probing.PROBE_SECONDS", 0.5)
    await watch.bench.link("discord")
    watch.bench.advance(hours=8)
    watch.bench.sandbox.failures.add(Failure(platform="discord", match="users", times=None, **failure))
    health, looks = watch.health(), 0
    for _ in range(60):
        for due in await watch.due(health):
            await health.check(*due)
            looks += 1
        watch.bench.advance(minutes=1)
    row = await watch.bench.row("cus_a", "discord")
    assert row.status == "connected"
    assert row.last_error
    assert row.last_success_at < row.last_checked_at
    assert 2 <= looks <= 6, "it is looked at again sooner, but not all the time"
    assert set(watch.seen) == {("discord", "trouble")}
    assert await watch.bench.events() == []
    watch.bench.sandbox.failures.remove()
    await watch.bench.redis.delete("health_trouble:discord")  # Redis counts by its own clock
    watch.bench.advance(hours=1)
    for due in await watch.due(health):
        await health.check(*due)
    row = await watch.bench.row("cus_a", "discord")
    assert (row.status, row.last_error, row.last_success_at) == ("connected", None, watch.bench.now())


async def test_a_vendor_in_trouble_is_left_alone_for_a_while(watch: Watch) -> None:
    for number in range(12):
        await watch.bench.link("discord", f"cus_{number}", f"p{number}")
    watch.bench.advance(hours=8)
    watch.bench.sandbox.failures.add(Failure(kind=FailureKind.SERVER_ERROR, platform="discord", times=None))
    health = watch.health()
    for due in await watch.due(health):
        await health.check(*due)
    assert len(watch.seen) == 5
    for number in range(12):
        row = await watch.bench.row(f"cus_{number}", "discord")
        assert row.check_at < watch.bench.now() + timedelta(minutes=20), "all of them come again"


class Letters:
    """Where mails end, instead of a mail server; and the queue that would send them."""

    sender = "hermes <hello@example.com>"

    def __init__(self) -> None:
        self.queued: list[str | int] = []

    async def send(self, mail_id: str, message: EmailMessage) -> None:
        raise AssertionError("nothing is sent here")

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        self.queued.extend(ids)
        return True


@pytest.mark.parametrize("platform", ["discord", "snapchat", "tiktok", "linkedin", "instagram", "facebook"])
async def test_a_grant_that_ended_leads_to_one_event_one_mail_and_one_change(watch: Watch, platform: str) -> None:
    bench, letters = watch.bench, Letters()
    customer = new_customer("ada@example.com", "growth", "customer", None)
    async with bench.database.session() as session:
        session.add(customer)
    bench.telling = Telling({}, "https://hermes.example", Mail(bench.database, bench.keyring, letters, letters))
    bench.telling._titles = {platform: "The Vendor"}  # type: ignore[assignment]
    extra = {"page_id": "104735472193865", "access_token": "EAAsandbox-revoked"} if platform == "facebook" else {}
    extra |= {"account_id": "17841405309211844"} if platform == "instagram" else {}
    await bench.link(platform, customer.id, **extra)
    bench.advance(hours=8)
    bench.desk(platform).end("alex")
    before = await bench.row(customer.id, platform)
    checks = [watch.health(), watch.health()]
    dues = [due for health in checks for due in await watch.due(health)]
    await asyncio.gather(*(health.check(*due) for health in checks for due in dues * 2))
    await checks[0].look(customer.id, platform, "default")
    row = await bench.row(customer.id, platform)
    assert (row.status, row.version, row.check_at) == ("needs_reconnect", before.version + 1, None)
    assert row.last_error
    (event,) = await bench.events()
    assert (event.type, event.customer_id, event.payload["platform"]) == (
        "connection.needs_reconnect",
        customer.id,
        platform,
    )
    assert len(letters.queued) == 1
    assert set(watch.seen) == {(platform, "ended")}
    bench.advance(days=30)
    assert await watch.due(checks[0]) == [], "it is not looked at any more"


async def test_what_a_vendor_bills_is_not_asked_unasked(watch: Watch) -> None:
    await watch.bench.link("twitter")
    watch.bench.advance(hours=1)
    health = watch.health()
    assert "twitter" not in health.unasked
    assert await watch.due(health) == []
    found = await health.look("cus_a", "twitter", "default")
    assert found is not None
    assert found.outcome == "works"


async def test_an_account_that_was_linked_again_meanwhile_is_not_spoken_ill_of(watch: Watch) -> None:
    await watch.bench.link("discord")
    old = await watch.bench.row("cus_a", "discord")
    await watch.bench.link("discord")
    now: datetime = watch.bench.now()
    await watch.rows.found("cus_a", "discord", "default", old.ciphertext, at=now, error="down", check_at=now)
    assert (await watch.bench.row("cus_a", "discord")).last_error is None


async def test_counts_name_platforms_and_statuses_only(watch: Watch) -> None:
    await watch.bench.link("discord", "cus_a")
    await watch.bench.link("discord", "cus_b", "bea")
    await watch.bench.link("linkedin", "cus_b", "bea")
    await watch.bench.replica().store.mark_needs_reconnect("cus_b", "discord", "default", "gone")
    counts = await watch.rows.counts(watch.bench.now() + timedelta(days=55))
    assert counts == {("discord", "connected"): 1, ("discord", "needs_reconnect"): 1, ("linkedin", "expiring"): 1}
