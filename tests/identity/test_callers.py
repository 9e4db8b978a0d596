"""From a key to a caller through memory, Redis and SQL, also when a change overtakes the reading."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from hermes.errors import HermesError, NotAuthenticated, NotFound, Suspended
from hermes.identity import callers as callers_module
from hermes.identity.api_key import generate_api_key
from hermes.identity.caller import OPERATOR_ID, Caller, Grants, Via
from hermes.identity.callers import MEMORY_SECONDS, Callers, is_whole_operator, version_key
from hermes.identity.key_cache import entry_key
from hermes.settings import load_settings

pytestmark = pytest.mark.storage

Change = Callable[[Any, str, str], Awaitable[object]]


async def _suspend(identity: Any, customer_id: str, key_id: str) -> None:
    await identity.customers.suspend(customer_id)


async def _revoke(identity: Any, customer_id: str, key_id: str) -> None:
    await identity.api_keys.revoke(customer_id, key_id)


CHANGES: list[tuple[Change, type[HermesError]]] = [(_suspend, Suspended), (_revoke, NotAuthenticated)]
each_change = pytest.mark.parametrize(("change", "refusal"), CHANGES, ids=["suspend", "revoke"])


@pytest.fixture
async def ada(identity: Any) -> Any:
    return await identity.customers.create("ada@example.com", "growth")


async def _commands(identity: Any, work: Awaitable[object]) -> int:
    """How many commands were sent to Redis while the work ran."""
    sent = 0
    execute = identity.redis.execute_command

    async def counting(*args: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return await execute(*args, **options)

    identity.redis.execute_command = counting
    try:
        await work
    finally:
        identity.redis.execute_command = execute
    return sent


async def test_a_key_is_its_customer(identity: Any, ada: Any) -> None:
    caller = await identity.process().from_api_key(ada.key.secret)
    assert caller == Caller(
        kind="customer",
        customer_id=ada.row.id,
        via=Via.API_KEY,
        key_id=ada.key.row.id,
        grants=Grants.everything(),
        plan="growth",
        version=1,
        email="ada@example.com",
    )


async def test_what_each_way_costs(identity: Any, ada: Any) -> None:
    process = identity.process()
    await process.from_api_key(key := ada.key.secret)
    await process.close()  # the script is known to the server and the entry is written
    identity.database.reads = 0

    replica = identity.process()
    assert await _commands(identity, replica.from_api_key(key)) == 1
    assert identity.database.reads == 0
    assert await _commands(identity, replica.from_api_key(key)) == 0
    identity.clock.now += MEMORY_SECONDS
    assert await _commands(identity, replica.from_api_key(key)) == 1
    assert identity.database.reads == 0


async def test_a_hundred_first_uses_at_once_make_one_read(identity: Any, ada: Any) -> None:
    process = identity.process()
    found = await asyncio.gather(*(process.from_api_key(ada.key.secret) for _ in range(100)))
    assert {caller.customer_id for caller in found} == {ada.row.id}
    assert identity.database.reads == 1


async def test_who_asked_first_may_go_away(identity: Any, ada: Any) -> None:
    process = identity.process()
    second: list[asyncio.Task[Caller]] = []

    async def first_leaves() -> None:
        second.append(asyncio.create_task(process.from_api_key(ada.key.secret)))
        first.cancel()

    identity.database.after_read = first_leaves
    first = asyncio.create_task(process.from_api_key(ada.key.secret))
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second[0]).customer_id == ada.row.id
    assert identity.database.reads == 1


@pytest.mark.parametrize("cut", [1, 3, 20])
async def test_a_malformed_key_is_refused_without_a_trip(identity: Any, ada: Any, cut: int) -> None:
    async def try_it() -> None:
        with pytest.raises(NotAuthenticated, match="incomplete or mistyped"):
            await identity.process().from_api_key(ada.key.secret[:-cut])

    assert await _commands(identity, try_it()) == 0
    assert identity.database.reads == 0


async def test_an_unknown_key_is_looked_up_once(identity: Any) -> None:
    process, key = identity.process(), generate_api_key()
    for _ in range(3):
        with pytest.raises(NotAuthenticated, match="unknown or was revoked") as refused:
            await process.from_api_key(key)
        assert key not in str(refused.value.as_dict())
    assert identity.database.reads == 1


@each_change
async def test_a_change_reaches_every_replica_in_five_seconds(
    identity: Any, ada: Any, change: Change, refusal: type[HermesError]
) -> None:
    warm, cold = identity.process(), identity.process()
    caller = await warm.from_api_key(ada.key.secret)
    await warm.close()
    await change(identity, ada.row.id, ada.key.row.id)
    with pytest.raises(refusal):
        await cold.from_api_key(ada.key.secret)
    assert await identity.redis.get(version_key(ada.row.id)) != str(caller.version)  # so the pipeline refreshes
    with pytest.raises(refusal):
        await warm.refresh(caller)
    with pytest.raises(refusal):
        await warm.from_api_key(ada.key.secret)
    other = identity.process()
    with pytest.raises(refusal):
        await other.refresh(caller)


@each_change
async def test_memory_ends_after_five_seconds_by_itself(
    identity: Any, ada: Any, change: Change, refusal: type[HermesError]
) -> None:
    warm = identity.process()
    await warm.from_api_key(ada.key.secret)
    await warm.close()
    await change(identity, ada.row.id, ada.key.row.id)
    identity.clock.now += MEMORY_SECONDS
    with pytest.raises(refusal):
        await warm.from_api_key(ada.key.secret)


@each_change
async def test_a_fill_that_is_overtaken_by_a_change_leaves_nothing_behind(
    identity: Any, ada: Any, change: Change, refusal: type[HermesError]
) -> None:
    slow = identity.process()
    identity.database.after_read = lambda: change(identity, ada.row.id, ada.key.row.id)
    await slow.from_api_key(ada.key.secret)  # its row was read before the change
    await slow.close()
    with pytest.raises(refusal):
        await identity.process().from_api_key(ada.key.secret)
    identity.clock.now += MEMORY_SECONDS
    with pytest.raises(refusal):
        await slow.from_api_key(ada.key.secret)


@each_change
async def test_memory_counts_from_before_the_read(
    identity: Any, ada: Any, change: Change, refusal: type[HermesError]
) -> None:
    slow = identity.process()

    async def overtaken_for_long() -> None:
        await change(identity, ada.row.id, ada.key.row.id)
        identity.clock.now += MEMORY_SECONDS

    identity.database.after_read = overtaken_for_long
    await slow.from_api_key(ada.key.secret)
    with pytest.raises(refusal):
        await slow.from_api_key(ada.key.secret)


async def test_who_comes_five_seconds_later_does_not_wait_for_an_old_read(identity: Any, ada: Any) -> None:
    process = identity.process()
    late: list[object] = []

    async def long_stall() -> None:
        await identity.customers.suspend(ada.row.id)
        identity.clock.now += MEMORY_SECONDS
        with pytest.raises(Suspended):
            await process.from_api_key(ada.key.secret)
        late.append("refused")

    identity.database.after_read = long_stall
    await process.from_api_key(ada.key.secret)
    assert late == ["refused"]


@each_change
async def test_a_refresh_that_is_overtaken_reads_again(
    identity: Any, ada: Any, change: Change, refusal: type[HermesError]
) -> None:
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await process.close()
    await identity.redis.flushdb()
    identity.database.after_read = lambda: change(identity, ada.row.id, ada.key.row.id)
    with pytest.raises(refusal):
        await process.refresh(caller)


@each_change
async def test_redis_emptied_behind_a_change_while_a_refresh_reads(
    identity: Any, ada: Any, change: Change, refusal: type[HermesError]
) -> None:
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await process.close()
    await identity.redis.delete(version_key(ada.row.id))

    async def change_then_lose_redis() -> None:
        await change(identity, ada.row.id, ada.key.row.id)
        await identity.redis.flushdb()

    identity.database.after_read = change_then_lose_redis
    with pytest.raises(refusal):
        await process.refresh(caller)
    with pytest.raises(refusal):
        await identity.process().from_api_key(ada.key.secret)


async def test_redis_emptied_costs_one_refresh(identity: Any, ada: Any) -> None:
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await process.close()
    await identity.redis.flushdb()
    fresh = await asyncio.gather(*(process.refresh(caller) for _ in range(20)))
    assert set(fresh) == {caller}
    assert await identity.redis.get(version_key(ada.row.id)) == str(caller.version)
    assert await identity.redis.exists(entry_key(ada.key.row.digest)) == 1
    assert identity.database.reads == 2


async def test_a_first_use_after_redis_was_emptied_mends_it_behind_the_answer(identity: Any, ada: Any) -> None:
    await identity.redis.flushdb()
    process = identity.process()
    await process.from_api_key(ada.key.secret)
    await process.close()
    assert await identity.redis.get(version_key(ada.row.id)) == "1"
    assert await identity.redis.exists(entry_key(ada.key.row.digest)) == 1


@pytest.mark.parametrize("committed", [False, True])
async def test_a_change_killed_between_its_steps(identity: Any, ada: Any, committed: bool) -> None:
    warm = identity.process()
    caller = await warm.from_api_key(ada.key.secret)
    await warm.close()
    await identity.versions.begin(ada.row.id, "dead")
    if committed:
        async with identity.database.session() as session:
            row = await session.get(type(ada.row), ada.row.id)
            row.status, row.version = "suspended", row.version + 1
    for marker_expired in (False, True):
        if marker_expired:
            await identity.redis.delete(version_key(ada.row.id))
        for attempt in (identity.process().from_api_key(ada.key.secret), identity.process().refresh(caller)):
            if committed:
                with pytest.raises(Suspended):
                    await attempt
            else:
                assert await attempt == caller
    served = await identity.redis.get(version_key(ada.row.id))
    assert served == str(caller.version + committed)


async def test_while_a_change_is_under_way_calls_go_on_with_what_sql_says(identity: Any, ada: Any) -> None:
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await process.close()
    await identity.versions.begin(ada.row.id, "slow")
    assert await process.refresh(caller) == caller
    assert (await identity.redis.get(version_key(ada.row.id))).startswith("changing:")


async def test_sql_restored_from_a_backup_is_believed(identity: Any, ada: Any) -> None:
    await identity.redis.set(version_key(ada.row.id), "7")
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await process.close()
    assert await process.refresh(caller) == caller
    assert await process.refresh(caller) == caller
    assert await identity.redis.get(version_key(ada.row.id)) == "1"


async def test_redis_restored_from_a_backup_is_not_believed(identity: Any, ada: Any) -> None:
    process = identity.process()
    await process.from_api_key(ada.key.secret)
    await process.close()
    await identity.customers.suspend(ada.row.id)
    await identity.redis.set(version_key(ada.row.id), "1")
    await identity.redis.delete(entry_key(ada.key.row.digest))
    with pytest.raises(Suspended):
        await identity.process().from_api_key(ada.key.secret)


async def test_resume_and_plan_are_seen_at_once_by_a_refresh(identity: Any, ada: Any) -> None:
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await identity.customers.suspend(ada.row.id)
    with pytest.raises(Suspended, match="ask whoever runs"):
        await process.refresh(caller)
    await identity.customers.resume(ada.row.id)
    await identity.customers.set_plan(ada.row.id, "enterprise")
    fresh = await process.refresh(replace(caller, client="claude"))
    assert fresh == replace(caller, plan="enterprise", version=4, client="claude")
    assert (await process.from_api_key(ada.key.secret)).plan == "enterprise"
    assert str(fresh.version) == await identity.redis.get(version_key(ada.row.id))


async def test_when_a_key_was_used_is_noted_once_a_minute_and_behind_the_answer(identity: Any, ada: Any) -> None:
    process = identity.process()
    await process.from_api_key(ada.key.secret)
    await process.close()
    first = (await identity.api_keys.get(ada.row.id, ada.key.row.id)).last_used_at
    assert first is not None
    await identity.redis.delete(entry_key(ada.key.row.digest))
    again = identity.process()
    await again.from_api_key(ada.key.secret)
    await again.close()
    assert (await identity.api_keys.get(ada.row.id, ada.key.row.id)).last_used_at == first


async def test_the_operators_key(identity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(callers_module.hmac, "compare_digest", compare)
    process = identity.process()
    operator = await process.verify("operator-key-for-tests")
    assert operator is not None
    assert operator.customer_id == OPERATOR_ID
    assert operator.single_user
    assert is_whole_operator(operator)
    assert await process.verify("operator-key-for-test") is None
    assert await process.verify("") is None
    assert compared == [(32, 32)] * 3  # digests, of one length whatever was sent
    assert await process.refresh(operator) is operator
    assert identity.database.reads == 0


async def test_without_an_operators_key_nothing_is_one(identity: Any) -> None:
    callers = Callers(identity.database, identity.redis, load_settings({}, env_file=None))
    assert await callers.verify("") is None
    assert await callers.verify("None") is None


async def test_acting_for_a_customer(identity: Any, ada: Any) -> None:
    process = identity.process()
    operator = process.operator
    acting = await process.act_for(operator, ada.row.id)
    assert (acting.kind, acting.customer_id, acting.plan) == ("operator", ada.row.id, "growth")
    assert (acting.via, acting.key_id, acting.version) == (Via.OPERATOR_KEY, OPERATOR_ID, 1)
    assert not acting.single_user
    await identity.customers.suspend(ada.row.id)
    await identity.customers.set_plan(ada.row.id, "free")
    fresh = await process.refresh(acting)
    assert fresh == replace(acting, plan="free", version=3)
    assert await process.act_for(operator, ada.row.id) == fresh
    with pytest.raises(NotFound):
        await process.act_for(operator, "cus_nobody")


async def test_only_whole_operators_act_for_customers(identity: Any, ada: Any) -> None:
    process = identity.process()
    admin = await identity.customers.create("root@example.com", role="admin")
    part = await identity.api_keys.create(admin.row.id, "part", ["telegram:read"])
    whole = await process.from_api_key(admin.key.secret)
    restricted = await process.from_api_key(part.secret)
    customer = await process.from_api_key(ada.key.secret)
    assert [is_whole_operator(caller) for caller in (whole, restricted, customer)] == [True, False, False]
    assert (await process.act_for(whole, ada.row.id)).kind == "operator"
    for caller in (restricted, customer):
        with pytest.raises(ValueError, match="only an operator"):
            await process.act_for(caller, ada.row.id)


async def test_other_ways_in_are_refreshed_by_their_customer(identity: Any, ada: Any) -> None:
    process = identity.process()
    caller = replace(await process.from_api_key(ada.key.secret), via=Via.SESSION, key_id="session")
    await identity.customers.set_plan(ada.row.id, "free")
    assert await process.refresh(caller) == replace(caller, plan="free", version=2)
    await identity.customers.suspend(ada.row.id)
    with pytest.raises(Suspended):
        await process.refresh(caller)


async def test_no_secret_is_kept_or_shown(identity: Any, ada: Any) -> None:
    process = identity.process()
    caller = await process.from_api_key(ada.key.secret)
    await process.close()
    kept = (
        repr(vars(process.known)) + repr(process.known._memory._entries) + repr(caller) + repr(ada) + repr(ada.key.row)
    )
    stored = "".join([str(await identity.redis.get(key)) for key in await identity.redis.keys("*")])
    assert ada.key.secret not in kept + stored
    assert ada.key.secret.removeprefix("sq_live_")[:20] not in kept + stored
