"""Whose number it is: claimed once, released by its holder, found again when Redis has forgotten it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from hermes.connections.routing import PhoneNumbers, Routing
from hermes.connections.store import CredentialStore, RoutingTaken
from hermes.platforms.base import Account
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage


def number(routing_id: str) -> Account:
    return Account(id=routing_id, routing_id=routing_id)


async def link(store: CredentialStore, customer: str, routing_id: str, label: str = "default") -> None:
    await store.put(customer, "whatsapp", label, b"token", number(routing_id))


@pytest.fixture
def numbers(database: Database, redis: Redis) -> PhoneNumbers:
    return PhoneNumbers(Routing(database, redis))


async def test_a_linked_number_is_routed_also_when_redis_was_emptied(
    store: CredentialStore, numbers: PhoneNumbers, redis: Redis
) -> None:
    await link(store, "cus_a", "111")
    assert await redis.get("wa_phone_id:111") == "cus_a"
    assert await redis.ttl("wa_phone_id:111") == -1
    await redis.flushdb()
    assert await numbers.customer_of("111") == "cus_a"
    assert await redis.get("wa_phone_id:111") == "cus_a"
    assert await numbers.customer_of("222") is None


async def test_only_the_holder_releases_a_number(store: CredentialStore, numbers: PhoneNumbers, redis: Redis) -> None:
    await link(store, "cus_a", "111")
    with pytest.raises(RoutingTaken):
        await link(store, "cus_b", "111")
    assert not await store.remove("cus_b", "whatsapp", "default")
    assert await numbers.customer_of("111") == "cus_a"
    await store.remove("cus_a", "whatsapp", "default")
    assert await redis.get("wa_phone_id:111") is None
    assert await numbers.customer_of("111") is None
    await link(store, "cus_b", "111")
    assert await numbers.customer_of("111") == "cus_b"


async def test_linking_another_number_releases_the_former(store: CredentialStore, numbers: PhoneNumbers) -> None:
    await link(store, "cus_a", "111")
    await link(store, "cus_a", "222")
    assert await numbers.customer_of("111") is None
    assert await numbers.customer_of("222") == "cus_a"
    await link(store, "cus_b", "111")
    assert await numbers.customer_of("111") == "cus_b"


async def test_a_number_that_needs_a_new_token_stays_routed(store: CredentialStore, numbers: PhoneNumbers) -> None:
    await link(store, "cus_a", "111")
    await store.mark_needs_reconnect("cus_a", "whatsapp", "default", "expired")
    assert await numbers.customer_of("111") == "cus_a"
    with pytest.raises(RoutingTaken):
        await link(store, "cus_b", "111")


@pytest.mark.parametrize("taken_over", [True, False])
async def test_a_reader_that_was_overtaken_by_a_change_does_not_write_what_it_saw(
    store: CredentialStore, database: Database, gated: Any, numbers: PhoneNumbers, redis: Redis, taken_over: bool
) -> None:
    await link(store, "cus_a", "111")
    await redis.delete("wa_phone_id:111")
    at_the_gate, let_in = asyncio.Event(), asyncio.Event()

    async def hold(_key: str) -> None:
        at_the_gate.set()
        await let_in.wait()

    gated.before = hold
    slow = PhoneNumbers(Routing(database, gated))
    reading = asyncio.create_task(slow.customer_of("111"))
    await at_the_gate.wait()
    await store.remove("cus_a", "whatsapp", "default")
    if taken_over:
        await link(store, "cus_b", "111")
    let_in.set()
    await reading
    assert await redis.get("wa_phone_id:111") == ("cus_b" if taken_over else None)
    assert await numbers.customer_of("111") == ("cus_b" if taken_over else None)


async def test_while_a_number_changes_hands_readers_keep_nothing(
    store: CredentialStore, slow_store: CredentialStore, gated: Any, numbers: PhoneNumbers, redis: Redis
) -> None:
    await link(store, "cus_a", "111")
    at_the_gate, let_in = asyncio.Event(), asyncio.Event()

    async def hold_before_the_commit(key: str) -> None:
        if key == "creds:cus_a:whatsapp":
            at_the_gate.set()
            await let_in.wait()

    gated.before = hold_before_the_commit
    removing = asyncio.create_task(slow_store.remove("cus_a", "whatsapp", "default"))
    await at_the_gate.wait()
    assert await numbers.customer_of("111") == "cus_a"
    assert await redis.get("wa_phone_id:111") is None
    let_in.set()
    assert await removing
    assert await numbers.customer_of("111") is None


async def test_without_redis_the_database_answers(store: CredentialStore, database: Database, gated: Any) -> None:
    await link(store, "cus_a", "111")

    class Gone:
        async def mget(self, _keys: list[str]) -> None:
            raise RedisConnectionError("gone")

    assert await PhoneNumbers(Routing(database, Gone())).customer_of("111") == "cus_a"  # type: ignore[arg-type]
