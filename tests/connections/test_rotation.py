"""Rotation re-encrypts everything while others write, goes on where it stopped, and never loses a credential."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import select, update

from hermes.connections import rotation
from hermes.connections.key_check import WrongKeyError, sealed_by, verify_key_check
from hermes.connections.models import ConnectionRow, KeyCheck
from hermes.connections.names import key_name
from hermes.connections.store import CredentialStore
from hermes.crypto import Keyring, key_id_of
from hermes.platforms.base import Account
from hermes.rekeying import move_all
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

BOT = Account(id="42")
NEXT_KEY = bytes(range(1, 33))
MANY = [(f"cus_{number:03}", "telegram", label) for number in range(60) for label in ("default", "work")]


class BeforeWriting:
    """A database that runs something before each transaction that may write."""

    def __init__(self, database: Database, before: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        await self._before()
        async with self._database.session() as session:
            yield session


async def fill(store: CredentialStore) -> None:
    for account in MANY:
        await store.put(*account, repr(account).encode(), BOT)


async def assert_all_served(redis: Redis, keyring: Keyring) -> None:
    """Every credential opens as it is served by Redis."""
    for account in MANY:
        name = key_name(*account)
        assert keyring.open(await redis.get(name), name) == repr(account).encode()


async def test_everything_is_under_the_new_key_afterwards(
    store: CredentialStore, database: Database, redis: Redis, keyring: Keyring, next_keyring: Keyring
) -> None:
    await verify_key_check(database, keyring)
    await fill(store)
    await store.put("cus_dead", "telegram", "default", b"dead", BOT)
    await store.mark_needs_reconnect("cus_dead", "telegram", "default", "revoked")
    told: list[tuple[int, int]] = []
    [report, *_] = await move_all(
        database, redis, next_keyring, lambda what: lambda *far: told.append(far) if what == rotation.WHAT else None
    )
    assert (report.total, report.done, report.complete) == (121, 121, True)
    assert told[-1] == (121, 121)
    new_only = Keyring(NEXT_KEY)
    await assert_all_served(redis, new_only)
    assert await redis.get("creds:cus_dead:telegram") is None
    await redis.flushdb()
    fresh = CredentialStore(database, redis, new_only)
    for account in MANY:
        await fresh.load(*account)
    await assert_all_served(redis, new_only)
    await verify_key_check(database, new_only)
    assert (await rotation.check(database, redis, new_only)).done == 121
    again = await rotation.rotate(database, redis, next_keyring)
    assert (again.total, again.done) == (0, 0)


async def test_a_dry_run_changes_nothing(
    store: CredentialStore, database: Database, redis: Redis, keyring: Keyring, next_keyring: Keyring
) -> None:
    await fill(store)
    report = await rotation.rotate(database, redis, next_keyring, dry_run=True)
    assert (report.total, report.done) == (120, 120)
    assert await sealed_by(database) == {keyring.current_id: 120}


async def test_what_is_written_meanwhile_wins(
    store: CredentialStore, database: Database, redis: Redis, next_keyring: Keyring
) -> None:
    await fill(store)
    replicas = [store, CredentialStore(database, redis, next_keyring)]  # one of them still has only the old key
    changed = {account: f"new {number}".encode() for number, account in enumerate([*MANY[:4], *MANY[60:64]])}
    removed, dead = MANY[5], MANY[6]
    writes = 0

    async def others_write() -> None:
        nonlocal writes
        writes += 1
        if writes == 1:
            for number, (account, secret) in enumerate(changed.items()):
                await replicas[number % 2].put(*account, secret, BOT)
            await store.remove(*removed)
            await store.mark_needs_reconnect(*dead, "revoked")

    report = await rotation.rotate(BeforeWriting(database, others_write), redis, next_keyring)
    assert report.complete
    assert await sealed_by(database) == {next_keyring.current_id: 119}
    new_only = Keyring(NEXT_KEY)
    for account in MANY:
        sealed = await redis.get(key_name(*account))
        if account in (removed, dead):
            assert sealed is None
        else:
            assert new_only.open(sealed, key_name(*account)) == changed.get(account, repr(account).encode())
    assert await store.load(*removed) is None


@pytest.mark.parametrize(
    ("killed_at", "left"),  # a batch is 50 scripts before its commit, and 50 after it
    [(1, 120), (30, 120), (51, 70), (75, 70), (101, 70), (160, 20)],
)
async def test_a_rotation_that_was_killed_goes_on_where_it_was(
    store: CredentialStore,
    database: Database,
    redis: Redis,
    gated: Any,
    next_keyring: Keyring,
    killed_at: int,
    left: int,
) -> None:
    await fill(store)
    scripts = 0

    async def die(_key: str) -> None:
        nonlocal scripts
        scripts += 1
        if scripts >= killed_at:
            raise RedisConnectionError("killed")

    gated.before = die
    with pytest.raises(RedisConnectionError):
        await rotation.rotate(database, gated, next_keyring)
    for account in MANY:
        sealed = await redis.get(key_name(*account)) or await store.load(*account)
        assert next_keyring.open(str(sealed), key_name(*account)) == repr(account).encode()
    report = await rotation.rotate(database, redis, next_keyring)
    assert (report.total, report.done, report.complete) == (left, left, True)
    new_only = Keyring(NEXT_KEY)
    for account in MANY:
        row_sealed = await CredentialStore(database, redis, new_only).load(*account)
        assert new_only.open(str(row_sealed), key_name(*account)) == repr(account).encode()
        copy, seconds = await redis.get(key_name(*account)), await redis.ttl(key_name(*account))
        assert key_id_of(copy) == new_only.current_id or 0 < seconds <= 15


async def test_what_does_not_open_is_reported_and_kept(
    store: CredentialStore, database: Database, redis: Redis, next_keyring: Keyring
) -> None:
    await fill(store)
    customer, platform, label = MANY[7]
    broken = str(await store.load(*MANY[8]))
    async with database.session() as session:
        await session.execute(
            update(ConnectionRow)
            .where(
                ConnectionRow.customer_id == customer, ConnectionRow.platform == platform, ConnectionRow.label == label
            )
            .values(ciphertext=broken)
        )
    report = await rotation.rotate(database, redis, next_keyring)
    assert (report.done, report.remaining, report.complete) == (119, 0, False)
    [unreadable] = report.unreadable
    assert (unreadable.customer_id, unreadable.platform, unreadable.account) == (customer, platform, label)
    assert "authentication failed" in unreadable.reason
    query = select(ConnectionRow.ciphertext).where(ConnectionRow.key_id != next_keyring.current_id)
    async with database.reading() as session:
        assert (await session.execute(query)).scalar_one() == broken
    assert [item.account for item in (await rotation.check(database, redis, next_keyring)).unreadable] == [label]
    await redis.set(key_name(*MANY[9]), broken)
    assert ["in Redis" in item.reason for item in (await rotation.check(database, redis, next_keyring)).unreadable] == [
        False, True,
    ]  # fmt: skip


async def test_a_wrong_key_is_refused_at_start_and_nothing_is_written(
    store: CredentialStore, database: Database, keyring: Keyring
) -> None:
    await verify_key_check(database, keyring)
    await store.put(*MANY[0], b"secret", BOT)
    before = await everything(database)
    with pytest.raises(WrongKeyError, match=keyring.current_id) as refused:
        await verify_key_check(database, Keyring(NEXT_KEY))
    assert "CREDENTIAL_ENCRYPTION_KEY" in str(refused.value)
    assert NEXT_KEY.hex() not in str(refused.value)
    assert await everything(database) == before
    await verify_key_check(database, keyring)


async def test_credentials_without_a_check_value_are_not_taken_for_a_first_start(
    store: CredentialStore, database: Database
) -> None:
    await store.put(*MANY[0], b"secret", BOT)
    before = await everything(database)
    with pytest.raises(WrongKeyError):
        await verify_key_check(database, Keyring(NEXT_KEY))
    assert await everything(database) == before


async def test_the_former_key_may_not_go_before_the_rotation_is_done(
    store: CredentialStore, database: Database, redis: Redis, keyring: Keyring, next_keyring: Keyring
) -> None:
    await verify_key_check(database, keyring)
    await store.put(*MANY[0], b"secret", BOT)
    await verify_key_check(database, next_keyring)
    with pytest.raises(WrongKeyError):
        await verify_key_check(database, Keyring(NEXT_KEY))
    await move_all(database, redis, next_keyring, lambda _what: lambda _done, _total: None)
    await verify_key_check(database, Keyring(NEXT_KEY))
    with pytest.raises(WrongKeyError):
        await verify_key_check(database, keyring)


async def test_a_tampered_check_value_is_refused(database: Database, keyring: Keyring) -> None:
    await verify_key_check(database, keyring)
    async with database.session() as session:
        await session.execute(update(KeyCheck).values(sealed="rubbish"))
    with pytest.raises(WrongKeyError, match="unreadable"):
        await verify_key_check(database, keyring)


async def everything(database: Database) -> list[Any]:
    async with database.reading() as session:
        rows = (await session.execute(select(ConnectionRow.id, ConnectionRow.version, ConnectionRow.ciphertext))).all()
        checks = (await session.execute(select(KeyCheck.id, KeyCheck.sealed))).all()
    return [*map(tuple, rows), *map(tuple, checks)]
