"""Notices: each customer's own, from every process, and only hints."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hermes.identity.versions import Versions
from hermes.storage.notices import Notice, Notices
from hermes.storage.redis import Redis, connect_redis

pytestmark = pytest.mark.storage

CUSTOMERS = ("cus_1", "cus_12", "1", "", "*", "?us_1", "[c]us_1", "cus_1:changes", "changes", "cus_1 ", "CUS_1", "ç")


class Heard:
    """What one listener was told."""

    def __init__(self) -> None:
        self.notices: asyncio.Queue[Notice] = asyncio.Queue()

    def __call__(self, notice: Notice) -> None:
        self.notices.put_nowait(notice)

    async def next(self) -> Notice:
        async with asyncio.timeout(10):
            return await self.notices.get()


@pytest.fixture
async def notices(redis: Redis) -> Any:
    made = Notices(redis, quiet=0.5)
    yield made
    await made.close()


async def test_each_customer_hears_their_own_in_any_process(redis: Redis, notices: Notices) -> None:
    elsewhere = Notices(redis)
    heard = {customer: Heard() for customer in CUSTOMERS}
    for customer, listener in heard.items():
        await notices.listen(customer, listener)
    for number, customer in enumerate(CUSTOMERS):
        (elsewhere if number % 2 else notices).tell(customer, "note", f"of {customer}")
    for customer, listener in heard.items():
        assert await listener.next() == Notice("note", f"of {customer}")
    await elsewhere.close()
    assert all(listener.notices.empty() for listener in heard.values())


async def test_who_left_hears_nothing(notices: Notices) -> None:
    gone, stays = Heard(), Heard()
    await notices.listen("cus_1", gone)
    await notices.listen("cus_1", stays)
    notices.leave("cus_1", gone)
    notices.tell("cus_1", "accounts")
    assert await stays.next() == Notice("accounts")
    assert gone.notices.empty()


async def test_a_word_nobody_knows_means_look_at_everything(redis: Redis, notices: Notices) -> None:
    heard = Heard()
    await notices.listen("cus_1", heard)
    await redis.publish("cus_1:changes", "something newer")
    assert await heard.next() == Notice("anything", "newer")


async def test_a_change_of_the_customer_is_told_when_it_is_stored(redis: Redis, notices: Notices) -> None:
    heard, versions = Heard(), Versions(redis)
    await notices.listen("cus_1", heard)
    async with versions.change("cus_1") as change:
        assert heard.notices.empty()
        change.version = 2
    assert await heard.next() == Notice("caller")


async def test_what_cannot_be_told_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    away = connect_redis("unix:///nowhere/redis.sock")
    notices = Notices(away)
    notices.tell("cus_1", "accounts")
    await notices.close()
    await away.aclose()
    assert "a notice was not published" in caplog.text
