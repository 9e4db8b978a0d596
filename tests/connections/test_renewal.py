"""Tokens are renewed in time, once, and never lost; only the vendor's own word ends an account."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from conftest import RedisServer
from connections import renewal_process
from connections.oauth_bench import Bench, Time, bench_settings
from forked import Forked
from hermes.connections.models import ConnectionRow
from hermes.connections.telling import Telling
from hermes.errors import HermesError, NeedsReconnect, PlatformUnavailable
from hermes.events.mail import Mail
from hermes.identity.service import new_customer
from hermes.sandbox.app import Sandbox
from hermes.sandbox.failures import Failure, FailureKind
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

RENEWABLE = ["discord", "facebook", "instagram", "snapchat", "tiktok", "twitter"]
LIFE = {"discord": 7, "facebook": 60, "instagram": 60, "snapchat": 1 / 24, "tiktok": 1 / 12, "twitter": 1 / 12}
"""Of an access token, in days, as the vendors say."""


@pytest.fixture
async def bench(database: Database, redis: Redis, valkey: RedisServer, tmp_path: Path) -> AsyncIterator[Bench]:
    sandbox = Sandbox(SandboxOptions(frozen_clock=True))
    async with RunningSandbox(sandbox.app) as running:
        given = load_settings({}, env_file=None, data_dir=tmp_path)
        settings, catalog = bench_settings(given, running.origin)
        made = Bench(sandbox, settings, catalog, database, redis, valkey.url, Time(sandbox))
        yield made
        for replica in made.replicas:
            await replica.renewals.close()
            await replica.upstream.close()


def page_of(platform: str) -> dict[str, Any]:
    return {"page_id": "104735472193865", "access_token": "EAAsandbox-page"} if platform == "facebook" else {}


async def due(bench: Bench, platform: str, **more: Any) -> str:
    """An account whose access token is about to end."""
    extra = {"account_id": "17841405309211844"} if platform == "instagram" else {}
    linked = await bench.link(platform, **page_of(platform), **extra, **more)
    bench.advance(days=LIFE[platform], seconds=-30)
    return linked


@pytest.mark.parametrize("platform", RENEWABLE)
async def test_tokens_are_renewed_as_each_vendor_wants_it(bench: Bench, platform: str) -> None:
    linked = await due(bench, platform)
    before = await bench.credential("cus_a", platform)
    await bench.replica().renewals.renew(linked)
    after, row = await bench.credential("cus_a", platform), await bench.row("cus_a", platform)
    token = "user_access_token" if platform == "facebook" else "access_token"
    assert after[token] != before[token]
    assert bench.desk(platform).presented(after[token]) == bench.desk(platform).presented(before[token])
    assert after.get("refresh_token", "") != before.get("refresh_token", "") or platform in ("facebook", "instagram")
    assert row.status == "connected"
    assert row.renew_at - bench.now() > timedelta(days=LIFE[platform] / 2)
    assert await bench.redis.get(f"creds:cus_a:{platform}") == row.ciphertext


async def test_a_refresh_token_that_is_not_given_anew_stays(bench: Bench) -> None:
    linked = await bench.link("email")
    bench.advance(minutes=59)
    before = await bench.credential("cus_a", "email")
    await bench.replica().renewals.renew(linked)
    after = await bench.credential("cus_a", "email")
    assert after["refresh_token"] == before["refresh_token"]
    assert after["access_token"] != before["access_token"]
    assert after["address"] == "alex@gmail.com"


async def test_an_empty_refresh_token_replaces_nothing(bench: Bench) -> None:
    linked = await due(bench, "snapchat")
    before = await bench.credential("cus_a", "snapchat")
    answer = {"access_token": "a-new-access-token", "expires_in": 3600, "refresh_token": ""}
    bench.sandbox.failures.add(
        Failure(kind=FailureKind.ANSWER, platform="snapchat", match="access_token", status=200, body=answer)
    )
    await bench.replica().renewals.renew(linked)
    after = await bench.credential("cus_a", "snapchat")
    assert after["access_token"] == "a-new-access-token"
    assert after["refresh_token"] == before["refresh_token"]


async def test_what_is_not_due_is_left_alone(bench: Bench) -> None:
    linked = await bench.link("twitter")
    before = await bench.credential("cus_a", "twitter")
    await bench.replica().renewals.renew(linked)
    assert await bench.credential("cus_a", "twitter") == before
    assert list(bench.desk("twitter").asked) == []


async def test_many_callers_on_two_replicas_share_one_renewal(bench: Bench) -> None:
    await due(bench, "twitter")
    sealed = (await bench.row("cus_a", "twitter")).ciphertext
    replicas = [bench.replica(), bench.replica()]
    got = await asyncio.gather(
        *(one.renewals.fresh("cus_a", "twitter", "default", sealed) for one in replicas for _ in range(20))
    )
    assert len(set(got)) == 1
    assert got[0] == (await bench.row("cus_a", "twitter")).ciphertext != sealed
    assert len(bench.desk("twitter").asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        {"kind": "server_error", "status": 500},
        {"kind": "server_error", "status": 403},
        {"kind": "answer", "status": 200, "body": {"hello": "world"}},
        {"kind": "answer", "status": 400, "body": {"error": "temporarily_unavailable"}},
        {"kind": "answer", "status": 401, "body": {"error": "invalid_client"}},
        {"kind": "answer", "status": 404, "body": {}},
        {"kind": "malformed"},
        {"kind": "cut_before"},
        {"kind": "timeout_before"},
        {"kind": "rate_limit", "retry_after": 90},
    ],
    ids=lambda failure: f"{failure['kind']}-{failure.get('status', '')}",
)
@pytest.mark.parametrize("platform", ["linkedin", "snapchat"])
async def test_an_hour_of_trouble_at_the_vendor_disconnects_nobody(
    bench: Bench, failure: dict[str, Any], platform: str
) -> None:
    linked = await (due(bench, platform) if platform in LIFE else bench.link(platform, person="partner"))
    if platform == "linkedin":
        bench.advance(days=59, hours=23, minutes=59)
    # The stand-in does what it was asked with `malformed`: what it answers is lost, and the refresh token spent.
    lost = failure["kind"] == "malformed" and platform == "snapchat"
    path = bench.desk(platform).rules.token
    bench.sandbox.failures.add(Failure(platform=platform, match=path, times=1 if lost else None, **failure))
    patience = 0.3 if failure["kind"] == "timeout_before" else 20.0
    replica, tries = bench.replica(seconds=patience), 0
    end = bench.now() + timedelta(hours=1)
    while not (lost and tries):
        row = await bench.row("cus_a", platform)
        assert row.status == "connected"
        if row.renew_at > end:
            break
        bench.advance(seconds=max(0.0, (row.renew_at - bench.now()).total_seconds()))
        await replica.renewals.renew(linked)
        tries += 1
    assert (await bench.row("cus_a", platform)).status == "connected"
    assert await bench.events() == []
    assert (1 if lost else 4) <= tries < 20, "the pauses grow"
    if lost:
        return
    bench.sandbox.failures.remove()
    bench.advance(hours=1)
    await bench.replica().renewals.renew(linked)
    row = await bench.row("cus_a", platform)
    assert (row.status, row.renew_failures) == ("connected", 0)
    assert row.renew_at > bench.now()


async def test_calls_go_on_while_the_vendor_is_away_and_the_token_lasts(bench: Bench) -> None:
    await due(bench, "twitter")
    bench.sandbox.failures.add(Failure(kind=FailureKind.SERVER_ERROR, platform="twitter", times=None))
    replica = bench.replica()
    sealed = (await bench.row("cus_a", "twitter")).ciphertext
    assert await replica.renewals.fresh("cus_a", "twitter", "default", sealed) == sealed
    bench.advance(minutes=1)
    with pytest.raises(PlatformUnavailable) as raised:
        await replica.renewals.fresh("cus_a", "twitter", "default", sealed)
    assert raised.value.nothing_sent
    assert (await bench.row("cus_a", "twitter")).status == "connected"


@pytest.mark.parametrize("platform", [*RENEWABLE, "linkedin"])
async def test_a_grant_that_ended_leads_to_one_event_and_one_change(bench: Bench, platform: str) -> None:
    if platform == "linkedin":
        await bench.link(platform, person="partner")
        bench.advance(days=59, hours=23, minutes=59, seconds=30)
    else:
        await due(bench, platform)
    person = "partner" if platform == "linkedin" else "alex"
    assert bench.desk(platform).end(person) == 1
    row = await bench.row("cus_a", platform)
    replicas = [bench.replica(), bench.replica()]
    results = await asyncio.gather(
        *(one.renewals.fresh("cus_a", platform, "default", row.ciphertext) for one in replicas for _ in range(5)),
        *(one.renewals.renew(row.id) for one in replicas),
        return_exceptions=True,
    )
    assert any(isinstance(one, NeedsReconnect) for one in results)
    after = await bench.row("cus_a", platform)
    assert (after.status, after.version, after.renew_at) == ("needs_reconnect", row.version + 1, None)
    assert after.last_error
    (event,) = await bench.events()
    assert (event.type, event.customer_id) == ("connection.needs_reconnect", "cus_a")
    assert event.payload["platform"] == platform
    assert await bench.redis.get(f"creds:cus_a:{platform}") is None
    with pytest.raises(NeedsReconnect):
        await replicas[0].store.load("cus_a", platform, "default")


class Letters:
    """Where mails end, instead of a mail server; and the queue that would send them."""

    sender = "hermes <hello@example.com>"

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.queued: list[str | int] = []

    async def send(self, mail_id: str, message: EmailMessage) -> None:
        self.sent.append(message)

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        self.queued.extend(ids)
        return True


@pytest.mark.parametrize("platform", RENEWABLE)
async def test_who_must_act_is_written_to_once(bench: Bench, platform: str) -> None:
    customer = new_customer("ada@example.com", "growth", "customer", None)
    async with bench.database.session() as session:
        session.add(customer)
    letters = Letters()
    mail = Mail(bench.database, bench.keyring, letters, letters)
    bench.telling = Telling({platform: "The Vendor"}, "https://hermes.example", mail)
    linked = await due(bench, platform, customer_id=customer.id)
    bench.desk(platform).end("alex")
    replicas = [bench.replica(), bench.replica()]
    await asyncio.gather(*(one.renewals.renew(linked) for one in replicas for _ in range(3)))
    assert len(letters.queued) == 1
    for mail_id in [*letters.queued, *letters.queued]:
        await mail.send(str(mail_id))
    (sent,) = letters.sent
    assert (sent["To"], sent["Subject"]) == ("ada@example.com", "Connect The Vendor again")
    assert f"https://hermes.example/connect/{platform}" in str(sent.get_body(("plain",)))
    assert len(await bench.events()) == 1


async def test_a_renewal_does_not_bring_back_what_was_unlinked_meanwhile(bench: Bench) -> None:
    linked = await due(bench, "twitter")
    replica = bench.replica()
    bench.sandbox.failures.add(Failure(kind=FailureKind.SLOW, platform="twitter", match="token", delay=5))
    renewing = asyncio.create_task(replica.renewals.renew(linked))
    await bench.desk("twitter").came.wait()
    assert await replica.store.remove("cus_a", "twitter", "default")
    bench.advance(seconds=6)
    await renewing
    row = await bench.row("cus_a", "twitter")
    assert (row.status, row.ciphertext) == ("disconnected", None)
    assert await bench.redis.get("creds:cus_a:twitter") is None


class Broken(Database):
    """A database that is away as long as `away` says."""

    away = False

    def session(self) -> Any:
        if self.away:
            raise OperationalError("away", None, Exception("away"))
        return super().session()


async def test_an_answer_that_sql_could_not_take_is_not_lost(bench: Bench) -> None:
    """The process dies while SQL is away: the spent refresh token's successor lies sealed in Redis."""
    linked = await due(bench, "twitter")
    before = await bench.credential("cus_a", "twitter")
    database = Broken(bench.database.url.render_as_string(hide_password=False))
    dying = bench.replica(database=database, storing=0.2)
    bench.sandbox.failures.add(Failure(kind=FailureKind.SLOW, platform="twitter", match="token", delay=1))
    renewing = asyncio.create_task(dying.renewals.renew(linked))
    await bench.desk("twitter").came.wait()
    database.away = True
    bench.advance(seconds=2)
    with pytest.raises(OperationalError):
        await renewing
    rescued = await bench.redis.get("creds_rescue:cus_a:twitter:default")
    assert before["refresh_token"] not in rescued
    await bench.replica().renewals.renew(linked)
    after = await bench.credential("cus_a", "twitter")
    assert after["refresh_token"] != before["refresh_token"]
    assert len(bench.desk("twitter").asked) == 1, "the vendor was asked once only"
    assert await bench.redis.get("creds_rescue:cus_a:twitter:default") is None
    await database.close()


async def test_an_end_that_cannot_be_put_off_is_announced_once(bench: Bench) -> None:
    await bench.link("linkedin")
    rows = bench.replica().rows
    assert await rows.announce_ends(bench.now(), 10) == 0
    bench.advance(days=54)
    assert await rows.announce_ends(bench.now(), 10) == 1
    assert await rows.announce_ends(bench.now(), 10) == 0
    (event,) = await bench.events()
    assert event.type == "connection.expiring"
    async with bench.database.reading() as session:
        assert (await session.execute(select(ConnectionRow.status))).scalar_one() == "connected"


async def test_due_accounts_are_given_out_once(bench: Bench) -> None:
    linked = await due(bench, "twitter")
    first, second = bench.replica().rows, bench.replica().rows
    given = await asyncio.gather(first.claim_due(bench.now(), 10), second.claim_due(bench.now(), 10))
    assert [one for each in given for one in each] == [(linked, "twitter")]


async def test_a_server_without_the_vendors_app_says_so(bench: Bench) -> None:
    bench.settings.environ.pop("TWITTER_CLIENT_ID")  # type: ignore[attr-defined]  # the bench's own
    linked = await due(bench, "twitter")
    await bench.replica().renewals.renew(linked)
    assert (await bench.row("cus_a", "twitter")).status == "connected"
    with pytest.raises(HermesError, match="TWITTER_CLIENT_ID"):
        bench.replica().vendor.client(bench.connect("twitter"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", renewal_process.POINTS)
@pytest.mark.parametrize("platform", ["twitter", "linkedin"])
async def test_a_process_killed_while_it_renews_locks_nobody_out(bench: Bench, platform: str, point: str) -> None:
    """With kill -9, at every point. Only where the vendor had spent the refresh token and its answer was not stored,
    the customer has to sign in again, and is told so once."""
    person = "partner" if platform == "linkedin" else "alex"
    linked = await bench.link(platform, person=person)
    bench.advance(days=60 if platform == "linkedin" else 0, hours=2 if platform == "twitter" else 0, seconds=-30)
    before = await bench.credential("cus_a", platform)
    origin = bench.settings.environ["SANDBOX_ORIGIN"]
    database_url = bench.database.url.render_as_string(hide_password=False)
    process = Forked(
        renewal_process.main, point, linked, origin, database_url, bench.redis_url, bench.now().isoformat()
    )
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    await bench.replica().renewals.renew(linked)
    row, after = await bench.row("cus_a", platform), await bench.credential("cus_a", platform)
    lost = platform == "twitter" and point in ("answered", "before_commit")
    assert row.status == ("needs_reconnect" if lost else "connected")
    assert [event.type for event in await bench.events()] == (["connection.needs_reconnect"] if lost else [])
    assert (after["access_token"] == before["access_token"]) == lost
    if not lost:
        assert bench.desk(platform).presented(after["access_token"]) == bench.desk(platform).rules.account(person)
        # Redis may serve what it had for some seconds more; a call whose token ends looks into SQL first.
        replica = bench.replica()
        served = await bench.redis.get(f"creds:cus_a:{platform}") or await replica.store.load(
            "cus_a", platform, "default"
        )
        assert served is not None
        assert await replica.renewals.fresh("cus_a", platform, "default", served) == row.ciphertext
    assert len(bench.desk(platform).asked) == (1 if point in ("before_asking", "committed", "served") else 2)
