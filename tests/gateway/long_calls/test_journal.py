"""Long calls: killed between any two steps and taken over, cancelled, watched; settled once, seen by their own only."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from hermes.errors import Conflict, HermesError, NotFound, OutcomeUnknown, PlatformRejected, PlatformUnavailable
from hermes.gateway.long_calls import Run
from hermes.gateway.models import CallStepRow, LongCallRow
from hermes.identity.caller import Grants
from hermes.identity.models import Customer

pytestmark = pytest.mark.storage

REQUESTS = ("container", "chunk-0", "chunk-1", "chunk-2", "publish", "confirm")
ONCE = ("container", "publish")


async def test_a_call_that_waits_gets_the_result_and_is_charged_once(bench) -> None:
    caller, process, told = await bench.customer(), bench.start_process(), []

    async def report(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    result = await process.gateway.call(caller, "vendor_upload_video", {"title": "x"}, bench.options(report=report))
    assert result.structured == {"id": "publish#1", "container": "container#1"}
    assert told == [(1, 3, "part 1"), (2, 3, "part 2"), (3, 3, "part 3")]
    assert bench.vendor.received == list(REQUESTS)
    assert await bench.outcomes(caller) == ["success"]
    assert await bench.charged(caller) == 1
    status = await process.lookup.find(caller, result.call_id)
    assert (status.status, status.publish_state, status.result) == ("success", "published", result.structured)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("request_name", REQUESTS)
async def test_a_call_killed_anywhere_is_taken_over_and_nothing_is_published_twice(bench, moment, request_name) -> None:
    caller, first, second, gate = await bench.customer(), bench.start_process(), bench.start_process(), bench.gate()
    getattr(bench.vendor, moment)[request_name] = gate
    run = await bench.begin(first, caller)
    await gate.reached.wait()
    await first.die()
    assert (await second.lookup.find(caller, run.call_id)).status == "running"

    taken = await bench.take_over(second)
    assert taken is not None
    if request_name in ONCE:
        # Whether the vendor received it cannot be known from here, so it is never sent again.
        with pytest.raises(OutcomeUnknown):
            await taken.wait()
        assert bench.vendor.received.count(request_name) == (moment == "after")
        expected, state = "outcome_unknown", "outcome_unknown"
    else:
        assert (await taken.wait()).structured == {"id": "publish#1", "container": "container#1"}
        expected, state = "success", "published"
    assert all(bench.vendor.received.count(name) <= 1 for name in ONCE)
    assert await bench.outcomes(caller) == [expected]
    assert await bench.charged(caller) == (expected == "success")
    status = await second.lookup.find(caller, run.call_id)
    assert (status.status, status.publish_state) == (expected, state)
    assert await bench.take_over(second) is None


async def test_a_call_killed_after_its_outcome_was_written_is_settled_by_the_next(bench, monkeypatch) -> None:
    caller, first, second = await bench.customer(), bench.start_process(), bench.start_process()

    async def dies(*_: Any, **__: Any) -> bool:
        first.rows.dead = True
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(bench.admissions, "settle", dies)
        run = await bench.begin(first, caller)
        await run.wait()
    assert await bench.outcomes(caller) == []
    assert (await second.lookup.find(caller, run.call_id)).status == "success"
    await bench.take_over(second)
    assert await bench.outcomes(caller) == ["success"]
    assert await bench.charged(caller) == 1
    assert bench.vendor.received == list(REQUESTS)


async def test_the_sweeper_leaves_a_living_call_alone_and_closes_others(bench) -> None:
    caller, process, gate = await bench.customer(), bench.start_process(), bench.gate()
    bench.vendor.before["publish"] = gate
    run = await bench.begin(process, caller)
    await gate.reached.wait()
    assert await bench.admissions.sweep(everything=True) == 0
    assert await bench.outcomes(caller) == []
    await process.die()
    async with bench.database.session() as session:
        await session.execute(update(LongCallRow).values(finished_at=datetime.now(UTC)))
    assert await bench.admissions.sweep(everything=True) == 1
    assert await bench.outcomes(caller) == ["outcome_unknown"]
    assert run.call_id


async def test_a_start_on_a_folder_of_ones_own_waits_for_no_claim(bench) -> None:
    caller, first, second, gate = await bench.customer(), bench.start_process(), bench.start_process(), bench.gate()
    bench.vendor.before["chunk-1"] = gate
    run = await bench.begin(first, caller)
    await gate.reached.wait()
    await first.die()
    await second.long_calls.take_over(run.call_id)
    assert second.long_calls._runs == {}
    await second.long_calls.abandon_all()
    await second.long_calls.take_over(run.call_id)
    await asyncio.gather(*(taken.work for taken in second.long_calls._runs.values()))
    assert await bench.outcomes(caller) == ["success"]


async def test_a_process_that_stops_gives_its_calls_back_between_two_steps(bench) -> None:
    caller, first, second, gate = await bench.customer(), bench.start_process(), bench.start_process(), bench.gate()

    bench.vendor.after["publish"] = gate
    run = await bench.begin(first, caller)
    await gate.reached.wait()
    closing = asyncio.create_task(first.gateway.close())
    await asyncio.sleep(0)
    gate.open.set()
    await closing
    with pytest.raises(OutcomeUnknown, match="goes on by itself"):
        await run.wait()
    taken = await bench.take_over(second)
    assert taken is not None
    assert (await taken.wait()).structured["id"] == "publish#1"
    assert bench.vendor.received.count("publish") == 1
    assert await bench.outcomes(caller) == ["success"]


async def test_a_call_outlives_its_client(bench) -> None:
    caller, process, gate = await bench.customer(), bench.start_process(), bench.gate()

    bench.vendor.before["chunk-1"] = gate
    client = asyncio.create_task(process.gateway.call(caller, "vendor_upload_video", {"title": "x"}, bench.options()))
    await gate.reached.wait()
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    (run,) = process.long_calls._runs.values()
    gate.open.set()
    await run.work
    assert await bench.outcomes(caller) == ["success"]


@pytest.mark.parametrize("known", [True, False])
async def test_a_run_that_lost_its_claim_ends_before_its_next_step(bench, known) -> None:
    caller, first, second, gate = await bench.customer(), bench.start_process(), bench.start_process(), bench.gate()

    bench.vendor.after["container"] = gate
    run = await bench.begin(first, caller)
    await gate.reached.wait()
    # The first one's heartbeat may come in between.
    while (taken := await bench.take_over(second)) is None:
        pass
    with pytest.raises(OutcomeUnknown):
        await taken.wait()
    if known:
        # The first one's heartbeat finds out while the step is under way; it must not be cut off there.
        await asyncio.wait_for(run.lost.wait(), 10)
    gate.open.set()
    with pytest.raises(OutcomeUnknown):
        await run.wait()
    assert bench.vendor.received == ["container"]
    assert await bench.outcomes(caller) == ["outcome_unknown"]


async def test_a_cancelled_call_ends_before_its_next_step(bench) -> None:
    caller, process, gate = await bench.customer(), bench.start_process(), bench.gate()

    bench.vendor.before["chunk-1"] = gate
    run = await bench.begin(process, caller)
    await gate.reached.wait()
    assert await process.long_calls.cancel(caller, run.call_id)
    gate.open.set()
    with pytest.raises(Conflict, match="cancelled"):
        await run.wait()
    assert bench.vendor.received == ["container", "chunk-0", "chunk-1"]
    assert await bench.outcomes(caller) == ["cancelled"]
    assert await bench.charged(caller) == 0
    status = await process.lookup.find(caller, run.call_id)
    assert (status.status, status.publish_state) == ("cancelled", "failed")
    assert await process.long_calls.cancel(caller, run.call_id)


async def test_cancelling_after_the_last_step_changes_nothing(bench) -> None:
    caller, process, gate = await bench.customer(), bench.start_process(), bench.gate()

    bench.vendor.before["confirm"] = gate
    run = await bench.begin(process, caller)
    await gate.reached.wait()
    await process.long_calls.cancel(caller, run.call_id)
    gate.open.set()
    assert (await run.wait()).structured["id"] == "publish#1"


async def test_cancelling_does_not_hide_that_a_step_may_have_been_done(bench) -> None:
    caller, first, second, gate = await bench.customer(), bench.start_process(), bench.start_process(), bench.gate()
    bench.vendor.after["publish"] = gate
    run = await bench.begin(first, caller)
    await gate.reached.wait()
    await first.die()
    assert await second.long_calls.cancel(caller, run.call_id)
    taken = await bench.take_over(second)
    assert taken is not None
    with pytest.raises(OutcomeUnknown):
        await taken.wait()
    assert await bench.outcomes(caller) == ["outcome_unknown"]


async def test_an_operator_sees_how_a_customers_call_stands_but_not_what_it_gave(bench) -> None:
    caller, process = await bench.customer(), bench.start_process()
    run = await bench.begin(process, caller)
    await run.wait()
    seen = await process.lookup.find(replace(caller, kind="operator"), run.call_id)
    assert (seen.publish_state, seen.result) == ("published", None)


FAULTS: list[tuple[HermesError, str, str]] = [
    (PlatformRejected("No."), "error", "failed"),
    (PlatformUnavailable("Down.", nothing_sent=True), "error", "failed"),
    (OutcomeUnknown("Cut off."), "outcome_unknown", "outcome_unknown"),
]


@pytest.mark.parametrize(("fault", "outcome", "state"), FAULTS, ids=[fault.code for fault, _, _ in FAULTS])
async def test_a_failed_step_fails_the_call(bench, fault, outcome, state) -> None:
    caller, process = await bench.customer(), bench.start_process()

    async def fail() -> None:
        raise fault

    bench.vendor.before["publish"] = fail
    run = await bench.begin(process, caller)
    with pytest.raises(type(fault)) as raised:
        await run.wait()
    assert raised.value.data["call_id"] == run.call_id
    assert await bench.outcomes(caller) == [outcome]
    status = await process.lookup.find(caller, run.call_id)
    assert (status.publish_state, status.problem["code"]) == (state, fault.code)
    async with bench.database.reading() as session:
        left = (await session.scalars(select(CallStepRow.name).where(CallStepRow.state == "begun"))).all()
    assert list(left) == (["publish"] if outcome == "outcome_unknown" else [])


async def test_a_chunk_that_got_no_answer_is_sent_again(bench) -> None:
    caller, process = await bench.customer(), bench.start_process()

    async def fail() -> None:
        raise OutcomeUnknown("Cut off.")

    bench.vendor.after["chunk-1"] = fail
    assert (await (await bench.begin(process, caller)).wait()).structured["id"] == "publish#1"
    assert bench.vendor.received.count("chunk-1") == 2


async def test_an_idempotency_key_belongs_to_the_whole_long_call(bench) -> None:
    caller, process, gate = await bench.customer(), bench.start_process(), bench.gate()

    bench.vendor.before["publish"] = gate
    run = await bench.begin(process, caller, idempotency_key="k")
    await gate.reached.wait()
    with pytest.raises(Conflict):
        await bench.begin(process, caller, idempotency_key="k")
    gate.open.set()
    first = await run.wait()
    again = await process.gateway.call(
        caller, "vendor_upload_video", {"title": "Hello"}, bench.options(idempotency_key="k")
    )
    assert again == first
    assert bench.vendor.received.count("publish") == 1


async def test_a_call_of_someone_suspended_meanwhile_does_not_go_on(bench) -> None:
    caller, first, second, gate = await bench.customer(), bench.start_process(), bench.start_process(), bench.gate()
    bench.vendor.before["chunk-0"] = gate
    run = await bench.begin(first, caller)
    await gate.reached.wait()
    await first.die()
    async with bench.database.session() as session:
        await session.execute(update(Customer).where(Customer.id == caller.customer_id).values(status="suspended"))
    assert await bench.take_over(second) is None
    assert bench.vendor.received == ["container"]
    assert await bench.outcomes(caller) == ["outcome_unknown"]
    assert run.call_id


async def test_a_long_call_is_seen_by_its_customer_and_by_keys_that_may_use_the_tool(bench) -> None:
    caller, other, process = await bench.customer(), await bench.customer("b@example.com"), bench.start_process()
    run = await bench.begin(process, caller)
    await run.wait()
    with pytest.raises(NotFound):
        await process.lookup.find(other, run.call_id)
    assert await process.long_calls.find(other, run.call_id) is None
    assert not await process.long_calls.cancel(other, run.call_id)
    weak = replace(caller, grants=Grants.parse(["vendor:read"]))
    assert (await process.lookup.find(weak, run.call_id)).result is None
    assert await process.long_calls.find(weak, run.call_id) is None


async def test_the_gateways_own_tools_go_through_the_pipeline_uncharged(bench) -> None:
    caller, process = await bench.customer(), bench.start_process()
    weak = replace(caller, grants=Grants.parse(["vendor:read"]))
    assert [view.tool.name for view in await process.gateway.tools(weak)] == [
        "gateway_get_call",
        "gateway_upload_media",
    ]
    run = await bench.begin(process, caller)
    await run.wait()
    found = await process.gateway.call(caller, "gateway_get_call", {"call_id": run.call_id}, bench.options())
    assert found.structured["status"] == "success"
    assert found.structured["publish_state"] == "published"
    text = {"content_base64": "SGVsbG8=", "filename": "../hello.txt"}
    kept = await process.gateway.call(weak, "gateway_upload_media", text, bench.options())
    assert (kept.structured["size"], kept.structured["filename"]) == (5, "hello.txt")
    assert await bench.charged(caller) == 1


async def test_results_are_forgotten_a_day_later(bench) -> None:
    caller, process = await bench.customer(), bench.start_process()
    run = await bench.begin(process, caller)
    await run.wait()
    await process.long_calls.purge()
    assert await process.long_calls.find(caller, run.call_id) is not None
    async with bench.database.session() as session:
        await session.execute(update(LongCallRow).values(finished_at=datetime.now(UTC) - timedelta(hours=25)))
    await process.long_calls.purge()
    assert await process.long_calls.find(caller, run.call_id) is None
    async with bench.database.reading() as session:
        assert (await session.scalars(select(CallStepRow.name))).all() == []
    assert (await process.lookup.find(caller, run.call_id)).status == "success"


async def test_arguments_and_results_are_sealed_at_rest(bench) -> None:
    caller, process = await bench.customer(), bench.start_process()
    run = await process.gateway.start(caller, "vendor_upload_video", {"title": "Confidential-title"}, bench.options())
    assert isinstance(run, Run)
    await run.wait()
    async with bench.database.reading() as session:
        row = await session.get(LongCallRow, run.call_id)
        steps = (await session.scalars(select(CallStepRow.sealed_result))).all()
    shown = f"{row.__dict__}{steps}"
    assert "Confidential-title" not in shown
    assert "publish#1" not in shown


@pytest.mark.parametrize("request_name", ["chunk-1", "publish"])
async def test_a_call_survives_the_kill_of_its_process(bench, valkey, tmp_path, request_name) -> None:
    caller = await bench.customer()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "process.py"),
        bench.database.url.render_as_string(hide_password=False),
        valkey.url,
        str(tmp_path),
        caller.customer_id,
        request_name,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    call_id = (await asyncio.wait_for(child.stdout.readline(), 60)).decode().strip()
    assert (await asyncio.wait_for(child.stdout.readline(), 60)).decode().strip() == f"received {request_name}"
    child.kill()
    await child.wait()

    process = bench.start_process()
    assert (await process.lookup.find(caller, call_id)).status == "running"
    assert await bench.admissions.sweep(everything=True) == 0
    taken = await bench.take_over(process)
    assert taken is not None
    if request_name == "publish":
        with pytest.raises(OutcomeUnknown):
            await taken.wait()
        assert bench.vendor.received == []
        assert await bench.outcomes(caller) == ["outcome_unknown"]
        return
    assert (await taken.wait()).structured == {"id": "publish#1", "container": "container#1"}
    assert bench.vendor.received == ["chunk-1", "chunk-2", "publish", "confirm"]
    assert await bench.outcomes(caller) == ["success"]
