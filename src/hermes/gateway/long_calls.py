"""Calls that may take minutes: run here, taken over elsewhere when this process ends, settled once.

An admitted call gets a row before anything is sent, and the process that admitted it runs it. The row is claimed for
half a minute at a time; when the claim runs out, because the process died or stopped, a sweep has another one go on
where the journal says it stood. A waiting client only listens: the run goes on without it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, cast

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import HermesError, Internal, OutcomeUnknown
from hermes.gateway.accounts import Accounts
from hermes.gateway.admission import Admissions, Call, Outcome
from hermes.gateway.asking import NOBODY, Asking, InputRequired
from hermes.gateway.execution import AskedTooLateError, execute
from hermes.gateway.idempotency import Answers, state_after
from hermes.gateway.journal import Interrupted, SqlJournal
from hermes.gateway.long_asks import LongAsks
from hermes.gateway.long_rows import CLAIM, Claim, ClaimLost, LongCallRows
from hermes.gateway.models import LongCallRow
from hermes.gateway.outcomes import (
    Cancelled,
    Observer,
    Result,
    open_result,
    outcome_of,
    publish_state_after,
    seal_result,
)
from hermes.gateway.refusals import unexpected
from hermes.gateway.results import CallOptions, CallResult, LogReport, LongCall, ProgressReport
from hermes.gateway.seals import part_name
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.callers import Callers
from hermes.platforms.asks import Asked
from hermes.platforms.base import Tool
from hermes.platforms.catalog import Catalog
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import PublishState
from hermes.storage.queue import RetryLater

log = structlog.get_logger(__name__)

JOB: Final = "gateway.long_call"
_BEAT_SECONDS: Final = CLAIM.total_seconds() / 3
_PROGRESS_SECONDS: Final = 1.0
_MOST_ATTEMPTS: Final = 8
_MOST_TAKEN_OVER: Final = 16
_STOP_SECONDS: Final = 15.0


@dataclass(eq=False)
class Run:
    """One process's run of one long call."""

    claim: Claim
    tool: Tool
    call: Call
    journal: SqlJournal
    transport: str
    created_at: datetime
    asking: Asking = NOBODY
    task: bool = False
    """Its client took a task, so that the call can wait for answers without a run."""
    required: Callable[[Asked], InputRequired] | None = None
    """Makes of questions what a client that waits is to be told."""
    log: LogReport | None = None
    listeners: list[ProgressReport] = field(default_factory=list)
    work: asyncio.Task[Result | Asked] = field(init=False)
    noted_at: float = float("-inf")
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Another run has the call, as the heartbeat found."""
    ending: bool = False
    """The tool is through; only its outcome has to be written down."""

    @property
    def call_id(self) -> str:
        return self.call.id

    async def wait(self) -> CallResult:
        """Wait for the outcome. The run goes on when the waiting is cancelled.

        Raises:
            HermesError: what the call ended with; `OutcomeUnknown`, when it goes on in another process.
            InputRequired: the client has to be asked first.
        """
        outcome = await asyncio.shield(self.work)
        if isinstance(outcome, HermesError):
            raise outcome
        if isinstance(outcome, Asked):
            if self.required is None:
                raise TypeError("a call asked although nobody can be asked")
            raise self.required(outcome)
        return CallResult(self.call.id, outcome, self.tool.shows_blocks, self.call.entry["account"])


class LongCalls:
    """Runs long calls, takes over abandoned ones, and knows how each stands."""

    def __init__(
        self,
        rows: LongCallRows,
        keyring: Keyring,
        catalog: Catalog,
        accounts: Accounts,
        admissions: Admissions,
        callers: Callers,
        answers: Answers,
        *,
        observe: Observer | None = None,
        beat_seconds: float = _BEAT_SECONDS,
    ) -> None:
        self._rows = rows
        self._asks = LongAsks(rows, keyring)
        self._keyring = keyring
        self._catalog = catalog
        self._accounts = accounts
        self._admissions = admissions
        self._callers = callers
        self._answers = answers
        self._observe = observe
        self._beat_seconds = beat_seconds
        self._runs: dict[str, Run] = {}
        self._stopping = False

    async def begin(
        self,
        caller: Caller,
        call: Call,
        tool: Tool,
        arguments: BaseModel,
        *,
        label: str,
        sealed: str,
        options: CallOptions,
        asking: Asking,
        required: Callable[[Asked], InputRequired],
    ) -> Run:
        """Write an admitted call down and run it.

        Args:
            label: the account's label.
            sealed: its credential, as it is stored; '' in single-user mode.
            options: how the call came in.
            asking: what its client can be asked, and has answered.
            required: makes of questions what a client that waits is to be told.

        Raises:
            SQLAlchemyError, TimeoutError: it could not be written; nothing was sent.
        """
        claim = Claim(call.customer_id, call.id, secrets.token_hex(16))
        plain = arguments.model_dump_json(exclude_unset=True).encode()
        created_at = await self._rows.insert(
            claim,
            self._asks.sealed(claim, {key: asking.given[key] for key in asking.used}),
            tool=tool.name,
            account=label,
            caller=_as_json(caller, options, asking),
            record=orjson.loads(call.to_json()),
            sealed_arguments=self._keyring.seal(plain, part_name(claim.customer_id, claim.call_id, "arguments")),
        )
        journal = SqlJournal(self._rows, self._keyring, claim)
        run = Run(
            claim,
            tool,
            call,
            journal,
            options.transport,
            created_at,
            asking=asking,
            task=options.task,
            required=required,
            log=options.log,
        )
        if options.report is not None:
            run.listeners.append(options.report)
        self._launch(run, caller, arguments, label, sealed)
        return run

    async def take_over(self, call_id: str) -> None:
        """The job: go on with a call that no run has. Does nothing when there is nothing to do."""
        if self._stopping or len(self._runs) >= _MOST_TAKEN_OVER:
            raise RetryLater(_BEAT_SECONDS)
        token = secrets.token_hex(16)
        row = await self._rows.claim(call_id, token)
        if row is None:
            return
        claim, call, transport = Claim(row.customer_id, row.id, token), Call(**row.record), row.caller["transport"]
        tool = self._catalog.tools.get(row.tool)
        if row.sealed_outcome is not None:
            await self._settle(claim, call, self._result(row), transport)
            return
        if tool is None:
            gone = Internal(f"There is no tool {row.tool} any more.")
            await self._end(claim, call, gone, row.publish_state, transport)
            return
        run = Run(claim, tool, call, SqlJournal(self._rows, self._keyring, claim), transport, row.created_at)
        run.journal.publish_state = PublishState(row.publish_state)
        log.info("long_call_taken_over", call_id=call_id, tool=row.tool, attempt=row.attempts)
        try:
            if await self._asks.pending(row.customer_id, row.id):
                # Whoever answers the last question takes it from there, so nobody did in time, or it is cancelled.
                await self._end(claim, call, Cancelled(), row.publish_state, run.transport)
                return
            run.task = row.caller.get("task", False)
            run.asking = await self._asks.asking(claim, row.caller.get("asks", ()) if run.task else ())
            caller, arguments, sealed = await self._recover(row, tool, claim)
        except HermesError as error:
            await self._end(claim, call, error, row.publish_state, run.transport)
            return
        self._launch(run, caller, arguments, row.account, sealed)

    async def abandon_all(self) -> None:
        """Have every call under way taken over at once; only when no process can be running any of them."""
        await self._rows.release_all()

    async def sweep(self, enqueue: Callable[[str], Awaitable[Any]]) -> None:
        """Have calls that no run has taken over."""
        for call_id in await self._rows.abandoned():
            await enqueue(call_id)

    async def purge(self) -> None:
        """Forget results that need not be kept any more."""
        await self._rows.purge()

    async def find(self, caller: Caller, call_id: str) -> LongCall | None:
        """How the caller's long call stands. None: the customer has none of this id, or its result is kept no more, or
        the caller may not use the tool."""
        row = await self._rows.find(caller.customer_id, call_id)
        if row is None or not self._may_see(caller, row):
            return None
        asking = {} if row.sealed_outcome is not None else await self._asks.pending(caller.customer_id, call_id)
        return self._shown(row, asking)

    async def cancel(self, caller: Caller, call_id: str) -> bool:
        """Have the caller's call end before its next step. False: there is none for this caller; True, although
        nothing happens, when it has ended already."""
        row = await self._rows.find(caller.customer_id, call_id)
        if row is None or not self._may_see(caller, row):
            return False
        await self._rows.request_cancel(caller.customer_id, call_id)
        if await self._asks.pending(caller.customer_id, call_id):
            await self._rows.wake(caller.customer_id, call_id)
            await self._go_on(call_id)
        return True

    async def answer(self, caller: Caller, call_id: str, responses: Mapping[str, Any]) -> bool:
        """Give the caller's call answers to what it asked, and have it go on when it has all of them. False: there is
        none for this caller; True, although nothing happens, when it asked nothing of this.

        Raises:
            BadInput: an answer is none to its question.
        """
        row = await self._rows.find(caller.customer_id, call_id)
        if row is None or not self._may_see(caller, row):
            return False
        if row.finished_at is None and await self._asks.answer(caller.customer_id, call_id, responses):
            await self._go_on(call_id)
        return True

    async def _go_on(self, call_id: str) -> None:
        """Take a call over here and now; where that cannot be, the sweep has another process do it."""
        with suppress(RetryLater):
            await self.take_over(call_id)

    def _may_see(self, caller: Caller, row: LongCallRow) -> bool:
        tool = self._catalog.tools.get(row.tool)
        return tool is not None and caller.grants.allow(tool.platform, tool.effect.access)

    def stop(self) -> None:
        """Have every run end before its next step, and take no more: this process is about to end."""
        self._stopping = True
        for run in self._runs.values():
            run.journal.leave = run.journal.leave or "released"
            if not run.journal.critical and not run.ending:
                run.work.cancel()

    async def close(self) -> None:
        """Stop, and wait until every run has given its call back; what takes too long is found by its journal."""
        self.stop()
        tasks = [run.work for run in self._runs.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _launch(self, run: Run, caller: Caller, arguments: BaseModel, label: str, sealed: str) -> None:
        self._runs[run.claim.call_id] = run
        run.work = asyncio.create_task(self._work(run, caller, arguments, label, sealed), name=f"call {run.call.id}")
        run.work.add_done_callback(lambda _: self._runs.pop(run.claim.call_id, None))

    async def _work(self, run: Run, caller: Caller, arguments: BaseModel, label: str, sealed: str) -> Result | Asked:
        """Run the tool to its end, or until the call is another's or has to ask."""
        report = partial(self._report, run)
        context = ToolContext(run.call.id, report, run.journal, asks=run.asking, log=run.log)
        beating = asyncio.create_task(self._beat(run, asyncio.current_task()))
        result: Result
        try:
            result = await execute(self._accounts, caller, run.tool, arguments, context, label=label, sealed=sealed)
        except HermesError as error:
            result = error
        except Asked as asked:
            return await self._ask(run, asked)
        except (Interrupted, asyncio.CancelledError) as end:
            reason = end.reason if isinstance(end, Interrupted) else run.journal.leave or "released"
            if reason != "cancelled":
                return await self._leave(run, reason)
            result = Cancelled()
        finally:
            run.ending = True
            beating.cancel()
        return await self._end(run.claim, run.call, result, run.journal.publish_state, run.transport)

    async def _ask(self, run: Run, asked: Asked) -> Result | Asked:
        """The tool needs answers: a task waits for them; who waits for the result sends the call again with them."""
        try:
            if run.task:
                if await self._asks.park(run.claim, asked):
                    await self._rows.wake(run.claim.customer_id, run.call.id)
                    await self._go_on(run.call.id)
                return asked
            if not await self._rows.steps(run.claim):
                duration = (self._admissions.now() - datetime.fromisoformat(run.call.entry["at"])).total_seconds()
                await self._admissions.settle(run.call, "input_required", error=None, duration=max(duration, 0.0))
                await self._rows.forget(run.claim)
                return asked
        except (ClaimLost, SQLAlchemyError, RedisError, TimeoutError) as error:
            log.error("questions_not_kept", call_id=run.call.id, error=type(error).__name__)
            return await self._leave(run, "released")
        late = unexpected(AskedTooLateError(run.tool.name), run.tool, may_have_acted=True)
        return await self._end(run.claim, run.call, late, run.journal.publish_state, run.transport)

    async def _leave(self, run: Run, reason: str) -> HermesError:
        if reason == "released":
            with suppress(SQLAlchemyError, TimeoutError):
                await self._rows.release(run.claim)
        return OutcomeUnknown(
            "The server is being restarted; the call goes on by itself. Its call_id tells what becomes of it.",
            call_id=run.call.id,
        )

    async def _beat(self, run: Run, work: asyncio.Task[Any] | None) -> None:
        """Keep the claim alive; end the run when that did not succeed for as long as the claim lasts."""
        good_until = time.monotonic() + CLAIM.total_seconds()
        while True:
            await asyncio.sleep(self._beat_seconds)
            try:
                await self._rows.renew(run.claim)
                good_until = time.monotonic() + CLAIM.total_seconds()
            except ClaimLost:
                good_until = 0.0
            except (SQLAlchemyError, TimeoutError) as error:
                log.warning("claim_not_renewed", call_id=run.call.id, error=type(error).__name__)
            if time.monotonic() + self._beat_seconds > good_until:
                run.journal.leave = "lost"
                run.lost.set()
                if work is not None and not run.journal.critical:
                    work.cancel()
                return

    async def _report(self, run: Run, done: float, total: float | None, message: str | None) -> None:
        for listener in list(run.listeners):
            try:
                await listener(done, total, message)
            except Exception as error:  # noqa: BLE001  (a client that went away must not end the run)
                log.debug("progress_not_told", call_id=run.call.id, error=type(error).__name__)
                run.listeners.remove(listener)
        now = time.monotonic()
        if now - run.noted_at >= _PROGRESS_SECONDS:
            run.noted_at = now
            with suppress(ClaimLost, SQLAlchemyError, TimeoutError):
                await self._rows.note(run.claim, progress={"done": done, "total": total, "message": message})

    async def _end(self, claim: Claim, call: Call, result: Result, said: str, transport: str) -> Result:
        """Write the outcome down, then settle the call. If either does not succeed, a later run does it."""
        if isinstance(result, HermesError):
            result.data.setdefault("call_id", call.id)
        outcome = outcome_of(result)
        sealed = seal_result(self._keyring, part_name(claim.customer_id, claim.call_id, "result"), result)
        try:
            await self._rows.finish(claim, outcome, sealed, publish_state_after(outcome, said))
            await self._settle(claim, call, result, transport)
        except (ClaimLost, SQLAlchemyError, RedisError, TimeoutError) as error:
            log.error("long_call_not_settled", call_id=call.id, error=type(error).__name__)
        return result

    async def _settle(self, claim: Claim, call: Call, result: Result, transport: str) -> None:
        error = result if isinstance(result, HermesError) else None
        outcome = outcome_of(result)
        state = "free" if outcome == "cancelled" else state_after(error)
        key = call.idempotency_key
        seconds = (self._admissions.now() - datetime.fromisoformat(call.entry["at"])).total_seconds()
        await self._admissions.settle(
            call,
            outcome,
            error=error.code if error is not None else None,
            duration=max(seconds, 0.0),
            idempotency=state,
            answer=self._answers.seal(key, call.id, call.entry["account"], result) if key and state == "done" else "",
        )
        await self._rows.settled(claim)
        if self._observe is not None:
            self._observe(call.tool, outcome, transport, seconds)

    async def _recover(self, row: LongCallRow, tool: Tool, claim: Claim) -> tuple[Caller, BaseModel, str]:
        """What is needed to go on: the caller as they are now, the arguments, the credential.

        Raises:
            HermesError: it may not or cannot go on.
        """
        begun = bool(await self._rows.steps(claim))
        try:
            if row.attempts > _MOST_ATTEMPTS:
                raise Internal(f"The call was begun {_MOST_ATTEMPTS} times and never came to its end.")
            caller = await self._callers.refresh(_caller(row))
            try:
                plain = await self._keyring.open_stored(
                    row.sealed_arguments, part_name(claim.customer_id, claim.call_id, "arguments")
                )
                arguments = tool.arguments_model.model_validate_json(plain, strict=True)
            except (Undecryptable, ValidationError):
                raise Internal("What the call was to do can no longer be read.") from None
            return caller, arguments, await self._accounts.stored(caller, tool.platform, row.account)
        except HermesError as error:
            if not begun:
                raise
            raise OutcomeUnknown(
                f"After a restart the call could not go on: {error.message} What was done until then stands; check "
                "on the platform.",
                reason=error.code,
            ) from None

    def _result(self, row: LongCallRow) -> Result:
        name = part_name(row.customer_id, row.id, "result")
        return open_result(self._keyring, name, cast(Outcome, row.outcome), row.sealed_outcome or "")

    def _shown(self, row: LongCallRow, asking: Mapping[str, Any]) -> LongCall:
        result = self._result(row) if row.sealed_outcome is not None else None
        return LongCall(
            id=row.id,
            tool=row.tool,
            account=row.account,
            status=row.outcome or "running",
            publish_state=row.publish_state,
            progress=row.progress,
            result=result if isinstance(result, dict) else None,
            error=result if isinstance(result, HermesError) else None,
            created_at=row.created_at,
            updated_at=row.updated_at,
            begun_by=row.caller["kind"],
            blocks=self._catalog.tools[row.tool].shows_blocks,
            asking=asking,
        )


def _as_json(caller: Caller, options: CallOptions, asking: Asking) -> dict[str, Any]:
    return {
        "kind": caller.kind,
        "via": caller.via.value,
        "key_id": caller.key_id,
        "plan": caller.plan,
        "transport": options.transport,
        "task": options.task,
        "asks": asking.kinds(),
    }


def _caller(row: LongCallRow) -> Caller:
    """As whom a call runs. Its grants were checked when it was admitted."""
    known = row.caller
    return Caller(
        known["kind"], row.customer_id, Via(known["via"]), known["key_id"], Grants(frozenset()), known["plan"]
    )
