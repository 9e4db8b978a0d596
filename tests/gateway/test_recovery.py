"""Counts and records when the store's answer is lost, comes late, or its counters are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.billing.keys import USAGE_STREAM, quota_key
from hermes.billing.quota import Quotas
from hermes.errors import Internal

pytestmark = pytest.mark.storage


async def counted(house: Any, caller: Any) -> int:
    """The counter of the month."""
    return int(await house.quotas.used(caller.customer_id, f"{house.admissions.now():%Y-%m}"))


async def pending(house: Any) -> list[str]:
    return [key async for key in house.redis.scan_iter("pending:*")]


async def test_an_admission_whose_answer_is_lost_is_given_back(house: Any, options: Any, monkeypatch: Any) -> None:
    caller = await house.customer()
    await house.gateway.call(caller, "toy_send", {"text": "first"}, options())
    admit = house.admissions.admit

    async def answer_lost(*given: Any, **named: Any) -> Any:
        await admit(*given, **named)
        raise RedisTimeoutError

    monkeypatch.setattr(house.admissions, "admit", answer_lost)
    with pytest.raises(Internal) as told:
        await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    assert told.value.nothing_sent
    await house.gateway.close()
    assert await pending(house) == []
    assert await counted(house, caller) == 1
    monkeypatch.setattr(house.admissions, "admit", admit)
    await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    assert [line["outcome"] for line in await house.lines(caller)] == ["success", "error", "success"]
    assert await counted(house, caller) == await house.used(caller) == 2


async def test_an_admission_that_arrives_after_it_was_given_up(house: Any, options: Any, monkeypatch: Any) -> None:
    caller = await house.customer()
    await house.gateway.call(caller, "toy_send", {"text": "first"}, options())
    admit = house.admissions.admit
    late: list[Callable[[], Awaitable[Any]]] = []

    async def not_yet(*given: Any, **named: Any) -> Any:
        late.append(lambda: admit(*given, **named))
        raise RedisTimeoutError

    monkeypatch.setattr(house.admissions, "admit", not_yet)
    with pytest.raises(Internal):
        await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    await house.gateway.close()
    monkeypatch.setattr(house.admissions, "admit", admit)
    assert (await late[0]()).status == "admitted"
    assert await counted(house, caller) == 2
    await house.admissions.sweep(everything=True)
    assert await pending(house) == []
    assert await counted(house, caller) == 1
    assert [line["outcome"] for line in await house.lines(caller)] == ["error", "success"]
    await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    assert await counted(house, caller) == await house.used(caller) == 2


async def test_giving_up_a_repeat_leaves_the_first_answer(house: Any, options: Any, monkeypatch: Any) -> None:
    caller = await house.customer()
    first = await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    admit = house.admissions.admit

    async def lost(*given: Any, **named: Any) -> Any:
        raise RedisTimeoutError

    monkeypatch.setattr(house.admissions, "admit", lost)
    with pytest.raises(Internal):
        await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    await house.gateway.close()
    monkeypatch.setattr(house.admissions, "admit", admit)
    again = await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    assert again.call_id == first.call_id
    assert await house.used(caller) == 1


async def test_a_restored_count_has_what_is_under_way(house: Any, options: Any, gate: asyncio.Event) -> None:
    caller = await house.customer()
    began = asyncio.Event()

    async def slow(api: Any, text: str) -> str:
        began.set()
        await gate.wait()
        return text

    house.script["next"] = slow
    task = asyncio.create_task(house.gateway.call(caller, "toy_send", {"text": "x"}, options()))
    await began.wait()
    del house.script["next"]
    await house.redis.delete(quota_key(caller.customer_id, f"{house.admissions.now():%Y-%m}"))
    await house.gateway.call(caller, "toy_send", {"text": "y"}, options())
    assert await counted(house, caller) == 2
    gate.set()
    await task
    assert await counted(house, caller) == await house.used(caller) == 2


async def test_a_restored_count_has_what_another_process_is_moving(house: Any, options: Any) -> None:
    caller = await house.customer()
    await house.ledger.flush()
    await house.gateway.call(caller, "toy_send", {"text": "x"}, options())
    taken = await house.redis.xreadgroup("sql", "another", {USAGE_STREAM: ">"})
    assert taken
    await house.redis.delete(quota_key(caller.customer_id, f"{house.admissions.now():%Y-%m}"))
    await house.gateway.call(caller, "toy_send", {"text": "y"}, options())
    assert await counted(house, caller) == 2
    assert await house.ledger.flush(alone=True) == 2
    assert await house.used(caller) == 2


async def test_many_restore_one_count_while_calls_end(house: Any, options: Any, gate: asyncio.Event) -> None:
    caller = await house.customer(plan="growth")
    begun: set[str] = set()
    all_began = asyncio.Event()

    async def slow(api: Any, text: str) -> str:
        begun.add(text)
        if len(begun) == 20:
            all_began.set()
        await gate.wait()
        return text

    house.script["next"] = slow
    before = [
        asyncio.create_task(house.gateway.call(caller, "toy_send", {"text": str(number)}, options()))
        for number in range(20)
    ]
    await all_began.wait()
    await house.redis.flushdb()
    del house.script["next"]
    gate.set()
    after = [house.gateway.call(caller, "toy_send", {"text": str(number)}, options()) for number in range(20)]
    month = f"{house.admissions.now():%Y-%m}"
    others = [Quotas(house.redis, house.ledger).restore(caller.customer_id, month) for _ in range(5)]
    await asyncio.gather(*before, *after, *others)
    assert await counted(house, caller) == await house.used(caller) == 40


@pytest.mark.parametrize("read", ["count", "by_tool"])
async def test_rows_that_are_moved_between_two_looks_at_sql_count_once(
    house: Any, options: Any, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    caller = await house.customer()
    await house.ledger.flush()
    calls = [await house.gateway.call(caller, "toy_send", {"text": str(number)}, options()) for number in range(3)]
    execute = AsyncSession.execute

    async def then_moved(session: AsyncSession, *given: Any, **named: Any) -> Any:
        result = await execute(session, *given, **named)
        monkeypatch.setattr(AsyncSession, "execute", execute)
        assert await house.ledger.flush() == 3
        return result

    monkeypatch.setattr(AsyncSession, "execute", then_moved)
    month = f"{house.admissions.now():%Y-%m}"
    if read == "count":
        on_their_way = [call.call_id for call in calls]
        assert await house.ledger.count(caller.customer_id, month, besides=on_their_way) + len(calls) == 3
    else:
        assert await house.ledger.by_tool(caller.customer_id, month) == {"toy_send": 3}
    assert AsyncSession.execute is execute


async def test_the_rows_are_counted_once_for_all_who_wait(
    house: Any, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await house.customer(plan="growth")
    await house.gateway.call(caller, "toy_send", {"text": "x"}, options())
    counts: list[str] = []
    count = house.ledger.count

    async def counting(customer_id: str, month: str, **given: Any) -> int:
        counts.append(customer_id)
        return int(await count(customer_id, month, **given))

    monkeypatch.setattr(house.ledger, "count", counting)
    await house.redis.delete(quota_key(caller.customer_id, f"{house.admissions.now():%Y-%m}"))
    calls = [house.gateway.call(caller, "toy_send", {"text": str(number)}, options()) for number in range(100)]
    await asyncio.gather(*calls)
    assert counts == [caller.customer_id]
    assert await counted(house, caller) == await house.used(caller) == 101
