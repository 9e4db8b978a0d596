"""Credentials: SQL is the truth, Redis a copy that is never older, and nobody opens what is another's."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import select, update

from hermes.connections.models import ConnectionRow, Status
from hermes.connections.names import key_name, version_name
from hermes.connections.store import CredentialStore, RoutingTaken
from hermes.crypto import Keyring, Undecryptable
from hermes.errors import NeedsReconnect
from hermes.platforms.base import Account
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

BOT = Account(id="42", name="A bot")
ACCOUNT = ("cus_a", "telegram", "default")
NAME = "creds:cus_a:telegram"


async def row_of(database: Database, customer: str, platform: str = "telegram", label: str = "default") -> Any:
    query = select(ConnectionRow).where(
        ConnectionRow.customer_id == customer, ConnectionRow.platform == platform, ConnectionRow.label == label
    )
    async with database.reading() as session:
        return (await session.execute(query)).scalar_one()


async def served(redis: Redis, name: str = NAME) -> str | None:
    value: str | None = await redis.get(name)
    return value


async def test_a_credential_lies_sealed_in_both_stores(
    store: CredentialStore, redis: Redis, database: Database
) -> None:
    connection = await store.put(*ACCOUNT, b"secret", BOT)
    sealed = await served(redis)
    row = await row_of(database, "cus_a")
    assert sealed is not None
    assert sealed == row.ciphertext
    assert b"secret".hex() not in sealed
    assert await store.open(NAME, sealed) == b"secret"
    assert await redis.ttl(NAME) == -1
    assert (connection.status, connection.display_name) == (Status.CONNECTED, "A bot")


async def test_further_accounts_lie_beside_the_default_one(store: CredentialStore, redis: Redis) -> None:
    await store.put("cus_a", "telegram", "default", b"one", BOT)
    await store.put("cus_a", "telegram", "work", b"two", BOT)
    assert await store.open(f"{NAME}:work", str(await served(redis, f"{NAME}:work"))) == b"two"
    assert await store.open(NAME, str(await served(redis))) == b"one"
    assert await store.labels("cus_a") == {"telegram": ["default", "work"]}


async def test_a_lost_redis_disconnects_nobody(store: CredentialStore, redis: Redis) -> None:
    await store.put(*ACCOUNT, b"secret", BOT)
    await store.put("cus_b", "telegram", "work", b"other", BOT)
    await redis.flushdb()
    sealed = await store.load(*ACCOUNT)
    assert sealed is not None
    assert await store.open(NAME, sealed) == b"secret"
    assert await served(redis) == sealed
    assert await store.open("creds:cus_b:telegram:work", str(await store.load("cus_b", "telegram", "work"))) == b"other"
    assert await store.load("cus_b", "telegram", "default") is None


async def test_removing_leaves_nothing_but_a_version(store: CredentialStore, redis: Redis, database: Database) -> None:
    await store.put(*ACCOUNT, b"secret", BOT)
    assert await store.remove(*ACCOUNT)
    row = await row_of(database, "cus_a")
    assert await served(redis) is None
    assert 0 < await redis.ttl(version_name(NAME)) <= 86_400
    assert (row.status, row.ciphertext, row.external_id, row.display_name, row.version) == (
        Status.DISCONNECTED, None, None, None, 2,
    )  # fmt: skip
    assert await store.load(*ACCOUNT) is None
    assert await store.connections("cus_a") == []
    assert not await store.remove(*ACCOUNT)


async def test_linking_again_keeps_the_row_and_goes_on_counting(store: CredentialStore, database: Database) -> None:
    await store.put(*ACCOUNT, b"one", BOT)
    first = await row_of(database, "cus_a")
    await store.remove(*ACCOUNT)
    await store.put(*ACCOUNT, b"two", BOT)
    again = await row_of(database, "cus_a")
    assert (again.id, again.version, again.status) == (first.id, 3, Status.CONNECTED)


async def test_a_fill_that_is_overtaken_by_a_removal_brings_nothing_back(
    store: CredentialStore, slow_store: CredentialStore, gated: Any, redis: Redis
) -> None:
    await store.put(*ACCOUNT, b"secret", BOT)
    await redis.delete(NAME)
    at_the_gate, let_in = asyncio.Event(), asyncio.Event()

    async def hold(_key: str) -> None:
        at_the_gate.set()
        await let_in.wait()

    gated.before = hold
    filling = asyncio.create_task(slow_store.load(*ACCOUNT))
    await at_the_gate.wait()
    assert await store.remove(*ACCOUNT)
    let_in.set()
    assert await filling is None
    assert await served(redis) is None


async def test_a_fill_that_is_overtaken_by_a_new_credential_gives_the_new_one(
    store: CredentialStore, slow_store: CredentialStore, gated: Any, redis: Redis
) -> None:
    await store.put(*ACCOUNT, b"old", BOT)
    await redis.flushdb()
    at_the_gate, let_in = asyncio.Event(), asyncio.Event()

    async def hold(_key: str) -> None:
        at_the_gate.set()
        await let_in.wait()

    gated.before = hold
    filling = asyncio.create_task(slow_store.load(*ACCOUNT))
    await at_the_gate.wait()
    await store.put(*ACCOUNT, b"new", BOT)
    let_in.set()
    assert await store.open(NAME, str(await filling)) == b"new"
    assert await store.open(NAME, str(await served(redis))) == b"new"


async def test_an_older_writer_loses_in_both_stores(
    store: CredentialStore, slow_store: CredentialStore, gated: Any, redis: Redis, database: Database
) -> None:
    passed = 0
    at_the_gate, let_in = asyncio.Event(), asyncio.Event()

    async def hold_the_last(_key: str) -> None:
        nonlocal passed
        passed += 1
        if passed == 2:  # the first script announces inside the transaction, the second serves after it
            at_the_gate.set()
            await let_in.wait()

    gated.before = hold_the_last
    older = asyncio.create_task(slow_store.put(*ACCOUNT, b"older", BOT))
    await at_the_gate.wait()
    await store.put(*ACCOUNT, b"newer", BOT)
    let_in.set()
    await older
    row = await row_of(database, "cus_a")
    assert row.version == 2
    assert await store.open(NAME, row.ciphertext) == b"newer"
    assert await served(redis) == row.ciphertext


async def test_a_writer_that_dies_after_its_commit_leaves_no_outdated_copy_behind(
    store: CredentialStore, slow_store: CredentialStore, gated: Any, redis: Redis
) -> None:
    await store.put(*ACCOUNT, b"old", BOT)
    passed = 0

    async def die_after_commit(_key: str) -> None:
        nonlocal passed
        passed += 1
        if passed == 2:
            raise RedisConnectionError("gone")

    gated.before = die_after_commit
    await slow_store.put(*ACCOUNT, b"new", BOT)
    assert 0 < await redis.ttl(NAME) <= 15
    await redis.delete(NAME)
    assert await store.open(NAME, str(await store.load(*ACCOUNT))) == b"new"
    assert await store.open(NAME, str(await served(redis))) == b"new"


async def test_without_redis_nothing_is_changed(
    store: CredentialStore, slow_store: CredentialStore, gated: Any, database: Database, redis: Redis
) -> None:
    await store.put(*ACCOUNT, b"old", BOT)

    async def gone(_key: str) -> None:
        raise RedisConnectionError("gone")

    gated.before = gone
    for change in (slow_store.put(*ACCOUNT, b"new", BOT), slow_store.remove(*ACCOUNT)):
        with pytest.raises(RedisConnectionError):
            await change
    assert (await row_of(database, "cus_a")).version == 1
    await redis.flushdb()
    assert await store.open(NAME, str(await slow_store.load(*ACCOUNT))) == b"old"


async def test_a_dead_credential_is_not_served_until_it_is_linked_again(store: CredentialStore, redis: Redis) -> None:
    await store.put(*ACCOUNT, b"old", BOT)
    assert await store.mark_needs_reconnect(*ACCOUNT, "revoked\x1b[31m by its owner")
    assert await served(redis) is None
    with pytest.raises(NeedsReconnect):
        await store.load(*ACCOUNT)
    [connection] = await store.connections("cus_a")
    assert (connection.status, connection.last_error) == (Status.NEEDS_RECONNECT, "revoked [31m by its owner")
    assert await store.labels("cus_a") == {"telegram": ["default"]}
    await store.put(*ACCOUNT, b"new", BOT)
    assert await store.open(NAME, str(await served(redis))) == b"new"
    assert (await store.connections("cus_a"))[0].last_error is None


async def test_a_late_complaint_about_the_former_credential_does_not_harm_the_new_one(
    store: CredentialStore, redis: Redis
) -> None:
    await store.put(*ACCOUNT, b"old", BOT)
    used = await served(redis)
    await store.put(*ACCOUNT, b"new", BOT)
    assert not await store.mark_needs_reconnect(*ACCOUNT, "revoked", used)
    assert await served(redis) is not None
    assert await store.mark_needs_reconnect(*ACCOUNT, "revoked", await served(redis))


@pytest.mark.parametrize("where", ["cus_b telegram default", "cus_a discord default", "cus_a telegram work"])
async def test_a_ciphertext_moved_to_another_account_does_not_open(
    store: CredentialStore, redis: Redis, database: Database, where: str
) -> None:
    customer, platform, label = where.split()
    await store.put(*ACCOUNT, b"secret", BOT)
    await store.put(customer, platform, label, b"other", BOT)
    stolen = await served(redis)
    async with database.session() as session:
        await session.execute(
            update(ConnectionRow)
            .where(
                ConnectionRow.customer_id == customer,
                ConnectionRow.platform == platform,
                ConnectionRow.label == label,
            )
            .values(ciphertext=stolen)
        )
    await redis.flushdb()
    sealed = await store.load(customer, platform, label)
    assert sealed == stolen
    with pytest.raises(Undecryptable):
        await store.open(key_name(customer, platform, label), str(sealed))


parts = st.from_regex(r"[A-Za-z0-9_.@-]{1,12}", fullmatch=True)
labels = st.one_of(st.just("default"), st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True))
accounts = st.tuples(parts, parts, labels)


@given(accounts, accounts)
def test_no_account_opens_what_is_anothers(ours: tuple[str, str, str], theirs: tuple[str, str, str]) -> None:
    keyring = Keyring(bytes(32))
    sealed = keyring.seal(b"secret", key_name(*ours))
    if ours == theirs:
        assert keyring.open(sealed, key_name(*theirs)) == b"secret"
    else:
        assert key_name(*ours) != key_name(*theirs)
        with pytest.raises(Undecryptable):
            keyring.open(sealed, key_name(*theirs))


@pytest.mark.parametrize(
    "account",
    [
        ("a:b", "telegram", "default"),
        ("a", "telegram:work", "default"),
        ("a", "telegram", "work:b"),
        ("a", "telegram", "Work"),
        ("", "telegram", "default"),
        ("a", "telegram", ""),
        ("a", "telegram", "x" * 33),
        ("a*", "telegram", "default"),
        ("a", "telegram", "default\n"),
    ],
)
async def test_what_cannot_be_an_account_is_refused(store: CredentialStore, account: tuple[str, str, str]) -> None:
    for use in (store.put(*account, b"x", BOT), store.remove(*account), store.load(*account)):
        with pytest.raises(ValueError, match="credential's name"):
            await use


async def test_accounts_of_many_customers_stay_apart(store: CredentialStore, redis: Redis) -> None:
    customers = [f"cus_{number}" for number in range(5)]
    everyone = list(product(customers, ["telegram", "notes"], ["default", "work"]))
    await asyncio.gather(*(store.put(*account, repr(account).encode(), BOT) for account in everyone))
    await redis.flushdb()
    for account in everyone:
        sealed = await store.load(*account)
        assert await store.open(key_name(*account), str(sealed)) == repr(account).encode()
    assert {item.customer_id for item in await store.connections("cus_3")} == {"cus_3"}


async def test_writers_at_the_same_moment_leave_both_stores_alike(
    store: CredentialStore, redis: Redis, database: Database
) -> None:
    changes = [store.put(*ACCOUNT, f"secret {number}".encode(), BOT) for number in range(20)]
    changes += [store.put("cus_a", "whatsapp", "default", b"token", Account(id="1", routing_id="1")) for _ in range(20)]
    await asyncio.gather(*changes, *(store.load(*ACCOUNT) for _ in range(20)))
    for platform in ("telegram", "whatsapp"):
        row = await row_of(database, "cus_a", platform)
        assert row.version == 20
        assert await served(redis, f"creds:cus_a:{platform}") == row.ciphertext


async def test_of_many_claims_of_one_number_exactly_one_succeeds(store: CredentialStore, database: Database) -> None:
    number = Account(id="1", routing_id="106540352242922")
    claims = [store.put(f"cus_{index}", "whatsapp", "default", b"token", number) for index in range(50)]
    results = await asyncio.gather(*claims, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Connection"] + 49 * ["RoutingTaken"]
    async with database.reading() as session:
        holders = (await session.execute(select(ConnectionRow.customer_id))).all()
    assert len(holders) == 1


async def test_a_refused_claim_changes_nothing(store: CredentialStore, database: Database) -> None:
    await store.put("cus_a", "whatsapp", "default", b"a", Account(id="1", routing_id="111"))
    await store.put("cus_b", "whatsapp", "default", b"b", Account(id="2", routing_id="222"))
    with pytest.raises(RoutingTaken) as taken:
        await store.put("cus_b", "whatsapp", "default", b"stolen", Account(id="1", routing_id="111"))
    assert taken.value.label is None
    with pytest.raises(RoutingTaken) as own:
        await store.put("cus_a", "whatsapp", "work", b"a", Account(id="1", routing_id="111"))
    assert own.value.label == "default"
    row = await row_of(database, "cus_b", "whatsapp")
    assert (row.routing_id, row.version) == ("222", 1)
    assert await store.open("creds:cus_b:whatsapp", row.ciphertext) == b"b"
