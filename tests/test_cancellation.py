"""A task that is cancelled ends, also one that loses a cancellation on the way."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from hermes.cancellation import cancel
from hermes.storage.leases import RedisLeases
from hermes.storage.redis import Redis

LOST = 2


async def sends(lost: asyncio.Event) -> None:
    """Takes no notice of the first cancellation, as what `asyncio.wait_for` had just sent with does."""
    lost.clear()
    with suppress(asyncio.CancelledError):
        lost.set()
        await asyncio.Event().wait()


async def test_a_cancellation_that_is_lost_is_repeated() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        for _ in range(LOST):
            await sends(begun)
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError

    task, failed, ended = (asyncio.create_task(one) for one in (work(), fail(), asyncio.sleep(0)))
    await begun.wait()
    await asyncio.wait({failed, ended})
    async with asyncio.timeout(60):
        await cancel(task, failed, ended)
    assert task.cancelled()
    assert isinstance(failed.exception(), ValueError)
    assert not ended.cancelled()


@pytest.mark.storage
async def test_a_turn_ends_though_its_keeper_loses_a_cancellation(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    extending = asyncio.Event()

    async def extend(*_: object, **__: object) -> None:
        if not extending.is_set():
            await sends(extending)

    monkeypatch.setattr("redis.asyncio.lock.Lock.extend", extend)
    leases = RedisLeases(redis)
    async with asyncio.timeout(60):
        async with leases.turn("cus_a", "work", 0.4, wait=1) as mine:
            assert mine
            await extending.wait()
        async with leases.turn("cus_a", "work", 60, wait=5) as mine:
            assert mine, "it was given back"
