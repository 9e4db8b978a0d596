"""What becomes of a call: the end of every call is written down once, also when the client or the store goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from hermes.errors import HermesError, Internal, OutcomeUnknown
from hermes.gateway.admission import Admissions, Call, IdempotencyState, Outcome
from hermes.gateway.idempotency import Answers, state_after
from hermes.gateway.outcomes import Observer, outcome_of
from hermes.gateway.results import CallOptions

log = structlog.get_logger(__name__)

T = TypeVar("T")

Witness = Callable[[str, str, str, HermesError | None], object]
"""Told what a call met: the customer, the platform, the account's label, and the error that it ended with."""

_SETTLE_SECONDS = 10.0


class Settlement:
    """Settles calls in the store and tells the metrics of them."""

    def __init__(
        self, admissions: Admissions, answers: Answers, observe: Observer | None = None, witness: Witness | None = None
    ) -> None:
        self._witness = witness
        self._admissions = admissions
        self._answers = answers
        self._observe = observe
        self._writing: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait until everything that has begun is settled."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    def finish(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have something done to its end, also after its caller is gone."""
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    def give_up(self, call: Call, outcome: Outcome, options: CallOptions, started: float) -> None:
        """Close a call of which it is not known whether it was admitted, as soon as the store answers again."""

        async def close() -> None:
            code = Internal.code if outcome == "error" else None
            try:
                await self._record(call, outcome, code, started)
            except (RedisError, TimeoutError) as failure:
                # If it was admitted after all, the sweeper closes it.
                log.error("call_not_audited", call_id=call.id, error=type(failure).__name__)
            self._tell(call.tool if call.platform else "unknown", outcome, options, started)

        self.finish(close())

    async def settle(
        self, call: Call, outcome: dict[str, Any] | HermesError, options: CallOptions, started: float
    ) -> None:
        """Settle an executed call, keeping its answer if the client gave an idempotency key.

        Raises:
            OutcomeUnknown: the store cannot be reached, so the trail will say the same.
        """
        error = outcome if isinstance(outcome, HermesError) else None
        state = state_after(error)
        key = call.idempotency_key
        answer = self._answers.seal(key, call.id, call.entry["account"], outcome) if key and state == "done" else ""
        kind = outcome_of(outcome)
        try:
            recorded = await self._record(
                call, kind, error.code if error else None, started, idempotency=state, answer=answer
            )
        except (RedisError, TimeoutError) as failure:
            log.error("call_not_settled", call_id=call.id, error=type(failure).__name__)
            raise OutcomeUnknown(
                "The call could not be recorded; it may have acted. Check on the platform before repeating it.",
                call_id=call.id,
            ) from None
        if not recorded:
            raise OutcomeUnknown(
                "The call was given up meanwhile; it may have acted. Check on the platform before repeating it.",
                call_id=call.id,
            )
        self._tell(call.tool, kind, options, started)
        if self._witness is not None and call.counted and call.entry["account"] is not None:
            self._witness(call.customer_id, call.platform, call.entry["account"], error)

    async def _record(
        self,
        call: Call,
        outcome: Outcome,
        code: str | None,
        started: float,
        *,
        idempotency: IdempotencyState = "free",
        answer: str = "",
    ) -> bool:
        """Settle a call, again and again for a while if the store does not answer: a second time does nothing.

        Returns:
            As `Admissions.settle`.
        """

        def settle() -> Coroutine[Any, Any, bool]:
            duration = time.perf_counter() - started
            return self._admissions.settle(
                call, outcome, error=code, duration=duration, idempotency=idempotency, answer=answer
            )

        try:
            return await settle()
        except (RedisError, TimeoutError):
            pass  # what repeats it is made only now: that costs a good part of what settling costs
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((RedisError, TimeoutError)),
            stop=stop_after_delay(_SETTLE_SECONDS),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            reraise=True,
        ):
            with attempt:
                return await settle()
        raise AssertionError("tenacity raises when it stops")

    async def close_unrun(
        self,
        call: Call,
        outcome: Outcome,
        options: CallOptions,
        started: float,
        error: HermesError | None = None,
    ) -> None:
        """Write the audit line of a call that was not executed, or not to its end."""
        if error is not None:
            error.data.setdefault("call_id", call.id)
        duration = time.perf_counter() - started
        try:
            await self._admissions.settle(call, outcome, error=error.code if error else None, duration=duration)
        except (RedisError, TimeoutError) as failure:
            log.error("call_not_audited", call_id=call.id, error=type(failure).__name__)
        self._tell(call.tool if call.platform else "unknown", outcome, options, started)

    def _tell(self, tool: str, outcome: Outcome, options: CallOptions, started: float) -> None:
        if self._observe is not None:
            self._observe(tool, outcome, options.transport, time.perf_counter() - started)
