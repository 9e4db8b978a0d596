"""The pipeline through its one door: what a call leaves behind, whatever becomes of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import event

from hermes.errors import (
    Conflict,
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotConnected,
    OutcomeUnknown,
    PlatformRejected,
    PlatformUnavailable,
    QuotaExceeded,
    RateLimited,
    UnknownTool,
)
from hermes.identity.caller import Grants
from hermes.storage.sql import Database, insert_ignore

pytestmark = pytest.mark.storage


async def test_a_call_leaves_one_line_and_one_row(house, options) -> None:
    caller = await house.customer()
    result = await house.gateway.call(caller, "toy_send", {"text": "hi"}, options(client="claude"))
    assert result.structured["text"] == "hi"
    assert result.structured["customer_id"] == caller.customer_id
    assert "nothing" not in result.structured
    [line] = await house.lines(caller)
    assert line["id"] == result.call_id
    assert (line["outcome"], line["error"], line["tool"], line["account"]) == ("success", None, "toy_send", "default")
    assert line["caller"] == {"kind": "customer", "id": caller.key_id, "client": "claude"}
    assert line["arguments"]["text"]["length"] == 2
    assert "hi" not in str(line["arguments"])
    assert await house.used(caller) == 1
    assert await house.quotas.used(caller.customer_id, f"{house.admissions.now():%Y-%m}") == 1
    assert (await house.lookup.find(caller, result.call_id)).status == "success"
    assert not await house.redis.keys("pending:*")


FAILURES: list[tuple[str, str, Any, type[HermesError], str]] = [
    ("rejected", "toy_send", PlatformRejected("no"), PlatformRejected, "error"),
    ("unavailable", "toy_read", PlatformUnavailable("down"), PlatformUnavailable, "error"),
    ("unknown", "toy_send", OutcomeUnknown("who knows"), OutcomeUnknown, "outcome_unknown"),
    ("reconnect", "toy_send", NeedsReconnect("dead"), NeedsReconnect, "error"),
    ("limited", "toy_read", RateLimited("slow", retry_after=3.0, limited_by="toy"), RateLimited, "error"),
    ("a fault of ours", "toy_read", ZeroDivisionError("secret detail"), HermesError, "error"),
    ("read too slow", "toy_read", "hang", PlatformUnavailable, "error"),
]


@pytest.mark.parametrize(("tool", "fault", "kind", "outcome"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
async def test_a_failed_call_is_audited_and_not_charged(
    house, options, monkeypatch, tool, fault, kind, outcome
) -> None:
    monkeypatch.setattr("hermes.gateway.execution._BACKSTOP_SECONDS", 0.01)
    caller = await house.customer()

    async def fail(api: Any, text: str) -> str:
        if fault == "hang":
            await asyncio.Event().wait()
        raise fault

    house.script["next"] = fail
    with pytest.raises(kind) as caught:
        await house.gateway.call(caller, tool, {"text": "hi"}, options())
    assert "secret detail" not in str(caught.value.as_dict())
    [line] = await house.lines(caller)
    assert (line["outcome"], line["error"]) == (outcome, caught.value.code)
    assert caught.value.data["call_id"] == line["id"]
    assert await house.used(caller) == 0
    assert await house.quotas.used(caller.customer_id, f"{house.admissions.now():%Y-%m}") == 0


DENIALS: list[tuple[str, str, dict[str, Any], type[HermesError], str]] = [
    ("unknown tool", "toy_fly", {}, UnknownTool, ""),
    ("missing argument", "toy_send", {}, InvalidArguments, "text"),
    ("wrong type", "toy_send", {"text": 5}, InvalidArguments, "text"),
    ("no coercion", "toy_send", {"text": "x", "count": "2"}, InvalidArguments, "count"),
    ("out of range", "toy_send", {"text": "x", "count": 10}, InvalidArguments, "count"),
    ("unknown argument", "toy_send", {"text": "x", "customer_id": "other"}, InvalidArguments, "customer_id"),
    ("account without a choice", "toy_send", {"text": "x", "account": "default"}, InvalidArguments, "account"),
    ("lone surrogate", "toy_send", {"text": "\ud800"}, InvalidArguments, ""),
    ("huge number", "toy_send", {"text": "x", "count": 2**70}, InvalidArguments, ""),
]


@pytest.mark.parametrize(("name", "arguments", "kind", "field"), [d[1:] for d in DENIALS], ids=[d[0] for d in DENIALS])
async def test_a_denied_call_reserves_nothing(house, options, name, arguments, kind, field) -> None:
    caller = await house.customer()
    with pytest.raises(kind) as caught:
        await house.gateway.call(caller, name, arguments, options())
    if field:
        assert caught.value.data["fields"][0]["field"] == field
    [line] = await house.lines(caller)
    assert (line["outcome"], line["error"]) == ("denied", caught.value.code)
    assert await house.used(caller) == 0


async def test_what_a_key_or_plan_cannot_reach_is_unknown(house, options, monkeypatch) -> None:
    caller = await house.customer()
    reader = await house.api_keys.create(caller.customer_id, "reader", ["toy:read"])
    reading = await house.callers.from_api_key(reader.secret)
    assert [view.tool.name for view in await house.gateway.tools(reading)] == ["toy_read", "toy_show"]
    with pytest.raises(UnknownTool):
        await house.gateway.call(reading, "toy_send", {"text": "x"}, options())
    free = await house.customer(plan="free")
    assert await house.gateway.tools(free) == []
    with pytest.raises(UnknownTool):
        await house.gateway.call(free, "toy_read", {"text": "x"}, options())


async def test_several_accounts_give_a_choice(house, options) -> None:
    one = await house.customer()
    several = await house.customer(default="first", work="second")
    schema = {view.tool.name: view.input_schema for view in await house.gateway.tools(several)}["toy_send"]
    assert schema["properties"]["account"]["enum"] == ["default", "work"]
    assert all("account" not in view.input_schema["properties"] for view in await house.gateway.tools(one))
    work = await house.gateway.call(several, "toy_send", {"text": "x", "account": "work"}, options())
    assert (work.structured["token"], work.structured["account"]) == ("second", "work")
    assert (await house.gateway.call(several, "toy_send", {"text": "x"}, options())).structured["token"] == "first"
    with pytest.raises(InvalidArguments):
        await house.gateway.call(several, "toy_send", {"text": "x", "account": "home"}, options())


async def test_an_only_account_is_used_whatever_its_label(house, options) -> None:
    caller = await house.customer(work="only")
    assert (await house.gateway.call(caller, "toy_send", {"text": "x"}, options())).structured["token"] == "only"


async def test_not_connected_says_how(house, options) -> None:
    caller = await house.customer()
    await house.store.remove(caller.customer_id, "toy", "default")
    with pytest.raises(NotConnected) as caught:
        await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    assert caught.value.data["connect_url"] in caught.value.message


@pytest.mark.parametrize("damage", ["truncate", "tamper", "swap"])
async def test_a_damaged_credential_says_reconnect(house, options, damage) -> None:
    caller, other = await house.customer(), await house.customer(default="other secret")
    key = f"creds:{caller.customer_id}:toy"
    sealed = await house.redis.get(key)
    damaged = {
        "truncate": sealed[:-2],
        "tamper": sealed[:-1] + ("0" if sealed[-1] != "0" else "1"),
        "swap": await house.redis.get(f"creds:{other.customer_id}:toy"),
    }[damage]
    await house.redis.set(key, damaged)
    with pytest.raises(NeedsReconnect) as caught:
        await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    assert "econnect" in caught.value.message
    assert "other secret" not in str(caught.value.as_dict())
    assert await house.used(caller) == 0


async def test_the_round_trip_budget(house, options, database: Database, monkeypatch) -> None:
    created = await house.customers.create("budget@example.com", plan="growth")
    caller = await house.callers.from_api_key(created.key.secret)
    await house.store.put(caller.customer_id, "toy", "default", b'{"token":"t"}', _account())
    await house.gateway.call(caller, "toy_read", {"text": "warm"}, options())
    commands: list[str] = []
    queries: list[str] = []
    execute = type(house.redis).execute_command

    async def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        commands.append(str(args[0]))
        return await execute(self, *args, **kwargs)

    monkeypatch.setattr(type(house.redis), "execute_command", counting)
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *a: queries.append(a[2]))
    await house.gateway.call(await house.callers.from_api_key(created.key.secret), "toy_read", {"text": "x"}, options())
    assert commands == ["EVALSHA", "EVALSHA"]
    assert queries == []


def _account() -> Any:
    from hermes.platforms.base import Account  # noqa: PLC0415  (one use)

    return Account(id="t")


async def test_exactly_what_is_left_of_the_quota(house, options, database: Database) -> None:
    caller = await house.customer(plan="starter")
    month = f"{house.admissions.now():%Y-%m}"
    await _use(database, caller.customer_id, month, 4_950)

    async def one() -> str:
        try:
            await house.gateway.call(caller, "toy_send", {"text": "x"}, options())
        except QuotaExceeded as error:
            assert error.data["limit"] == 5_000
            assert error.retry_after
            return "exceeded"
        return "sent"

    outcomes = await asyncio.gather(*(one() for _ in range(500)))
    assert outcomes.count("sent") == 50
    assert await house.used(caller) == 5_000
    assert await house.quotas.used(caller.customer_id, month) == 5_000


async def _use(database: Database, customer_id: str, month: str, number: int) -> None:
    from hermes.billing.models import Usage  # noqa: PLC0415  (one use)

    rows = [
        {"call_id": f"{customer_id}-{n}", "customer_id": customer_id, "month": month, "platform": "toy", "tool": "t",
         "at": _moment()}
        for n in range(number)
    ]  # fmt: skip
    async with database.session() as session:
        await session.execute(insert_ignore(Usage), rows)


def _moment() -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415  (one use)

    return datetime.now(UTC)


async def test_too_many_calls_per_minute(house, options) -> None:
    caller = await house.customer(plan="starter")
    results = await asyncio.gather(
        *(house.gateway.call(caller, "toy_read", {"text": "x"}, options()) for _ in range(80)), return_exceptions=True
    )
    limited = [error for error in results if isinstance(error, RateLimited)]
    assert 15 <= len(limited) <= 20
    assert all(error.retry_after and error.data["limited_by"] == "plan" for error in limited)


async def test_a_replica_whose_clock_is_late_is_not_limited(house, options, monkeypatch) -> None:
    caller = await house.customer(plan="starter")
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    monkeypatch.setattr(house.admissions, "_now", lambda: time.time() - 300)
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())


async def test_a_suspended_customer_is_stopped_at_once(house, options) -> None:
    caller = await house.customer()
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    await house.customers.suspend(caller.customer_id)
    with pytest.raises(HermesError) as caught:
        await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    assert caught.value.code == "suspended"
    await house.customers.resume(caller.customer_id)
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())


async def test_a_call_goes_on_while_the_customer_is_being_changed(house, options) -> None:
    caller = await house.customer()
    await house.redis.set(f"customer:version:{caller.customer_id}", "changing:somebody", ex=10)
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())


async def test_a_cancelled_read_is_settled(house, options, gate) -> None:
    caller = await house.customer()
    began = asyncio.Event()

    async def hang(api: Any, text: str) -> str:
        began.set()
        await gate.wait()
        return text

    house.script["next"] = hang
    task = asyncio.create_task(house.gateway.call(caller, "toy_read", {"text": "x"}, options()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [line] = await house.lines(caller)
    assert line["outcome"] == "cancelled"
    assert await house.used(caller) == 0
    assert not await house.redis.keys("pending:*")


async def test_a_write_whose_client_went_away_is_finished_and_charged(house, options, gate) -> None:
    caller = await house.customer()
    began = asyncio.Event()

    async def slow(api: Any, text: str) -> str:
        began.set()
        await gate.wait()
        return text

    house.script["next"] = slow
    task = asyncio.create_task(house.gateway.call(caller, "toy_send", {"text": "x"}, options()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await house.gateway.close()
    [line] = await house.lines(caller)
    assert line["outcome"] == "success"
    assert await house.used(caller) == 1


async def test_what_a_dead_process_left_is_closed_once(house, options, gate) -> None:
    caller = await house.customer()
    began = asyncio.Event()

    async def die(api: Any, text: str) -> str:
        began.set()
        await gate.wait()
        return text

    house.script["next"] = die
    task = asyncio.create_task(house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k")))
    await began.wait()
    assert await house.admissions.sweep() == 0
    assert await house.admissions.sweep(everything=True) == 1
    gate.set()
    with pytest.raises(OutcomeUnknown):  # what its caller is told is what the trail says
        await task
    [line] = await house.lines(caller)
    assert (line["outcome"], line["error"]) == ("outcome_unknown", "outcome_unknown")
    assert await house.used(caller) == 0
    assert await house.quotas.used(caller.customer_id, f"{house.admissions.now():%Y-%m}") == 0
    with pytest.raises(OutcomeUnknown):
        await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))


async def test_redis_lost_in_the_middle_of_a_call(house, options, gate) -> None:
    caller = await house.customer()
    await house.gateway.call(caller, "toy_send", {"text": "before"}, options())
    assert await house.used(caller) == 1
    began = asyncio.Event()

    async def slow(api: Any, text: str) -> str:
        began.set()
        await gate.wait()
        return text

    house.script["next"] = slow
    task = asyncio.create_task(house.gateway.call(caller, "toy_send", {"text": "x"}, options()))
    await began.wait()
    await house.redis.flushdb()
    gate.set()
    await task
    del house.script["next"]
    await house.gateway.call(caller, "toy_send", {"text": "after"}, options())
    assert [line["outcome"] for line in await house.lines(caller)] == ["success", "success"]
    assert await house.used(caller) == 3
    assert await house.quotas.used(caller.customer_id, f"{house.admissions.now():%Y-%m}") == 3


async def test_first_answers_are_given_again(house, options) -> None:
    caller, other = await house.customer(), await house.customer()
    sent: list[str] = []

    async def count(api: Any, text: str) -> str:
        sent.append(text)
        return f"{text} {len(sent)}"

    house.script["next"] = count
    first = await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    again = await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    assert again == first
    with pytest.raises(Conflict):
        await house.gateway.call(caller, "toy_send", {"text": "y"}, options(idempotency_key="k"))
    assert sent == ["x"]
    assert (await house.gateway.call(other, "toy_send", {"text": "x"}, options(idempotency_key="k"))) != first
    assert [line["outcome"] for line in await house.lines(caller)] == ["denied", "replayed", "success"]
    assert await house.used(caller) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PlatformRejected("no"), "rejected again"),
        (PlatformUnavailable("down", nothing_sent=True), "sent"),
        (RateLimited("slow", retry_after=1.0), "sent"),
        (OutcomeUnknown("lost"), "unknown again"),
    ],
)
async def test_what_becomes_of_a_key_whose_first_call_failed(house, options, first, second) -> None:
    caller = await house.customer()
    faults = [first]

    async def fail_once(api: Any, text: str) -> str:
        if faults:
            raise faults.pop()
        return text

    house.script["next"] = fail_once
    with pytest.raises(type(first)):
        await house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    again = house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k"))
    if second == "sent":
        assert (await again).structured["text"] == "x"
    else:
        with pytest.raises(type(first)):
            await again
        assert await house.used(caller) == 0


async def test_the_same_key_at_the_same_moment_sends_once(house, options, gate) -> None:
    caller = await house.customer()
    began: list[str] = []

    async def slow(api: Any, text: str) -> str:
        began.append(text)
        await gate.wait()
        return text

    house.script["next"] = slow
    tasks = [
        asyncio.create_task(house.gateway.call(caller, "toy_send", {"text": "x"}, options(idempotency_key="k")))
        for _ in range(20)
    ]
    done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    while len(running) > 1:
        more, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    gate.set()
    await asyncio.gather(*running)
    assert len(began) == 1
    assert all(isinstance(task.exception(), Conflict) and task.exception().retry_after for task in done)


async def test_hidden_characters_do_not_reach_the_model(house, options) -> None:
    caller = await house.customer()

    async def hostile(api: Any, text: str) -> str:
        return "a\u202eb\u200bc\x00d\U000e0041"

    house.script["next"] = hostile
    result = await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    assert result.structured["text"] == "abcd"


async def test_the_operator_uses_the_environment(house, options) -> None:
    operator = house.callers.operator
    with pytest.raises(NotConnected):
        await house.gateway.call(operator, "toy_read", {"text": "x"}, options())
    listed = {view.tool.name for view in await house.gateway.tools(operator)}
    assert {"toy_read", "toy_send"} <= listed == set(house.gateway.catalog.tools)


def test_grants_are_read_and_written_apart() -> None:
    grants = Grants.parse(["toy:read"])
    assert grants.allow("toy", "read")
    assert not grants.allow("toy", "write")


async def test_refused_calls_leave_a_bounded_number_of_lines(house, options, monkeypatch) -> None:
    monkeypatch.setattr("hermes.gateway.admission.REFUSALS_PER_MINUTE", 5)
    caller, other = await house.customer(), await house.customer()
    for _ in range(20):
        with pytest.raises(UnknownTool):
            await house.gateway.call(caller, "toy_fly", {"x" * 60: "y" * 500}, options())
    with pytest.raises(UnknownTool):
        await house.gateway.call(other, "toy_fly", {}, options())
    await house.gateway.call(caller, "toy_read", {"text": "x"}, options())
    lines = await house.lines(caller)
    assert [line["outcome"] for line in lines] == ["success"] + ["denied"] * 5
    assert lines[-1]["arguments"] == {}
    assert len(await house.lines(other)) == 1
