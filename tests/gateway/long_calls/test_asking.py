"""Long calls that ask: a task waits for its answers without a run, and who waits for the result is asked at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from hermes.errors import BadInput, MissingCapability, OutcomeUnknown
from hermes.gateway.asking import Dialogue, InputRequired
from hermes.gateway.long_calls import Run
from hermes.gateway.models import CallStepRow, LongCallRow
from hermes.identity.caller import Caller

pytestmark = pytest.mark.storage

TOOL = "vendor_delete_video"
FORMS = {"elicitation": {}}
YES, NO = {"action": "accept"}, {"action": "decline"}


async def ended(process: Any) -> None:
    await asyncio.gather(*(run.work for run in process.long_calls._runs.values()))


async def asked(bench: Any, process: Any, caller: Caller, title: str = "x") -> str:
    """The id of a task that waits for its first answers."""
    options = bench.options(dialogue=Dialogue(FORMS), task=True)
    run = await process.gateway.start(caller, TOOL, {"title": title}, options)
    assert isinstance(run, Run)
    await ended(process)
    return run.call_id


async def test_a_task_waits_without_a_run_and_any_process_goes_on(bench: Any) -> None:
    caller, first, second = await bench.customer(), bench.start_process(), bench.start_process()
    call_id = await asked(bench, first, caller, "late")
    found = await second.long_calls.find(caller, call_id)
    assert (found.status, list(found.asking)) == ("running", ["sure", "why"])
    assert found.asking["sure"]["params"]["message"] == "Delete late?"
    assert await bench.admissions.sweep(everything=True) == 0
    await second.long_calls.abandon_all()  # as a start on a folder of one's own does
    await second.long_calls.sweep(second.long_calls.take_over)
    await first.die()
    assert await second.long_calls.answer(caller, call_id, {"why": NO, "more": YES})
    assert list((await second.long_calls.find(caller, call_id)).asking) == ["sure"]
    assert await second.long_calls.answer(caller, call_id, {"sure": YES})
    await ended(second)
    assert list((await second.long_calls.find(caller, call_id)).asking) == ["really"]
    assert await second.long_calls.answer(caller, call_id, {"really": YES, "sure": NO})
    await ended(second)
    found = await second.long_calls.find(caller, call_id)
    assert (found.status, found.asking) == ("success", {})
    assert found.result == {"id": "delete#1", "container": "look#1accept decline accept"}
    assert bench.vendor.received == ["look", "delete"]
    assert await bench.outcomes(caller) == ["success"]
    assert await bench.charged(caller) == 1


async def test_two_answers_at_once_wake_the_call_once(bench: Any) -> None:
    caller, first, second = await bench.customer(), bench.start_process(), bench.start_process()
    call_id = await asked(bench, first, caller)
    await asyncio.gather(
        first.long_calls.answer(caller, call_id, {"sure": YES}), second.long_calls.answer(caller, call_id, {"why": YES})
    )
    await ended(first)
    await ended(second)
    assert list((await first.long_calls.find(caller, call_id)).asking) == ["really"]


async def test_questions_and_answers_are_kept_sealed(bench: Any) -> None:
    caller, process = await bench.customer(), bench.start_process()
    call_id = await asked(bench, process, caller)
    await process.long_calls.answer(caller, call_id, {"why": {"action": "accept", "content": {"secret": "word"}}})
    async with bench.database.reading() as session:
        kept = (await session.scalars(select(CallStepRow.sealed_result))).all()
    assert len(kept) == 2
    assert not any("word" in text or "Delete" in text for text in kept)


async def test_a_waiting_task_can_be_cancelled(bench: Any) -> None:
    caller, process = await bench.customer(), bench.start_process()
    call_id = await asked(bench, process, caller)
    assert await process.long_calls.cancel(caller, call_id)
    assert (await process.long_calls.find(caller, call_id)).status == "cancelled"
    assert await bench.outcomes(caller) == ["cancelled"]
    assert bench.vendor.received == []


async def test_a_task_that_nobody_answers_ends(bench: Any) -> None:
    caller, process = await bench.customer(), bench.start_process()
    call_id = await asked(bench, process, caller)
    async with bench.database.session() as session:
        await session.execute(update(LongCallRow).values(claimed_until=datetime.now(UTC) - timedelta(seconds=1)))
    await process.long_calls.sweep(process.long_calls.take_over)
    assert (await process.long_calls.find(caller, call_id)).status == "cancelled"
    assert await bench.charged(caller) == 0


async def test_answers_of_others_and_to_other_questions_are_refused(bench: Any) -> None:
    caller, other, process = await bench.customer(), await bench.customer("b@example.com"), bench.start_process()
    call_id = await asked(bench, process, caller)
    assert not await process.long_calls.answer(other, call_id, {"sure": YES, "why": YES})
    with pytest.raises(BadInput):
        await process.long_calls.answer(caller, call_id, {"sure": {"roots": []}})
    assert len((await process.long_calls.find(caller, call_id)).asking) == 2


async def test_who_waits_for_the_result_is_asked_by_the_answer_to_the_call(bench: Any) -> None:
    caller, process = await bench.customer(), bench.start_process()
    state: str | None = None
    for responses in ({}, {"sure": YES, "why": YES}):
        options = bench.options(dialogue=Dialogue(FORMS, responses, state))
        with pytest.raises(InputRequired) as required:
            await process.gateway.call(caller, TOOL, {"title": "x"}, options)
        state = required.value.state
    async with bench.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(LongCallRow)) == 0
    options = bench.options(dialogue=Dialogue(FORMS, {"really": YES}, state))
    done = await process.gateway.call(caller, TOOL, {"title": "x"}, options)
    assert done.structured["container"] == "accept accept accept"
    assert await bench.outcomes(caller) == ["success", "input_required", "input_required"]
    assert await bench.charged(caller) == 1


async def test_a_question_after_a_step_cannot_be_asked_of_who_waits(bench: Any) -> None:
    caller, process = await bench.customer(), bench.start_process()
    with pytest.raises(OutcomeUnknown):
        await process.gateway.call(caller, TOOL, {"title": "late"}, bench.options(dialogue=Dialogue(FORMS)))
    assert await bench.outcomes(caller) == ["outcome_unknown"]


async def test_a_task_of_a_client_that_takes_no_questions_fails(bench: Any) -> None:
    caller, process = await bench.customer(), bench.start_process()
    run = await process.gateway.start(caller, TOOL, {"title": "x"}, bench.options(dialogue=Dialogue({}), task=True))
    assert isinstance(await run.work, MissingCapability)
    assert await bench.outcomes(caller) == ["error"]
