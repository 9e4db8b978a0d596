"""The version protocol, its steps driven by hand and in every order that hypothesis finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from hermes.errors import NotFound
from hermes.identity.key_cache import KeyCache, KnownKey, entry_key
from hermes.identity.versions import MARKER_SECONDS, TRANSACTION_SECONDS, Versions, version_key
from hermes.storage.redis import Redis, connect_redis

pytestmark = pytest.mark.storage

Step = Callable[[], Awaitable[object]]

CUSTOMER = "cus_a"
DIGEST = "d" * 64
KNOWN = KnownKey(CUSTOMER, "free", True, "a@example.com", "customer", ("*:read",), "key_a", 1)


async def test_a_change_ends_what_was_cached(redis: Redis) -> None:
    versions, cache = Versions(redis), KeyCache(redis)
    async with versions.change(CUSTOMER) as change:
        change.version = 1
    assert await cache.fill(DIGEST, KNOWN)
    assert await cache.lookup(DIGEST) == KNOWN
    async with versions.change(CUSTOMER) as change:
        assert await cache.lookup(DIGEST) is None
        assert not await cache.fill(DIGEST, KNOWN)
        change.version = 2
    assert await redis.get(version_key(CUSTOMER)) == "2"
    assert await cache.lookup(DIGEST) is None
    assert not await cache.fill(DIGEST, KNOWN)
    assert await cache.fill(DIGEST, replace(KNOWN, version=2))


async def test_a_refused_change_takes_its_marker_away(redis: Redis) -> None:
    versions = Versions(redis)
    with pytest.raises(NotFound):
        async with versions.change(CUSTOMER):
            raise NotFound("nobody")
    assert await redis.exists(version_key(CUSTOMER)) == 0


async def test_a_change_of_unknown_outcome_leaves_its_marker_to_expire(redis: Redis) -> None:
    versions = Versions(redis)
    with pytest.raises(ConnectionError):
        async with versions.change(CUSTOMER):
            raise ConnectionError
    assert (await redis.get(version_key(CUSTOMER))).startswith("changing:")
    assert 0 < await redis.ttl(version_key(CUSTOMER)) <= MARKER_SECONDS


def test_a_transaction_is_given_up_long_before_its_marker_expires() -> None:
    assert TRANSACTION_SECONDS <= MARKER_SECONDS / 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"id": 7}', '{"id": "cus_a"}', '{"id": "cus_a", "version": 1}']
)
async def test_an_unreadable_entry_is_a_miss(redis: Redis, text: str) -> None:
    await redis.set(version_key(CUSTOMER), "1")
    await redis.set(entry_key(DIGEST), text)
    assert await KeyCache(redis).lookup(DIGEST) is None


async def test_entries_are_what_the_contract_says(redis: Redis) -> None:
    await redis.set(version_key(CUSTOMER), "1")
    await KeyCache(redis).fill(DIGEST, KNOWN)
    assert 0 < await redis.ttl(f"customer:apikey:{DIGEST}") <= 60
    assert {"id", "plan", "active", "email", "role", "grants"} <= set(await _json(redis, f"customer:apikey:{DIGEST}"))


async def _json(redis: Redis, key: str) -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads(await redis.get(key))
    return loaded


class _World:
    """One customer in SQL (a number) and in Redis, and what a change and a reader do to it, step by step."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.versions, self.cache = redis, Versions(redis), KeyCache(redis)
        self.sql = self.acknowledged = 1
        self.lost = False

    def change(self, token: str) -> list[Step]:
        committed: list[int] = []

        async def commit() -> None:
            self.sql += 1
            committed.append(self.sql)

        async def acknowledge() -> None:
            await self.versions.end(CUSTOMER, token, committed[0])
            self.acknowledged = max(self.acknowledged, committed[0])

        return [lambda: self.versions.begin(CUSTOMER, token), commit, acknowledge]

    def reader(self, *, observes: bool) -> list[Step]:
        seen: dict[str, Any] = {"state": ""}

        async def observe() -> None:
            seen["state"] = await self.versions.observe(CUSTOMER)

        async def read() -> None:
            seen["version"] = self.sql

        async def fill() -> None:
            await self.cache.fill(DIGEST, replace(KNOWN, version=seen["version"]), seen["state"])

        return [observe, read, fill] if observes else [read, fill]

    def loss(self) -> list[Step]:
        async def lose() -> None:
            self.lost = True
            await self.redis.flushdb()

        return [lose]

    async def check(self) -> None:
        """With its marker in Redis a change counts from its commit on, so also if its process dies then."""
        oldest = self.acknowledged if self.lost else self.sql
        entry = await self.cache.lookup(DIGEST)
        assert entry is None or entry.version >= oldest
        served = await self.redis.get(version_key(CUSTOMER))
        assert served is None or not served.isdecimal() or int(served) >= oldest

    async def check_all_is_well(self) -> None:
        for _ in range(2):
            for step in self.reader(observes=True):
                await step()
        assert await self.cache.lookup(DIGEST) == replace(KNOWN, version=self.sql)


def _orders(lengths: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every order in which the steps of several actors can follow each other, as the actors' numbers."""
    if not any(lengths):
        yield ()
    for actor, left in enumerate(lengths):
        if left:
            shorter = (*lengths[:actor], left - 1, *lengths[actor + 1 :])
            yield from ((actor, *rest) for rest in _orders(shorter))


CASTS: dict[str, Callable[[_World], list[list[Step]]]] = {
    "a change, a refresh, a loss": lambda world: [world.change("a"), world.reader(observes=True), world.loss()],
    "a change, a first use, a loss": lambda world: [world.change("a"), world.reader(observes=False), world.loss()],
    "two changes, a loss": lambda world: [world.change("a"), world.change("b"), world.loss()],
    "two changes, a refresh": lambda world: [world.change("a"), world.change("b"), world.reader(observes=True)],
    "three changes": lambda world: [world.change("a"), world.change("b"), world.change("c")],
}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a change, a refresh, a loss", True),
        ("a change, a refresh, a loss", False),
        ("a change, a first use, a loss", True),
        ("a change, a first use, a loss", False),
        ("two changes, a loss", True),
        ("two changes, a loss", False),
        ("two changes, a refresh", False),
        ("three changes", True),
    ],
)
async def test_every_order_of_a_few(redis: Redis, name: str, known: bool) -> None:
    cast = CASTS[name]
    for order in _orders(tuple(map(len, cast(_World(redis))))):
        await redis.flushdb()
        if known:
            await redis.set(version_key(CUSTOMER), "1")
        world = _World(redis)
        actors = [iter(steps) for steps in cast(world)]
        for actor in order:
            await next(actors[actor])()
            await world.check()
        await world.check_all_is_well()


@dataclass
class _Changing:
    token: str
    version: int | None = None


@dataclass
class _Reading:
    state: str
    version: int | None = None


class VersionMachine(RuleBasedStateMachine):
    """One customer, any number of changes and readers, each killed anywhere, and a Redis that may be emptied.

    What must hold: once a change was acknowledged, Redis serves neither an entry nor a version from before it.
    """

    url = ""
    changes = Bundle("changes")
    committed = Bundle("committed")
    readers = Bundle("readers")
    informed = Bundle("informed")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = connect_redis(self.url)
        self.versions, self.cache = Versions(self.redis), KeyCache(self.redis)
        self.sql_version = 1
        self.acknowledged = 1
        self.marked: list[_Changing] = []
        self.timed_out: set[str] = set()
        self.count = 0
        self.run(self.redis.flushdb())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.run(self.redis.aclose())
        self.runner.close()

    @rule(target=changes)
    def begin(self) -> _Changing:
        self.count += 1
        change = _Changing(f"token{self.count}")
        self.run(self.versions.begin(CUSTOMER, change.token))
        self.marked.append(change)
        return change

    @rule(target=committed, change=consumes(changes))
    def commit(self, change: _Changing) -> Any:
        if change.token in self.timed_out:
            return multiple()
        self.sql_version += 1
        change.version = self.sql_version
        return change

    @rule(change=consumes(changes))
    def refuse(self, change: _Changing) -> None:
        self.run(self.versions.end(CUSTOMER, change.token, None))

    @rule(change=consumes(committed))
    def acknowledge(self, change: _Changing) -> None:
        assert change.version is not None
        self.run(self.versions.end(CUSTOMER, change.token, change.version))
        self.acknowledged = max(self.acknowledged, change.version)

    @rule(change=consumes(changes) | consumes(committed))
    def die(self, change: _Changing) -> None:
        """The process is killed before or after its commit: nothing was acknowledged."""

    @rule()
    def marker_expires(self) -> None:
        """Ten seconds pass, so every transaction that had not committed was given up before."""
        state = self.run(self.redis.get(version_key(CUSTOMER)))
        if state is not None and not state.isdecimal():
            self.run(self.redis.delete(version_key(CUSTOMER)))
            self.timed_out |= {change.token for change in self.marked if change.version is None}

    @rule()
    def redis_is_emptied(self) -> None:
        self.run(self.redis.flushdb())

    @rule(target=readers, observes=st.booleans())
    def start_reading(self, observes: bool) -> _Reading:
        return _Reading(self.run(self.versions.observe(CUSTOMER)) if observes else "")

    @rule(target=informed, reader=consumes(readers))
    def read_sql(self, reader: _Reading) -> _Reading:
        reader.version = self.sql_version
        return reader

    @rule(reader=consumes(informed))
    def fill(self, reader: _Reading) -> None:
        assert reader.version is not None
        self.run(self.cache.fill(DIGEST, replace(KNOWN, version=reader.version), reader.state))

    @rule()
    def a_reader_alone_gets_through(self) -> None:
        """Nothing stays broken: without a marker in the way, two tries make the present version served."""
        for _ in range(2):
            state = self.run(self.versions.observe(CUSTOMER))
            if state.startswith("changing:"):
                return
            self.run(self.cache.fill(DIGEST, replace(KNOWN, version=self.sql_version), state))
        assert self.run(self.cache.lookup(DIGEST)) == replace(KNOWN, version=self.sql_version)

    @invariant()
    def nothing_from_before_an_acknowledged_change_is_served(self) -> None:
        entry = self.run(self.cache.lookup(DIGEST))
        assert entry is None or entry.version >= self.acknowledged
        served = self.run(self.redis.get(version_key(CUSTOMER)))
        assert served is None or not served.isdecimal() or int(served) >= self.acknowledged


def test_any_order_of_many(valkey: Any) -> None:
    VersionMachine.url = valkey.url
    run_state_machine_as_test(
        VersionMachine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
