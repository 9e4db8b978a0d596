"""What becomes of accepted requests: inbox and statuses, once, for the right customer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from hermes.webhooks.models import InboundEventRow, MessageRow

ONE, TWO = "106540352242922", "222222"


def value(phone_number_id: str = ONE, **members: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "metadata": {"phone_number_id": phone_number_id}, **members}


def text(message_id: str, body: str = "hello") -> dict[str, Any]:
    return {"from": "16505551234", "id": message_id, "timestamp": "1749416383", "type": "text", "text": {"body": body}}


def status(message_id: str, word: str, at: int = 1750030073, **members: Any) -> dict[str, Any]:
    return {"id": message_id, "status": word, "timestamp": str(at), "recipient_id": "16505551234", **members}


@pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "read"])))
async def test_statuses_never_go_back(webhook_bench: Any, order: tuple[str, ...]) -> None:
    seen = 0
    for word in order:
        await webhook_bench.told(value(statuses=[status("wamid.A", word)]))
        seen = max(seen, ["sent", "delivered", "read"].index(word))
        found = await webhook_bench.events.latest("cus_1", "whatsapp", "wamid.A")
        assert found.status == ["sent", "delivered", "read"][seen]
    assert found.recipient == "16505551234"
    assert found.at == datetime.fromtimestamp(1750030073, UTC)


async def test_a_failure_keeps_its_reason(webhook_bench: Any) -> None:
    errors = [{"code": 131047, "title": "Re-engagement", "error_data": {"details": "24 hours"}}]
    await webhook_bench.told(
        value(
            statuses=[status("wamid.A", "sent"), status("wamid.A", "failed", errors=errors), status("wamid.A", "sent")]
        )
    )
    found = await webhook_bench.events.latest("cus_1", "whatsapp", "wamid.A")
    assert (found.status, found.errors[0]["code"]) == ("failed", 131047)


async def test_a_status_that_nobody_knows_does_not_replace_one(webhook_bench: Any) -> None:
    await webhook_bench.told(value(statuses=[status("wamid.A", "sent"), status("wamid.A", "teleported")]))
    await webhook_bench.told(value(statuses=[status("wamid.B", "teleported")]))
    assert (await webhook_bench.events.latest("cus_1", "whatsapp", "wamid.A")).status == "sent"
    assert (await webhook_bench.events.latest("cus_1", "whatsapp", "wamid.B")).status == "teleported"


async def test_one_request_for_two_customers(webhook_bench: Any) -> None:
    await webhook_bench.told(
        value(ONE, messages=[text("wamid.A", "for one")], statuses=[status("wamid.S", "read")]),
        value(TWO, messages=[text("wamid.A", "for two")], statuses=[status("wamid.S", "sent")]),
        value("999999", messages=[text("wamid.X", "for nobody")], statuses=[status("wamid.X", "sent")]),
    )
    assert [one.text for one in await webhook_bench.events.messages("cus_1")] == ["for one"]
    assert [one.text for one in await webhook_bench.events.messages("cus_2")] == ["for two"]
    assert (await webhook_bench.events.latest("cus_1", "whatsapp", "wamid.S")).status == "read"
    assert (await webhook_bench.events.latest("cus_2", "whatsapp", "wamid.S")).status == "sent"
    for customer in ("cus_1", "cus_2"):
        assert await webhook_bench.events.latest(customer, "whatsapp", "wamid.X") is None
    assert await webhook_bench.events.messages("cus_3") == []
    async with webhook_bench.database.reading() as session:
        assert len((await session.execute(select(MessageRow.number))).all()) == 2


async def test_the_same_message_in_different_requests_is_one(webhook_bench: Any) -> None:
    await webhook_bench.told(value(messages=[text("wamid.A"), text("wamid.A")]))
    await webhook_bench.told(value(messages=[text("wamid.A"), text("wamid.B")]))
    assert [one.message_id for one in await webhook_bench.events.messages("cus_1")] == ["wamid.B", "wamid.A"]


async def test_the_inbox_is_read_page_by_page(webhook_bench: Any) -> None:
    await webhook_bench.told(value(messages=[text(f"wamid.{n}") for n in range(7)]))
    seen: list[str] = []
    before = None
    while page := await webhook_bench.events.messages("cus_1", before=before, limit=3):
        seen += [one.message_id for one in page]
        before = page[-1].number
    assert seen == [f"wamid.{n}" for n in reversed(range(7))]


async def test_processing_twice_at_once_keeps_everything_once(webhook_bench: Any) -> None:
    changes = [{"field": "messages", "value": value(messages=[text(f"wamid.{n}") for n in range(5)])}]
    accepted = await webhook_bench.events.accept(orjson.dumps({"entry": [{"changes": changes}]}))
    await asyncio.gather(*(webhook_bench.events.process(accepted.event_id) for _ in range(5)))
    assert len(await webhook_bench.events.messages("cus_1")) == 5


async def test_a_request_whose_processing_fails_is_tried_again_and_then_given_up(webhook_bench: Any) -> None:
    async def broken() -> None:
        raise ConnectionError("Redis is away")

    webhook_bench.numbers.after = broken
    accepted = await webhook_bench.events.accept(_body())
    with pytest.raises(ConnectionError):
        await webhook_bench.events.process(accepted.event_id)
    assert await _states(webhook_bench) == [("accepted", 1)]
    webhook_bench.numbers.after = None
    await webhook_bench.events.process(accepted.event_id)
    assert await _states(webhook_bench) == [("processed", 1)]
    assert len(await webhook_bench.events.messages("cus_1")) == 1
    accepted = await webhook_bench.events.accept(_body("wamid.Z"))
    webhook_bench.numbers.after = broken
    for _ in range(10):
        with pytest.raises(ConnectionError):
            await webhook_bench.events.process(accepted.event_id)
    await webhook_bench.events.process(accepted.event_id)
    assert sorted(await _states(webhook_bench)) == [("failed", 10), ("processed", 1)]


async def test_nothing_is_kept_when_the_transaction_fails(webhook_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise ValueError("half way")

    accepted = await webhook_bench.events.accept(_body(statuses=[status("wamid.S", "sent")]))
    with monkeypatch.context() as patched:
        patched.setattr("hermes.webhooks.service._keep_status", broken)
        with pytest.raises(ValueError, match="half way"):
            await webhook_bench.events.process(accepted.event_id)
    assert await webhook_bench.events.messages("cus_1") == []
    await webhook_bench.events.process(accepted.event_id)
    assert len(await webhook_bench.events.messages("cus_1")) == 1


async def test_the_sweep_finds_what_was_lost(webhook_bench: Any) -> None:
    old = await webhook_bench.events.accept(_body("wamid.A"))
    await webhook_bench.events.accept(_body("wamid.B"))
    await _age(webhook_bench, old.event_id, timedelta(minutes=2))
    await webhook_bench.events.sweep()
    assert webhook_bench.jobs.queued == [old.event_id]
    await webhook_bench.work()
    await webhook_bench.events.sweep()
    assert webhook_bench.jobs.queued == []


async def test_the_sweep_ends_when_the_queue_is_down(webhook_bench: Any) -> None:
    for name in ("wamid.A", "wamid.B"):
        accepted = await webhook_bench.events.accept(_body(name))
        await _age(webhook_bench, accepted.event_id, timedelta(minutes=2))
    webhook_bench.jobs.working = False
    await webhook_bench.events.sweep()
    assert len(webhook_bench.jobs.queued) == 1


async def test_old_requests_are_purged_once_they_are_finished(webhook_bench: Any) -> None:
    finished = await webhook_bench.events.accept(_body("wamid.A"))
    await webhook_bench.events.process(finished.event_id)
    waiting = await webhook_bench.events.accept(_body("wamid.B"))
    for event_id in (finished.event_id, waiting.event_id):
        await _age(webhook_bench, event_id, timedelta(days=9))
    await webhook_bench.events.purge()
    assert await _states(webhook_bench) == [("accepted", 0)]


async def test_long_and_odd_content_is_kept_whole(webhook_bench: Any) -> None:
    body = "👋 \u202e" + "x" * 70_000
    await webhook_bench.told(value(messages=[{**text("wamid.A", body), "new": {"deep": [1, {"a": None}]}}]))
    (message,) = await webhook_bench.events.messages("cus_1")
    assert message.text == body
    assert message.content["new"] == {"deep": [1, {"a": None}]}


def _body(message_id: str = "wamid.A", **members: Any) -> bytes:
    changes = [{"field": "messages", "value": value(messages=[text(message_id)], **members)}]
    return orjson.dumps({"entry": [{"changes": changes}]})


async def _states(bench: Any) -> list[tuple[str, int]]:
    async with bench.database.reading() as session:
        return [tuple(row) for row in await session.execute(select(InboundEventRow.state, InboundEventRow.tries))]


async def _age(bench: Any, event_id: str, by: timedelta) -> None:
    async with bench.database.session() as session:
        await session.execute(
            update(InboundEventRow).where(InboundEventRow.id == event_id).values(received_at=datetime.now(UTC) - by)
        )
