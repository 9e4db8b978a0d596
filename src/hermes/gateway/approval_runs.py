"""Running approved calls: in the request that brought the yes, behind our page, or in whichever process finds one.

What was approved stands in SQL before anything runs. A run whose process died is never run again: a long call goes on
by itself and its outcome is taken over from there; of everything else it is said that nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.errors import HermesError, OutcomeUnknown
from hermes.gateway.approval_calls import Claimed, asker
from hermes.gateway.approvals import Approvals
from hermes.gateway.asking import InputRequired
from hermes.gateway.long_calls import LongCalls, Run
from hermes.gateway.models import ApprovalRow
from hermes.gateway.results import CallOptions, CallResult
from hermes.identity.caller import Caller, Grants

JOB: Final = "gateway.approved_call"

_LEFT: Final = timedelta(seconds=10)
"""An approved call that no run took for so long was left by a process that died."""

_LONG_CLAIM: Final = timedelta(minutes=2)
_PAGE_SECONDS: Final = 8.0
"""How long our page waits for the outcome before it says that the call is being run."""

Work = Callable[[Caller, CallOptions], Awaitable[CallResult | Run]]
"""The pipeline, with the call that it is to run."""

Start = Callable[[Caller, str, Any, CallOptions], Awaitable[CallResult | Run]]
"""The pipeline."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ApprovalRuns:
    """Runs what was approved.

    Attributes:
        approvals: where it stands.
    """

    def __init__(
        self,
        approvals: Approvals,
        current: Callable[[Caller], Awaitable[Caller]],
        long_calls: LongCalls | None = None,
    ) -> None:
        """
        Args:
            current: the caller as they are now; raises when they may not call any more.
        """
        self.approvals = approvals
        self._current = current
        self._long_calls = long_calls
        self._tasks: set[asyncio.Task[Any]] = set()

    async def in_place(
        self, work: Work, caller: Caller, row: ApprovalRow, options: CallOptions
    ) -> CallResult | Run | None:
        """Run an approved call for the request that waits for it. It goes on when the client goes away.

        Args:
            work: the pipeline, with the call as it came in.
            caller: who waits.
            options: as the request came in.

        Returns:
            What the pipeline gives; None when another run was faster.

        Raises:
            HermesError, InputRequired: as the pipeline.
        """

        async def claim_and_run() -> CallResult | Run | None:
            claim = await self.approvals.claim(row.customer_id, row.id)
            return None if claim is None else await self._run(work, caller, claim, options, told=True)

        return await asyncio.shield(self._keep(claim_and_run()))

    async def behind_page(self, start: Start, row: ApprovalRow, request_id: str) -> None:
        """Run a call that was approved on our page, and wait a moment for its outcome."""
        task = self._keep(self.left(start, row, request_id))
        await asyncio.wait({task}, timeout=_PAGE_SECONDS)

    async def left(self, start: Start, row: ApprovalRow, request_id: str | None = None) -> None:
        """Run a call that was approved and that nobody waits for. Does nothing when another run has it."""
        try:
            claim = await self.approvals.claim(row.customer_id, row.id)
            if claim is None:
                return
            options = CallOptions(
                transport=claim.transport, request_id=request_id or claim.permit.id, client=claim.caller.client
            )

            async def work(caller: Caller, options: CallOptions) -> CallResult | Run:
                return await start(caller, claim.tool, claim.arguments, options)

            await self._run(work, claim.caller, claim, options, told=False)
        except (HermesError, InputRequired) as error:
            # Written down already; the page and the call's repetition say it.
            log.info("approved_call_not_done", approval_id=row.id, error=type(error).__name__)

    async def sweep(self, enqueue: Callable[[str, str], Awaitable[Any]]) -> None:
        """For the house: end what is over, have what was left run, and settle what a dead process was running.

        Args:
            enqueue: has another process run one; takes the customer's id and the approval's.
        """
        rows = self.approvals.rows
        for row in await rows.overdue():
            await self.approvals.end_if_over(row)
        for row in await rows.left(_LEFT):
            if not await self.approvals.end_if_over(row):
                await enqueue(row.customer_id, row.id)
        for row in await rows.lost():
            await self._settle_lost(row)

    async def close(self) -> None:
        """Wait until every run that has begun is written down."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _run(
        self, work: Work, caller: Caller, claim: Claimed, options: CallOptions, *, told: bool
    ) -> CallResult | Run:
        try:
            fresh = await self._current(caller)
        except HermesError as error:
            await self.approvals.refuse(claim, error)
            raise
        try:
            permitted = replace(options, permit=claim.permit, idempotency_key=claim.idempotency_key)
            begun = await work(fresh, permitted)
        except InputRequired:
            await self.approvals.rows.release(claim.customer_id, claim.permit.id)
            raise
        except HermesError as error:
            await self.approvals.finish(claim, error, error.data.get("call_id"), told=told)
            raise
        if isinstance(begun, CallResult):
            await self.approvals.finish(claim, begun.structured, begun.call_id, told=told)
            return begun
        until = self.approvals.rows.now() + _LONG_CLAIM
        await self.approvals.rows.note_run(claim.customer_id, claim.permit.id, begun.call_id, until)
        self._keep(self._follow(claim, begun, told=told))
        return begun

    async def _follow(self, claim: Claimed, run: Run, *, told: bool) -> None:
        """Wait for a long call's outcome. What another process goes on with is settled by the sweep."""
        try:
            result = (await run.wait()).structured
        except OutcomeUnknown:
            return
        except InputRequired:
            await self.approvals.rows.release(claim.customer_id, claim.permit.id)
        except HermesError as error:
            await self.approvals.finish(claim, error, run.call_id, told=told)
        else:
            await self.approvals.finish(claim, result, run.call_id, told=told)

    async def _settle_lost(self, row: ApprovalRow) -> None:
        """For the house: whichever customer's it is, the row says."""
        call = None
        if row.run_id is not None and self._long_calls is not None:
            whose = replace(asker(row), grants=Grants.everything())
            call = await self._long_calls.find(whose, row.run_id)
        if call is None or row.run_id is None:
            await self.approvals.give_up(row)
        elif call.status == "running":
            until = self.approvals.rows.now() + _LONG_CLAIM
            await self.approvals.rows.note_run(row.customer_id, row.id, row.run_id, until)
        else:
            await self.approvals.take_over(row, call.result if call.error is None else call.error)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(self._logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken, so that asyncio does not complain where nobody waits

    async def _logged(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except (RedisError, SQLAlchemyError, TimeoutError) as error:
            # The approval stays as it is: running, until the sweep says that nobody knows.
            log.error("approved_call_not_written", error=type(error).__name__)
            raise
